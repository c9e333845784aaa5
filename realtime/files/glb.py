""".glb: the skinned body and its motion in one file, for Blender, Unity, Unreal, Godot and the web.

glTF 2.0 (Khronos' specification 2.0.1): metres, y up, what is at rest looks along z: the world's axes as they are.
One mesh of the body in the shape that it was seen in, 24 joints with SMPL's names, one animation: rotations of all
joints and the place of the pelvis, linear between frames (rotations on the sphere).

What is lost: of each vertex' weights the four largest stay, and sum to 1 again; a body's pose corrections (posedirs)
are left out. The shipped body has none of the latter. `skin_error_m` says what both amount to.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import Body
from realtime.coordinates import WORLD
from realtime.files.steady import Steady
from realtime.version import VERSION

SAMPLES = 50
INFLUENCES = 4  # per vertex: one JOINTS_0 and WEIGHTS_0, which is all that many viewers read
SKIN_COLOUR = (0.78, 0.58, 0.46, 1.0)
UNSIGNED_BYTE, UNSIGNED_INT, FLOAT = 5121, 5125, 5126
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
SHAPES = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
COMPONENTS = {UNSIGNED_BYTE: "u1", UNSIGNED_INT: "<u4", FLOAT: "<f4"}


def write_glb(file: BinaryIO, motion: Steady, body: Body) -> None:
    """Raises OSError."""
    binary = _Binary()
    rest = body.rest_joints(motion.betas).astype(np.float64)
    mesh = {"name": body.id, "primitives": [_primitive(binary, body, motion.betas)]}
    inverse_bind = np.tile(np.eye(4), (24, 1, 1))
    inverse_bind[:, :3, 3] = -rest
    columns = inverse_bind.transpose(0, 2, 1).reshape(24, 16)  # glTF's matrices go down their columns
    nodes: list[dict[str, Any]] = []
    for joint, name in enumerate(JOINT_NAMES):
        parent = body.parents[joint]
        place = rest[joint] - rest[parent] if joint else motion.pelvis[0]
        node: dict[str, Any] = {"name": name, "translation": [float(x) for x in place]}
        if children := [int(child) for child in np.flatnonzero(body.parents == joint)]:
            node["children"] = children
        nodes.append(node)
    nodes.append({"name": "body", "mesh": 0, "skin": 0})
    document = {
        "asset": {"version": "2.0", "generator": f"hmmr-live {VERSION}"},
        "scene": 0,
        "scenes": [{"nodes": [0, 24]}],
        "nodes": nodes,
        "meshes": [mesh],
        "materials": [
            {
                "name": "skin",
                "pbrMetallicRoughness": {
                    "baseColorFactor": SKIN_COLOUR,
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.8,
                },
            }
        ],
        "skins": [
            {
                "joints": list(range(24)),
                "skeleton": 0,
                "inverseBindMatrices": binary.add(columns, "MAT4", FLOAT),
            }
        ],
        "animations": [_animation(binary, motion)],
        **binary.tables(),
    }
    _write_container(file, document, binary)


def influences(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 24) skinning weights → joints (V, 4) uint8 and weights (V, 4) float32, the largest, that sum to 1."""
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :INFLUENCES]
    largest = np.take_along_axis(weights, joints, axis=1).astype(np.float64)
    largest /= largest.sum(axis=1, keepdims=True)
    joints = np.where(largest > 0, joints, 0)  # the specification's wish for weights of nothing
    return joints.astype(np.uint8), largest.astype(np.float32)


def skin_error_m(motion: Steady, body: Body) -> np.ndarray:
    """(N, V) metres between each vertex as the body has it and as the file has it, at SAMPLES instants."""
    joints, largest = influences(body.weights)
    weights = np.zeros_like(body.weights)
    np.add.at(
        weights, (np.arange(len(weights))[:, None], joints), largest
    )  # who has fewer than four repeats joint 0
    as_written = replace(body, weights=weights, posedirs=None)
    errors = []
    for instant in np.unique(np.linspace(0, len(motion.pelvis) - 1, SAMPLES).astype(int)):
        rotations = motion.rotations(slice(instant, instant + 1))[0]
        _, transforms = forward_kinematics(body, rotations, motion.betas)
        own, written = (skin(one, transforms, motion.betas, rotations) for one in (body, as_written))
        errors.append(np.linalg.norm(own - written, axis=1))
    return np.array(errors)


