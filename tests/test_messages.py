"""The wire format: golden bytes, round trips, and no bytes at all that get past MessageError."""

from __future__ import annotations

import random
import time
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.clock import clock_id
from realtime.messages import (
    ImageMessage,
    Message,
    MessageError,
    PoseMessage,
    StatusMessage,
    decode,
    encode_image,
    encode_pose,
    encode_status,
)
from realtime.observation import Estimate
from realtime.wire import MAX_MESSAGE_BYTES

GOLDEN = Path(__file__).parent / "golden"


def pose_message(**changes: object) -> PoseMessage:
    fields: dict = {
        "seq": 7,
        "t_publish_ns": 2_000_000_005,
        "clock": "00112233445566ff",
        "frame": 9,
        "t_capture_ns": 2_000_000_000,
        "person": 1,
        "state": "tracking",
        "score": 0.75,
        "body": "anny-24",
        "model": "default",
        "theta": np.arange(85, dtype=np.float32) / 4,
        "trans": np.array([0.5, -0.25, 3.0], np.float32),
        "joints": np.arange(72, dtype=np.float32).reshape(24, 3) / 8,
        "ahead": ((333.0, np.full(72, -1.5, np.float32)),),
        "vertices": np.array([[0, 1, 2], [3, 4, 5]], np.float32),
    }
    return PoseMessage(**{**fields, **changes})


def status_message(**changes: object) -> StatusMessage:
    fields: dict = {
        "seq": 3,
        "t_publish_ns": 5,
        "clock": "00112233445566ff",
        "state": "lost",
        "camera": {"name": "0", "alive": True, "fps": 29.5, "size": [640, 480], "error": None},
        "drops": {"late": 4},
        "latency": {"capture_to_publish_ms": {"p50": 21.0, "p95": 25.0, "p99": 30.5}},
        "notes": ["viewer closed; the stream goes on"],
    }
    return StatusMessage(**{**fields, **changes})


def image_message(**changes: object) -> ImageMessage:
    fields: dict = {
        "seq": 1,
        "t_publish_ns": 6,
        "clock": "00112233445566ff",
        "frame": 2,
        "t_capture_ns": 4,
        "jpeg": b"\xff\xd8\xff\xd9",
        "width": 480,
        "height": 270,
        "state": "tracking",
        "landmarks": np.arange(66, dtype=np.float32).reshape(33, 2),
        "visibility": np.linspace(0, 1, 33, dtype=np.float32),
        "crop": np.array([240, 135, 200], np.float32),
    }
    return ImageMessage(**{**fields, **changes})


EXAMPLES = {
    "pose_v1.bin": (pose_message, encode_pose),
    "status_v1.bin": (status_message, encode_status),
    "image_v1.bin": (image_message, encode_image),
}


def examples() -> list[bytes]:
    return [encode(make()) for make, encode in EXAMPLES.values()]  # type: ignore[operator]


def equal(one: Message, other: Message) -> bool:
    def same(a: object, b: object) -> bool:
        if isinstance(a, np.ndarray):
            return isinstance(b, np.ndarray) and a.dtype == b.dtype == np.float32 and np.array_equal(a, b)
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
)
def test_any_pose_survives_the_round_trip(numbers, stamps, state, score, text, horizons, vertices) -> None:  # type: ignore[no-untyped-def]
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


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), topic=st.sampled_from([b"", b"pose ", b"status ", b"image "]))
def test_no_bytes_raise_anything_but_message_error(data: bytes, topic: bytes) -> None:
    with pytest.raises(MessageError):
        decode(topic + data)


def test_truncation_at_every_byte() -> None:
    for data in examples():
        for length in range(len(data)):
            with pytest.raises(MessageError):
                decode(data[:length])


def test_trailing_bytes() -> None:
    for data in examples():
        with pytest.raises(MessageError):
            decode(data + b"\x00")


def test_mutated_messages() -> None:
    """20,000 damaged messages: each decodes to something valid or raises MessageError, and quickly."""
    rng = random.Random(1)
    # A pose is mostly numbers, in which most damage is just another number: damage its map as well.
    bare = msgpack.unpackb(encode_pose(pose_message(ahead=(), vertices=None))[5:])
    bare = b"pose " + msgpack.packb({k: v for k, v in bare.items() if not isinstance(v, bytes)})
    sources = [*examples(), bare]
    refused = 0
    started = time.monotonic()
    for _ in range(20_000):
        data = bytearray(rng.choice(sources))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(min(len(data), rng.choice((160, len(data)))))
            kind = rng.randrange(5)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                data[at] ^= 1 << rng.randrange(8)
            elif kind == 2:
                del data[at : at + rng.randint(1, 8)]
            elif kind == 3:
                data[at:at] = rng.randbytes(rng.randint(1, 8))
            else:  # a header that promises a lot: map, array, string, binary, extension, nesting
                data[at : at + 5] = rng.choice(b"\xdf\xdd\xdb\xc6\xc9\x91").to_bytes(1, "big") + b"\xff" * 4
        try:
            message = decode(bytes(data))
        except MessageError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 400
        else:
            assert all(np.isfinite(v).all() for v in vars(message).values() if isinstance(v, np.ndarray))
    assert 5_000 < refused < 20_000
    assert time.monotonic() - started < 60


