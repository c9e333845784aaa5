# The UDP records of hmmr-live (docs/game-engines.md), as the stream sends them with
#     --sink udp:127.0.0.1:5577,axes=godot
# Newest wins: of what waits, only the last record is given on.
extends Node

signal record_received(record)

const BYTES := 404
const VERSION := 1
const AXES_GODOT := 3
const BONE_COUNT := 22
const STATES := ["lost", "warming", "held", "tracking"]
const REORDERED_NS := 1000000000  # older by less than this: overtaken on its way; by more: the stream was started anew

export var port := 5577
export var address := "127.0.0.1"  # "*" listens to other machines, too

var received := 0  # records that arrived and were good
var refused := 0
var last_error := ""
var newest := {}  # the last record; empty before the first

var _socket := PacketPeerUDP.new()
var _arrivals := []  # OS ticks in ms of the last second's records
var _fastest_us := INF


func _ready() -> void:
	var error := _socket.listen(port, address)
	if error != OK:
		last_error = "cannot listen on UDP %s:%d (error %d): is another receiver running?" % [address, port, error]
		push_error(last_error)


func _process(_delta: float) -> void:
	var record := {}
	while _socket.get_available_packet_count() > 0:
		var packet := _socket.get_packet()
		if _socket.get_packet_error() != OK:
			break
		var decoded := decode(packet)
		if decoded.empty():
			refused += 1
			continue
		received += 1
		_arrivals.append(OS.get_ticks_msec())
		_forget()  # here too: nobody may ever ask for fps
		decoded["latency_ms"] = _latency_ms(decoded)
		var age: int = newest.get("t_publish_ns", 0) - decoded.t_publish_ns
		if age <= 0 or age > REORDERED_NS:
			newest = decoded
			record = decoded
	if not record.empty():
		emit_signal("record_received", record)


# Records in the last second.
func fps() -> int:
	_forget()
	return _arrivals.size()


# A record as a dictionary; empty, with last_error set, for anything else.
func decode(packet: PoolByteArray) -> Dictionary:
	if packet.size() != BYTES:
		return _refuse("%d bytes are not a record of %d" % [packet.size(), BYTES])
	var data := StreamPeerBuffer.new()
	data.big_endian = false
	data.data_array = packet
	if packet.subarray(0, 3).get_string_from_ascii() != "HMRL":
		return _refuse("not a record of hmmr-live")
	data.seek(4)
	if data.get_u16() != VERSION:
		return _refuse("a record of another version: update this project")
	if data.get_u8() != AXES_GODOT:
		return _refuse("a record in other axes: start the stream with --sink udp:%s:%d,axes=godot" % [address, port])
	var state := data.get_u8()
	if state >= STATES.size():
		return _refuse("state %d is unknown" % state)
	var record := {
		"state": STATES[state],
		"seq": data.get_u32(),
		"frame": data.get_u32(),
		"t_capture_ns": data.get_u64(),
		"t_publish_ns": data.get_u64(),
		"person": data.get_u32(),
		"score": data.get_float(),
		"hips": Vector3(data.get_float(), data.get_float(), data.get_float()),
	}
	var rotations := []
	for _bone in range(BONE_COUNT):
		var rotation := Quat(data.get_float(), data.get_float(), data.get_float(), data.get_float())
		if not abs(rotation.length_squared() - 1.0) < 0.01:  # NaN is not below it either
			return _refuse("it holds no unit quaternions")
		rotations.append(rotation.normalized())
	if is_nan(record.hips.length_squared()) or is_inf(record.hips.length_squared()):
		return _refuse("its position is not finite")
	record["rotations"] = rotations
	return record


# From the picture to here. Godot does not tell the system's own clock, so the way through UDP counts from the fastest
# record so far; from the picture to the sending is in the record.
func _latency_ms(record: Dictionary) -> float:
	var way_us: float = OS.get_ticks_usec() - record.t_publish_ns / 1000.0
	_fastest_us = min(_fastest_us, way_us)
	return (record.t_publish_ns - record.t_capture_ns) / 1e6 + (way_us - _fastest_us) / 1e3


func _forget() -> void:
	var oldest := OS.get_ticks_msec() - 1000
	while not _arrivals.empty() and _arrivals[0] < oldest:
		_arrivals.pop_front()


func _refuse(reason: String) -> Dictionary:
	last_error = reason
	return {}
