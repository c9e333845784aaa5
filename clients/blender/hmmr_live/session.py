"""What is connected: the receiver, the armature that follows it, the recording. One per Blender.

Blender's data are found by name at every turn and never kept: an undo or another file makes kept references invalid.
"""

from __future__ import annotations

import time

import bpy
import numpy as np

from .axes import to_blender, world_of_camera
from .message import Pose
from .receiver import Receiver
from .recording import Recording, give_action
from .rig import FEET, SOLE, apply, is_rig, rest_of, to_rig

TICK_S = 1 / 120  # twice a fast camera's rate: the newest pose waits half a frame at most


class Session:
    """`update` takes in what has come and poses the armature; a timer calls it where Blender has windows."""

    def __init__(self, scene: bpy.types.Scene) -> None:
        """Raises ReceiverError."""
        self._scene = scene.name
        settings = scene.hmmr_live
        self.receiver = Receiver(settings.address.strip(), bpy.path.abspath(settings.keys.strip()))
        self.recording: Recording | None = None

    @property
    def scene(self) -> bpy.types.Scene | None:
        return bpy.data.scenes.get(self._scene)

    def update(self) -> int:
        """Returns how many new poses were shown (0 or 1)."""
        scene = self.scene
        if scene is None:
            return 0
        settings = scene.hmmr_live
        pose = self.receiver.newest()
        if pose is not None and pose.state == "tracking" and settings.find_floor:
            put_on_floor(settings, pose)
            settings.find_floor = False
        armature = settings.armature
        if self.recording is not None:
            self._record(settings)
        if pose is None or pose.state == "lost" or armature is None or not is_rig(armature):
            return 0
        rotations, pelvis = _in_blender(
            settings, *(pose.shown() if settings.lead else (pose.rotations, pose.trans))
        )
        pelvis[2] += settings.camera_height
        apply(armature, *to_rig(rotations, pelvis, *rest_of(armature)))
        return 1

    def start_recording(self, armature: bpy.types.Object, scene: bpy.types.Scene) -> None:
        """Raises ReceiverError."""
        self.receiver.start_every()
        self.recording = Recording(*rest_of(armature), scene.frame_current)

    def stop_recording(self) -> bpy.types.Action:
        """What was recorded, given to the armature, if that is still there. Raises ValueError: nobody was recorded."""
        scene, recording = self.scene or bpy.context.scene, self.recording
        assert recording is not None
        self._record(scene.hmmr_live)
        self.receiver.stop_every()
        self.recording = None
        render = scene.render
        fps = render.fps / render.fps_base
        action = recording.to_action("hmmr recording", fps, scene.hmmr_live.camera_height)
        if scene.hmmr_live.armature is not None:
            give_action(scene.hmmr_live.armature, action)
        scene.frame_end = max(scene.frame_end, int(np.ceil(action.frame_range[1])))
        return action

    def close(self) -> None:
        self.receiver.close()

    def _record(self, settings: bpy.types.PropertyGroup) -> None:
        recording = self.recording
        assert recording is not None
        for pose in self.receiver.every():
            if pose.state == "lost":
                recording.add(pose.t_capture_ns, None, None)
            else:
                seen = _in_blender(settings, pose.rotations, pose.trans)
                placed = to_rig(*seen, recording.rest, recording.pelvis_rest)
                recording.add(pose.t_capture_ns, *placed)


def put_on_floor(settings: bpy.types.PropertyGroup, pose: Pose) -> None:
    """Set the camera's height so that the lowest foot of `pose` stands at z = 0."""
    R_world_cam = world_of_camera(np.degrees(settings.camera_pitch), np.degrees(settings.camera_roll))
    heights = (pose.joints + pose.trans)[list(FEET)] @ R_world_cam[1]  # world y is Blender's z
    sole_m = settings.armature.get(SOLE, 0.0) if settings.armature is not None else 0.0
    settings.camera_height = sole_m - float(heights.min())


def _in_blender(
    settings: bpy.types.PropertyGroup, rotations: np.ndarray, trans: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `to_blender` gives it, the camera at height 0."""
    R_world_cam = world_of_camera(np.degrees(settings.camera_pitch), np.degrees(settings.camera_roll))
    return to_blender(rotations, trans, R_world_cam)


current: Session | None = None  # the one session, while connected


def connect(scene: bpy.types.Scene) -> None:
    """Raises ReceiverError."""
    global current
    disconnect()
    current = Session(scene)
    if not (
        bpy.app.background or bpy.app.timers.is_registered(_tick)
    ):  # without windows, no timers run: hmmr_live.update takes their place
        bpy.app.timers.register(_tick, first_interval=TICK_S)


def disconnect() -> str:
    """May be called when nothing is connected. A recording that runs becomes an Action first; what became of it is
    returned, "" without one."""
    global current
    ended, current = current, None
    if ended is None:
        return ""
    try:
        return f"recorded {ended.stop_recording().name}" if ended.recording is not None else ""
    except ValueError as error:
        return f"nothing recorded: {error}"
    finally:
        ended.close()


def _tick() -> float | None:
    if current is None:
        return None
    current.update()
    _redraw_panels()
    return TICK_S


_panels_drawn_s = 0.0


def _redraw_panels() -> None:
    """The numbers in the panel, four times a second."""
    global _panels_drawn_s
    if time.monotonic() - _panels_drawn_s < 0.25:
        return
    _panels_drawn_s = time.monotonic()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
