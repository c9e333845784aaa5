"""Settings of a scene, the panel in the sidebar, and what Blender is told of all this."""

import sys  # annotations are not postponed in this file: Blender reads the settings out of them

import bpy

from . import receiver, session
from .operators import OPERATORS
from .rig import is_rig


class HmmrLiveSettings(bpy.types.PropertyGroup):
    address: bpy.props.StringProperty(
        name="Address",
        description="Where the stream's bus is (run_live.py --bus)",
        default="tcp://127.0.0.1:5555",
    )
    keys: bpy.props.StringProperty(
        name="Keys",
        description="Key file, where the stream wants one; empty: the one that HMMR_LIVE_KEYS names, or none",
        subtype="FILE_PATH",
    )
    lead: bpy.props.BoolProperty(
        name="Lead",
        description="Show the pose as it will be when it is seen, if the stream tells it; recorded is what was seen",
        default=True,
    )
    armature: bpy.props.PointerProperty(
        name="Armature",
        description="What follows the stream: an armature with SMPL's 24 bones, in T-pose at rest",
        type=bpy.types.Object,
        poll=lambda self, thing: is_rig(thing),
    )
    body_file: bpy.props.StringProperty(
        name="Body", description="SMPL body (.npz) for Add Body; empty: the free one", subtype="FILE_PATH"
    )
    camera_height: bpy.props.FloatProperty(
        name="Camera Height", description="Of the camera above the grid", unit="LENGTH", precision=3
    )
    camera_pitch: bpy.props.FloatProperty(
        name="Camera Pitch", description="How far the camera looks down", subtype="ANGLE", min=-1.4, max=1.4
    )
    camera_roll: bpy.props.FloatProperty(
        name="Camera Roll",
        description="How far the camera tilts what stands upright to the right",
        subtype="ANGLE",
        min=-1.4,
        max=1.4,
    )
    find_floor: bpy.props.BoolProperty(
        name="Find the Floor",
        description="Set the camera's height once, by the feet of who is tracked next",
        default=True,
    )


class HMMR_LIVE_PT_panel(bpy.types.Panel):
    bl_idname = "HMMR_LIVE_PT_panel"
    bl_label = "hmmr-live"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "hmmr-live"

    def draw(self, context):
        layout, settings, connected = self.layout, context.scene.hmmr_live, session.current
        if receiver.zmq is None:
            _draw_missing(layout)
            return
        layout.prop(settings, "address")
        layout.prop(settings, "keys")
        if connected is None:
            layout.operator("hmmr_live.connect", icon="PLAY")
        else:
            layout.operator("hmmr_live.disconnect", icon="PAUSE")
            _draw_stream(layout.box(), connected.receiver)
            if connected.recording is None:
                layout.operator("hmmr_live.record_start", icon="REC")
            else:
                layout.operator(
                    "hmmr_live.record_stop", text=f"Stop ({len(connected.recording)} poses)", icon="SNAP_FACE"
                )
        layout.prop(settings, "lead")
        layout.prop(settings, "armature")
        layout.prop(settings, "body_file")
        layout.operator("hmmr_live.add_body", icon="ARMATURE_DATA")
        column = layout.column(align=True)
        column.prop(settings, "camera_height")
        column.prop(settings, "camera_pitch")
        column.prop(settings, "camera_roll")
        column.operator("hmmr_live.to_floor")
        column.prop(settings, "find_floor")


def _draw_missing(layout):
    layout.label(text="pyzmq is missing in Blender's Python", icon="ERROR")
    layout.label(text="Close Blender, run this, and start it again:")
    layout.label(text=f'"{sys.executable}" -m pip install pyzmq')
    layout.label(text="(Debian: apt-get install python3-zmq)")


def _draw_stream(box, stream):
    if refused := stream.refused:
        box.label(text=refused, icon="ERROR")
    elif stream.pose is None:
        box.label(text="waiting for the stream", icon="TIME")
        box.label(text="with a key" if stream.keys is not None else "without a key: does it want one?")
    elif stream.silent:
        box.label(text="the stream is silent", icon="ERROR")
    else:
        icon = {"tracking": "CHECKMARK", "warming": "TIME", "held": "HIDE_ON", "lost": "GHOST_DISABLED"}
        latency = (
            "? (another machine's clock)" if stream.latency_ms is None else f"{stream.latency_ms:.0f} ms"
        )
        box.label(text=f"{stream.pose.state}, {stream.fps:.0f} fps", icon=icon[stream.pose.state])
        box.label(text=f"latency {latency}")
    if stream.bad:
        box.label(text=f"{stream.bad} refused: {stream.last_error}", icon="ERROR")


@bpy.app.handlers.persistent
def _another_file(*_):
    """What was recorded when another file was opened becomes an Action of that one, rather than nothing."""
    session.disconnect()


CLASSES = (HmmrLiveSettings, *OPERATORS, HMMR_LIVE_PT_panel)


def register():
    for one in CLASSES:
        bpy.utils.register_class(one)
    bpy.types.Scene.hmmr_live = bpy.props.PointerProperty(type=HmmrLiveSettings)
    bpy.app.handlers.load_post.append(_another_file)


def unregister():
    session.disconnect()
    bpy.app.handlers.load_post.remove(_another_file)
    del bpy.types.Scene.hmmr_live
    for one in reversed(CLASSES):
        bpy.utils.unregister_class(one)
