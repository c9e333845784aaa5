"""A .bvh by the book, for the tests: joints of every frame, each channel applied in the order in which it is listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation


class Bvh:
    """names, parents, offsets (J, 3), channels per joint, ends {name: (3,)}, frame_time, frames (T, numbers)."""

    def __init__(self, path: Path) -> None:
        hierarchy, motion = path.read_text("ascii").split("MOTION\n")
        self.names: list[str] = []
        self.parents: list[int] = []
        self.channels: list[list[str]] = []
        self.ends: dict[str, list[float]] = {}
        offsets: list[list[float]] = []
        open_nodes: list[int | None] = []  # None: an end site
        for line in hierarchy.splitlines()[1:]:
            word, *rest = line.split()
            if word in ("ROOT", "JOINT"):
                self.names.append(rest[0])
                self.parents.append(-1 if not open_nodes else int(open_nodes[-1] or 0))
                open_nodes.append(len(self.names) - 1)
            elif word == "End":
                open_nodes.append(None)
            elif word == "OFFSET":
                numbers = [float(text) for text in rest]
                if open_nodes[-1] is None:
                    self.ends[self.names[int(open_nodes[-2] or 0)]] = numbers
                else:
                    offsets.append(numbers)
            elif word == "CHANNELS":
                self.channels.append(rest[1:])
                assert int(rest[0]) == len(rest) - 1
            elif word == "}":
                open_nodes.pop()
            else:
                assert word == "{", line
        assert not open_nodes
        self.offsets = np.array(offsets)
        count, time, *lines = motion.splitlines()
        self.frame_time = float(time.removeprefix("Frame Time:"))
        self.frames = np.array([[float(text) for text in line.split()] for line in lines])
        assert len(self.frames) == int(count.removeprefix("Frames:"))
        assert self.frames.shape[1] == sum(map(len, self.channels))

    def joints(self) -> np.ndarray:
        """(T, J, 3) in the file's units."""
        places, turns = [], []
        column = 0
        for parent, offset, channels in zip(self.parents, self.offsets, self.channels, strict=True):
            shift, turn = np.tile(offset, (len(self.frames), 1)), Rotation.identity(len(self.frames))
            for channel in channels:
                axis = "XYZ".index(channel[0])
                if channel.endswith("position"):
                    shift[:, axis] += self.frames[:, column]
                else:
                    about = np.radians(self.frames[:, column : column + 1]) * np.eye(3)[axis]
                    turn = turn * Rotation.from_rotvec(about)
                column += 1
            if parent < 0:
                places.append(shift)
                turns.append(turn)
            else:
                places.append(places[parent] + turns[parent].apply(shift))
                turns.append(turns[parent] * turn)
        return np.stack(places, axis=1)
