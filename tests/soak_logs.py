"""The log of a soak in which all is well, to break, and what is said of it."""

import json
import random

from bench.soak.log import Log
from bench.soak.verdicts import judge

SECONDS = 1800


def write_good(seconds: int = SECONDS) -> dict[str, list[dict]]:
    """Rows of a run in which all is well: two camera faults, one kill of the sink; by kind."""
    rng = random.Random(1)
    faults = [
        {
            "name": "camera stalled",
            "begin_s": 100.0,
            "end_s": 102.0,
            "recovered_s": 103.5,
            "first_age_ms": 17.0,
        },
        {"name": "sink killed", "begin_s": 200.2, "end_s": 201.2, "recovered_s": 202.0, "first_age_ms": None},
        {"name": "camera cut", "begin_s": 300.0, "end_s": 303.0, "recovered_s": 306.5, "first_age_ms": 20.0},
    ]
    rows = []
    for t in range(seconds):
        disturbed = any(fault["begin_s"] < t + 1 and fault["recovered_s"] + 3 > t for fault in faults)
        published = 30 * (t + 1)
        rows.append(
            {
                "kind": "second",
                "t": t,
                "faults": ["x"] if disturbed else [],
                "taken": 30,
                "fps": 30,
                "ages_ms": [16 + 8 * rng.random() ** 4 for _ in range(30)],
                "p99_ms": 20.0,
                "p50_ms": 17.0,
                "rss_mb": {"program": 300 + 0.2 * rng.random(), "jsonl": 60.0, "vmc": 70.0},
                "pids": {"program": 1, "jsonl": 2 if t < 201 else 4, "vmc": 3},
                "status": {
                    "captured": published + 8,
                    "published": published,
                    "reconnects": 2 if t > 304 else t > 102,
                    "drops": {"replaced_by_newer": 7, "invalid": 0},
                    "children": {"jsonl": "running", "vmc": "running"},
                },
            }
        )
    published = 30 * seconds
    summary = {
        "frames": {
            "captured": published + 8,
            "published": published,
            "drop_reasons": {"replaced_by_newer": 7, "invalid": 0, "unread_at_the_end": 1},
        },
        "engine": {"delay": 0},
        "latency_ms": {
            "perception": {"p50": 12.0},
            "look_ahead": {"p50": None},
            "features_to_sent": {"p50": 3.0},
        },
    }
    return {
        "run": [
            {
                "seconds": seconds,
                "fps": 30.0,
                "seed": 1,
                "flags": [],
                "victim": "jsonl",
                "sinks": ["jsonl", "vmc"],
                "planned": [{}] * len(faults),
                "machine": {"cpus": 2, "load_1min": 0.1, "system": "here"},
            }
        ],
        "second": rows,
        "fault": faults,
        "end": [
            {
                "early": "",
                "signal": "SIGTERM",
                "exit_code": 0,
                "took_s": 1.0,
                "said": "",
                "summary": json.dumps(summary),
                "recordings": [{"name": "soak.npz", "frames": published, "error": ""}],
                "left_behind": [],
                "received": published - 2,
                "first_seq": 2,
                "listener": {"missed": 0, "bad": 0, "restarts": 0},
            }
        ],
    }


GOOD = json.dumps(write_good())


def fresh() -> dict[str, list[dict]]:
    return json.loads(GOOD)


def log_of(rows: dict[str, list[dict]]) -> Log:
    return Log(rows["run"][0], rows["second"], rows["fault"], rows["end"][0] if rows["end"] else {})


def words(rows: dict[str, list[dict]]) -> dict[str, str]:
    return {verdict.name: verdict.word for verdict in judge(log_of(rows))}


def failed(rows: dict[str, list[dict]]) -> list[str]:
    return [name for name, word in words(rows).items() if word == "FAILED"]