def _primitive(binary: _Binary, body: Body, betas: np.ndarray) -> dict[str, Any]:
    vertices = body.shaped(betas)
    joints, weights = influences(body.weights)
    attributes = {
        "POSITION": binary.add(vertices, "VEC3", FLOAT, ARRAY_BUFFER, bounds=True),
        "NORMAL": binary.add(_normals(vertices, body.faces), "VEC3", FLOAT, ARRAY_BUFFER),
        "JOINTS_0": binary.add(joints, "VEC4", UNSIGNED_BYTE, ARRAY_BUFFER),
        "WEIGHTS_0": binary.add(weights, "VEC4", FLOAT, ARRAY_BUFFER),
    }
    indices = binary.add(body.faces.reshape(-1, 1), "SCALAR", UNSIGNED_INT, ELEMENT_ARRAY_BUFFER)
    return {"attributes": attributes, "indices": indices, "material": 0}


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals, of the faces around a vertex by their areas."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), (0.0, 1.0, 0.0)).astype(np.float32)


def _animation(binary: _Binary, motion: Steady) -> dict[str, Any]:
    count = len(motion.pelvis)
    times = binary.add((np.arange(count) / motion.fps)[:, None], "SCALAR", FLOAT, bounds=True)
    samplers = [
        {"input": times, "output": binary.add(motion.pelvis, "VEC3", FLOAT), "interpolation": "LINEAR"}
    ]
    channels = [{"sampler": 0, "target": {"node": 0, "path": "translation"}}]
    for joint, turns in enumerate(_turns(motion)):
        output = binary.add(turns, "VEC4", FLOAT)
        samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})
        channels.append({"sampler": joint + 1, "target": {"node": joint, "path": "rotation"}})
    return {"name": "motion", "samplers": samplers, "channels": channels}


def _turns(motion: Steady) -> np.ndarray:
    """(24, T, 4) float32 quaternions: the file wants each joint's together."""
    turns = np.empty((24, len(motion.pelvis), 4), np.float32)
    before: np.ndarray | None = None
    for part in motion.parts():
        own = WORLD.quaternions(motion.rotations(part))
        beside = np.concatenate((own[:1] if before is None else before, own))
        flips = (beside[1:] * beside[:-1]).sum(
            axis=-1
        ) < 0  # q and -q turn alike: take the nearer to the last
        own *= np.where(np.cumsum(flips, axis=0) % 2, -1.0, 1.0)[..., None]
        before = own[-1:]
        turns[:, part] = own.transpose(1, 0, 2)
    return turns


class _Binary:
    """The binary part as it grows: one buffer, a view and an accessor per array."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []
        self._length = 0

    def add(
        self, array: np.ndarray, kind: str, component: int, target: int | None = None, bounds: bool = False
    ) -> int:
        """array (N, SHAPES[kind]); returns the accessor's index."""
        numbers = np.ascontiguousarray(array, COMPONENTS[component]).reshape(-1, SHAPES[kind])
        view: dict[str, Any] = {"buffer": 0, "byteOffset": self._length, "byteLength": numbers.nbytes}
        if target is not None:
            view["target"] = target
        accessor: dict[str, Any] = {
            "bufferView": len(self._views),
            "componentType": component,
            "count": len(numbers),
            "type": kind,
        }
        if bounds:  # exactly those of the stored numbers
            accessor["min"], accessor["max"] = numbers.min(axis=0).tolist(), numbers.max(axis=0).tolist()
        self._views.append(view)
        self._accessors.append(accessor)
        self._parts.append(numbers)
        self._length += numbers.nbytes + -numbers.nbytes % 4
        return len(self._accessors) - 1

    def tables(self) -> dict[str, Any]:
        return {
            "buffers": [{"byteLength": self._length}],
            "bufferViews": self._views,
            "accessors": self._accessors,
        }

    def write(self, file: BinaryIO) -> None:
        for numbers in self._parts:
            file.write(numbers.data)
            file.write(b"\0" * (-numbers.nbytes % 4))


def _write_container(file: BinaryIO, document: dict[str, Any], binary: _Binary) -> None:
    """GLB: a header of 12 bytes, the JSON padded with spaces, the binary part padded with zeros."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    size = document["buffers"][0]["byteLength"]
    file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + size))
    file.write(struct.pack("<I4s", len(text), b"JSON") + text)
    file.write(struct.pack("<I4s", size, b"BIN\0"))
    binary.write(file)
