"""The checks beneath every message: msgpack in and out, limits, and one exception type for whatever is wrong.

`realtime/messages.py` says what a message holds; this file says what a value may be. Sizes are bounded before
anything is allocated for them, so no sequence of bytes can make the decoder crash, hang or fill the memory.
"""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np

SCHEMA_VERSION = 1  # major version: a higher one is refused; new keys alone do not raise it
MAX_MESSAGE_BYTES = 4 << 20  # a 6890-vertex mesh is 83 kB, a 480-pixel JPEG about 40 kB
MAX_STATUS_BYTES = 64 << 10
MAX_ENTRIES = 256  # of one list or map
MAX_DEPTH = 6  # of lists and maps inside each other; a pose needs 3
MAX_TEXT = 4096  # bytes of one string
_INT_MAX = 2**63 - 1
_FLOAT32 = np.dtype(np.float32)
_FLAT = frozenset((int, float, str, bytes, bool, type(None)))  # what msgpack gives that holds nothing else


class MessageError(ValueError):
    """Bytes that are no message of ours, or a message that must not be sent; says why, in one line."""


def pack(topic: bytes, fields: dict[str, Any], limit: int = MAX_MESSAGE_BYTES) -> bytes:
    """Topic prefix + msgpack map. Raises MessageError when the result would be larger than `limit` bytes."""
    try:
        data: bytes = topic + msgpack.packb(fields, use_bin_type=True)
    except (ValueError, TypeError, OverflowError) as error:
        raise MessageError(f"{_name(topic)}: cannot be encoded: {error}") from None
    if len(data) > limit:
        raise MessageError(f"{_name(topic)}: {len(data)} bytes; the limit is {limit}")
    return data


def unpack(topic: bytes, data: bytes, limit: int = MAX_MESSAGE_BYTES) -> dict[str, Any]:
    """The map of one message, its version checked; fields are checked by who reads them. Raises MessageError
    only.
    """
    if len(data) > limit:
        raise MessageError(f"{_name(topic)}: {len(data)} bytes; the limit is {limit}")
    if not data.startswith(topic):
        raise MessageError(f"not a {_name(topic)} message: it starts with {data[:12]!r}")
    try:
        fields = msgpack.unpackb(
            data[len(topic) :],
            raw=False,
            strict_map_key=True,
            max_str_len=MAX_TEXT,
            max_bin_len=limit,
            max_array_len=MAX_ENTRIES,
            max_map_len=MAX_ENTRIES,
            max_ext_len=0,
        )
    # ValueError covers msgpack's ExtraData, FormatError, StackError and UnicodeDecodeError; the rest comes
    # from its pure-Python decoder, which is used where no wheel fits.
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise MessageError(f"{_name(topic)}: not valid msgpack: {_reason(error)}") from None
    if not isinstance(fields, dict):
        raise MessageError(f"{_name(topic)}: expected a map, found {type(fields).__name__}")
    _check_depth(_name(topic), fields, MAX_DEPTH)
    version = integer(fields, "v")
    if version > SCHEMA_VERSION:
        raise MessageError(
            f"schema version {version} is newer than this program's {SCHEMA_VERSION}: update hmmr-live"
        )
    if version < 1:
        raise MessageError(f"v: {version} is no schema version")
    return fields


def require(fields: dict[str, Any], key: str) -> Any:
    if key not in fields:
        raise MessageError(f"{key}: missing")
    return fields[key]


def integer(fields: dict[str, Any], key: str) -> int:
    return check_integer(key, require(fields, key))


def check_integer(name: str, value: object, low: int = 0, high: int = _INT_MAX) -> int:
    if type(value) is int and low <= value <= high:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise MessageError(f"{name}: expected an integer, found {type(value).__name__}")
    if not low <= value <= high:
        raise MessageError(f"{name}: {value} is not in {low}…{high}")
    return int(value)


def check_number(name: str, value: object, low: float, high: float) -> float:
    if type(value) is float and low <= value <= high:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise MessageError(f"{name}: expected a number, found {type(value).__name__}")
    if not low <= value <= high:  # false for NaN
        raise MessageError(f"{name}: {value} is not in {low:g}…{high:g}")
    return float(value)


