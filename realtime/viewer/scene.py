"""Render one body with Open3D, into a window or into an image without any display.

The legacy Visualizer is used: it draws without a display (Mesa's EGL), which the newer renderer does not.
Set LP_NUM_THREADS=1 in the environment where several processes render on the CPU (Mesa's software renderer).
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from typing import Any

import numpy as np
import open3d as o3d

from realtime.viewer.display import NoDisplayError, check_display

NEAR_M, FAR_M = 0.1, 100.0


class BodyScene:
    """A window (or hidden canvas) of width × height pixels with one mesh of the given faces (F, 3).

    Colours are drawn as given: light belongs into the vertex colours (realtime/viewer/shading.py), so that a
    background of one colour stays exactly that colour and can be keyed out.
    One thread only. `visible` raises NoDisplayError where no window can be opened.
    One scene at a time in a process (another raises RuntimeError): without a display Open3D draws into
    whichever canvas was opened last.
    """

    _is_open = False

    def __init__(
        self,
        width: int,
        height: int,
        faces: np.ndarray,
        *,
        background: tuple[float, float, float] = (1.0, 1.0, 1.0),
        visible: bool = False,
        title: str = "hmmr-live",
    ) -> None:
        if BodyScene._is_open:
            raise RuntimeError("another BodyScene is open in this process; close it first")
        self._visualizer = _open_window(width, height, visible, title)
        BodyScene._is_open = True
        self._mesh = o3d.geometry.TriangleMesh()
        self._mesh.triangles = o3d.utility.Vector3iVector(np.asarray(faces, np.int32))
        self._in_scene: set[int] = set()
        option = self._visualizer.get_render_option()
        option.light_on = False
        option.background_color = np.asarray(background, np.float64)
        self._view = self._visualizer.get_view_control()
        self._parameters = o3d.camera.PinholeCameraParameters()

    @property
    def visualizer(self) -> Any:
        """Open3D's VisualizerWithKeyCallback, for callbacks of keys and mouse."""
        return self._visualizer

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) now, pixels: a window can be resized."""
        intrinsic = self._view.convert_to_pinhole_camera_parameters().intrinsic
        return intrinsic.width, intrinsic.height

    def place(self, vertices: np.ndarray) -> np.ndarray:
        """Put the body's vertices (V, 3), world, metres. Returns their unit normals (V, 3) float64."""
        # Open3D takes float64 in one copy, and anything else number by number (seven times slower).
        self._mesh.vertices = o3d.utility.Vector3dVector(np.ascontiguousarray(vertices, np.float64))
        self._mesh.compute_vertex_normals()
        return np.asarray(self._mesh.vertex_normals)

    def paint(self, colours: np.ndarray) -> None:
        """Colour the placed vertices: (V, 3) RGB in [0, 1]."""
        self._mesh.vertex_colors = o3d.utility.Vector3dVector(np.ascontiguousarray(colours, np.float64))
        self.show(self._mesh)

    def show(self, geometry: Any) -> None:
        """Add another geometry of Open3D, or take over its changes."""
        if id(geometry) in self._in_scene:
            self._visualizer.update_geometry(geometry)
        else:
            self._visualizer.add_geometry(geometry)
            self._in_scene.add(id(geometry))

    def look(self, focal_px: float, extrinsic: np.ndarray) -> None:
        """Set the camera: focal length in pixels, principal point in the centre (Open3D has no other), and
        the (4, 4) transform from world to camera (x right, y down, z forward).

        Only after a geometry has been added: adding moves Open3D's camera. The vertical field of view may be
        5° to 90°; raises ValueError outside.
        """
        width, height = self.size
        fov_deg = np.degrees(2 * np.arctan2(height / 2, focal_px))
        if not 5 <= fov_deg <= 90:
            raise ValueError(f"vertical field of view of {fov_deg:.1f}°: Open3D draws 5° to 90°")
        self._parameters.intrinsic = o3d.camera.PinholeCameraIntrinsic(
            width, height, focal_px, focal_px, width / 2 - 0.5, height / 2 - 0.5
        )
        self._parameters.extrinsic = np.asarray(extrinsic, np.float64)
        self._view.convert_from_pinhole_camera_parameters(self._parameters, True)
        self._view.set_constant_z_near(NEAR_M)
        self._view.set_constant_z_far(FAR_M)

    def draw(self) -> bool:
        """Draw now. False once the window has been closed by its user."""
        # In this order: update_renderer asks for a redraw, poll_events does it.
        self._visualizer.update_renderer()
        return bool(self._visualizer.poll_events())

    def capture(self) -> np.ndarray:
        """The picture last drawn, (H, W, 3) uint8, RGB."""
        pixels = np.asarray(self._visualizer.capture_screen_float_buffer(False))
        return (pixels * 255.0 + 0.5).astype(np.uint8)

    def render(
        self, vertices: np.ndarray, colours: np.ndarray, focal_px: float, extrinsic: np.ndarray
    ) -> np.ndarray:
        """place, paint, look, draw and capture in one: (H, W, 3) uint8, RGB."""
        self.place(vertices)
        self.paint(colours)
        self.look(focal_px, extrinsic)
        self.draw()
        return self.capture()

    def close(self) -> None:
        """May be called twice."""
        if self._visualizer is not None:
            self._visualizer.destroy_window()
            self._visualizer = None
            BodyScene._is_open = False

    def __enter__(self) -> BodyScene:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_window(width: int, height: int, visible: bool, title: str) -> Any:
    if visible:
        check_display()
    if sys.platform.startswith("linux"):
        # Without it libwayland, which is asked first, writes an "error:" to stderr that is none.
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    visualizer = o3d.visualization.VisualizerWithKeyCallback()
    said = io.StringIO()
    # Open3D speaks through Python's stdout; where no display answers it says so, and draws into a hidden
    # canvas instead of failing: the only sign that nobody can see the window.
    with contextlib.redirect_stdout(said):
        opened = visualizer.create_window(title, width, height, visible=visible)
    if not opened:
        raise NoDisplayError(f"Open3D cannot open a window: {' '.join(said.getvalue().split())[:200]}")
    if visible and "offscreen" in said.getvalue().lower():
        visualizer.destroy_window()
        raise NoDisplayError("the display does not answer")
    return visualizer
