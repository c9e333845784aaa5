"""A .glb by the specification, for the tests: its arrays, and its mesh as the animation poses it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

KINDS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
TYPES = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}


class Glb:
    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON"
        self.document: dict[str, Any] = json.loads(data[20 : 20 + size])
        rest, kind = struct.unpack_from("<I4s", data, 20 + size)
        assert kind == b"BIN\0" and 28 + size + rest == len(data)
        self.binary = data[28 + size :]
        self.primitive = self.document["meshes"][0]["primitives"][0]
        self.skin = self.document["skins"][0]
        self.nodes = self.document["nodes"]
        self.parent = {child: i for i, node in enumerate(self.nodes) for child in node.get("children", ())}

    def array(self, accessor: int) -> np.ndarray:
        entry = self.document["accessors"][accessor]
        view = self.document["bufferViews"][entry["bufferView"]]
        width, dtype = KINDS[entry["type"]], TYPES[entry["componentType"]]
        array = np.frombuffer(self.binary, dtype, entry["count"] * width, view["byteOffset"])
        return array.reshape(-1, width)

    def attribute(self, name: str) -> np.ndarray:
        return self.array(self.primitive["attributes"][name])

    def times(self) -> np.ndarray:
        return self.array(self.document["animations"][0]["samplers"][0]["input"])[:, 0]

    def matrices(self, t_s: float) -> np.ndarray:
        """(J, 4, 4) of the skin's joints in the scene at time t_s."""
        animation = self.document["animations"][0]
        places = {i: np.array(node.get("translation", (0, 0, 0)), float) for i, node in enumerate(self.nodes)}
        turns = {
            i: Rotation.from_quat(node.get("rotation", (0, 0, 0, 1))) for i, node in enumerate(self.nodes)
        }
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            assert sampler["interpolation"] == "LINEAR"
            times, values = self.array(sampler["input"])[:, 0], self.array(sampler["output"])
            node, t = channel["target"]["node"], float(np.clip(t_s, times[0], times[-1]))
            if channel["target"]["path"] == "translation":
                places[node] = np.array([np.interp(t, times, values[:, axis]) for axis in range(3)])
            elif len(times) > 1:
                turns[node] = Slerp(times, Rotation.from_quat(values))(t)
            else:
                turns[node] = Rotation.from_quat(values[0])
        local = {}
        for i in range(len(self.nodes)):
            local[i] = np.eye(4)
            local[i][:3, :3], local[i][:3, 3] = turns[i].as_matrix(), places[i]
        return np.stack([self._world(local, joint) for joint in self.skin["joints"]])

    def _world(self, local: dict[int, np.ndarray], node: int) -> np.ndarray:
        return (self._world(local, self.parent[node]) if node in self.parent else np.eye(4)) @ local[node]

    def vertices(self, t_s: float) -> np.ndarray:
        """(V, 3): section 3.7.3.1 of the specification, by the letter."""
        inverse = self.array(self.skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints, weights = self.attribute("JOINTS_0"), self.attribute("WEIGHTS_0")
        matrices = (self.matrices(t_s) @ inverse)[joints]  # (V, 4, 4, 4)
        blended = (weights[:, :, None, None] * matrices).sum(axis=1)
        points = np.concatenate((self.attribute("POSITION"), np.ones((len(joints), 1))), axis=1)
        return np.einsum("vij,vj->vi", blended, points)[:, :3]
