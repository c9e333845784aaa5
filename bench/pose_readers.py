"""Programs beside a measured stream that read poses, as other people's programs do.

    python -m bench.pose_readers ticks ADDRESS [HZ]     reads the newest pose at render ticks, 60 a second
    python -m bench.pose_readers crowd ADDRESS N        N subscribers that take in every pose

Both run until their standard input closes. `ticks` then says what each tick showed: [[when_ns, frame, age_ms]] as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from types import TracebackType

from realtime import Subscriber
from realtime.messages import PoseMessage

TICKS_PER_S = 60.0
SLICE_S = 0.2
END_S = 20.0
Tick = tuple[int, int, float]  # time.monotonic_ns(), source frame index, age of the pose in ms


class ReaderProcess:
    """`python -m bench.pose_readers ARGUMENTS` for the time of a context; `said` afterwards."""

    def __init__(self, *arguments: str) -> None:
        self._command = [sys.executable, "-m", "bench.pose_readers", *arguments]
        self.said = ""

    def __enter__(self) -> ReaderProcess:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.said, _ = self._process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def ticks(self) -> list[Tick]:
        """What `ticks` said, after its end."""
        return [(int(at_ns), int(frame), float(age_ms)) for at_ns, frame, age_ms in json.loads(self.said)]


def read_at_ticks(address: str, per_second: float, ended: threading.Event) -> list[Tick]:
    """What a renderer would show: the newest pose at each tick, again while there is no newer one."""
    ticks: list[Tick] = []
    due_s = time.monotonic()
    with Subscriber(address) as subscriber:
        while not ended.wait(max(0.0, due_s - time.monotonic())):
            message = subscriber.latest()
            now_ns = time.monotonic_ns()
            if isinstance(message, PoseMessage) and (age_ms := message.age_ms()) is not None:
                ticks.append((now_ns, message.frame, age_ms))
            # a tick that is missed is missed, as on a display
            due_s += max(1, int((time.monotonic() - due_s) * per_second + 1)) / per_second
    return ticks


def take_in_every_pose(address: str, ended: threading.Event) -> None:
    with Subscriber(address, every=True) as subscriber:
        while not ended.is_set():
            subscriber.receive(SLICE_S)


def main() -> int:
    what, address, number = (*sys.argv[1:], str(TICKS_PER_S))[:3]
    ended, ticks = threading.Event(), []
    if what == "ticks":

        def run() -> None:
            ticks.extend(read_at_ticks(address, float(number), ended))

        threads = [threading.Thread(target=run, daemon=True)]
    else:
        threads = [
            threading.Thread(target=take_in_every_pose, args=(address, ended), daemon=True)
            for _ in range(int(number))
        ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    print(json.dumps(ticks), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
