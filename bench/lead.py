"""What leading the pose costs the live loop, and who shows it, per frame.

    python -m bench.lead [--rounds 2000] [--json out.json]

Each line is timed by itself, on somebody who moves all joints, in turns with the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.interleave import in_turns_us
from bench.table import print_table
from realtime.config import Config
from realtime.lead import Leader
from realtime.lead_time import LeadTime
from realtime.messages import PoseMessage, decode, encode_pose
from realtime.observation import Estimate
from realtime.summary import Tally

FPS = 30.0
WARM = 60
LEAD_MS, HORIZON_MS = 45.0, 166.7
TARGET_US = 200.0  # of the loop's share
LAW, HOW_FAR = "how the body goes on (Leader)", "how far to lead (LeadTime)"


class Motion:
    """All joints swing, each in its own way; where they go on to is known."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._base, self._swing = rng.normal(0, 0.4, 72), rng.normal(0, 0.3, 72)
        self._rate, self._phase = rng.uniform(2, 6, 72), rng.uniform(0, 6, 72)

    def estimate(self, t_s: float) -> Estimate:
        theta = np.zeros(85, np.float32)
        theta[3:75] = self._pose(t_s)
        joints = (0.3 * np.sin(t_s * self._rate + self._phase)).reshape(24, 3).astype(np.float32)
        trans = np.array([np.sin(t_s), 0.2, 3.0], np.float32)
        ahead = ((HORIZON_MS, self._pose(t_s + HORIZON_MS / 1e3)),)
        return Estimate(theta, trans, joints, ahead, "tracking", 1.0, 1)

    def _pose(self, t_s: float) -> np.ndarray:
        return (self._base + self._swing * np.sin(t_s * self._rate + self._phase)).astype(np.float32)


def steps() -> dict[str, Callable[[int], object]]:
    """What is timed: called with a counter."""
    motion, leader, tally = Motion(), Leader(), Tally()
    for _ in range(1000):
        tally.stages["arrival_to_publish"].add(15.0)
    lead_time = LeadTime(Config(), "bench", tally, HORIZON_MS)
    for turn in range(WARM):  # until all is dared
        estimate = motion.estimate(turn / FPS)
        led = leader.lead(round(turn / FPS * 1e9), estimate, LEAD_MS)

    def law(turn: int) -> object:
        t_s = (WARM + turn) / FPS
        return leader.lead(round(t_s * 1e9), motion.estimate(t_s), LEAD_MS)

    def message(lead: bool) -> PoseMessage:
        fields = {"seq": 1, "frame": 1, "t_capture_ns": 1, "body": "bench", "model": "bench"}
        return PoseMessage.from_estimate(estimate, lead=led if lead else None, **fields)  # type: ignore[arg-type]

    sent = {lead: encode_pose(message(lead)) for lead in (False, True)}
    received = decode(sent[True])
    assert isinstance(received, PoseMessage)
    return {
        HOW_FAR: lambda turn: lead_time.next_ms(round(turn / FPS * 1e9), led=True),
        LAW: law,
        "   of it the motion made up here": lambda turn: motion.estimate(turn / FPS),
        "message made and encoded, without": lambda _: encode_pose(message(False)),
        "message made and encoded, with": lambda _: encode_pose(message(True)),
        "message decoded, without": lambda _: decode(sent[False]),
        "message decoded, with": lambda _: decode(sent[True]),
        "a receiver's own delay (pose_at)": lambda _: received.pose_at(100.0),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.lead", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    results = in_turns_us(steps(), options.rounds)
    far, law, made, without, with_lead, *_ = results.values()
    results["all that the loop does for it"] = {
        key: far[key] + law[key] - made[key] + with_lead[key] - without[key] for key in ("min", "p50")
    }
    rows = [
        (
            name,
            *(f"{result[key]:.1f}" if key in result else "" for key in ("min", "p50", "p99")),
            f"< {TARGET_US:g}" if name.startswith("all") else "",
        )
        for name, result in results.items()
    ]
    print_table(("microseconds per frame", "least", "p50", "p99", "target"), rows)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
