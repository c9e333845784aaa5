"""The page: the scene with body, skeleton and floor, and the panel with picture, numbers, controls and graphs.

Everything here belongs to all windows alike, but for where each one's camera stands. What is asked for by a button
comes out of `commands`, in the order of the clicks; viser calls back on threads of its own.
"""

from __future__ import annotations

import base64
import html
import queue
from dataclasses import dataclass

import cv2
import numpy as np
import viser
from viser import uplot

from realtime.body.skeleton import BONES, JOINT_NAMES
from realtime.body.smpl import Body
from realtime.pictures import JPEG_QUALITY
from realtime.sinks.web.graphs import SPAN_S, History
from realtime.sinks.web.shown import Figure, Settings
from realtime.viewer.floor import CELL_M
from realtime.viewer.panel import STATE_COLOURS
from realtime.viewer.shading import GREY, LEFT, RIGHT, SKIN

FOV_DEG = 32.0
CAMERA_M = (0.0, 1.25, 4.4)  # before the person, where the real camera is, a little above
LOOK_AT_M = (0.0, 0.92, 0.0)
BONE_M = 0.028
SEE_THROUGH = 0.3  # opacity of a body with its skeleton shown
HELD = 0.5  # … and of one that is out of sight for a moment
GRID_M = 12.0
LINES = (112, 116, 124)
MAX_SMOOTHING_MS, MAX_LEAD_MS = 500, 200
GRAPH_PX = 150
# uPlot's soft limits: from 0 upwards, a tenth of room above.
FROM_ZERO = {"min": {"pad": 0.0, "soft": 0.0, "mode": 1}, "max": {"pad": 0.1, "soft": 1.0, "mode": 1}}


@dataclass(frozen=True)
class Command:
    name: str  # "record" | "reset" | "view"
    window: viser.ClientHandle | None  # where it was clicked


