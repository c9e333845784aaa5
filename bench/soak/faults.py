"""Carries the planned faults out, at a camera, subscribers, a sink and beside the program; keeps when each was."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import psutil

from bench.bus_peers import Fault, Peer
from bench.soak.camera import Camera
from bench.soak.children import Children
from bench.soak.schedule import Planned

LASTING = ("camera stalled", "camera cut", "sink killed")
READERS = 3  # subscribers that are killed and stopped in turn
# Kept short, whatever becomes of us.
HOG = "import time; until = time.monotonic() + 60\nwhile time.monotonic() < until: pass"


@dataclass
class Injected:
    """One fault that was or is: seconds since the first pose. recovered_s: when the program was over it, None while it
    is not. first_age_ms: of a camera's fault, how old the first pose after it was when it arrived."""

    name: str
    begin_s: float
    end_s: float | None = None
    recovered_s: float | None = None
    first_age_ms: float | None = None


def close(*peers: Peer) -> None:
    for peer in peers:
        peer.close()


class Faults:
    """`turn` often. `injected` is what happened so far; when the program was over LASTING faults, who watches it
    says."""

    def __init__(
        self, planned: Sequence[Planned], acts: dict[str, Fault], now_s: Callable[[], float]
    ) -> None:
        self._waiting = sorted(planned, key=lambda one: one.at_s)
        self._acts = acts
        self._now_s = now_s
        self._present: list[tuple[Injected, Planned]] = []
        self.injected: list[Injected] = []

    def turn(self) -> None:
        while self._waiting and self._waiting[0].at_s <= self._now_s():
            planned = self._waiting.pop(0)
            fault = Injected(planned.kind, round(self._now_s(), 3))
            self._acts[planned.kind].on()
            self._present.append((fault, planned))
            self.injected.append(fault)
        for fault, planned in list(self._present):
            if self._now_s() >= fault.begin_s + planned.seconds:
                self._end(fault, planned)

    def end(self) -> None:
        """All that are still present, and none any more."""
        self._waiting.clear()
        for fault, planned in list(self._present):
            self._end(fault, planned)

    def _end(self, fault: Injected, planned: Planned) -> None:
        self._present.remove((fault, planned))
        fault.end_s = round(self._now_s(), 3)  # before it ends: what comes after is after it
        self._acts[fault.name].off()
        if fault.name not in LASTING:
            fault.recovered_s = round(self._now_s(), 3)


@contextlib.contextmanager
def acts(
    address: str, camera: Camera, children: Children, sink: str, kinds: Collection[str], seed: int
) -> Iterator[dict[str, Fault]]:
    """How each of `kinds` is done: kind → Fault. address: the bus; sink: which of the program's children is killed."""
    rng = random.Random(seed)
    with contextlib.ExitStack() as stack:
        readers = [Peer("reader", address) for _ in range(READERS)]
        stack.callback(lambda: close(*readers))
        for reader in readers:
            reader.say("on")
        chosen: dict[str, Peer] = {}

        def choose() -> Peer:
            return rng.choice([reader for reader in readers if reader not in chosen.values()])

        def kill() -> None:
            chosen["killed"] = choose()
            chosen["killed"].close()

        def replace() -> None:
            readers.remove(chosen.pop("killed"))
            join()

        def join() -> None:
            readers.append(Peer("reader", address))
            readers[-1].say("on")

        def leave() -> None:
            readers.pop().close()

        def stop() -> None:
            chosen["stopped"] = choose()
            chosen["stopped"].stop()

        def go_on() -> None:
            chosen.pop("stopped").go_on()

        def kill_sink() -> None:
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended by itself, which will be seen
                children.named(sink).send_signal(signal.SIGKILL)

        hog = _Hog()
        stack.callback(hog.off)
        done = [
            Fault("camera stalled", lambda: camera.say("stall"), lambda: camera.say("on")),
            Fault("camera cut", lambda: camera.say("cut"), lambda: camera.say("on")),
            Fault("subscriber killed", kill, replace),
            Fault("subscriber stopped", stop, go_on),
            Fault("subscriber joins", join, leave),
            Fault("sink killed", kill_sink, lambda: None),
            Fault("hog", hog.on, hog.off),
        ]
        if "garbage on the port" in kinds:
            garbage = Peer("garbage", address)
            stack.callback(garbage.close)
            done.append(Fault("garbage on the port", lambda: garbage.say("on"), lambda: garbage.say("off")))
        yield {fault.name: fault for fault in done if fault.name in kinds}


class _Hog:
    """One core kept busy."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def on(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", HOG], start_new_session=True)

    def off(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
