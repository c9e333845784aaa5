"""Poses with their times → an Action."""

from __future__ import annotations

from collections.abc import Callable

import bpy
import numpy as np

from .axes import JOINTS

GAP_S = 0.5  # nobody was in view for longer than this: the last pose is held, not blended into the next
_CONSTANT, _LINEAR = 0, 1  # Keyframe.interpolation, as foreach_set takes it


class Recording:
    """Collects poses until `to_action`. Nothing here touches Blender's data before that."""

    def __init__(self, rest: np.ndarray, pelvis_rest: np.ndarray, first_frame: int) -> None:
        """rest (24, 3, 3), pelvis_rest (3,): of the armature that it is recorded for; kept, as that may be deleted."""
        self.rest = rest
        self.pelvis_rest = pelvis_rest
        self.first_frame = first_frame
        self._times_s: list[float] = []
        self._rotations: list[np.ndarray] = []
        self._locations: list[np.ndarray] = []
        self._last_ns: int | None = None
        self._time_s = 0.0

    def __len__(self) -> int:
        return len(self._times_s)

    def add(self, t_capture_ns: int, rotations: np.ndarray | None, location: np.ndarray | None) -> None:
        """One pose: what rig.to_rig gave, or None while nobody is in view. A time that is not after the last one's (the
        stream was started anew) follows it at once."""
        if self._last_ns is not None:
            passed_s = (t_capture_ns - self._last_ns) / 1e9
            self._time_s += passed_s if passed_s > 0 else 1e-3
        self._last_ns = t_capture_ns
        if rotations is not None and location is not None:
            self._times_s.append(self._time_s)
            self._rotations.append(rotations)
            self._locations.append(location)

    def to_action(self, name: str, fps: float, lift_m: float) -> bpy.types.Action:
        """An Action whose keys stand at the times of the pictures, on the time line of `fps` frames per second: between
        whole frames, where they fell there. Everything is lifted by lift_m, the camera's height, which may have been
        found while it recorded. Raises ValueError when no pose was recorded."""
        if not self._times_s:
            raise ValueError("nobody was in view while it recorded")
        times_s = np.array(self._times_s)
        rotations = np.stack(self._rotations)
        rotations[1:] *= _unbroken_signs(rotations)
        action = bpy.data.actions.new(name)
        action.use_fake_user = True  # stays in the file, also when its armature is deleted
        frames = self.first_frame + (times_s - times_s[0]) * fps
        kinds = np.full(len(frames), _LINEAR, np.int32)
        kinds[:-1][np.diff(times_s) > GAP_S] = _CONSTANT
        new_curve = _curve_maker(action)
        for joint, bone in enumerate(JOINTS):
            for index in range(4):
                curve = new_curve(f'pose.bones["{bone}"].rotation_quaternion', index, bone)
                _fill(curve, frames, rotations[:, joint, index], kinds)
        locations = np.stack(self._locations) + self.rest[0].T @ [0.0, 0.0, lift_m]
        for index, values in enumerate(locations.T):
            _fill(new_curve(f'pose.bones["{JOINTS[0]}"].location', index, JOINTS[0]), frames, values, kinds)
        return action


def _unbroken_signs(rotations: np.ndarray) -> np.ndarray:
    """(T, 24, 4) → signs (T−1, 24, 1) that make every quaternion the nearer of its two to the one before: q and −q are
    one rotation, but what lies between two keys is not."""
    dots = np.einsum("tjk,tjk->tj", rotations[1:], rotations[:-1])
    return np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)[:, :, None]


def _curve_maker(action: bpy.types.Action) -> Callable[[str, int, str], bpy.types.FCurve]:
    """(data path, index, group) → a new curve of the action."""
    if hasattr(action, "fcurves"):  # up to Blender 4.5
        return lambda path, index, group: action.fcurves.new(path, index=index, action_group=group)
    slot = action.slots.new(id_type="OBJECT", name="hmmr")
    bag = action.layers.new("hmmr").strips.new(type="KEYFRAME").channelbag(slot, ensure=True)
    return lambda path, index, group: bag.fcurves.new(path, index=index, group_name=group)


def _fill(curve: bpy.types.FCurve, frames: np.ndarray, values: np.ndarray, kinds: np.ndarray) -> None:
    points = curve.keyframe_points
    points.add(len(frames))
    points.foreach_set("co", np.stack([frames, values], axis=1).astype(np.float32).ravel())
    points.foreach_set("interpolation", kinds)
    curve.update()


def give_action(thing: bpy.types.Object, action: bpy.types.Action) -> None:
    """Let `thing` play `action`."""
    data = thing.animation_data or thing.animation_data_create()
    data.action = action
    if (
        hasattr(data, "action_slot") and data.action_slot is None and len(action.slots)
    ):  # Blender 4.4 and later
        data.action_slot = action.slots[0]
