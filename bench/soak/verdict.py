"""One line of what a soak asserts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """passed: None where the run is too short to tell. note: one line on how it was found, or
    what is wrong."""

    name: str
    measured: str
    asked: str
    passed: bool | None
    note: str = ""

    @property
    def word(self) -> str:
        return {True: "ok", False: "FAILED", None: "not significant"}[self.passed]
