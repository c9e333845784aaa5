# Godot 4: moves the Skeleton3D of a humanoid avatar by the UDP records of hmmr-live (docs/game-engines.md), as sent with
#     --sink udp:127.0.0.1:5577,axes=world
# axes=world, not godot: imported avatars look along +z at rest, which is what the record's "world" means.
#
# Not run by hmmr-live's tests (they have Godot 3.2); the script for Godot 3 beside this one is.
extends Node

const BYTES := 404
const VERSION := 1
const AXES_WORLD := 0
const STATES: PackedStringArray = ["lost", "warming", "held", "tracking"]
# The names of Godot's SkeletonProfileHumanoid, in the record's order, and the parent of each in it.
const BONES: PackedStringArray = [
	"Hips", "LeftUpperLeg", "RightUpperLeg", "LeftLowerLeg", "RightLowerLeg", "LeftFoot", "RightFoot", "Spine", "Chest",
	"UpperChest", "Neck", "Head", "LeftShoulder", "RightShoulder", "LeftUpperArm", "RightUpperArm", "LeftLowerArm",
	"RightLowerArm", "LeftHand", "RightHand", "LeftToes", "RightToes",
]
const PARENTS: PackedInt32Array = [-1, 0, 0, 1, 2, 3, 4, 0, 7, 8, 9, 10, 9, 9, 12, 13, 14, 15, 16, 17, 5, 6]
const REORDERED_NS := 1000000000  # older by less than this: overtaken on its way; by more: the stream was started anew

@export var skeleton: Skeleton3D
@export var port := 5577
@export var address := "127.0.0.1"  # "*" receives from other machines, too
@export var move_hips := true  # from where the avatar stands, as the person moves from where they were first seen

var state := "lost"
var received := 0
var refused := 0
var last_error := ""

var _socket := PacketPeerUDP.new()
var _bones: PackedInt32Array = []  # -1 where the avatar has none
var _rest: Array[Quaternion] = []  # of each bone at rest, against the skeleton
var _turned: Array[Quaternion] = []
var _newest_ns := 0
var _newest_seq := 0
var _person := 0
var _first_seen := Vector3.ZERO


func _ready() -> void:
	var error := _socket.bind(port, address)
	if error != OK:
		last_error = "cannot listen on UDP %s:%d (error %d): is another receiver running?" % [address, port, error]
		push_error(last_error)
	for bone_name in BONES:
		var bone := skeleton.find_bone(bone_name)
		_bones.append(bone)
		var rest := Basis.IDENTITY if bone < 0 else skeleton.get_bone_global_rest(bone).basis
		_rest.append(rest.get_rotation_quaternion())
		_turned.append(Quaternion.IDENTITY)
	if _bones[0] < 0:
		last_error = "the skeleton has no bone Hips: import the avatar with a BoneMap of SkeletonProfileHumanoid"
		push_error(last_error)


func _process(_delta: float) -> void:
	var newest := PackedByteArray()
	while _socket.get_available_packet_count() > 0:
		var packet := _socket.get_packet()
		last_error = _problem(packet)
		if last_error != "":
			refused += 1
			continue
		received += 1
		var published_ns := packet.decode_s64(24)
		if published_ns >= _newest_ns or _newest_ns - published_ns > REORDERED_NS:
			_newest_ns = published_ns
			var seq := packet.decode_u32(8)
			if seq < _newest_seq:
				_person = 0  # the stream was started anew, and counts its persons from 1 again
			_newest_seq = seq
			newest = packet
	if not newest.is_empty():
		_apply(newest)


# Why a packet is no record; "" when it is one.
func _problem(packet: PackedByteArray) -> String:
	if packet.size() != BYTES or packet.slice(0, 4).get_string_from_ascii() != "HMRL":
		return "not a record of hmmr-live"
	if packet.decode_u16(4) != VERSION:
		return "a record of another version: update this script"
	if packet.decode_u8(6) != AXES_WORLD:
		return "a record in other axes: start the stream with --sink udp:%s:%d,axes=world" % [address, port]
	if packet.decode_u8(7) >= STATES.size():
		return "a state that is unknown"
	for bone in BONES.size():
		if not absf(_rotation(packet, bone).length_squared() - 1.0) < 0.01:  # NaN is not below it either
			return "it holds no unit quaternions"
	return "" if _hips(packet).is_finite() else "its position is not finite"


func _rotation(packet: PackedByteArray, bone: int) -> Quaternion:
	var at := 52 + 16 * bone
	return Quaternion(
		packet.decode_float(at), packet.decode_float(at + 4), packet.decode_float(at + 8), packet.decode_float(at + 12)
	)


func _hips(packet: PackedByteArray) -> Vector3:
	return Vector3(packet.decode_float(40), packet.decode_float(44), packet.decode_float(48))


func _apply(packet: PackedByteArray) -> void:
	state = STATES[packet.decode_u8(7)]
	skeleton.visible = state != "lost"
	if state == "lost" or _bones[0] < 0:
		return
	for i in BONES.size():
		var own := _rotation(packet, i).normalized()
		_turned[i] = own if PARENTS[i] < 0 else _turned[PARENTS[i]] * own
		if _bones[i] < 0:
			continue  # what an avatar lacks hands its turn on to the next bone
		skeleton.set_bone_pose_rotation(_bones[i], _parent_of(_bones[i]).basis.get_rotation_quaternion().inverse() * _turned[i] * _rest[i])
	if not move_hips:
		return
	var person := packet.decode_u32(32)
	var hips := _hips(packet)
	if person != _person:
		_person = person
		_first_seen = hips
	var place := skeleton.get_bone_global_rest(_bones[0]).origin + hips - _first_seen
	skeleton.set_bone_pose_position(_bones[0], _parent_of(_bones[0]).affine_inverse() * place)


# Where a bone's parent stands now, against the skeleton.
func _parent_of(bone: int) -> Transform3D:
	var parent := skeleton.get_bone_parent(bone)
	return Transform3D.IDENTITY if parent < 0 else skeleton.get_bone_global_pose(parent)
