"""The wire format: golden bytes and round trips."""

from __future__ import annotations

from pathlib import Path

import msgpack
import numpy as np
import pytest
from example_messages import EXAMPLES, damaged, image_message, pose_message, status_message
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.lead import Led
from realtime.messages import Message, decode, encode_image, encode_pose, encode_status
from realtime.wire import MessageError

GOLDEN = Path(__file__).parent / "golden"


def equal(one: Message, other: Message) -> bool:
    def same(a: object, b: object) -> bool:
        if isinstance(a, np.ndarray):
            return isinstance(b, np.ndarray) and a.dtype == b.dtype == np.float32 and np.array_equal(a, b)
        if isinstance(a, Led):
            return isinstance(b, Led) and all(
                same(getattr(a, name), getattr(b, name)) for name in Led.__slots__
            )
        if isinstance(a, tuple):
            return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
        return a == b

    return type(one) is type(other) and all(same(v, vars(other)[k]) for k, v in vars(one).items())


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden_bytes(name: str) -> None:
    """Other people's decoders rely on these files: a change here is a change of the wire format."""
    make, encode = EXAMPLES[name]
    golden = (GOLDEN / name).read_bytes()
    assert encode(make()) == golden  # type: ignore[operator]
    assert equal(decode(golden), make())


def test_golden_bytes_read_by_hand() -> None:
    """As docs/wire-format.md tells a stranger: topic, map, little-endian float32."""
    golden = (GOLDEN / "pose_v1.bin").read_bytes()
    assert golden.startswith(b"pose \xde\x00\x10\xa1v\x01\xa3seq\x07\xa5frame\x09")
    fields = msgpack.unpackb(golden[5:])
    assert list(fields)[:6] == ["v", "seq", "frame", "t_capture_ns", "t_publish_ns", "clock"]
    assert fields["trans"] == b"\x00\x00\x00\x3f\x00\x00\x80\xbe\x00\x00\x40\x40"
    assert len(fields["theta"]) == 340 and len(fields["joints"]) == 288


_plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    numbers=st.binary(min_size=340, max_size=340),
    stamps=st.tuples(*[st.integers(0, 2**63 - 1)] * 4),
    state=st.sampled_from(["tracking", "warming", "held", "lost"]),
    score=st.floats(0, 1),
    text=st.text(max_size=60),
    horizons=st.lists(st.floats(0, 10_000), max_size=4),
    vertices=st.integers(0, 3) | st.none(),
    lead=st.tuples(st.floats(0, 10_000), st.floats(0, 1)) | st.none(),
)
def test_any_pose_survives_the_round_trip(
    numbers, stamps, state, score, text, horizons, vertices, lead
) -> None:  # type: ignore[no-untyped-def]
    theta = np.nan_to_num(np.frombuffer(numbers, "<f4"), posinf=3.4e38, neginf=-3.4e38)
    message = pose_message(
        theta=theta,
        joints=theta[:72].reshape(24, 3),
        trans=theta[-3:],
        frame=stamps[0],
        seq=stamps[1],
        t_capture_ns=stamps[2],
        t_publish_ns=stamps[3],
        state=state,
        score=score,
        body=text,
        ahead=tuple((dt_ms, theta[:72]) for dt_ms in horizons),
        vertices=None if vertices is None else np.ones((vertices, 3), np.float32),
        lead=None if lead is None else Led(lead[0], theta[3:75], theta[:3], lead[1]),
    )
    assert equal(decode(encode_pose(message)), message)


@settings(max_examples=100, deadline=None)
@given(group=st.dictionaries(st.text(max_size=10), _plain, max_size=4))
def test_any_status_survives_the_round_trip(group: dict) -> None:
    try:
        message = status_message(rates=group)
    except MessageError as error:
        assert "nested too deeply" in str(error)
        return
    assert equal(decode(encode_status(message)), message)


def test_unknown_keys_are_ignored() -> None:
    data = damaged(minor=4, mood="good", extra={"a": [1, b"x"]})
    assert equal(decode(data), pose_message())


def test_a_lead_is_told_as_the_page_says() -> None:
    """docs/wire-format.md; and who does not lead says nothing of it."""
    led = Led(40.5, np.full(72, 0.5, np.float32), np.array([1, 2, 3], np.float32), 0.25)
    fields = msgpack.unpackb(encode_pose(pose_message(lead=led))[5:])
    assert fields.pop("lead") == {
        "ms": 40.5,
        "pose": b"\x00\x00\x00\x3f" * 72,
        "trans": b"\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40",
        "confidence": 0.25,
    }
    assert fields == msgpack.unpackb(encode_pose(pose_message())[5:])
    status = status_message(lead={"mode": "auto", "ms": 40.5})
    assert msgpack.unpackb(encode_status(status)[7:])["lead"] == {"mode": "auto", "ms": 40.5}
    assert equal(decode(encode_status(status)), status)


def test_image_of_nobody() -> None:
    message = image_message(state="lost", landmarks=None, visibility=None, crop=None)
    assert equal(decode(encode_image(message)), message)


def test_status_is_bounded() -> None:
    text = {str(i): "x" * 1000 for i in range(200)}
    with pytest.raises(MessageError, match="the limit is 65536"):
        encode_status(status_message(camera=text))
    with pytest.raises(MessageError, match="rates: expected a map"):
        status_message(rates=[])
    with pytest.raises(MessageError, match="notes"):
        status_message(notes="text")
