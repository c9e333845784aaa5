"""Avatars' rest poses from .vrm and .glb files: what is said is read, and nothing that is damaged gets through."""

from __future__ import annotations

import copy
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from avatars import PLACES_M, document, glb, write_avatar
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.errors import ConfigError
from realtime.humanoid import BONES, OPTIONAL, PARENTS
from realtime.vrm import load_avatar

PLACES = np.array([PLACES_M[bone] for bone in BONES])


@pytest.mark.parametrize("version", ["0.x", "1.0", "plain"])
def test_the_bones_stand_where_the_file_says(version: str, tmp_path: Path):
    """Through scaled, turned and matrix nodes above them; facing z, left at +x, whichever way the file faces."""
    avatar = load_avatar(write_avatar(tmp_path / "a.vrm", version))
    assert avatar.bones == set(BONES)
    np.testing.assert_allclose(avatar.places, PLACES, atol=1e-12)
    np.testing.assert_allclose(avatar.offsets[1:], PLACES[1:] - PLACES[list(PARENTS[1:])], atol=1e-12)
    np.testing.assert_allclose(avatar.offsets[0], PLACES_M["Hips"], atol=1e-12)
    assert avatar.hips_m == pytest.approx(0.6) and avatar.leg_m == pytest.approx(0.58)


@pytest.mark.parametrize("version", ["0.x", "1.0"])
def test_what_an_avatar_may_lack(version: str, tmp_path: Path):
    avatar = load_avatar(write_avatar(tmp_path / "a.vrm", version, without=tuple(OPTIONAL)))
    assert avatar.bones == set(BONES) - OPTIONAL
    arm, spine = BONES.index("LeftUpperArm"), BONES.index("Spine")
    np.testing.assert_allclose(avatar.offsets[arm], PLACES[arm] - PLACES[spine], atol=1e-12)
    np.testing.assert_array_equal(avatar.offsets[BONES.index("UpperChest")], 0)


def test_a_node_between_two_bones(tmp_path: Path):
    """VRM 0.x: receivers set the Spine against its own parent; 1.0: against the Hips."""
    for version, expected in (("0.x", 0.04), ("1.0", 0.1)):
        content = document(version)
        hips, spine = 2, 2 + BONES.index("Spine")
        content["nodes"][hips]["children"].remove(spine)
        content["nodes"][hips]["children"].append(len(content["nodes"]))
        content["nodes"].append({"translation": [0, 0.06, 0], "children": [spine]})
        content["nodes"][spine]["translation"] = [0, 0.04, 0]
        (tmp_path / "a.vrm").write_bytes(glb(content))
        avatar = load_avatar(tmp_path / "a.vrm")
        assert avatar.offsets[BONES.index("Spine")][1] == pytest.approx(expected)
        np.testing.assert_allclose(avatar.places, PLACES, atol=1e-12)


def changed(**changes: Any) -> dict[str, Any]:
    return {**document("1.0"), **changes}


def with_node(**changes: Any) -> dict[str, Any]:
    content = copy.deepcopy(document("1.0"))
    content["nodes"][3].update(changes)
    return content


BAD = {
    "no bones": (changed(extensions={"VRMC_vrm": {"humanoid": {"humanBones": {}}}}), "Hips, LeftUpperLeg"),
    "no humanoid": (changed(extensions={"VRMC_vrm": {}}), "humanoid: not a map"),
    "no head": (document("plain", without=("Head",)), "no humanoid: Head missing"),
    "no nodes": (changed(nodes=None), "nodes: not a list"),
    "nodes of nothing": (changed(nodes=[1, 2]), "does not exist"),
    "too many nodes": (changed(nodes=[{}] * 70_000), "70000 nodes"),
    "node of elsewhere": (with_node(children=[10_000]), "node 10000 does not exist"),
    "node by truth": (with_node(children=[True]), "node True does not exist"),
    "two parents": (with_node(children=[4]), "node 4 has two parents"),
    "cycle": (with_node(children=[0]), "carry each other"),
    "far away": (with_node(translation=[0, 1e5, 0]), "farther away than 100 m"),
    "infinite": (with_node(translation=[0, float("inf"), 0]), "sensible numbers"),
    "no number": (with_node(translation=[0, float("nan"), 0]), "sensible numbers"),
    "a text": (with_node(rotation=["0", 0, 0, 1]), "sensible numbers"),
    "two numbers": (with_node(scale=[1, 1]), "expected 3 numbers"),
    "upside down": (
        with_node()
        | {
            "nodes": [{**document("1.0")["nodes"][0], "rotation": [1, 0, 0, 0]}]
            + document("1.0")["nodes"][1:]
        },
        "not above its feet",
    ),
    "a list": (b"[]", "not a map"),
    "no JSON": (b"{'a'}", "damaged"),
    "deep": (b"[" * 200_000, "damaged"),
    "no text": (b'{"nodes": "\xff\xfe"}', "damaged"),
    "long number": (b'{"nodes": 1' + b"0" * 5000 + b"}", "damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_their_reason(name: str, tmp_path: Path):
    content, reason = BAD[name]
    (tmp_path / "bad.vrm").write_bytes(glb(content))
    with pytest.raises(ConfigError, match=reason) as raised:
        load_avatar(tmp_path / "bad.vrm")
    assert "bad.vrm" in str(raised.value) and str(raised.value).count("\n") == 0


def test_no_file_and_no_glb(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_avatar(tmp_path / "absent.vrm")
    for data, reason in (
        (b"", "not a GLB"),
        (b'{"asset": {"version": "2.0"}}', "not a GLB"),
        (struct.pack("<4sIIII", b"glTF", 1, 20, 0, 0x4E4F534A), "version 1"),
        (struct.pack("<4sIIII", b"glTF", 2, 20, 0xFFFFFFFF, 0x4E4F534A), "the limit is"),
        (struct.pack("<4sIIII", b"glTF", 2, 20, 100, 0x4E4F534A) + b"{}", "cut off"),
    ):
        (tmp_path / "a.glb").write_bytes(data)
        with pytest.raises(ConfigError, match=reason):
            load_avatar(tmp_path / "a.glb")


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 4000), byte=st.integers(0, 255), cut=st.integers(0, 4000))
def test_damage_anywhere_is_an_error_or_harmless(at: int, byte: int, cut: int, tmp_path_factory: Any):
    data = bytearray(glb(document("0.x")))
    data[at % len(data)] = byte
    path = tmp_path_factory.mktemp("damaged") / "a.vrm"
    for content in (bytes(data), bytes(data[: cut % len(data)])):
        path.write_bytes(content)
        try:
            avatar = load_avatar(path)
        except ConfigError:
            continue
        assert np.isfinite(avatar.offsets).all() and np.isfinite(avatar.places).all()
