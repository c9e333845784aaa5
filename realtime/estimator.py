"""Observation → Estimate: features, ring, network, body and metres; one person, one source.

                    ┌──── ray frame: virtual camera pointed at the person ────┐
    Observation ─φ─►│ ring(13) ─► engine: camera, pose, betas, ahead, joints   │─ placement ─► Estimate
                    └──────────────────────────────────────────────────────────┘            (camera frame)

What the network says is never handed on unchecked: an output that is not finite is counted in `not_finite`,
the ring starts anew, and the frame is answered like one in which nobody was seen. So is one whose output is finite and
still puts nobody before the camera, without a new start.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from engines.runtime import Engine, EngineOutput
from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import Body
from realtime.config import Config
from realtime.errors import ConfigError
from realtime.features import NOMINAL_DT_S, landmark_features, up_in_ray, virtual_camera
from realtime.observation import Crop, Detection, Estimate, Observation
from realtime.placement import Placement, is_finite
from realtime.ring import Ring

LONGEST_GAP_S = 0.5  # the features before a longer gap say nothing about the motion now
SHAPE_FRAMES = 300  # shape is a running mean over about so many frames of the same person
REST_CAMERA = (0.9, 0.0, 0.0)  # HMMR's mean; with the rest pose, before anybody was seen
REST_DISTANCE_M = 3.0


@dataclass(slots=True)
class _Turn:
    """One frame on its way through the estimator."""

    t_ns: int
    observation: Observation
    features: np.ndarray | None = None  # φ (F,), where somebody was seen
    estimate: Estimate | None = None  # None: the network has not spoken of it yet
    engine_ns: tuple[int, int] | None = None  # time.monotonic_ns() around the step that did


class Estimator:
    """Remembers one person: the ring, the shape, the filtered place, the last pose.

    engine is stepped once per frame in which the person is seen. config: `camera.fov_deg`,
    `runtime.ahead_ms`, `translation`. Raises ConfigError for horizons that are no numbers or beyond what the
    engine looks ahead.

    Frames come out as they went in: each once, in order, `delay` frames later (0 for a model without look-ahead).
    With a delay of 2, a person seen in frames 1 to 4 and gone in frame 5:

        in            1     2     3     4     5     6     7        finish()
        stepped φ     φ₁    φ₂    φ₃    φ₄    φ₄ φ₄ (again, twice)
        answered                  1     2     3  4
        out           -     -     1     2     3     4     5         6  7

    Where the frames after it do not come (somebody is lost for a moment or for good, or is another one, or time
    breaks), the last φ stands in for them. What was remembered stays as if that had not been.
    """

    def __init__(self, engine: Engine, body: Body, config: Config) -> None:
        self.not_finite = (
            0  # frames whose features or output held NaN or infinity, or put nobody before the camera
        )
        self.delay = engine.delay
        self._engine = engine
        self._knows_appearance = engine.appearance != ""
        self._fov_deg = config.camera.fov_deg
        pitch_deg, roll_deg = config.camera.pitch_deg, config.camera.roll_deg
        is_known = pitch_deg is not None or roll_deg is not None
        self._tilt_deg = (pitch_deg or 0.0, roll_deg or 0.0) if is_known else None
        self._horizons_ms = parse_horizons(config.runtime.ahead_ms, engine.horizon_ms)
        self._ring = Ring(engine.receptive_field, engine.feature_dim)
        self._strayed = False  # the engine has been fed what the ring does not hold
        self._turns: deque[_Turn] = deque()  # all that were not given out
        self._open: deque[_Turn] = deque()  # of these, the ones that wait for the network: the newest
        self._placement = Placement(body, config)
        self._person = 0
        self._betas = np.zeros(10, np.float32)
        self._betas_count = 0
        self._last = rest_estimate(body)
        self._last_is_theirs = False  # the last pose is of the person now in view
        engine.prepare(len(self._horizons_ms), body)

    @property
    def furthest_ms(self) -> float:
        """How far poses are foretold; 0: they are not."""
        return max(self._horizons_ms, default=0.0)

    def update(self, t_ns: int, observation: Observation) -> Estimate | None:
        """Take in the frame taken at t_ns; returns the body in the frame `delay` updates before, None where there is
        none: at the first `delay` updates, also after `finish`.

        Never raises for what was observed; always finite. States: "warming" until the ring holds 13 frames, then
        "tracking"; "held" repeats the last pose while the person is briefly unseen; "lost", score 0, repeats it
        when nobody is there (at first: the rest pose).
        """
        turn = _Turn(t_ns, observation)
        self._take_in(turn)
        self._turns.append(turn)
        return self._given_out() if len(self._turns) > self.delay else None

    def finish(self) -> list[Estimate]:
        """The bodies in the frames that were not given out yet; for the end, or when no more frame comes for long."""
        self._answer_open()
        return [self._given_out() for _ in range(len(self._turns))]

    def _given_out(self) -> Estimate:
        estimate = self._turns.popleft().estimate
        assert estimate is not None  # a turn is open for `delay` frames at most
        return estimate

    def _take_in(self, turn: _Turn) -> None:
        observation = turn.observation
        detection, crop = observation.detection, observation.crop
        if observation.state == "lost" or detection is None or crop is None:
            self._answer_open()
            if observation.state == "lost":
                self._forget()
            turn.estimate = self._repeat(observation)
            return
        if observation.person != self._person:
            self._answer_open()
            self._meet(observation.person)
        dt_s = self._start_or_continue(turn.t_ns)
        features = self._features(observation, detection, crop, dt_s)
        if not is_finite(features):
            self._answer_open()
            self._open.append(turn)
            self._give_up()
            return
        if self._strayed:
            self._engine.rebuild(self._ring.window())
            self._strayed = False
        self._ring.push(turn.t_ns, features)
        turn.features = features
        self._open.append(turn)
        self._step(features, len(self._open) > self.delay)

    def _features(
        self, observation: Observation, detection: Detection, crop: Crop, dt_s: float
    ) -> np.ndarray:
        """φ (F,) of one frame; dt_s: seconds since the frame before."""
        image_size = np.array(observation.image_size, np.float64)
        crop_array = np.array((crop.cx, crop.cy, crop.side))
        up = None
        if self._tilt_deg is not None:
            R_cam_ray, _ = virtual_camera(crop_array, image_size, self._fov_deg)
            up = up_in_ray(R_cam_ray, *self._tilt_deg)
        return landmark_features(
            detection.landmarks_px,
            detection.world,
            detection.visibility,
            crop_array,
            image_size,
            self._fov_deg,
            dt_s,
            up,
            detection.appearance if self._knows_appearance else None,  # else: numbers it has never seen
        )

    def _step(self, features: np.ndarray, answers: bool) -> None:
        """One step of the network; `answers`: it speaks of the oldest open frame, not of one that was answered."""
        count = min(self._betas_count + 1, SHAPE_FRAMES)
        started_ns = time.monotonic_ns()
        output = self._engine.step(features, self._horizons_ms, self._betas, 1.0 / count)
        engine_ns = started_ns, time.monotonic_ns()
        if not _is_sound(output):
            self._give_up()
        elif answers:
            turn = self._open.popleft()
            turn.engine_ns = engine_ns
            estimate = self._placed(turn, output)
            if estimate is None:
                self.not_finite += 1
                turn.estimate = self._repeat(turn.observation)
                return
            self._betas, self._betas_count = output.shape, count
            turn.estimate = self._last = estimate
            self._last_is_theirs = True

    def _placed(self, turn: _Turn, output: EngineOutput) -> Estimate | None:
        """None where a number is not finite, or the person far beyond what a camera shows."""
        observation = turn.observation
        assert observation.crop is not None and turn.features is not None
        body = self._placement.place(
            turn.t_ns, observation.crop, observation.image_size, turn.features, output
        )
        if body is None:
            return None
        theta, trans, joints, ahead = body
        return Estimate(
            theta=theta,
            trans=trans,
            joints=joints,
            ahead=tuple(zip(self._horizons_ms, ahead, strict=True)),
            state="tracking" if self._ring.full else "warming",
            score=observation.score,
            person=observation.person,
            engine_ns=turn.engine_ns,
        )

    def _answer_open(self) -> None:
        """Answer the frames that wait, without those after them: the last φ again and again."""
        waiting = len(self._open)
        if not waiting:
            return
        features = self._ring.window()[-1].copy()
        self._strayed = True
        for left in reversed(range(self.delay)):
            if self._open:  # else it was given up
                self._step(features, left < waiting)

    def _give_up(self) -> None:
        """What the network says is no pose: the frames that wait are answered like ones in which nobody was seen, and
        the ring starts anew."""
        self.not_finite += 1
        self._restart()
        while self._open:
            turn = self._open.popleft()
            turn.estimate = self._repeat(turn.observation)

    def _repeat(self, observation: Observation) -> Estimate:
        """The last pose again, under a state that says so."""
        held = self._last_is_theirs and observation.state != "lost"
        return replace(
            self._last,
            state="held" if held else "lost",
            score=observation.score if held else 0.0,
            person=observation.person,
            engine_ns=None,
        )

    def _start_or_continue(self, t_ns: int) -> float:
        """Seconds since the frame before; after a gap, or where time ran backwards, everything starts
        anew."""
        stamps = self._ring.stamps()
        if not len(stamps):
            return NOMINAL_DT_S
        dt_s = (t_ns - int(stamps[-1])) / 1e9
        if 0.0 < dt_s <= LONGEST_GAP_S:
            return dt_s
        self._answer_open()
        self._restart()
        return NOMINAL_DT_S

    def _restart(self) -> None:
        self._ring.reset()
        self._engine.reset()
        self._strayed = False
        self._placement.reset()

    def _forget(self) -> None:
        """Nobody is there: whoever comes next is somebody else."""
        if self._person or len(self._ring):
            self._restart()
        self._person = 0
        self._last_is_theirs = False

    def _meet(self, person: int) -> None:
        self._restart()
        self._person = person
        self._betas = np.zeros(10, np.float32)
        self._betas_count = 0
        self._last_is_theirs = False


def parse_horizons(text: str, horizon_ms: float) -> tuple[float, ...]:
    """ "166.7" or "100,200" → milliseconds ahead. Raises ConfigError: no numbers, or not in 0 …
    horizon_ms."""
    try:
        horizons = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ConfigError(f"--set runtime.ahead_ms={text}: expected numbers separated by commas") from None
    for value in horizons:
        if not 0 < value <= horizon_ms:
            raise ConfigError(
                f"--set runtime.ahead_ms={text}: expected above 0 and at most {horizon_ms:g}, "
                "as far as this model looks"
            )
    return horizons


def rest_estimate(body: Body) -> Estimate:
    """Before anybody was seen: the rest pose, upright, facing the camera; state lost."""
    theta = np.zeros(85, np.float32)
    theta[:3] = REST_CAMERA
    theta[3] = np.pi  # the body's y axis points up, the camera's down
    pose = axis_angle_to_matrix(theta[3:75].reshape(24, 3))
    joints, _ = forward_kinematics(body, pose, theta[75:])
    trans = np.array((0.0, 0.0, REST_DISTANCE_M), np.float32)
    return Estimate(theta, trans, joints - joints[0], ahead=(), state="lost", score=0.0, person=0)


def _is_sound(output: EngineOutput) -> bool:
    finite = is_finite(output.camera, output.pose_matrix, output.shape, output.joints, output.ahead)
    return finite and bool(output.camera[0] > 0)
