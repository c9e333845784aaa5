"""The log of a soak, read back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.errors import LoadError

Row = dict[str, Any]


@dataclass
class Log:
    """run: how it was made; seconds, faults: in order; end: {} where the soak itself was killed."""

    run: Row
    seconds: list[Row]
    faults: list[Row]
    end: Row

    @property
    def calm(self) -> list[Row]:
        """The seconds in which nothing was done to anybody, nor just before."""
        return [row for row in self.seconds if not row["faults"]]

    @property
    def summary(self) -> dict[str, Any]:
        """The program's own, {} where it left none."""
        text = self.end.get("summary")
        return json.loads(text) if text else {}


def read_log(path: Path) -> Log:
    """Raises LoadError for what is no log of a soak. A last line that was cut is left out."""
    rows: list[Row] = []
    try:
        for line in path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
        log = Log(
            run=next((row for row in rows if row["kind"] == "run"), {}),
            seconds=[row for row in rows if row["kind"] == "second"],
            faults=[row for row in rows if row["kind"] == "fault"],
            end=next((row for row in rows if row["kind"] == "end"), {}),
        )
    except OSError as error:
        raise LoadError(f"{path}: cannot be read ({error.strerror})") from None
    except (KeyError, TypeError, UnicodeDecodeError):
        log = Log({}, [], [], {})
    if not log.run:
        raise LoadError(f"{path}: no log of a soak; python -m bench.soak --log {path} makes one")
    return log
