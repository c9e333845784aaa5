"""How an avatar's bones stand at rest: from a .vrm or .glb file.

Of the file only its JSON is read (glTF 2.0, section "Binary glTF"), of that only nodes and the humanoid map: VRM 0.x
`extensions.VRM.humanoid.humanBones`, VRM 1.0 `extensions.VRMC_vrm.humanoid.humanBones`; without either, nodes that bear
the names of Unity's bones. The file is a stranger's: everything is bounded and checked, and whatever is wrong raises
ConfigError, which names the file.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from realtime.errors import ConfigError
from realtime.humanoid import BONES, OPTIONAL, PARENTS

MAX_JSON_BYTES = 32 << 20  # an avatar's is some hundred kB; pictures and meshes are not in it
MAX_NODES = 65_536
FARTHEST_M = 100.0  # a bone beyond this is no avatar's
_MAGIC, _JSON = b"glTF", 0x4E4F534A
# A VRM 0.x avatar looks along −z, and Unity's importer turns it round; 1.0 and plain glTF look along z as our world.
_TURNED = np.array([-1.0, 1.0, -1.0])


@dataclass(frozen=True, eq=False)
class Avatar:
    """World axes (y up, facing z, left at +x), metres, standing at rest with its feet on y = 0."""

    bones: frozenset[str]  # those of our 22 that it has
    offsets: np.ndarray  # (22, 3) from what carries the bone; 0 for a bone that it lacks
    places: np.ndarray  # (22, 3) where they stand; a bone that it lacks: where the one that carries it does

    @property
    def hips_m(self) -> float:
        """Height of the Hips."""
        return float(self.places[0, 1])

    @property
    def leg_m(self) -> float:
        """From the Hips down to the lowest bone."""
        return self.hips_m - float(self.places[:, 1].min())


def load_avatar(path: str | Path) -> Avatar:
    """Read an avatar's rest pose. Raises ConfigError: no such file, no GLB, damaged, bones missing (each named)."""
    file = Path(path).expanduser()
    try:
        with file.open("rb") as stream:
            document = _read_json(stream)
        return _avatar(document)
    except OSError as error:
        what = error.strerror or str(error)
        raise ConfigError(f"vrm={path}: cannot be read ({what}); give a .vrm or .glb file") from None
    except (ValueError, RecursionError, MemoryError) as error:
        what = str(error)[:200] if isinstance(error, _AvatarError) else "damaged, or not a GLB file"
        raise ConfigError(f"vrm={path}: {what}; export the avatar again as .vrm or .glb") from None


class _AvatarError(ValueError):
    """What is wrong with the file, for its owner."""


def _read_json(stream: BinaryIO) -> Any:
    header = stream.read(20)
    if len(header) < 20 or header[:4] != _MAGIC:
        raise _AvatarError("not a GLB file (a .gltf is text: save it as .glb)")
    version, _, length, kind = struct.unpack("<IIII", header[4:])
    if version != 2 or kind != _JSON:
        raise _AvatarError(f"glTF version {version}; expected 2, beginning with its JSON")
    if length > MAX_JSON_BYTES:
        raise _AvatarError(f"{length} bytes of JSON; the limit is {MAX_JSON_BYTES}")
    content = stream.read(length)
    if len(content) < length:
        raise _AvatarError("cut off in its JSON")
    return json.loads(content)


