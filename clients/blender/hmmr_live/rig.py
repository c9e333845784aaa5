"""The armature and the mesh: made from a body, posed from the stream."""

from __future__ import annotations

import bpy
import numpy as np

from .axes import JOINTS, PARENTS, to_bones
from .body_file import BodyShape

SOLE = "hmmr_sole_m"  # on the armature: from its lowest foot joint to its lowest vertex, metres
FEET = (7, 8, 10, 11)  # ankles and feet
TAIL_M = 0.08  # length of bones that end nowhere
# Where a bone points to, if not to its first child.
_TOWARD = {0: 3, 9: 12}
_LOOSE = {10: (0, -1, 0), 11: (0, -1, 0), 15: (0, 0, 1), 22: (1, 0, 0), 23: (-1, 0, 0)}


def add_body(scene: bpy.types.Scene, shape: BodyShape) -> bpy.types.Object:
    """Armature with SMPL's 24 bones at the body's rest joints, and the skinned mesh under it. Returns the armature,
    selected alone."""
    view_layer = bpy.context.view_layer
    if view_layer.objects.active is not None and view_layer.objects.active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    armature = bpy.data.objects.new("hmmr", bpy.data.armatures.new("hmmr"))
    scene.collection.objects.link(armature)
    view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    _add_bones(armature.data.edit_bones, shape.joints)
    bpy.ops.object.mode_set(mode="OBJECT")
    for bone in armature.pose.bones:
        bone.rotation_mode = "QUATERNION"
    armature.show_in_front = True
    armature[SOLE] = float(shape.joints[list(FEET), 2].min() - shape.vertices[:, 2].min())
    _add_mesh(scene, armature, shape)
    for thing in list(view_layer.objects.selected):
        thing.select_set(False)
    armature.select_set(True)  # as whatever is added in Blender: View Selected shows it
    return armature


def is_rig(thing: bpy.types.Object) -> bool:
    """True for an armature that has SMPL's 24 bones, whoever made it; its rest pose must be SMPL's T-pose."""
    return thing.type == "ARMATURE" and all(name in thing.data.bones for name in JOINTS)


def rest_of(armature: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    """Rest matrices (24, 3, 3) of the bones and the rest pelvis (3,), in the armature's axes."""
    bones = [armature.data.bones[name] for name in JOINTS]
    rest = np.array([bone.matrix_local.to_3x3() for bone in bones])
    return rest, np.array(bones[0].head_local)


def to_rig(
    quaternions: np.ndarray, pelvis: np.ndarray, rest: np.ndarray, pelvis_rest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(24, 4), (3,) in Blender's axes → rotation_quaternion of the bones (24, 4), location of the pelvis bone (3,)."""
    return to_bones(quaternions, rest), rest[0].T @ (pelvis - pelvis_rest)


def apply(armature: bpy.types.Object, rotations: np.ndarray, location: np.ndarray) -> None:
    """Pose the bones by what `to_rig` gave."""
    bones = armature.pose.bones
    for name, rotation in zip(JOINTS, rotations.tolist(), strict=True):
        bone = bones[name]
        if bone.rotation_mode != "QUATERNION":
            bone.rotation_mode = "QUATERNION"
        bone.rotation_quaternion = rotation
    bones[JOINTS[0]].location = location.tolist()


def _add_bones(bones: bpy.types.ArmatureEditBones, joints: np.ndarray) -> None:
    for joint, name in enumerate(JOINTS):
        bone = bones.new(name)
        bone.head = joints[joint]
        children = [child for child, parent in enumerate(PARENTS) if parent == joint]
        if joint in _LOOSE:
            along = TAIL_M * np.array(_LOOSE[joint], np.float64)
        else:
            along = joints[_TOWARD.get(joint, children[0])] - joints[joint]
            if np.linalg.norm(along) < 1e-3:  # Blender removes bones without a length
                along = np.array([0.0, 0.0, TAIL_M])
        bone.tail = joints[joint] + along
        if PARENTS[joint] >= 0:
            bone.parent = bones[JOINTS[PARENTS[joint]]]


def _add_mesh(scene: bpy.types.Scene, armature: bpy.types.Object, shape: BodyShape) -> None:
    mesh = bpy.data.meshes.new("hmmr body")
    mesh.from_pydata(shape.vertices.tolist(), [], shape.faces.tolist())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(shape.faces), bool))
    mesh.update()
    body = bpy.data.objects.new("hmmr body", mesh)
    scene.collection.objects.link(body)
    for joint, name in enumerate(JOINTS):
        group = body.vertex_groups.new(name=name)
        for vertex in np.nonzero(shape.weights[:, joint])[0].tolist():
            group.add([vertex], float(shape.weights[vertex, joint]), "REPLACE")
    body.parent = armature
    modifier = body.modifiers.new("hmmr", "ARMATURE")
    modifier.object = armature
    modifier.use_deform_preserve_volume = False  # linear-blend skinning, as the weights were made for
