"""VMC frames against python-osc, byte by byte, and their division into datagrams."""

from __future__ import annotations

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from scipy.spatial.transform import Rotation

from realtime.humanoid import BONES
from realtime.sinks.osc import LARGEST_DATAGRAM, VmcFrame

ARMS = [
    f"{side}{bone}" for bone in ("Shoulder", "UpperArm", "LowerArm", "Hand") for side in ("Left", "Right")
]
REST = [bone for bone in BONES if bone not in ARMS]


def frame(seed: int) -> tuple[float, bool, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    quaternions = Rotation.random(22, random_state=seed).as_quat()
    root = np.array([*rng.normal(0, 1, 3), 0, 0, 0, 1])
    return float(rng.uniform(0, 1e4)), bool(seed % 2), rng.normal(0, 1, (22, 3)), quaternions, root


def message(address: str, *arguments: object) -> OscMessage:
    builder = OscMessageBuilder(address)
    for argument in arguments:
        builder.add_arg(float(argument) if isinstance(argument, np.floating) else argument)
    return builder.build()


def golden_messages(
    time_s: float, tracking: bool, positions: np.ndarray, quaternions: np.ndarray, root: np.ndarray
) -> tuple[list[OscMessage], list[OscMessage]]:
    """What the specification asks for, made by python-osc: for the first datagram and for the second."""
    bones = {
        bone: message("/VMC/Ext/Bone/Pos", bone, *position, *quaternion)
        for bone, position, quaternion in zip(BONES, positions, quaternions, strict=True)
    }
    head = [
        message("/VMC/Ext/OK", 1, 3, 0, int(tracking)),
        message("/VMC/Ext/T", time_s),
        message("/VMC/Ext/Root/Pos", "root", *root),
    ]
    first = [*head, *(bones[bone] for bone in REST)]
    return first, [*(bones[bone] for bone in ARMS), message("/VMC/Ext/Blend/Apply")]


def bundled(messages: list[OscMessage]) -> bytes:
    builder = OscBundleBuilder(IMMEDIATELY)
    for one in messages:
        builder.add_content(one)
    return builder.build().dgram


@pytest.mark.parametrize("seed", range(5))
def test_bundles_are_python_oscs_bytes(seed: int):
    vmc, values = VmcFrame(), frame(seed)
    vmc.fill(*frame(seed + 100))  # what stood there before leaves nothing behind
    vmc.fill(*values)
    first, second = golden_messages(*values)
    assert [bytes(datagram) for datagram in vmc.datagrams] == [bundled(first), bundled(second)]


@pytest.mark.parametrize("seed", range(5))
def test_single_messages_are_python_oscs_bytes(seed: int):
    vmc, values = VmcFrame(bundle=False), frame(seed)
    vmc.fill(*values)
    first, second = golden_messages(*values)
    assert [bytes(datagram) for datagram in vmc.datagrams] == [one.dgram for one in (*first, *second)]


def test_a_bone_is_never_split():
    """Each datagram is whole by itself, small enough for the wire, and no bone is in both; the order is kept."""
    vmc = VmcFrame()
    vmc.fill(*frame(0))
    assert len(vmc.datagrams) == 2
    seen: list[str] = []
    for datagram in vmc.datagrams:
        assert len(datagram) <= LARGEST_DATAGRAM
        contents = list(OscBundle(bytes(datagram)))
        assert all(isinstance(one, OscMessage) for one in contents)
        for one in contents:
            if one.address == "/VMC/Ext/Bone/Pos":
                name, *numbers = one.params
                assert len(numbers) == 7 and all(isinstance(number, float) for number in numbers)
                seen.append(name)
    assert sorted(seen) == sorted(BONES) and len(set(seen)) == 22
    assert contents[-1].address == "/VMC/Ext/Blend/Apply" and contents[-1].params == []
    assert sum(map(len, vmc.datagrams)) > LARGEST_DATAGRAM  # else one would do


def test_the_bytes_are_the_programs_own():
    with pytest.raises(TypeError):
        VmcFrame().datagrams[0][0] = 1  # type: ignore[index]
