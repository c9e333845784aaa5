"""Runs inside Blender: installs the packed add-on, drives it by its own operators while a stream runs, and checks what
became of the stream in Blender. A check that fails ends Blender with --python-exit-code.

    blender -b --factory-startup --python-exit-code 3 --python blender_live.py -- ADDON.zip ADDRESS FRAMES RESULT.json

Frames are sent as 1 … FRAMES, after one frame 0 that stands there before.
"""

import json
import sys
import time
from pathlib import Path

import bpy
import numpy as np

ZIP, ADDRESS, FRAMES, RESULT = sys.argv[sys.argv.index("--") + 1 :][:4]
ANGLE_RAD = 1e-3
GIVE_UP_S = 200
DONE = {"FINISHED"}


def elbow_sent(frame):  # as in tests/client_streams.py
    return 0.2 + 0.018 * (frame % 100)


def elbow_led(frame):
    return elbow_sent(frame) + 0.3


def elbow_here(armature):
    """How far the lower arm is turned against the upper arm beyond how it is at rest, by the evaluated armature."""
    bpy.context.view_layer.update()
    posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
    upper, lower = "left_shoulder", "left_elbow"
    rest = armature.data.bones[upper].matrix_local.inverted() @ armature.data.bones[lower].matrix_local
    now = posed[upper].matrix.inverted() @ posed[lower].matrix
    turn = now.to_quaternion() @ rest.to_quaternion().inverted()
    return 2 * np.arctan2(np.linalg.norm(turn[1:]), abs(turn[0]))


def take_in(until, turn=lambda: None):
    """hmmr_live.update, as the timer does it where there are windows, until `until()`."""
    deadline = time.monotonic() + GIVE_UP_S
    while not until() and time.monotonic() < deadline:
        if bpy.ops.hmmr_live.update() == DONE:
            turn()
        else:
            time.sleep(0.001)


bpy.ops.preferences.addon_install(filepath=ZIP)
bpy.ops.preferences.addon_enable(module="hmmr_live")
from hmmr_live import session  # noqa: E402

scene = bpy.context.scene
settings = scene.hmmr_live
scene.render.fps = 30
settings.address = ADDRESS
assert bpy.ops.hmmr_live.connect() == DONE
stream = session.current.receiver
take_in(lambda: stream.pose is not None)
assert stream.pose.frame == 0 and stream.pose.state == "warming"
mean = settings.armature
assert list(bpy.context.view_layer.objects.selected) == [mean] == [bpy.context.view_layer.objects.active]
assert bpy.ops.hmmr_live.add_body() == DONE  # again, in the shape of who is seen
armature = settings.armature
body = next(child for child in armature.children if child.type == "MESH")
assert armature != mean and len(armature.data.bones) == 24 and len(body.data.vertices) == 13718
shaped = armature.data.bones["left_knee"].head_local != mean.data.bones["left_knee"].head_local

assert bpy.ops.hmmr_live.record_start() == DONE
shown, worst_rad, latencies_ms = set(), 0.0, []


def check_shown():
    global worst_rad
    shown.add(stream.pose.frame)
    worst_rad = max(worst_rad, abs(elbow_here(armature) - elbow_led(stream.pose.frame)))
    latencies_ms.append(stream.latency_ms)


take_in(lambda: stream.pose.frame == int(FRAMES), check_shown)
ended_s = time.monotonic()  # what is recorded has a connection of its own, which may be behind
take_in(lambda: len(session.current.recording) > int(FRAMES) or time.monotonic() - ended_s > 3.0)
evaluated = body.evaluated_get(bpy.context.evaluated_depsgraph_get())
vertices = np.empty(3 * len(evaluated.data.vertices), np.float32)
evaluated.data.vertices.foreach_get("co", vertices)
vertices = vertices.reshape(-1, 3)  # armature and body stand at the scene's origin, unturned
joints = {
    bone.name: list(bone.head)
    for bone in armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
}
last_frame = stream.pose.frame

recorded = len(session.current.recording)
assert bpy.ops.hmmr_live.record_stop() == DONE
assert bpy.ops.hmmr_live.disconnect() == DONE and session.current is None
action = armature.animation_data.action

# What was recorded, played: at the time of a key, the elbow is what was seen in that frame, not what was shown.
played_rad = 0.0
data = armature.animation_data
curves = (
    action.fcurves
    if hasattr(action, "fcurves")
    else action.layers[0].strips[0].channelbag(data.action_slot).fcurves
)
curve = curves.find('pose.bones["left_elbow"].rotation_quaternion', index=0)
keys = [point.co[0] for point in curve.keyframe_points]
if recorded == int(FRAMES) + 1:  # otherwise the number of a key is not that of its frame
    for frame in range(0, len(keys), 37):
        scene.frame_set(int(keys[frame]), subframe=keys[frame] % 1.0)
        played_rad = max(played_rad, abs(elbow_here(armature) - elbow_sent(frame)))

scene.frame_set(int(keys[-1]), subframe=keys[-1] % 1.0)
bpy.context.view_layer.update()
played = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
played_joints = {bone.name: list(bone.head) for bone in played}

result = {
    "shown": len(shown),
    "recorded": recorded,
    "keys": len(keys),
    "shaped": bool(shaped),
    "elbow_worst_rad": worst_rad,
    "played_worst_rad": played_rad,
    "latency_ms": float(np.median(latencies_ms)),
    "seconds": (keys[-1] - keys[1]) / scene.render.fps,
    "held_before": curve.keyframe_points[0].interpolation,  # frame 0 came long before the others
    "interpolation": curve.keyframe_points[1].interpolation,
    "blender": bpy.app.version_string,
    "camera_height": settings.camera_height,
    "last_frame": last_frame,
    "lowest": float(vertices[:, 2].min()),
    "joints": joints,
    "played_joints": played_joints,  # at the last key, which is the last pose shown
    "vertices": vertices[::200].tolist(),
}
Path(RESULT).write_text(json.dumps(result))
assert recorded >= 0.99 * int(FRAMES), f"{recorded} of {FRAMES} poses arrived"
assert worst_rad < ANGLE_RAD and played_rad < ANGLE_RAD, f"the elbow is {worst_rad}, {played_rad} rad off"
