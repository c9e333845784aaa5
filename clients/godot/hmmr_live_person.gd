# A skeleton of 22 humanoid bones, each with a box to see it by, that stands as the record says.
# Its bones lie along Godot's axes at rest (T-pose, looking along -z), so that a record's quaternion is a bone's pose.
extends Skeleton

# name, parent, position against the parent at rest (metres, of the stream's free body), thickness of its box
const BONES := [
	["Hips", -1, Vector3(0, 0, 0), 0.16],
	["LeftUpperLeg", 0, Vector3(-0.115, -0.017, 0.009), 0.12],
	["RightUpperLeg", 0, Vector3(0.115, -0.017, 0.009), 0.12],
	["LeftLowerLeg", 1, Vector3(0, -0.395, 0), 0.09],
	["RightLowerLeg", 2, Vector3(0, -0.395, 0), 0.09],
	["LeftFoot", 3, Vector3(0, -0.438, 0), 0.07],
	["RightFoot", 4, Vector3(0, -0.438, 0), 0.07],
	["Spine", 0, Vector3(0, 0.082, 0.039), 0.2],
	["Chest", 7, Vector3(0, 0.154, -0.009), 0.22],
	["UpperChest", 8, Vector3(0, 0.128, 0.009), 0.24],
	["Neck", 9, Vector3(0, 0.186, -0.041), 0.08],
	["Head", 10, Vector3(0, 0.096, -0.032), 0.16],
	["LeftShoulder", 9, Vector3(-0.024, 0.109, -0.056), 0.07],
	["RightShoulder", 9, Vector3(0.024, 0.109, -0.056), 0.07],
	["LeftUpperArm", 12, Vector3(-0.151, -0.02, 0.005), 0.08],
	["RightUpperArm", 13, Vector3(0.151, -0.02, 0.005), 0.08],
	["LeftLowerArm", 14, Vector3(-0.263, 0, 0), 0.07],
	["RightLowerArm", 15, Vector3(0.263, 0, 0), 0.07],
	["LeftHand", 16, Vector3(-0.234, 0, 0), 0.06],
	["RightHand", 17, Vector3(0.234, 0, 0), 0.06],
	["LeftToes", 5, Vector3(0, -0.051, -0.144), 0.05],
	["RightToes", 6, Vector3(0, -0.051, -0.144), 0.05],
]
# Where a bone's box ends: at its child's joint (by number), or here.
const ENDS := {
	0: Vector3(0, 0.08, 0), 9: Vector3(0, 0.19, -0.04), 11: Vector3(0, 0.2, 0),
	18: Vector3(-0.16, 0, 0), 19: Vector3(0.16, 0, 0), 20: Vector3(0, 0, -0.06), 21: Vector3(0, 0, -0.06),
}
const LEFT := Color(0.25, 0.62, 0.95)  # both as in hmmr-live's own viewer
const RIGHT := Color(0.98, 0.6, 0.22)
const MIDDLE := Color(0.75, 0.75, 0.75)
const SOLE := 0.03  # the toes' joint stands so high, metres

export var find_floor := true  # once: stand who is tracked next on y = 0

var _floor_found := false


func _ready() -> void:
	for bone in range(BONES.size()):
		add_bone(BONES[bone][0])
		set_bone_parent(bone, BONES[bone][1])
		set_bone_rest(bone, Transform(Basis(), BONES[bone][2]))
	for bone in range(BONES.size()):
		_add_box(bone)


func show_record(record: Dictionary) -> void:
	visible = record.state != "lost"
	if not visible:
		return
	for bone in range(BONES.size()):
		set_bone_pose(bone, Transform(Basis(record.rotations[bone]), Vector3.ZERO))
	set_bone_pose(0, Transform(Basis(record.rotations[0]), record.hips))
	if find_floor and not _floor_found and record.state == "tracking":
		var lowest := min(get_bone_global_pose(20).origin.y, get_bone_global_pose(21).origin.y)
		translation.y = SOLE - lowest
		_floor_found = true


func _add_box(bone: int) -> void:
	var end: Vector3 = Vector3(0, 0.1, 0)
	for child in range(BONES.size()):
		if BONES[child][1] == bone:
			end = BONES[child][2]
			break
	end = ENDS.get(bone, end)
	var thick: float = BONES[bone][3]
	var box := CubeMesh.new()
	box.size = Vector3(max(abs(end.x), thick), max(abs(end.y), thick), max(abs(end.z), thick))
	var material := SpatialMaterial.new()
	var name: String = BONES[bone][0]
	material.albedo_color = LEFT if name.begins_with("Left") else RIGHT if name.begins_with("Right") else MIDDLE
	box.material = material
	var shown := MeshInstance.new()
	shown.mesh = box
	shown.translation = end / 2
	var holder := BoneAttachment.new()
	holder.bone_name = name
	add_child(holder)
	holder.add_child(shown)
