"""hmmr_live.connect, disconnect, add_body, record_start, record_stop, to_floor, update."""

from __future__ import annotations

import bpy

from . import session
from .body_file import BodyError, load_body
from .receiver import ReceiverError
from .rig import add_body, is_rig

NOT_CONNECTED = "not connected: hmmr_live.connect first"
RECORDING = "a recording runs: hmmr_live.record_stop first"


def _pose_now():
    connected = session.current
    return connected.receiver.pose if connected is not None else None


def _may(operator, allowed: bool, otherwise: str) -> bool:
    """For `poll`: Blender says `otherwise` where the operator is not allowed now."""
    if not allowed:
        operator.poll_message_set(otherwise)
    return allowed


def _add(scene) -> str:
    """Add a body to the scene, in the shape of who is seen, and make it the one that follows. Returns what was added.
    Raises BodyError."""
    pose = _pose_now()
    seen = pose is not None and pose.state != "lost"
    path = bpy.path.abspath(scene.hmmr_live.body_file)
    shape = load_body(path, pose.betas, pose.body) if seen else load_body(path)
    scene.hmmr_live.armature = add_body(scene, shape)
    scene.hmmr_live.find_floor = True
    return f"added {shape.id}, {'in the shape of who is seen' if shape.shaped else 'in its mean shape'}"


class HMMR_LIVE_OT_connect(bpy.types.Operator):
    bl_idname = "hmmr_live.connect"
    bl_label = "Connect"
    bl_description = "Receive the stream at the address; adds a body, if none was chosen"

    def execute(self, context):
        scene = context.scene
        try:
            session.connect(scene)
            if scene.hmmr_live.armature is None or not is_rig(scene.hmmr_live.armature):
                self.report({"INFO"}, _add(scene))
        except (ReceiverError, BodyError) as error:
            session.disconnect()
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class HMMR_LIVE_OT_disconnect(bpy.types.Operator):
    bl_idname = "hmmr_live.disconnect"
    bl_label = "Disconnect"
    bl_description = "Stop receiving; a running recording becomes an Action first"

    @classmethod
    def poll(cls, context):
        return _may(cls, session.current is not None, NOT_CONNECTED)

    def execute(self, context):
        if said := session.disconnect():
            self.report({"INFO"}, said)
        return {"FINISHED"}


class HMMR_LIVE_OT_add_body(bpy.types.Operator):
    bl_idname = "hmmr_live.add_body"
    bl_label = "Add Body"
    bl_description = "Add armature and mesh, in the shape of who is seen now, and let them follow the stream"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context):
        recording = session.current is not None and session.current.recording is not None
        return _may(cls, not recording, RECORDING)

    def execute(self, context):
        try:
            self.report({"INFO"}, _add(context.scene))
        except BodyError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class HMMR_LIVE_OT_record_start(bpy.types.Operator):
    bl_idname = "hmmr_live.record_start"
    bl_label = "Record"
    bl_description = "Keep every pose from now on, for an Action that begins at the current frame"

    @classmethod
    def poll(cls, context):
        if session.current is None:
            return _may(cls, False, NOT_CONNECTED)
        return _may(cls, session.current.recording is None, RECORDING)

    def execute(self, context):
        armature = context.scene.hmmr_live.armature
        if armature is None or not is_rig(armature):
            self.report({"ERROR"}, "choose an armature with SMPL's 24 bones, or add a body first")
            return {"CANCELLED"}
        try:
            session.current.start_recording(armature, context.scene)
        except ReceiverError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class HMMR_LIVE_OT_record_stop(bpy.types.Operator):
    bl_idname = "hmmr_live.record_stop"
    bl_label = "Stop Recording"
    bl_description = "Make an Action of what was recorded, with a key at the time of each picture"

    @classmethod
    def poll(cls, context):
        recording = session.current is not None and session.current.recording is not None
        return _may(cls, recording, "nothing is being recorded: hmmr_live.record_start first")

    def execute(self, context):
        try:
            action = session.current.stop_recording()
        except ValueError as error:
            self.report({"WARNING"}, f"nothing recorded: {error}")
            return {"CANCELLED"}
        self.report(
            {"INFO"}, f"recorded {action.name}: frames {action.frame_range[0]:g} to {action.frame_range[1]:g}"
        )
        return {"FINISHED"}


class HMMR_LIVE_OT_to_floor(bpy.types.Operator):
    bl_idname = "hmmr_live.to_floor"
    bl_label = "Feet to the Floor"
    bl_description = "Set the camera's height so that who is seen now stands on the grid"

    @classmethod
    def poll(cls, context):
        if session.current is None:
            return _may(cls, False, NOT_CONNECTED)
        pose = _pose_now()
        return _may(
            cls, pose is not None and pose.state != "lost", "nobody is seen: wait for a pose that is not lost"
        )

    def execute(self, context):
        session.put_on_floor(context.scene.hmmr_live, _pose_now())
        return {"FINISHED"}


class HMMR_LIVE_OT_update(bpy.types.Operator):
    bl_idname = "hmmr_live.update"
    bl_label = "Take In"
    bl_description = "Take in what has come: for scripts in a Blender without windows, where no timer runs"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context):
        return _may(cls, session.current is not None, NOT_CONNECTED)

    def execute(self, context):
        return {"FINISHED"} if session.current.update() else {"CANCELLED"}


OPERATORS = (
    HMMR_LIVE_OT_connect,
    HMMR_LIVE_OT_disconnect,
    HMMR_LIVE_OT_add_body,
    HMMR_LIVE_OT_record_start,
    HMMR_LIVE_OT_record_stop,
    HMMR_LIVE_OT_to_floor,
    HMMR_LIVE_OT_update,
)