def _avatar(document: Any) -> Avatar:
    nodes = _list(_map(document, "the JSON").get("nodes"), "nodes")
    if len(nodes) > MAX_NODES:
        raise _AvatarError(f"{len(nodes)} nodes; the limit is {MAX_NODES}")
    node_of, old = _humanoid(_map(document, "the JSON"), nodes)
    missing = [bone for bone in BONES if bone not in node_of and bone not in OPTIONAL]
    if missing:
        raise _AvatarError(f"no humanoid: {', '.join(missing)} missing")
    carrier = _carriers(nodes)
    place_of = {}
    for bone, node in node_of.items():
        place = _place(node, nodes, carrier) * (_TURNED if old else 1.0)
        if not (np.abs(place) < FARTHEST_M).all():  # false for NaN too
            raise _AvatarError(f"{bone} is farther away than {FARTHEST_M:g} m")
        place_of[bone] = place
    places, offsets = np.zeros((len(BONES), 3)), np.zeros((len(BONES), 3))
    for index, bone in enumerate(BONES):
        parent = PARENTS[index]
        base = places[parent] if parent >= 0 else np.zeros(3)
        places[index] = place_of.get(bone, base)
        if old and bone in node_of and carrier[node_of[bone]] >= 0:
            # Receivers set a bone against its own parent, which need not be a bone. In VRM 1.0 they set control bones,
            # which hang on each other.
            base = _place(carrier[node_of[bone]], nodes, carrier) * _TURNED
        offsets[index] = places[index] - base
    avatar = Avatar(frozenset(node_of), offsets, places)
    if not (avatar.hips_m > 0.01 and avatar.leg_m > 0.01):
        raise _AvatarError("its hips are not above its feet")
    return avatar


def _humanoid(document: Mapping[str, Any], nodes: list[Any]) -> tuple[dict[str, int], bool]:
    """{bone: node}, of our 22; True where the file is VRM 0.x."""
    extensions = _map(document.get("extensions", {}), "extensions")
    found: list[tuple[Any, Any]]
    old = False
    if "VRMC_vrm" in extensions:
        bones = _humanoid_bones(extensions["VRMC_vrm"])
        found = [
            (name, _map(bone, "humanBones").get("node")) for name, bone in _map(bones, "humanBones").items()
        ]
    elif "VRM" in extensions:
        old = True
        bones = [_map(bone, "humanBones") for bone in _list(_humanoid_bones(extensions["VRM"]), "humanBones")]
        found = [(bone.get("bone"), bone.get("node")) for bone in bones]
    else:
        found = [(_map(node, "a node").get("name"), index) for index, node in enumerate(nodes)]
    ours = {bone.lower(): bone for bone in BONES}
    node_of: dict[str, int] = {}
    for name, node in found:
        bone = ours.get(name.lower()) if isinstance(name, str) else None
        if bone is not None and bone not in node_of:
            node_of[bone] = _index(node, nodes)
    return node_of, old


def _humanoid_bones(extension: Any) -> Any:
    return _map(_map(extension, "the VRM extension").get("humanoid"), "humanoid").get("humanBones")


def _carriers(nodes: list[Any]) -> list[int]:
    """Each node's parent; -1 for those without."""
    carrier = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        for child in _list(_map(node, "a node").get("children", []), "children"):
            child = _index(child, nodes)
            if carrier[child] >= 0:
                raise _AvatarError(f"node {child} has two parents")
            carrier[child] = index
    return carrier


def _place(node: int, nodes: list[Any], carrier: list[int]) -> np.ndarray:
    """(3,) where a node stands in the file's own axes."""
    place = np.zeros(3)
    for _ in range(len(nodes)):
        place = _transform(nodes[node]) @ (*place, 1.0)
        node = carrier[node]
        if node < 0:
            return place
    raise _AvatarError("nodes that carry each other")


def _transform(node: Mapping[str, Any]) -> np.ndarray:
    """(3, 4) from a node's frame to that of its parent."""
    if "matrix" in node:
        return np.array(_numbers(node["matrix"], 16)).reshape(4, 4).T[:3]  # column by column
    x, y, z, w = _numbers(node.get("rotation", (0.0, 0.0, 0.0, 1.0)), 4)
    turn = np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        )
    )
    scale = np.array(_numbers(node.get("scale", (1.0, 1.0, 1.0)), 3))
    return np.column_stack((turn * scale, _numbers(node.get("translation", (0.0, 0.0, 0.0)), 3)))


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) != count:
        raise _AvatarError(f"expected {count} numbers")
    if not all(isinstance(x, int | float) and abs(x) < 1e6 and math.isfinite(x) for x in value):
        raise _AvatarError("a node's place is not of sensible numbers")
    return tuple(float(x) for x in value)


def _index(value: Any, nodes: list[Any]) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(nodes):
        raise _AvatarError(f"node {str(value)[:20]} does not exist")
    return value


def _map(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _AvatarError(f"{what}: not a map")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _AvatarError(f"{what}: not a list")
    return value
