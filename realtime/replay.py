"""A recording of the bus, back onto the bus.

    python -m realtime.replay X.mcap [--bus tcp://127.0.0.1:5555] [--speed 2 | --step] [--loop] [--wait]

Whoever listens gets the poses, pictures and status messages of the recording, at its own pace, faster or slower, or one
pose for each Enter. All that was seen is as it was: theta, joints, trans, frame, state … The stamps are new, for a
receiver tells by them how old a picture is: `t_capture_ns` and `t_publish_ns` are moved to now with the intervals
between them kept (divided by the speed), `clock` is this host's, `seq` counts anew. What they were stands under the key
`replay` of every pose and picture, and the status names the camera "replay of X.mcap": nobody need take it for live.

Also replays X.mcap.part, and files that were cut anywhere: all whole messages.
"""

from __future__ import annotations

import argparse
import math
import queue
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from realtime.bus.publisher import Publisher
from realtime.bus.status import StatusSender
from realtime.bus.subscriber import DEFAULT_ADDRESS
from realtime.child import run
from realtime.clock import clock_id
from realtime.config import BusConfig
from realtime.errors import ConfigError
from realtime.files import kind_of
from realtime.files.mcap_file import CLIP, BusRecording, topic_of
from realtime.key_files import COMMAND
from realtime.message_types import STATUS_GROUPS
from realtime.messages import TOPICS, MessageError, StatusMessage, decode
from realtime.record_file import RecordError
from realtime.version import versions
from realtime.wire import pack, unpack

TURN_S = 0.005  # how long the bus may wait for us between two messages
LONGEST_GAP_S = (
    60.0  # of silence in a recording; a longer one (the machine slept, a stamp is damaged) is cut to this
)
FASTEST = 1000.0


class Replay:
    """Plays one recording onto `publisher`. Raises ConfigError: no recording, or no pose in it.

    speed: how many recorded seconds pass in one. step: a queue that gives one item per pose to be sent, None to end.
    """

    def __init__(
        self, path: Path, publisher: Publisher, speed: float = 1.0, step: queue.SimpleQueue[Any] | None = None
    ) -> None:
        try:
            self._recording = BusRecording(path)
            self.poses = sum(data.startswith(TOPICS["pose"]) for data in self._recording)
        except RecordError as error:
            raise ConfigError(str(error)) from None
        if not self.poses:
            raise ConfigError(f"{path}: no pose is in it; record one with --record X.mcap")
        self.whole = self._recording.whole
        self.sent = 0  # poses
        self.damaged = 0  # messages that were left out
        self._publisher = publisher
        self._speed = speed
        self._step = step
        self._status = StatusSender(publisher)
        self._recorded_status: StatusMessage | None = None
        self._state, self._ended = "lost", False
        self._seq = dict.fromkeys(TOPICS, 0)
        self._t_ns: int | None = None  # the moment of the recording that is being played …
        self._now_ns = 0.0  # … and when it is played, on this host's clock

    def play(self) -> bool:
        """Once, from the beginning. False where who steps wants no more."""
        self._t_ns, self.damaged = None, 0
        for data in self._recording:
            try:
                message = decode(data)
            except MessageError:
                self.damaged += 1
                continue
            if isinstance(message, StatusMessage):
                self._wait_for(message.t_publish_ns if self._recording.time_line != CLIP else None)
                self._recorded_status = message
                self._serve()
                continue
            stamp_ns = message.t_capture_ns if self._recording.time_line == CLIP else message.t_publish_ns
            if topic_of(data) == "pose" and not self._stepped():
                return False
            self._wait_for(stamp_ns)
            self._state = message.state
            self._publish(data, stamp_ns)
            self._serve()
        return True

    def finish(self) -> None:
        """Tell that it is over."""
        self._ended = True
        while not self._status.offer(self._key(), self._status_fields):
            time.sleep(TURN_S)

    def _wait_for(self, stamp_ns: int | None) -> None:
        """Until it is time for what was sent at `stamp_ns`; None: at once."""
        if self._t_ns is None or self._step is not None:
            self._t_ns, self._now_ns = stamp_ns if stamp_ns is not None else self._t_ns, time.monotonic_ns()
            return
        if stamp_ns is None:
            return
        gap_ns = min(max(stamp_ns - self._t_ns, 0), LONGEST_GAP_S * 1e9)
        self._t_ns, self._now_ns = stamp_ns, self._now_ns + gap_ns / self._speed
        while (left_ns := self._now_ns - time.monotonic_ns()) > 0:
            self._serve()
            time.sleep(min(TURN_S, left_ns / 1e9))

    def _stepped(self) -> bool:
        """Wait for the word, where poses go one by one."""
        while self._step is not None:
            try:
                return self._step.get(timeout=TURN_S) is not None
            except queue.Empty:
                self._serve()
        return True

    def _publish(self, data: bytes, stamp_ns: int) -> None:
        topic = topic_of(data)
        fields = unpack(TOPICS[topic], data)
        original = {key: fields[key] for key in ("seq", "t_capture_ns", "t_publish_ns", "clock")}
        since_capture_ns = (stamp_ns - fields["t_capture_ns"]) / self._speed
        fields.update(
            seq=self._seq[topic],
            t_capture_ns=max(0, round(self._now_ns - since_capture_ns)),
            t_publish_ns=time.monotonic_ns(),
            clock=clock_id(),
            replay=original,
        )
        self._publisher.publish(pack(TOPICS[topic], fields))
        self._seq[topic] += 1
        self.sent += topic == "pose"

    def _serve(self) -> None:
        self._publisher.poll()
        self._status.offer(self._key(), self._status_fields)

    def _key(self) -> tuple[object, ...]:
        recorded = None if self._recorded_status is None else self._recorded_status.seq
        return self._state, recorded, self._ended

    def _status_fields(self) -> dict[str, Any]:
        """The recorded status, but for what is of now: who listens, and that this is a replay."""
        name, recorded = f"replay of {self._recording.path.name}", self._recorded_status
        groups = {} if recorded is None else {group: getattr(recorded, group) for group in STATUS_GROUPS}
        for of_now in ("subscribers", "bus"):
            groups.pop(of_now, None)
        camera = {"state": "live", **groups.get("camera", {}), "name": name}
        if self._ended:
            camera["state"] = "ended"
        pace = "step by step" if self._step is not None else f"at {self._speed:g} times its pace"
        notes = [f"{name}, {pace}", *([] if recorded is None else recorded.notes[-200:])]
        return {
            "versions": versions(),
            **groups,
            "children": {},
            "camera": camera,
            "state": self._state,
            "notes": notes,
        }


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see python -m realtime.replay --help")


