"""A msgpack decoder of exactly what the bus sends: nil, bool, int, float, str, bin, array, map with string keys.

Blender's Python has no msgpack, and installing one package (pyzmq) is enough to ask for. Sizes are checked before
anything is made of them, so no bytes can crash it, hang it or fill the memory.
"""

from __future__ import annotations

import struct

MAX_BYTES = 4 << 20
MAX_TEXT = 4096  # bytes of one string
MAX_ENTRIES = 256  # of one array or map
MAX_DEPTH = 6  # of arrays and maps inside each other

# First byte → format of the number that follows it.
_NUMBERS = {
    0xCA: struct.Struct(">f"),
    0xCB: struct.Struct(">d"),
    0xCC: struct.Struct(">B"),
    0xCD: struct.Struct(">H"),
    0xCE: struct.Struct(">I"),
    0xCF: struct.Struct(">Q"),
    0xD0: struct.Struct(">b"),
    0xD1: struct.Struct(">h"),
    0xD2: struct.Struct(">i"),
    0xD3: struct.Struct(">q"),
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
# First byte → (what, bytes that hold its length).
_SIZED = {
    0xC4: ("bin", 1),
    0xC5: ("bin", 2),
    0xC6: ("bin", 4),
    0xD9: ("str", 1),
    0xDA: ("str", 2),
    0xDB: ("str", 4),
    0xDC: ("array", 2),
    0xDD: ("array", 4),
    0xDE: ("map", 2),
    0xDF: ("map", 4),
}


class PackError(ValueError):
    """Bytes that are not one value of this subset of msgpack; says why, in one line."""


def unpack(data: bytes) -> object:
    """The one value that `data` is. Raises PackError, and only that."""
    if len(data) > MAX_BYTES:
        raise PackError(f"{len(data)} bytes; the limit is {MAX_BYTES}")
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise PackError(f"{len(data) - reader.at} bytes too many")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) != count:
            raise PackError(f"ends {count - len(part)} bytes too early")
        self.at += count
        return part

    def value(self, depth: int) -> object:
        first = self.take(1)[0]
        if first <= 0x7F:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first <= 0x8F:
            return self.map(first & 0x0F, depth)
        if first <= 0x9F:
            return self.array(first & 0x0F, depth)
        if first <= 0xBF:
            return self.text(first & 0x1F)
        if first in _NUMBERS:
            number = _NUMBERS[first]
            return number.unpack(self.take(number.size))[0]
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first not in _SIZED:
            raise PackError(f"byte 0x{first:02x} starts an extension type or nothing")
        what, width = _SIZED[first]
        length = int.from_bytes(self.take(width), "big")
        if what == "bin":
            return self.take(length)
        if what == "str":
            return self.text(length)
        return self.array(length, depth) if what == "array" else self.map(length, depth)

    def text(self, length: int) -> str:
        if length > MAX_TEXT:
            raise PackError(f"a string of {length} bytes; the limit is {MAX_TEXT}")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise PackError("a string that is not UTF-8") from None

    def array(self, length: int, depth: int) -> list:
        _check(length, depth)
        return [self.value(depth + 1) for _ in range(length)]

    def map(self, length: int, depth: int) -> dict:
        _check(length, depth)
        fields = {}
        for _ in range(length):
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise PackError(f"a key that is {type(key).__name__}, not a string")
            fields[key] = self.value(depth + 1)
        return fields


def _check(length: int, depth: int) -> None:
    if length > MAX_ENTRIES:
        raise PackError(f"{length} entries; the limit is {MAX_ENTRIES}")
    if depth >= MAX_DEPTH:
        raise PackError(f"more than {MAX_DEPTH} levels deep")