def check_text(name: str, value: object, longest: int = 256) -> str:
    if not isinstance(value, str):
        raise MessageError(f"{name}: expected a string, found {type(value).__name__}")
    if len(value) > longest:
        raise MessageError(f"{name}: {len(value)} characters; the limit is {longest}")
    return value


def check_array(name: str, value: object, shape: tuple[int, ...]) -> np.ndarray:
    """A contiguous finite float32 array of `shape` (-1 leaves the first dimension open). No copy where none
    is needed.
    """
    if (
        type(value) is np.ndarray
        and value.dtype is _FLOAT32
        and value.shape == shape
        and value.flags.c_contiguous
    ):
        flat = value.reshape(-1)
        # Half of the time that np.isfinite(…).all() takes; squares that overflow are looked at below.
        if math.isfinite(flat.dot(flat)):
            return value
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        found = getattr(value, "dtype", type(value).__name__)
        raise MessageError(f"{name}: expected an array of floats, found {found}")
    if value.ndim != len(shape) or any(w not in (-1, g) for w, g in zip(shape, value.shape, strict=True)):
        raise MessageError(f"{name}: expected shape {shape}, found {value.shape}")
    if value.dtype == np.float32:
        array = np.ascontiguousarray(value)
    else:
        with np.errstate(over="ignore"):  # 10 µs, and there are four arrays in a pose
            array = np.ascontiguousarray(value, np.float32)
    if not np.isfinite(array).all():
        raise MessageError(f"{name}: holds NaN or infinity")
    return array


def array_from_bytes(name: str, value: object, shape: tuple[int, ...]) -> np.ndarray:
    """Little-endian float32 bytes → read-only array of `shape`; a leading -1 is filled in from the length."""
    if not isinstance(value, bytes):
        raise MessageError(f"{name}: expected binary float32, found {type(value).__name__}")
    row = abs(4 * math.prod(shape))
    if len(value) % row if shape[0] == -1 else len(value) != row:
        raise MessageError(f"{name}: {len(value)} bytes do not make float32 {shape}")
    return np.frombuffer(value, "<f4").reshape(shape)


def array_to_bytes(array: np.ndarray) -> bytes:
    return array.astype("<f4", copy=False).tobytes()


def check_plain(name: str, value: object, depth: int = MAX_DEPTH - 1) -> None:
    """Raise MessageError unless `value` is None, a bool, a 64-bit int, a finite float, a string, or lists and
    string-keyed dicts of these, `depth` deep at most."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        check_text(name, value, MAX_TEXT // 4)
    elif isinstance(value, int):
        check_integer(name, value, -_INT_MAX - 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise MessageError(f"{name}: {value} is not finite (unknown is None)")
    elif isinstance(value, (dict, list, tuple)):
        if depth == 0:
            raise MessageError(f"{name}: nested too deeply")
        if len(value) > MAX_ENTRIES:
            raise MessageError(f"{name}: {len(value)} entries; the limit is {MAX_ENTRIES}")
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            if isinstance(value, dict):
                check_text(f"a key of {name}", key)
            check_plain(f"{name}.{key}", item, depth - 1)
    else:
        raise MessageError(f"{name}: {type(value).__module__}.{type(value).__name__} is not a plain value")


def _check_depth(name: str, value: object, depth: int) -> None:
    """Bound what unknown keys may carry, too: they are ignored, not trusted."""
    if isinstance(value, (dict, list)):
        if depth == 0:
            raise MessageError(f"{name}: nested too deeply")
        for item in value.values() if isinstance(value, dict) else value:
            if type(item) not in _FLAT:  # a call for each would be a tenth of the decoding
                _check_depth(name, item, depth - 1)
    elif isinstance(value, (msgpack.ExtType, msgpack.Timestamp)):
        raise MessageError(f"{name}: msgpack extension types are not used here")


def _name(topic: bytes) -> str:
    return topic.decode().strip()


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
