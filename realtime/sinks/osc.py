"""One frame of the VMC protocol as OSC bytes, from a template that is filled in.

OSC 1.0: big-endian, everything padded to four bytes. The template is a bundle with all the messages of a frame, whose
numbers lie at known places; a frame is encoded by writing them there. Since a bundle holds its messages whole, the same
bytes serve both forms: two bundles, or one message per datagram.

    first datagram    OK, T, Root/Pos, Bone/Pos of torso, head and legs
    second datagram   Bone/Pos of the arms, Blend/Apply: receivers push a frame when that comes

VMC protocol 2.7 and its Bone/Pos, Root/Pos: the Performer's part, V3.1 of the specification.
"""

from __future__ import annotations

import struct

import numpy as np

from realtime.humanoid import BONES

LARGEST_DATAGRAM = 1472  # bytes: what one Ethernet frame of 1500 carries of UDP over IPv4
_BUNDLE = b"#bundle\0" + struct.pack(">Q", 1)  # the time tag that means: at once
_IN_SECOND = ("Shoulder", "UpperArm", "LowerArm", "Hand")
_POSE_TAGS = ",sfffffff"
_CALIBRATED = 3


def _text(text: str) -> bytes:
    data = text.encode("ascii") + b"\0"
    return data + b"\0" * (-len(data) % 4)


class VmcFrame:
    """`datagrams`: what to send, in this order; `fill` writes a frame into them. bundle=False: one message each."""

    def __init__(self, bundle: bool = True) -> None:
        self._content = bytearray()
        self._messages: list[tuple[int, int]] = []  # where each begins and ends
        self._bone_words = np.zeros((len(BONES), 7), np.intp)  # places of its numbers, in words of four bytes
        arms = [name for name in BONES if name.endswith(_IN_SECOND)]

        bounds = [self._begin()]
        status_at = self._message("/VMC/Ext/OK", ",iiii", struct.pack(">iiii", 1, _CALIBRATED, 0, 0))
        self._status_at = status_at + 12
        self._time_at = self._message("/VMC/Ext/T", ",f", bytes(4))
        self._root_words = self._pose("/VMC/Ext/Root/Pos", "root")
        for name in [name for name in BONES if name not in arms]:
            self._bone_words[BONES.index(name)] = self._pose("/VMC/Ext/Bone/Pos", name)
        bounds.append(self._begin())
        for name in arms:
            self._bone_words[BONES.index(name)] = self._pose("/VMC/Ext/Bone/Pos", name)
        self._message("/VMC/Ext/Blend/Apply", ",", b"")
        bounds.append(len(self._content))

        self._words = np.frombuffer(self._content, ">f4")
        self._values = np.empty((len(BONES), 7), np.float32)
        view = memoryview(self._content).toreadonly()
        spans = list(zip(bounds, bounds[1:], strict=False)) if bundle else self._messages
        self.datagrams: list[memoryview] = [view[start:end] for start, end in spans]

    def fill(
        self, time_s: float, tracking: bool, positions: np.ndarray, quaternions: np.ndarray, root: np.ndarray
    ) -> None:
        """positions (22, 3) metres and quaternions (22, 4) xyzw of the bones against their parents, Unity's axes; root
        (7,) position and quaternion; time_s since the start. All finite: the caller sees to it."""
        struct.pack_into(">i", self._content, self._status_at, tracking)
        struct.pack_into(">f", self._content, self._time_at, time_s)
        self._words[self._root_words] = root
        self._values[:, :3] = positions
        self._values[:, 3:] = quaternions
        self._words[self._bone_words] = self._values

    def _begin(self) -> int:
        start = len(self._content)
        self._content += _BUNDLE
        return start

    def _message(self, address: str, tags: str, arguments: bytes) -> int:
        """Append one; returns where its arguments begin."""
        data = _text(address) + _text(tags) + arguments
        self._content += struct.pack(">i", len(data))
        start = len(self._content)
        self._content += data
        self._messages.append((start, len(self._content)))
        return len(self._content) - len(arguments)

    def _pose(self, address: str, name: str) -> np.ndarray:
        """Append a message of a name and seven numbers; returns their places (7,) in words."""
        at = self._message(address, _POSE_TAGS, _text(name) + bytes(28))
        return (at + len(_text(name))) // 4 + np.arange(7)
