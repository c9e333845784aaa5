"""Recordings as files: what `--record` makes, `realtime.replay` plays and `realtime.convert` turns into one another.

    .mcap       the bus itself, every message with its stamps                  mcap_file.py, bus_recorder.py
    .npz        one row per frame, camera frame                                realtime/record_file.py, npz.py
    .amass.npz  the same at a steady rate in a Z-up world, as AMASS's files    npz.py
    .bvh        a skeleton that moves                                          bvh.py
    .glb        the skinned body and its motion                                glb.py

docs/recording.md says what is in them. All but .mcap are made of `Rows` (record_file.py); the last three of a
`Steady` motion (steady.py).
"""

from __future__ import annotations

from pathlib import Path

# Longest first: .amass.npz is an .npz, too.
KINDS = (".amass.npz", ".npz", ".mcap", ".bvh", ".glb")


def kind_of(path: Path) -> str:
    """One of KINDS; "" for every other name. X.npz.part, a recording that was not finished, counts as X.npz."""
    name = path.name.lower()
    name = name.removesuffix(".part")
    return next((kind for kind in KINDS if name.endswith(kind) and name != kind), "")
