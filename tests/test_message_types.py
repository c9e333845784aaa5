"""Messages as they are made: no invalid one can be, of an estimate, their age."""

from __future__ import annotations

import time

import numpy as np
import pytest
from example_messages import image_message, pose_message, status_message

from realtime.clock import clock_id
from realtime.lead import Led
from realtime.message_types import PoseMessage
from realtime.messages import decode, encode_pose
from realtime.observation import Estimate
from realtime.wire import MessageError


@pytest.mark.parametrize("what", ["jpeg", "size", "visibility", "crop", "landmarks"])
def test_bad_image(what: str) -> None:
    change: dict[str, object] = {
        "jpeg": {"jpeg": b"GIF89a"},
        "size": {"width": 0},
        "visibility": {"visibility": np.full(33, 1.5, np.float32)},
        "crop": {"crop": np.zeros(3, np.float32)},
        "landmarks": {"landmarks": np.zeros((32, 2), np.float32)},
    }[what]
    with pytest.raises(MessageError, match="width" if what == "size" else what):
        image_message(**change)


@pytest.mark.parametrize(
    "group",
    [
        {"fps": float("nan")},
        {"fps": np.float32(3)},
        {"what": b"bytes"},
        {"deep": {"a": {"b": {"c": {"d": {"e": 1}}}}}},
        {"long": "x" * 1025},
        {"many": list(range(257))},
        {"huge": 2**63},
        {5: "key"},
    ],
)
def test_status_holds_plain_values_only(group: dict) -> None:
    with pytest.raises(MessageError, match="rates"):
        status_message(rates=group)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nothing_invalid_is_sent(bad: float) -> None:
    theta = np.zeros(85, np.float32)
    theta[40] = bad
    estimate = Estimate(theta, np.zeros(3, np.float32), np.zeros((24, 3), np.float32), (), "tracking", 1.0, 1)
    with pytest.raises(MessageError, match="theta: holds NaN"):
        PoseMessage.from_estimate(estimate, seq=0, frame=0, t_capture_ns=0, body="b", model="m")


def test_estimate_becomes_a_message() -> None:
    theta = np.arange(85, dtype=np.float32)
    ahead = ((100.0, np.ones(72, np.float32)),)
    estimate = Estimate(theta, np.ones(3, np.float32), np.ones((24, 3), np.float32), ahead, "held", 0.5, 2)
    before = time.monotonic_ns()
    message = decode(
        encode_pose(
            PoseMessage.from_estimate(estimate, seq=1, frame=3, t_capture_ns=before, body="b", model="m")
        )
    )
    assert isinstance(message, PoseMessage)
    assert (message.state, message.person, message.frame, message.clock) == ("held", 2, 3, clock_id())
    assert np.array_equal(message.camera, theta[:3])
    assert np.array_equal(message.pose[1], theta[6:9])
    assert np.array_equal(message.betas, theta[75:])
    age_ms = message.age_ms()
    assert age_ms is not None and 0 < age_ms < 10_000
    assert message.t_publish_ns >= before


ELBOW = slice(18 * 3, 18 * 3 + 3)


def bent(angle: float) -> np.ndarray:
    pose = np.zeros(72, np.float32)
    pose[ELBOW] = (0, angle, 0)
    return pose


def moving(state: str = "tracking", lead: Led | None = None) -> PoseMessage:
    """An elbow that is straight now and foretold at 1.6 rad in 160 ms; the pelvis at z = 3."""
    theta, trans = np.zeros(85, np.float32), np.array([0, 0, 3], np.float32)
    return pose_message(state=state, theta=theta, trans=trans, ahead=((160.0, bent(1.6)),), lead=lead)


def elbow(shown: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
    """(its angle, z of the pelvis)"""
    pose, trans = shown
    assert pose.shape == (24, 3) and trans.shape == (3,) and pose.dtype == trans.dtype == np.float32
    return float(pose[18, 1]), float(trans[2])


SURE = Led(80.0, bent(1.0), np.array([0, 0, 2], np.float32), 1.0)


def test_what_is_shown_is_the_lead_of_the_stream() -> None:
    assert elbow(moving(lead=SURE).shown()) == (1.0, 2.0)
    assert elbow(moving(lead=SURE).shown(0.0)) == (0.0, 3.0)  # put off
    assert elbow(moving().shown()) == (0.0, 3.0)  # the stream does not lead


@pytest.mark.parametrize(
    ("ms", "angle", "z"),
    [
        (0, 0.0, 3.0),
        (-5, 0.0, 3.0),
        (40, 0.5, 2.5),
        (80, 1.0, 2.0),
        (120, 1.3, 2.0),
        (160, 1.6, 2.0),
        (900, 1.6, 2.0),
    ],
)
def test_a_receiver_with_a_delay_of_its_own(ms: float, angle: float, z: float) -> None:
    """From now to the lead, which is part of the stream's law, and on to what is foretold."""
    assert elbow(moving(lead=SURE).pose_at(ms)) == pytest.approx((angle, z), abs=1e-6)
    assert elbow(moving(lead=SURE).shown(ms)) == pytest.approx((angle, z), abs=1e-6)


def test_it_dares_no_more_than_the_stream_does() -> None:
    half = Led(80.0, bent(0.5), np.array([0, 0, 2.5], np.float32), 0.5)
    assert elbow(moving(lead=half).pose_at(160)) == pytest.approx((0.8, 2.5), abs=1e-6)
    none = Led(80.0, bent(0.0), np.array([0, 0, 3], np.float32), 0.0)
    assert elbow(moving(lead=none).pose_at(160)) == (0.0, 3.0)


@pytest.mark.parametrize("state", ["held", "lost", "warming"])
def test_nobody_is_led_who_is_not_tracked(state: str) -> None:
    assert elbow(moving(state).pose_at(80)) == elbow(moving(state).shown()) == (0.0, 3.0)
    assert elbow(moving().pose_at(80)) == pytest.approx(
        (0.8, 3.0), abs=1e-6
    )  # tracked, by a stream without lead


def test_what_is_shown_of_absurd_numbers_is_finite() -> None:
    far = np.full(3, 3e38, np.float32)
    led = Led(80.0, np.full(72, 3e38, np.float32), -far, 1.0)
    for ms in (None, 20.0, 120.0):
        for array in pose_message(lead=led, trans=far).shown(ms):
            assert np.isfinite(array).all()


def test_no_age_on_another_hosts_clock() -> None:
    assert pose_message(clock="ffffffffffffffff").age_ms() is None
    assert pose_message(clock=clock_id()).age_ms() is not None
