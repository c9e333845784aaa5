"""The viewer's window: the body on its floor in the left half, the panel in the right."""

from __future__ import annotations

from typing import Any

import numpy as np
import open3d as o3d

from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import Body
from realtime.floor import Floor
from realtime.messages import PoseMessage
from realtime.viewer.floor import CELL_M, coarse_mesh, grid_lines, shadow
from realtime.viewer.orbit import PANE, OrbitCamera
from realtime.viewer.panel import Numbers, Picture, draw_panel
from realtime.viewer.scene import BodyScene
from realtime.viewer.shading import BACKGROUND, faded, lit, side_colours

PANEL_DEPTH_M = 0.2  # the panel stands in front of everything that the camera can come close to
FADE_S = {"held": 0.25, "lost": 0.8, "waiting": 0.8}  # from full life to the state's own
LIFE = {"tracking": 1.0, "warming": 1.0, "held": 0.5, "lost": 0.0, "waiting": 0.0}
MAX_EXTENT_M = 1000.0  # a valid message may still hold absurd numbers: they are not drawn
_GRID = np.array([0.42, 0.44, 0.48])
_SHADOW = BACKGROUND * 0.55


class ViewerWindow:
    """Draws poses, pictures and numbers. Raises NoDisplayError where `visible` and there is no display.

    lead_ms: how poses are led (`PoseMessage.shown`): None, as the stream does. The key L puts the lead off and on.
    """

    def __init__(
        self, body: Body, width: int, height: int, visible: bool, lead_ms: float | None = None
    ) -> None:
        self.lead_ms = lead_ms
        self._lead_on_ms = None if lead_ms == 0 else lead_ms
        self._body = body
        background = (float(BACKGROUND[0]), float(BACKGROUND[1]), float(BACKGROUND[2]))
        self._scene = BodyScene(width, height, body.faces, background=background, visible=visible)
        self._camera = OrbitCamera()
        self._floor = Floor()
        self._colours = side_colours(body)
        self._person: int | None = None
        self._vertices: np.ndarray | None = None  # (V, 3) camera frame, metres; None: nobody to show
        self._normals = np.zeros((0, 3))
        self._life = self._aim = 0.0
        self._t_s = 0.0
        self._panel: Any = None  # (h, w, 3) uint8, RGB, while it has not been shown
        self._make_geometry()
        self._listen_to_mouse()

    def set_pose(self, t_s: float, pose: PoseMessage) -> bool:
        """Take over the newest pose at time t_s. False, and nothing changed, when it cannot be drawn.

        A pose in state "lost" is nobody's: the last one stays until it has faded.
        """
        if pose.state == "lost":
            return True
        betas = pose.betas if pose.body == self._body.id else np.zeros(10, np.float32)
        shown, trans = pose.shown(self.lead_ms)
        rotations = axis_angle_to_matrix(shown)
        with np.errstate(over="ignore", invalid="ignore"):
            joints, transforms = forward_kinematics(self._body, rotations, betas)
            vertices = skin(self._body, transforms, betas, rotations) - joints[0] + trans
        if not (np.abs(vertices) < MAX_EXTENT_M).all():
            return False
        if pose.person != self._person:
            self._person = pose.person
            self._floor.reset()
            self._camera.forget_person()
        self._vertices = vertices
        floor_y = self._floor.update(t_s, float(vertices[:, 1].max()))
        self._camera.follow(t_s, trans, floor_y)
        return True

    def set_panel(self, picture: Picture | None, numbers: Numbers) -> None:
        width, height = self._scene.size
        self._panel = draw_panel(max(1, round(width * (1 - PANE))), max(1, height), picture, numbers)

    def draw(self, t_s: float, state: str) -> bool:
        """Draw everything at time t_s with the body in `state`. False once the window has been closed."""
        self._turned = False
        self._fade(t_s, state)
        self._update_body()
        focal_px, extrinsic = self._camera.view(*self._scene.size)
        self._update_panel(focal_px, extrinsic)
        self._scene.look(focal_px, extrinsic)
        return self._scene.draw()

    @property
    def moving(self) -> bool:
        """True while the picture changes by itself (the body fades), or the mouse has turned it."""
        return self._turned or self._life != self._aim

    def poll(self) -> bool:
        """Take in mouse and keys without drawing. False once the window has been closed."""
        return bool(self._scene.visualizer.poll_events())

    def capture(self) -> np.ndarray:
        """The picture last drawn, (H, W, 3) uint8, RGB."""
        return self._scene.capture()

    def close(self) -> None:
        self._scene.close()

    def _fade(self, t_s: float, state: str) -> None:
        """A body that is seen is drawn at once; one that is not loses its life over some frames."""
        self._aim = LIFE[state]
        if self._life > self._aim:
            self._life = max(self._aim, self._life - (t_s - self._t_s) / FADE_S[state])
        else:
            self._life = self._aim
        self._t_s = t_s

    def _update_body(self) -> None:
        if self._vertices is None:
            return
        floor_y = self._floor.y if self._floor.y is not None else 0.0
        body, thrown = self._vertices, shadow(self._vertices[self._shadow_vertices], floor_y)
        if self._life <= 0.0:  # taking it out of the scene would cost more than drawing it into one point
            body, thrown = np.zeros_like(body), np.zeros_like(thrown)
        normals = self._scene.place(body)
        self._scene.paint(lit(faded(self._colours, self._life), normals))
        self._shadow.vertices = o3d.utility.Vector3dVector(np.ascontiguousarray(thrown, np.float64))
        tone = BACKGROUND + self._life * (_SHADOW - BACKGROUND)
        self._shadow.vertex_colors = o3d.utility.Vector3dVector(np.tile(tone, (len(thrown), 1)))
        self._scene.show(self._shadow)
        # The grid goes with the person in whole cells, so that it stands still and never ends.
        origin = np.round(self._camera.target / CELL_M) * CELL_M
        origin[1] = floor_y
        self._grid.points = o3d.utility.Vector3dVector(self._grid_points + origin)
        self._scene.show(self._grid)

    def _update_panel(self, focal_px: float, extrinsic: np.ndarray) -> None:
        """Stand the panel before the camera so that it covers the right pane pixel by pixel."""
        width, height = self._scene.size
        pixels = np.array([[width * PANE, 0], [width * PANE, height], [width, height], [width, 0]])
        corners = np.ones((4, 3))
        corners[:, :2] = (pixels - (width / 2, height / 2)) / focal_px
        world = (corners * PANEL_DEPTH_M - extrinsic[:3, 3]) @ extrinsic[:3, :3]
        self._quad.vertices = o3d.utility.Vector3dVector(world)
        if self._panel is not None:
            self._quad.textures = [o3d.geometry.Image(self._panel)]
            self._panel = None
        self._scene.show(self._quad)

    def _make_geometry(self) -> None:
        self._shadow = o3d.geometry.TriangleMesh()
        self._shadow_vertices, faces = coarse_mesh(self._body.v_template, self._body.faces)
        self._shadow.triangles = o3d.utility.Vector3iVector(faces.astype(np.int32))
        points, lines, colours = grid_lines(_GRID, BACKGROUND)
        self._grid_points = points
        self._grid = o3d.geometry.LineSet()
        self._grid.lines = o3d.utility.Vector2iVector(lines)
        self._grid.colors = o3d.utility.Vector3dVector(colours)
        self._quad = o3d.geometry.TriangleMesh()
        self._quad.triangles = o3d.utility.Vector3iVector([[0, 1, 2], [0, 2, 3]])
        uvs = [[0, 0], [0, 1], [1, 1], [0, 0], [1, 1], [1, 0]]
        self._quad.triangle_uvs = o3d.utility.Vector2dVector(uvs)
        self._quad.triangle_material_ids = o3d.utility.IntVector([0, 0])

    def _listen_to_mouse(self) -> None:
        """Drag turns, the wheel zooms, R goes back to the camera's side, L puts the lead off and on; Q, Escape or the
        cross close."""
        self._turned = False
        self._dragging = False
        self._mouse = (0.0, 0.0)
        visualizer = self._scene.visualizer
        visualizer.register_mouse_button_callback(self._on_button)
        visualizer.register_mouse_move_callback(self._on_move)
        visualizer.register_mouse_scroll_callback(self._on_scroll)
        visualizer.register_key_callback(ord("R"), self._on_reset)
        visualizer.register_key_callback(ord("L"), self._on_lead)

    def _on_button(self, _visualizer: Any, button: int, action: int, _modifiers: int) -> bool:
        if button == 0:
            self._dragging = action == 1
        return False

    def _on_move(self, _visualizer: Any, x: float, y: float) -> bool:
        if self._dragging:
            self._camera.drag(x - self._mouse[0], y - self._mouse[1])
            self._turned = True
        self._mouse = (x, y)
        return False

    def _on_scroll(self, _visualizer: Any, _x: float, y: float) -> bool:
        self._camera.scroll(y)
        self._turned = True
        return False

    def _on_reset(self, _visualizer: Any) -> bool:
        self._camera.reset()
        self._turned = True
        return False

    def _on_lead(self, _visualizer: Any) -> bool:
        self.lead_ms = self._lead_on_ms if self.lead_ms == 0 else 0.0
        return False
