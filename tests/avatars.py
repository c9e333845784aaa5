"""Small avatars in GLB files: a humanoid of nodes, no mesh."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from realtime.humanoid import BONES, PARENTS

# Where the bones of a figure of 1.2 m stand, y up, facing z, left at +x; the right side mirrors the left.
LEFT_PLACES_M = {
    "Hips": (0.0, 0.6, 0.0),
    "Spine": (0.0, 0.7, 0.0),
    "Chest": (0.0, 0.8, 0.0),
    "UpperChest": (0.0, 0.9, 0.0),
    "Neck": (0.0, 1.0, 0.0),
    "Head": (0.0, 1.05, 0.01),
    "LeftUpperLeg": (0.06, 0.58, 0.0),
    "LeftLowerLeg": (0.06, 0.33, 0.0),
    "LeftFoot": (0.06, 0.06, -0.01),
    "LeftToes": (0.06, 0.02, 0.08),
    "LeftShoulder": (0.02, 0.95, 0.0),
    "LeftUpperArm": (0.1, 0.95, 0.0),
    "LeftLowerArm": (0.3, 0.95, 0.0),
    "LeftHand": (0.5, 0.95, 0.0),
}
PLACES_M = {
    **LEFT_PLACES_M,
    **{
        name.replace("Left", "Right"): (-x, y, z)
        for name, (x, y, z) in LEFT_PLACES_M.items()
        if name.startswith("Left")
    },
}


def document(version: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """A glTF document: version "0.x", "1.0" or "plain". Under a scene node that is moved, turned and scaled, which
    carries a node at the origin, which carries the Hips; a 0.x avatar faces −z."""
    turn = np.array([-1.0, 1.0, -1.0]) if version == "0.x" else np.ones(3)
    names = [bone for bone in BONES if bone not in without]
    first = 2
    nodes: list[dict[str, Any]] = [
        {
            "name": "scene",
            "children": [1],
            "scale": [2, 2, 2],
            "rotation": [0, 1, 0, 0],
            "translation": [0, 0, 1],
        },
        {"name": "armature", "children": [2], "matrix": _back(0.5)},
    ]
    for name in names:
        parent = _carrier(name, names)
        base = np.array(PLACES_M[parent]) if parent else np.zeros(3)
        offset = (np.array(PLACES_M[name]) - base) * turn
        nodes.append({"name": name if version == "plain" else f"J_{name}", "translation": offset.tolist()})
    for index, name in enumerate(names):
        children = [first + i for i, other in enumerate(names) if _carrier(other, names) == name]
        if children:
            nodes[first + index]["children"] = children
    node_of = {name[0].lower() + name[1:]: first + index for index, name in enumerate(names)}
    made: dict[str, Any] = {"asset": {"version": "2.0"}, "nodes": nodes}
    if version == "0.x":
        bones = [{"bone": bone, "node": node, "useDefaultValues": True} for bone, node in node_of.items()]
        made["extensions"] = {"VRM": {"humanoid": {"humanBones": [*bones, {"bone": "jaw", "node": 0}]}}}
    if version == "1.0":
        bones_1 = {bone: {"node": node} for bone, node in node_of.items()}
        made["extensions"] = {"VRMC_vrm": {"humanoid": {"humanBones": {**bones_1, "jaw": {"node": 0}}}}}
    return made


def _back(scale: float) -> list[float]:
    """What undoes the scene node: turned half about y, scaled back, moved back; column by column."""
    return [-scale, 0, 0, 0, 0, scale, 0, 0, 0, 0, -scale, 0, 0, 0, scale, 1]


def _carrier(name: str, names: list[str]) -> str | None:
    index = PARENTS[BONES.index(name)]
    while index >= 0 and BONES[index] not in names:
        index = PARENTS[index]
    return BONES[index] if index >= 0 else None


def glb(content: Mapping[str, Any] | bytes) -> bytes:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    data += b" " * (-len(data) % 4)
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(data), len(data), 0x4E4F534A) + data


def write_avatar(path: Path, version: str = "1.0", without: tuple[str, ...] = ()) -> Path:
    path.write_bytes(glb(document(version, without)))
    return path