def damaged(**changes: object) -> bytes:
    """A pose with these values in its map; None removes the key."""
    fields = msgpack.unpackb(encode_pose(pose_message())[5:])
    fields.update(changes)
    return b"pose " + msgpack.packb({k: v for k, v in fields.items() if v is not None})


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else 0


NAN = np.full(3, np.nan, "<f4").tobytes()
BAD = {
    "a newer schema": (damaged(v=2), "schema version 2 is newer than this program's 1: update hmmr-live"),
    "no schema": (damaged(v=0), "v: 0"),
    "a version that is no number": (damaged(v="1"), "v: expected an integer"),
    "a version that is a bool": (damaged(v=True), "v: expected an integer"),
    "a missing field": (damaged(theta=None), "theta: missing"),
    "a short array": (damaged(theta=b"\0" * 336), "theta: 336 bytes"),
    "an array of doubles": (damaged(trans=b"\0" * 24), "trans: 24 bytes"),
    "an array as a list": (damaged(trans=[0.0, 0.0, 0.0]), "trans: expected binary"),
    "NaN": (damaged(trans=NAN), "trans: holds NaN"),
    "infinity": (damaged(joints=np.full(72, -np.inf, "<f4").tobytes()), "joints: holds NaN or infinity"),
    "a score above 1": (damaged(score=1.01), "score: 1.01 is not in 0…1"),
    "a score that is NaN": (damaged(score=float("nan")), "score: nan"),
    "a score that is text": (damaged(score="1"), "score: expected a number"),
    "a negative stamp": (damaged(t_capture_ns=-1), "t_capture_ns: -1"),
    "a stamp beyond 63 bits": (damaged(t_publish_ns=2**63), "t_publish_ns"),
    "a float as a counter": (damaged(seq=1.0), "seq: expected an integer"),
    "an unknown state": (damaged(state="dancing"), "state: 'dancing' is none of tracking"),
    "a state that is a list": (damaged(state=[]), "state"),
    "an endless name": (damaged(body="x" * 257), "body: 257 characters"),
    "a bare horizon": (damaged(ahead=[5]), "ahead: expected a list of maps"),
    "a horizon without pose": (damaged(ahead=[{"dt_ms": 5}]), "pose: missing"),
    "a horizon in the past": (damaged(ahead=[{"dt_ms": -5, "pose": b"\0" * 288}]), "ahead.dt_ms"),
    "too many horizons": (damaged(ahead=[{"dt_ms": 5, "pose": b"\0" * 288}] * 17), "ahead: 17 entries"),
    "two thirds of a vertex": (damaged(vertices=b"\0" * 8), "vertices: 8 bytes"),
    "too many vertices": (damaged(vertices=b"\0" * 12 * 65_537), "vertices: 65537"),
    "an extension type": (damaged(extra=msgpack.ExtType(5, b"xx")), "msgpack"),
    "an empty extension type": (damaged(extra=msgpack.ExtType(5, b"")), "msgpack"),
    "a timestamp type": (damaged(extra=msgpack.Timestamp(1)), "msgpack"),
    "nesting": (damaged(extra=nested(7)), "nested too deeply"),
    "nesting beyond msgpack's": (b"pose \x81\xa1v" + b"\x91" * 100_000, "pose: not valid msgpack"),
    "a key that is no string": (b"pose " + msgpack.packb({"v": 1, 5: 6}), "pose: not valid msgpack"),
    "a list in place of the map": (b"pose \x91\x01", "expected a map"),
    "bad UTF-8": (damaged().replace(b"tracking", b"\xff\xfeacking"), "pose: not valid msgpack"),
    "no map": (b"pose ", "pose: not valid msgpack"),
    "too many keys": (b"pose " + msgpack.packb({str(i): i for i in range(300)}), "pose: not valid msgpack"),
    "too large": (damaged(extra=b"\0" * MAX_MESSAGE_BYTES), "the limit is"),
    "an unknown topic": (b"poses " + damaged()[5:], "unknown topic"),
    "nothing": (b"", "unknown topic"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_refused(what: str) -> None:
    data, reason = BAD[what]
    with pytest.raises(MessageError) as caught:
        decode(data)
    assert reason in str(caught.value)


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


def test_unknown_keys_are_ignored() -> None:
    data = damaged(minor=4, mood="good", extra={"a": [1, b"x"]})
    assert equal(decode(data), pose_message())


def test_image_of_nobody() -> None:
    message = image_message(state="lost", landmarks=None, visibility=None, crop=None)
    assert equal(decode(encode_image(message)), message)


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


def test_status_is_bounded() -> None:
    text = {str(i): "x" * 1000 for i in range(200)}
    with pytest.raises(MessageError, match="the limit is 65536"):
        encode_status(status_message(camera=text))
    with pytest.raises(MessageError, match="rates: expected a map"):
        status_message(rates=[])
    with pytest.raises(MessageError, match="notes"):
        status_message(notes="text")


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


def test_no_age_on_another_hosts_clock() -> None:
    assert pose_message(clock="ffffffffffffffff").age_ms() is None
    assert pose_message(clock=clock_id()).age_ms() is not None
