"""The page's record button: poses from the bus into an .npz, as `run_live.py --record` writes it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from realtime import Subscriber
from realtime.body.smpl import Body
from realtime.child import take_longer
from realtime.errors import ConfigError
from realtime.messages import PoseMessage
from realtime.observation import Estimate, Frame
from realtime.record import Recorder, check_writable_folder, part_path
from realtime.sinks import SINKS
from realtime.version import VERSION

NOMINAL_FPS = 30.0  # said of a recording too short to tell
_NO_IMAGE = np.zeros((0, 0, 3), np.uint8)


class BusRecording:
    """Every pose between `start` and `stop`, not only those that the page shows, into a new file in `folder`.

    A program that is killed meanwhile leaves X.npz.part, which python -m realtime.record makes whole. Nothing here
    raises: `text` says how it went, for people.
    """

    def __init__(self, address: str, folder: Path, body: Body, keys: str | None = None) -> None:
        self.text = ""
        self.frames = 0
        self._address, self._keys = address, keys
        self._folder = folder
        self._body = body
        self._path = folder
        self._since_ns = 0
        self._subscriber: Subscriber | None = None
        self._recorder: Recorder | None = None
        self._of = ("", "")  # body and model of its first pose: one file is of one

    @property
    def active(self) -> bool:
        return self._subscriber is not None

    def start(self) -> None:
        if self.active:
            return
        self._path = _new_path(self._folder)
        try:
            check_writable_folder("record", self._path)
            self._since_ns = time.monotonic_ns()
            self._subscriber = Subscriber(self._address, "pose", every=True, keys=self._keys)
        except ConfigError as error:
            self.text = str(error)
            return
        self.frames = 0
        self.text = "recording: waiting for a pose"

    def poll(self) -> None:
        """Take in what has come; never waits. A stream that will have us no more ends the recording."""
        while self._subscriber is not None:
            try:
                message = self._subscriber.receive(0)
            except ConfigError as error:
                self._end(f"; it ended there: {error}", f"nothing recorded: {error}")
                return
            if not isinstance(message, PoseMessage):
                break
            # The publisher sends the last pose again to whoever joins: it is from before.
            if not (message.is_local() and message.t_publish_ns < self._since_ns):
                self._take(message)

    def stop(self) -> None:
        """Take in what has come, and make the file whole. May be called twice."""
        self.poll()
        if self.active:
            self._end("")

    def _take(self, message: PoseMessage) -> None:
        recorder = self._recorder or self._begin(message)
        if recorder is None:
            return
        if (message.body, message.model) != self._of:
            self._end("; it ended there: the stream went on with another body or model")
            return
        stamp = message.t_capture_ns
        recorder.append(
            Frame(_NO_IMAGE, message.frame, stamp, stamp, self._address),
            Estimate(
                message.theta,
                message.trans,
                message.joints,
                message.ahead,
                message.state,
                message.score,
                message.person,
            ),
        )
        if recorder.error is not None:
            self._end("")
            return
        self.frames += 1
        self.text = f"recording {self._path}: {_frames(self.frames)}"

    def _begin(self, message: PoseMessage) -> Recorder | None:
        if message.body != self._body.id:
            self._refuse(
                f"not recorded: the stream's body is {message.body}, the page's {self._body.id}; "
                "start the sink with body=FILE, the same as --body"
            )
            return None
        self._of = (message.body, message.model)
        constants = {
            "body": message.body,
            "model": message.model,
            "source": self._address,
            "hmmr_live": VERSION,
        }
        try:
            self._recorder = Recorder(self._path, NOMINAL_FPS, constants, self._body.J_template[0])
            # Should the live program end while there is something to be made whole.
            take_longer(SINKS["web"].finish_s, self._path)
        except ConfigError as error:
            self._refuse(str(error))
        return self._recorder

    def _refuse(self, why: str) -> None:
        self._close_subscriber()
        self.text = why

    def _end(self, why: str, nothing: str = "nothing recorded: no pose came") -> None:
        lost = self._close_subscriber()
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            self.text = nothing
            return
        recorder.close()
        take_longer(0.0)
        if recorder.error is not None:
            self.text = recorder.error
            return
        missing = f" ({lost} lost on the way)" if lost else ""
        self.text = f"{recorder.made}: {_frames(self.frames)}{missing}{why}"

    def _close_subscriber(self) -> int:
        """Returns how many poses the stream sent and we did not get."""
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is None:
            return 0
        subscriber.close()
        return subscriber.missed


def _new_path(folder: Path) -> Path:
    """Neither it nor its .part exists."""
    stem = time.strftime("hmmr-%Y%m%d-%H%M%S")
    path, number = folder / f"{stem}.npz", 0
    while path.exists() or part_path(path).exists():
        number += 1
        path = folder / f"{stem}-{number}.npz"
    return path


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