def _speed(text: str) -> float:
    value = float(text)
    if not 1 / FASTEST <= value <= FASTEST or math.isnan(value):
        raise argparse.ArgumentTypeError(f"expected {1 / FASTEST:g} to {FASTEST:g}")
    return value


_speed.__name__ = "number"  # argparse: "invalid number value: 'x'"


def main(argv: Sequence[str] | None = None) -> int:
    parser = _Parser(
        prog="python -m realtime.replay", description="Play a recording of the bus (.mcap) back onto the bus."
    )
    parser.add_argument("recording", type=Path, metavar="X.mcap")
    parser.add_argument("--bus", default=DEFAULT_ADDRESS, metavar="ADDRESS", help="default %(default)s")
    parser.add_argument(
        "--keys",
        default="",
        metavar="FOLDER",
        help=f"of the stream's keys ({COMMAND} makes them), as bus.keys",
    )
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=_speed, default=1.0, metavar="S", help="2 is twice as fast; default 1")
    pace.add_argument("--step", action="store_true", help="one pose for each Enter")
    parser.add_argument("--loop", action="store_true", help="from the beginning again, until Ctrl-C")
    parser.add_argument("--wait", action="store_true", help="begin when somebody subscribes to poses")
    flags = parser.parse_args(argv)
    path: Path = flags.recording
    if kind_of(path) in (".npz", ".amass.npz"):
        raise ConfigError(f"{path}: first make an .mcap of it: python -m realtime.convert {path} X.mcap")
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    with Publisher(flags.bus, BusConfig(keys=flags.keys)) as publisher:
        replay = Replay(path, publisher, flags.speed, _enters() if flags.step else None)
        print(f"replay of {path}: {replay.poses} poses, on {publisher.address}", flush=True)
        while flags.wait and not publisher.wants("pose"):
            publisher.poll()
            time.sleep(TURN_S)
        sent = -1
        # A round in which every pose was damaged is the last.
        while replay.sent > sent:
            sent = replay.sent
            if not replay.play() or not flags.loop:
                break
        replay.finish()
    damaged = f"; {replay.damaged} damaged messages were left out" if replay.damaged else ""
    cut = (
        "" if replay.whole else "; the file was not finished: python -m realtime.record X.mcap.part does that"
    )
    print(f"{replay.sent} poses sent{damaged}{cut}")
    return 0


def _enters() -> queue.SimpleQueue[Any]:
    """One item per line of standard input, then None."""
    enters: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            enters.put(line)
        enters.put(None)

    threading.Thread(target=read, name="enter", daemon=True).start()
    return enters


if __name__ == "__main__":
    sys.exit(run(main))