class Page:
    def __init__(self, server: viser.ViserServer, body: Body, settings: Settings) -> None:
        self.commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._server = server
        self._settings = settings
        self._state = ""
        self._mirrored = False
        self._faces = body.faces
        self._set_the_scene(body)
        self._furnish()

    @property
    def watched(self) -> bool:
        """Whether any window is open."""
        return bool(self._server.get_clients())

    def show_figure(self, figure: Figure) -> None:
        with self._server.atomic():
            self._body.vertices = figure.vertices
            if self._mirrored != figure.mirrored:  # a mirrored triangle would be seen from its back
                self._mirrored = figure.mirrored
                self._body.faces = self._faces[:, ::-1] if self._mirrored else self._faces
            self._bones.points = figure.joints[_BONE_JOINTS]
            cells = (
                figure.grid - np.round(figure.grid / CELL_M) * CELL_M
            )  # only its lines are seen: in whole cells
            self._grid.position = (float(cells[0]), 0.0, float(cells[2]))
        self._server.flush()  # now, and not with the next sixtieth of a second

    def show_state(self, state: str) -> None:
        """tracking | warming | held | lost | waiting; of the body that the figures are of."""
        skeleton = bool(self._skeleton.value)
        look = f"{state} {skeleton}"
        if look == self._state:
            return
        self._state = look
        seen = state in ("tracking", "warming", "held")
        opacity = SEE_THROUGH if skeleton else HELD if state == "held" else None
        with self._server.atomic():
            self._body.visible = seen
            self._body.opacity = opacity
            self._body.color = _rgb(GREY if state == "held" else SKIN)
            self._bones.visible = seen and skeleton

    def show_picture(self, image: np.ndarray) -> None:
        """(h, w, 3) uint8, RGB."""
        if self._settings.mirror:
            image = image[:, ::-1]
        _, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
        )
        data = base64.b64encode(jpeg.tobytes()).decode()
        self._picture.content = (
            f'<img src="data:image/jpeg;base64,{data}" style="display:none" '
            "onload=\"const c=document.getElementById('camera');if(c){c.src=this.src;c.style.display='block'}\">"
        )

    def show_words(self, state: str, detail: str, numbers: list[str], source: str, recording: str) -> None:
        r, g, b = STATE_COLOURS.get(state, STATE_COLOURS["waiting"])
        lines = "".join(f"<div>{html.escape(line)}</div>" for line in numbers)
        self._words.content = (
            f'<div id="live" data-state="{html.escape(state)}" style="padding:.3em .8em;font-size:.8em">'
            f'<b style="color:rgb({r},{g},{b})">&#9679; {html.escape(state.upper())}</b> {html.escape(detail)}'
            f'{lines}<div style="opacity:.6;overflow-wrap:anywhere">{html.escape(source)}</div></div>'
        )
        self._said.content = (
            '<div id="recording" style="padding:0 .8em .3em;font-size:.8em;overflow-wrap:anywhere">'
            f"{html.escape(recording)}</div>"
        )

    def show_recording(self, active: bool) -> None:
        self._record.label = "Stop recording" if active else "Record"
        self._record.color = "red" if active else None

    def show_graphs(self, fps: History, latency: History) -> None:
        self._fps.data = fps.columns()
        self._latency.data = latency.columns()

    def look_from_the_front(self, window: viser.ClientHandle) -> None:
        with window.atomic():
            window.camera.up_direction = (0.0, 1.0, 0.0)
            window.camera.position = CAMERA_M
            window.camera.look_at = LOOK_AT_M
            window.camera.fov = float(np.deg2rad(FOV_DEG))

    def _set_the_scene(self, body: Body) -> None:
        scene, camera = self._server.scene, self._server.initial_camera
        scene.set_up_direction("+y")
        camera.position = np.array(CAMERA_M)
        camera.look_at = np.array(LOOK_AT_M)
        camera.fov = float(np.deg2rad(FOV_DEG))
        self._grid = scene.add_grid(
            "/floor", GRID_M, GRID_M, plane="xz", cell_size=CELL_M, section_size=CELL_M,
            cell_color=LINES, section_color=LINES, fade_distance=9.0, fade_from="origin",
            shadow_opacity=0.3,
        )  # fmt: skip
        self._body = scene.add_mesh_simple(
            "/body", body.v_template, body.faces.astype(np.uint32), color=_rgb(SKIN), visible=False
        )
        colours = np.array([_bone_colour(child) for _, child in BONES], np.uint8)
        points = np.zeros((len(BONES), 2, 3), np.float32)
        self._bones = scene.add_line_segments(
            "/skeleton", points, np.repeat(colours[:, None], 2, axis=1), thickness=BONE_M, visible=False
        )

    def _furnish(self) -> None:
        gui, settings = self._server.gui, self._settings
        gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False, control_width="large")
        gui.main_panel.dock_right()
        # viser's own image takes each picture's address back when the next one comes, which a busy browser may not have
        # got round to loading; and an <img> made anew would flicker. So one stays, and gets what another has loaded.
        gui.add_html('<img id="camera" alt="" style="display:none;width:calc(100% - 1.6em);margin:0 .8em">')
        self._picture = gui.add_html("")
        self._words = gui.add_html("")
        self._record = gui.add_button("Record", hint="every pose into an .npz; click again to stop")
        self._said = gui.add_html("")
        self._skeleton = gui.add_checkbox("Skeleton", False)
        mirror = gui.add_checkbox("Mirror", False, hint="like a mirror: body and picture")
        smoothing = gui.add_slider(
            "Smoothing, ms", 0, MAX_SMOOTHING_MS, 10, 0, hint="of what is shown here; 0: off"
        )
        streams_lead = gui.add_checkbox(
            "Lead as the stream says", True, hint="the pose as old as it will be when it is seen here"
        )
        lead = gui.add_slider(
            "Lead, ms", 0, MAX_LEAD_MS, 5, 0, hint="instead: the pose expected so much later; 0: off"
        )
        view = gui.add_button("Reset view", hint="the camera of this window")
        reset = gui.add_button("Reset all", hint="floor, smoothing, graphs, and this window's camera")
        with gui.add_folder("Graphs"):
            self._fps = self._plot(
                "frames per second", ("published", "shown here"), ((92, 200, 120), (64, 158, 242))
            )
            self._latency = self._plot("capture to page, ms", ("age of the pose",), ((250, 153, 56),))

        @mirror.on_update
        def _(_: object) -> None:
            settings.mirror = bool(mirror.value)

        @smoothing.on_update
        def _(_: object) -> None:
            settings.smoothing_ms = float(smoothing.value)

        @streams_lead.on_update
        def _(_: object) -> None:
            settings.own_lead = not streams_lead.value

        @lead.on_update
        def _(_: object) -> None:
            settings.lead_ms = float(lead.value)
            settings.own_lead = True
            streams_lead.value = False  # type: ignore[misc]  # mypy does not see its setter

        for name, button in (("record", self._record), ("view", view), ("reset", reset)):
            self._listen(name, button)

    def _listen(self, name: str, button: viser.GuiButtonHandle) -> None:
        @button.on_click
        def _(event: viser.GuiEvent) -> None:
            self.commands.put(Command(name, event.client))

    def _plot(
        self, title: str, names: tuple[str, ...], colours: tuple[tuple[int, int, int], ...]
    ) -> viser.GuiUplotHandle:
        lines = (
            uplot.Series(label=name, stroke=f"rgb{colour}", width=2)
            for name, colour in zip(names, colours, strict=True)
        )
        return self._server.gui.add_uplot(
            History(len(names)).columns(),
            (uplot.Series(label="s"), *lines),
            title=title,
            scales={"x": uplot.Scale(time=False, range=(-SPAN_S, 0.0)), "y": uplot.Scale(range=FROM_ZERO)},
            height=GRAPH_PX,
        )


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    r, g, b = np.round(colour * 255).astype(int).tolist()
    return r, g, b


def _bone_colour(joint: int) -> tuple[int, int, int]:
    side = JOINT_NAMES[joint].partition("_")[0]
    return _rgb({"left": LEFT, "right": RIGHT}.get(side, SKIN))


_BONE_JOINTS = np.array(BONES)  # (23, 2)
