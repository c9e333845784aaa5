"""The drawing itself: one textured mesh of triangles under a few lights, by OpenGL without any window.

Only the part of the picture that holds the person is drawn, at twice its resolution where it is small.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

# Mesa's rasteriser: no thread of its own. Several processes render at once, one per core.
os.environ.setdefault("LP_NUM_THREADS", "0")

import cv2
import numpy as np

from realtime.errors import LoadError, install_command

NEAR_M, FAR_M = 0.05, 60.0
MAX_LIGHTS = 4
_SIDES_PX = (128, 192, 256, 384, 512, 640, 768, 1024, 1280, 1536, 2048, 3072, 4096)
_SUPERSAMPLE_BELOW_PX = 45_000  # box area: larger ones are drawn once per pixel, their edges softened after

# The mesh is so fine (triangles of a few pixels) that light is worked out at its vertices: a third of the time.
# Light adds up in linear light; colours and the picture are as a screen has them (gamma 2, to spare the pow).
_VERTEX = f"""#version 330
in vec3 position; in vec3 normal; in vec3 uvl;
uniform vec4 lens;  // x, y scale and offset from tangents to the clip volume of the box
uniform vec2 depth;
uniform vec3 toward[{MAX_LIGHTS}]; uniform vec3 strength[{MAX_LIGHTS}];
uniform vec3 sky; uniform vec3 ground; uniform vec3 up; uniform float gloss;
out vec3 light; out vec3 shine; out vec3 place;
void main() {{
    vec3 view = normalize(-position);
    vec3 sum = mix(ground, sky, 0.5 + 0.5 * dot(normal, up));
    vec3 glint = vec3(0.0);
    for (int i = 0; i < {MAX_LIGHTS}; i++) {{
        sum += strength[i] * max(0.0, dot(normal, toward[i]));
        float h = max(0.0, dot(normal, normalize(toward[i] + view)));
        h *= h; h *= h; h *= h; h *= h;
        glint += strength[i] * h;
    }}
    light = sqrt(sum); shine = gloss * glint; place = uvl;
    gl_Position = vec4(lens.x * position.x + lens.z * position.z, lens.y * position.y + lens.w * position.z,
                       depth.x * position.z + depth.y, position.z);
}}"""

_FRAGMENT = """#version 330
in vec3 light; in vec3 shine; in vec3 place;
uniform sampler2DArray cloth;
out vec4 colour;
void main() { colour = vec4(min(texture(cloth, place).rgb * light + shine, 1.0), 1.0); }"""


@dataclass(frozen=True)
class Lights:
    """Light in the camera frame (x right, y down, z forward), colours BGR, 1.0 = a white surface just saturates."""

    toward: np.ndarray  # (n ≤ MAX_LIGHTS, 3) unit vectors from the surface to the lights
    strength: np.ndarray  # (n, 3)
    sky: np.ndarray  # (3,) from above
    ground: np.ndarray  # (3,) from below
    gloss: float


@dataclass(frozen=True)
class Box:
    """A part of the picture, pixels: left, top inclusive; width, height."""

    left: int
    top: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def _open_context() -> Any:
    try:
        import moderngl
    except ImportError:
        raise LoadError(f"rendering needs moderngl: {install_command('train')}") from None
    linux = sys.platform.startswith("linux")
    try:
        return moderngl.create_context(
            standalone=True,
            **({"backend": "egl", "libegl": "libEGL.so.1", "libgl": "libGL.so.1"} if linux else {}),
        )
    except Exception as error:  # moderngl raises plain Exception
        hint = (
            "install Mesa (Debian: apt-get install libegl1 libgl1-mesa-dri)" if linux else "needs OpenGL 3.3"
        )
        raise LoadError(f"rendering: OpenGL cannot be started ({error}); {hint}") from None


class Scene:
    """One mesh at a time. A scene belongs to the thread that made it; several may be open beside each other."""

    def __init__(self) -> None:
        self._context = _open_context()
        with self._context:
            self._program = self._context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._canvases: dict[tuple[int, int], tuple[Any, Any, Any]] = {}
        self._mesh: list[Any] = []
        self._texture: Any = None

    def load(self, faces: np.ndarray, two_sided: np.ndarray, uvl: np.ndarray, layers: np.ndarray) -> None:
        """Another mesh: faces (F, 3) closed, drawn from outside only; two_sided (G, 3); uvl (N, 3) place in the
        texture and its layer; layers (L, S, S, 3) uint8 BGR."""
        count = len(uvl)
        with self._context as context:
            for item in self._mesh:
                item.release()
            self._vertices = np.empty((count, 6), np.float32)
            buffer = context.buffer(reserve=count * 24, dynamic=True)
            places = context.buffer(np.ascontiguousarray(uvl, np.float32))
            content = [(buffer, "3f 3f", "position", "normal"), (places, "3f", "uvl")]
            self._mesh = [buffer, places]
            self._draws = []
            for part in (faces, two_sided):
                if len(part):
                    index = context.buffer(np.ascontiguousarray(part, np.int32))
                    array = context.vertex_array(self._program, content, index)
                    self._mesh += [index, array]
                    self._draws.append((array, part is faces))
            self._buffer = buffer
            size = (layers.shape[2], layers.shape[1], layers.shape[0])
            if self._texture is None or self._texture.size != size:
                if self._texture is not None:
                    self._texture.release()
                self._texture = context.texture_array(size, 3)
            self._texture.write(np.ascontiguousarray(layers))
            self._texture.build_mipmaps()
            self._texture.filter = (context.LINEAR_MIPMAP_NEAREST, context.LINEAR)

    def light(self, lights: Lights) -> None:
        toward, strength = np.zeros((2, MAX_LIGHTS, 3), np.float32)
        toward[:, 2] = -1.0
        toward[: len(lights.toward)] = lights.toward
        strength[: len(lights.strength)] = lights.strength
        with self._context:
            self._program["toward"].write(toward)
            self._program["strength"].write(strength)
            self._program["sky"] = tuple(lights.sky)
            self._program["ground"] = tuple(lights.ground)
            self._program["up"] = (0.0, -1.0, 0.0)
            self._program["gloss"] = lights.gloss

    def draw(
        self, vertices: np.ndarray, normals: np.ndarray, focal_px: float, centre_px: np.ndarray, box: Box
    ) -> np.ndarray:
        """(3, N) metres in the camera frame and (3, N) normals → (box.height, box.width, 4) uint8: BGR already
        multiplied by alpha, and alpha."""
        scale = 2 if box.width * box.height <= _SUPERSAMPLE_BELOW_PX else 1
        width, height = box.width * scale, box.height * scale
        self._vertices[:, :3] = vertices.T
        self._vertices[:, 3:] = normals.T
        with self._context as context:
            canvas = self._canvas(width, height)
            canvas.use()
            canvas.viewport = (0, 0, width, height)
            canvas.clear(0.0, 0.0, 0.0, 0.0)
            context.enable_only(context.DEPTH_TEST)
            # Rows are read from the bottom: clip y grows downward in the picture, and the triangles turn round.
            context.front_face = "cw"
            context.cull_face = "back"
            offset = 2.0 * (centre_px - (box.left, box.top)) / (box.width, box.height) - 1.0
            self._program["lens"] = (
                2.0 * focal_px / box.width,
                2.0 * focal_px / box.height,
                offset[0],
                offset[1],
            )
            self._program["depth"] = (
                (FAR_M + NEAR_M) / (FAR_M - NEAR_M),
                -2.0 * FAR_M * NEAR_M / (FAR_M - NEAR_M),
            )
            self._buffer.write(self._vertices)
            self._texture.use(0)
            for array, closed in self._draws:
                (context.enable if closed else context.disable)(context.CULL_FACE)
                array.render()
            pixels = np.frombuffer(
                canvas.read(viewport=(0, 0, width, height), components=4, alignment=1), np.uint8
            )
        pixels = pixels.reshape(height, width, 4)
        if scale == 2:
            return cv2.resize(pixels, (box.width, box.height), interpolation=cv2.INTER_AREA)
        return cv2.GaussianBlur(pixels, (3, 3), 0.45)

    def _canvas(self, width: int, height: int) -> Any:
        key = tuple(next((s for s in _SIDES_PX if s >= side), side) for side in (width, height))
        if key not in self._canvases:
            colour = self._context.renderbuffer(key, 4)
            depth = self._context.depth_renderbuffer(key)
            self._canvases[key] = (self._context.framebuffer([colour], depth), colour, depth)
        return self._canvases[key][0]

    def close(self) -> None:
        """May be called twice."""
        if self._context is None:
            return
        with self._context as context:
            for item in self._mesh + [part for canvas in self._canvases.values() for part in canvas]:
                item.release()
            if self._texture is not None:
                self._texture.release()
            self._program.release()
            del context
        self._context.release()
        self._context = None
