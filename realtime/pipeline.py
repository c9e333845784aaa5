"""The live loop: newest frame → observation → estimate → message → bus; everything else comes after that.

One thread; the source reads in its own. A turn takes at most TURN_S where no frame comes, so the bus is
served and the status goes out also while a camera is silent.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import engines
from realtime.body.smpl import load_body
from realtime.bus.publisher import Publisher
from realtime.camera import open_feed
from realtime.config import Config
from realtime.estimator import LONGEST_GAP_S, Estimator
from realtime.files import kind_of
from realtime.lead import Leader, Led
from realtime.lead_time import LeadTime
from realtime.messages import MessageError, PoseMessage, encode_pose
from realtime.observation import Estimate, Frame, Observation
from realtime.perception import check_appearance, in_short, make_perception
from realtime.perception.tracking import Tracker
from realtime.pictures import PictureSender
from realtime.record import Recorder
from realtime.report import Report
from realtime.sinks import fills_stdout, joins_at_once
from realtime.smoothing import Smoother
from realtime.stop import StopRequest
from realtime.summary import Stamps, Summary, Tally
from realtime.supervisor import Supervisor
from realtime.terminal import Terminal
from realtime.trace import Trace
from realtime.version import VERSION
from realtime.view import View

if TYPE_CHECKING:
    from realtime.files.bus_recorder import BusRecorder

TURN_S = 0.05
SINKS_JOIN_S = 5.0  # with --every-frame, the longest wait for the sinks

log = logging.getLogger(__name__)


def run(config: Config) -> Summary:
    """Open everything, stream until the source ends, a limit is reached or a signal comes, close everything.

    Raises the HmmrLiveError of what cannot be opened, KeyboardInterrupt for a signal while loading. Whatever
    happens, what was recorded until then is made complete.
    """
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        terminal = stack.enter_context(Terminal(config.debug, any(map(fills_stdout, config.sinks))))
        stream = Stream(config, stack)
        report = Report(stream, terminal)
        report.greet()
        stop.loading = False
        ended_by = stream.loop(stop, report)
        stream.finish_recordings()
        stream.view.feed.close()  # what nobody read is counted
        summary = report.summary(ended_by)
    for line in summary.lines():
        terminal.say(line)
    if config.summary:
        try:
            summary.write(Path(config.summary))
        except OSError as error:
            log.error("--summary %s could not be written (%s)", config.summary, error.strerror)
        else:
            terminal.say(f"written: {config.summary}")
    if stream.trace is not None and stream.trace.is_written:
        terminal.say(f"written: {config.trace}")
    return summary


@dataclass(frozen=True, slots=True)
class Taken:
    """A frame that the estimator has taken in and not yet given out: at most as many as the model looks ahead."""

    frame: Frame
    observation: Observation
    perception_start_ns: int
    perception_end_ns: int
    perception_own_ns: int | None


class Stream:
    """The stages of one run and the loop over them."""

    def __init__(self, config: Config, stack: ExitStack) -> None:
        """Opens the stages; each goes onto `stack`, to be closed in the opposite order.

        Raises LoadError, then SourceError, then ConfigError, in the order in which they are best mended.
        """
        feed = open_feed(config)
        self.config = config
        self.body = load_body(config.body)
        runtime = config.runtime
        self.engine = engines.load(
            config.model, config.engine, runtime.precision, runtime.threads, runtime.form
        )
        stack.callback(self.engine.close)
        self.estimator = Estimator(self.engine, self.body, config)
        self.smoother = Smoother(self.body, config.smoothing)
        self.view = View(feed, make_perception(config, feed.expected_fps), Tracker(config.perception))
        stack.callback(self.view.close)
        check_appearance(self.view.perception, self.engine)
        self.tally = Tally()
        self.lead_time = LeadTime(config, feed.name, self.tally, self.estimator.furthest_ms)
        self.leader = Leader()
        feed.start()
        self.publisher = stack.enter_context(Publisher(config.bus_address, config.bus))
        connect = self.publisher.local_address, self.publisher.local_keys
        self.supervisor = stack.enter_context(Supervisor(config, *connect))
        recorded = any(kind_of(Path(path)) == ".mcap" for path in config.record)
        self.pictures = PictureSender(self.publisher, config.bus, recorded and config.recording.image)
        self.recorders: list[Recorder | BusRecorder] = []
        stack.callback(self.finish_recordings)
        for path in config.record:
            self._record(Path(path))
        self.trace: Trace | None = None
        if config.trace:
            self.trace = stack.enter_context(Trace(Path(config.trace), feed))
        self.taken: deque[Taken] = deque()
        self.processed = 0
        self.invalid = 0  # frames whose numbers may not go out
        self.estimate: Estimate | None = None  # the last one published
        self.started_ns = time.monotonic_ns()

    def loop(self, stop: StopRequest, report: Report) -> str:
        """The live loop. Returns what ended it."""
        self._wait_for_sinks(stop)
        while not (ended_by := self._ended_by(stop)):
            self.publisher.poll()
            self.supervisor.poll()
            report.turn()
            seen = self.view.next(TURN_S)
            if seen is None:
                self._end_silence()
                continue
            frame, observation = seen
            height, width = frame.image.shape[:2]
            self.lead_time.check_mode(width, height)
            self._take(frame, observation)
            estimate = self.estimator.update(frame.t_capture_ns, observation)
            self.processed += 1
            if estimate is not None:  # else: the model looks ahead
                self._give(estimate, self.view.perception_end_ns)
        self._give_rest()
        report.turn()
        return ended_by

    def _take(self, frame: Frame, observation: Observation) -> None:
        view = self.view
        own_ns = getattr(view.perception, "own_time_ns", None)
        self.taken.append(Taken(frame, observation, view.perception_start_ns, view.perception_end_ns, own_ns))

    def _give(self, estimate: Estimate, complete_ns: int) -> None:
        """Send the estimate of the oldest frame taken in. complete_ns: when nothing more was to be waited for."""
        taken = self.taken.popleft()
        estimate = self.smoother.smooth(taken.frame.t_capture_ns, estimate)
        estimated_ns = time.monotonic_ns()
        sent_ns = self._publish(taken.frame, estimate)
        if sent_ns is None:
            return
        self._count(taken, estimate, complete_ns, estimated_ns, sent_ns)
        for recorder in self.recorders:
            if isinstance(recorder, Recorder):
                recorder.append(taken.frame, estimate)
        self.pictures.offer(taken.frame, taken.observation, estimate.state)

    def _give_rest(self) -> None:
        complete_ns = time.monotonic_ns()
        for estimate in self.estimator.finish():
            self._give(estimate, complete_ns)

    def _end_silence(self) -> None:
        """Where a camera falls silent, the frames whose look-ahead does not come are not kept back any longer."""
        if self.taken and time.monotonic_ns() - self.taken[-1].frame.t_arrival_ns > LONGEST_GAP_S * 1e9:
            self._give_rest()

    def _wait_for_sinks(self, stop: StopRequest) -> None:
        """Let the sinks join before every frame of a file is sent past them. Live, nothing waits for anybody."""
        expected = sum(map(joins_at_once, self.config.sinks))
        deadline = time.monotonic() + SINKS_JOIN_S
        while (
            self.config.every_frame
            and self.publisher.subscribers["pose"] < expected
            and time.monotonic() < deadline
            and not stop.requested
        ):
            time.sleep(TURN_S / 5)
            self.publisher.poll()

    def _ended_by(self, stop: StopRequest) -> str:
        config = self.config
        if stop.requested:
            return stop.requested
        if config.frames and self.processed >= config.frames:
            return "--frames"
        if config.duration and time.monotonic_ns() - self.started_ns >= config.duration * 1e9:
            return "--duration"
        return "end of the source" if self.view.feed.ended else ""

    def _publish(self, frame: Frame, estimate: Estimate) -> int | None:
        """When it was handed to the bus, by time.monotonic_ns(); None where its numbers may not go out."""
        try:
            message = PoseMessage.from_estimate(
                estimate,
                seq=self.tally.published,
                frame=frame.index,
                t_capture_ns=frame.t_capture_ns,
                body=self.body.id,
                model=self.engine.model_id,
                lead=self._led(frame, estimate),
            )
            data = encode_pose(message)
        except MessageError as error:
            if not self.invalid:  # once; the status message counts
                log.warning("frame %d not published: %s", frame.index, error)
            self.invalid += 1
            if self.trace is not None:
                self.trace.drop(frame.index, "invalid")
            return None
        sent_ns = time.monotonic_ns()  # not after it: on two cores a subscriber may have it before we go on
        self.publisher.publish(data)
        return sent_ns

    def _led(self, frame: Frame, estimate: Estimate) -> Led | None:
        """Beside the estimate, the pose to show; None where none is led, or nobody is tracked."""
        is_tracking = estimate.state == "tracking"
        lead_ms = self.lead_time.next_ms(frame.t_capture_ns, is_tracking or self.leader.confidence > 0)
        if lead_ms is None:
            return None
        led = self.leader.lead(frame.t_capture_ns, estimate, lead_ms)
        return led if is_tracking or led.confidence > 0 else None

    def _count(
        self, taken: Taken, estimate: Estimate, complete_ns: int, estimated_ns: int, sent_ns: int
    ) -> None:
        self.estimate = estimate
        stamps = Stamps(
            exposure_ns=taken.frame.t_exposure_ns,
            arrival_ns=taken.frame.t_arrival_ns,
            perception_start_ns=taken.perception_start_ns,
            perception_end_ns=taken.perception_end_ns,
            perception_own_ns=taken.perception_own_ns,
            complete_ns=complete_ns,
            engine_start_ns=estimate.engine_ns[0] if estimate.engine_ns else None,
            engine_end_ns=estimate.engine_ns[1] if estimate.engine_ns else None,
            estimated_ns=estimated_ns,
            sent_ns=sent_ns,
        )
        self.tally.add(stamps, estimate.state)
        if self.trace is not None:
            self.trace.add(taken.frame.index, estimate.state, stamps)

    @property
    def state(self) -> str:
        """Of the person: tracking | warming | held | lost."""
        return self.estimate.state if self.estimate is not None else "lost"

    def finish_recordings(self) -> None:
        """Make the files complete; may be called twice."""
        for recorder in self.recorders:
            recorder.close()

    def _record(self, path: Path) -> None:
        constants = {
            "body": self.body.id,
            "model": self.engine.model_id,
            "perception": in_short(self.view.perception),
            "source": self.view.feed.name,
            "hmmr_live": VERSION,
        }
        camera = self.config.camera
        for key, angle_deg in (("camera_pitch_deg", camera.pitch_deg), ("camera_roll_deg", camera.roll_deg)):
            if angle_deg is not None:
                constants[key] = f"{angle_deg:g}"
        if kind_of(path) == ".mcap":
            from realtime.files.bus_recorder import BusRecorder  # the package is wanted for that alone

            whole_bus = BusRecorder(path, constants, clip_time=self.config.every_frame)
            self.publisher.listeners.append(whole_bus.offer)
            self.recorders.append(whole_bus)
            return
        fps, rest_pelvis_m = self.view.feed.status().nominal_fps or 30.0, self.body.J_template[0]
        self.recorders.append(Recorder(path, fps, constants, rest_pelvis_m, self.config.body))
