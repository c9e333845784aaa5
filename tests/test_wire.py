"""Bytes that are no message: whatever comes in, nothing but MessageError comes out, and it says why."""

from __future__ import annotations

import random
import time

import msgpack
import numpy as np
import pytest
from example_messages import damaged, examples, pose_message
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.messages import decode, encode_pose
from realtime.wire import MAX_MESSAGE_BYTES, MessageError, check_array, check_integer, check_number


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


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else 0


def lead(**changes: object) -> dict[str, object]:
    """The map of a lead with these values; None removes the key."""
    whole = {"ms": 40.0, "pose": b"\0" * 288, "trans": b"\0" * 12, "confidence": 0.5}
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


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
    "a lead that is no map": (damaged(lead=[1]), "lead: expected a map"),
    "a lead that is a number": (damaged(lead=40.0), "lead: expected a map"),
    "a lead without pose": (damaged(lead=lead(pose=None)), "pose: missing"),
    "a lead without its age": (damaged(lead=lead(ms=None)), "ms: missing"),
    "a lead without place": (damaged(lead=lead(trans=None)), "trans: missing"),
    "a lead without confidence": (damaged(lead=lead(confidence=None)), "confidence: missing"),
    "a lead into the past": (damaged(lead=lead(ms=-1.0)), "lead.ms: -1.0 is not in 0…10000"),
    "a lead of NaN": (damaged(lead=lead(ms=float("nan"))), "lead.ms: nan"),
    "a lead by hours": (damaged(lead=lead(ms=1e9)), "lead.ms"),
    "a lead by text": (damaged(lead=lead(ms="40")), "lead.ms: expected a number"),
    "a short lead": (damaged(lead=lead(pose=b"\0" * 284)), "lead.pose: 284 bytes"),
    "a lead of doubles": (damaged(lead=lead(trans=b"\0" * 24)), "lead.trans: 24 bytes"),
    "a lead that holds NaN": (damaged(lead=lead(pose=NAN * 24)), "lead.pose: holds NaN"),
    "a lead to nowhere": (damaged(lead=lead(trans=NAN)), "lead.trans: holds NaN"),
    "too sure a lead": (damaged(lead=lead(confidence=1.5)), "lead.confidence: 1.5 is not in 0…1"),
    "a lead that is sure of nothing": (damaged(lead=lead(confidence=float("nan"))), "lead.confidence: nan"),
    "a lead that is sure by word": (
        damaged(lead=lead(confidence=True)),
        "lead.confidence: expected a number",
    ),
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


def test_numbers_whose_squares_overflow_are_finite_all_the_same() -> None:
    for value in (1e30, -3e38, 0.0, np.finfo(np.float32).tiny):
        array = np.full(85, value, np.float32)
        assert check_array("theta", array, (85,)) is array


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", [0, 41, 84])
def test_one_number_that_is_not_finite_is_found_wherever_it_is(value: float, index: int) -> None:
    array = np.ones(85, np.float32)
    array[index] = value
    with pytest.raises(MessageError, match="NaN or infinity"):
        check_array("theta", array, (85,))


def test_what_is_not_laid_out_as_it_goes_out_is_made_so() -> None:
    turned = np.arange(72, dtype=np.float32).reshape(3, 24).T
    made = check_array("joints", turned, (24, 3))
    assert made.flags.c_contiguous and np.array_equal(made, turned)
    assert check_array("trans", np.ones(3), (3,)).dtype == np.float32
    with pytest.raises(MessageError, match="expected shape"):
        check_array("trans", np.ones(4, np.float32), (3,))


def test_a_bool_is_no_number_and_limits_hold() -> None:
    for check, wrong in ((check_integer, (True, -1, 1.0, 2**63)), (check_number, (False, 2.0, np.nan, "1"))):
        for value in wrong:
            with pytest.raises(MessageError):
                check("score", value, 0, 1) if check is check_number else check("seq", value)
    assert check_integer("seq", np.int64(7)) == 7 and check_number("score", 1, 0.0, 1.0) == 1.0
