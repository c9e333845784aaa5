# Runs inside Godot 3: the project's own scene receives a stream; what its skeleton then shows is checked.
#     HMMR_PORT=… HMMR_FRAMES=… HMMR_RESULT=… godot3-server --path clients/godot -s godot_live.gd
# Leaves with 0, or with 1 after saying what failed.
extends SceneTree

const GIVE_UP_MS := 240000
const SILENT_MS := 20000
const ANGLE_RAD := 1e-3

var scene: Node
var receiver: Node
var person: Skeleton
var shown := {}
var worst_rad := 0.0
var last_ms := 0
var longest_ms := 0  # that the receiver remembers arrivals


func _initialize() -> void:
	Engine.target_fps = 120
	scene = load("res://main.tscn").instance()
	receiver = scene.get_node("Receiver")
	person = scene.get_node("Person")
	receiver.port = int(OS.get_environment("HMMR_PORT"))
	get_root().add_child(scene)
	receiver.connect("record_received", self, "_check", [], CONNECT_DEFERRED)  # once the skeleton stands so


func _check(record: Dictionary) -> void:
	last_ms = OS.get_ticks_msec()
	shown[record.frame] = true
	longest_ms = max(longest_ms, receiver._arrivals.back() - receiver._arrivals.front())
	worst_rad = max(worst_rad, abs(_elbow_here() - (0.2 + 0.018 * (record.frame % 100))))


# Between upper and lower arm; they lie alike at rest.
func _elbow_here() -> float:
	var upper := person.get_bone_global_pose(person.find_bone("LeftUpperArm")).basis.get_rotation_quat()
	var lower := person.get_bone_global_pose(person.find_bone("LeftLowerArm")).basis.get_rotation_quat()
	var turn := upper.inverse() * lower
	return 2.0 * atan2(Vector3(turn.x, turn.y, turn.z).length(), abs(turn.w))


# Of the box that a bone is seen by: r, g, b.
func _colour(bone: String) -> Array:
	for child in person.get_children():
		if child is BoneAttachment and child.bone_name == bone:
			var colour: Color = child.get_child(0).mesh.material.albedo_color
			return [colour.r, colour.g, colour.b]
	return []


func _idle(_delta: float) -> bool:
	var now := OS.get_ticks_msec()
	var last := int(OS.get_environment("HMMR_FRAMES")) - 1
	if now > GIVE_UP_MS or (last_ms > 0 and (shown.has(last) or now - last_ms > SILENT_MS)):
		_end()
	return false


func _end() -> void:
	var frames := int(OS.get_environment("HMMR_FRAMES"))
	var joints := {}
	for bone in range(person.get_bone_count()):
		var at := (person.global_transform * person.get_bone_global_pose(bone)).origin
		joints[person.get_bone_name(bone)] = [at.x, at.y, at.z]
	var file := File.new()
	file.open(OS.get_environment("HMMR_RESULT"), File.WRITE)
	file.store_string(to_json({
		"received": receiver.received, "refused": receiver.refused, "last_error": receiver.last_error,
		"shown": shown.size(), "remembered_ms": longest_ms,
		"colours": {"left": _colour("LeftHand"), "right": _colour("RightHand")}, "elbow_worst_rad": "%.9f" % worst_rad, "joints": joints, "visible": person.visible,
		"frame": receiver.newest.get("frame", -1), "latency_ms": receiver.newest.get("latency_ms", -1),
		"godot": Engine.get_version_info().string,
	}))
	file.close()
	var good: bool = receiver.received >= 0.99 * frames and worst_rad < ANGLE_RAD and shown.size() > 0
	if not good:
		print("failed: %d of %d records, the elbow is %f rad off" % [receiver.received, frames, worst_rad])
	quit(0 if good else 1)
