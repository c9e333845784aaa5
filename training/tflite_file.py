"""Read a `.tflite` network: its operators in order, and its constants as arrays.

The file is a FlatBuffer; the numbers of the fields below are those of TensorFlow Lite's public schema (schema.fbs,
version 3), of which only what MediaPipe's pose networks use is read. Constants that the file packs are unpacked
here: half floats are kept as they are stored (DEQUANTIZE), sparse ones are filled up with zeros (DENSIFY), so that
neither operator is left in the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flatbuffers import encode, number_types
from flatbuffers.table import Table

DTYPES = {0: np.dtype(np.float32), 1: np.dtype(np.float16), 2: np.dtype(np.int32)}
OPERATORS = {
    0: "ADD",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    22: "RESHAPE",
    23: "RESIZE_BILINEAR",
    34: "PAD",
    124: "DENSIFY",
}
# Operator → its options: (name, number of the field, type of the number).
_I8, _I32, _BOOL = number_types.Int8Flags, number_types.Int32Flags, number_types.BoolFlags
_STRIDED = [("padding", 0, _I8), ("stride_x", 1, _I32), ("stride_y", 2, _I32)]
OPTIONS = {
    "ADD": [("activation", 0, _I8)],
    "CONCATENATION": [("axis", 0, _I32), ("activation", 1, _I8)],
    "CONV_2D": [*_STRIDED, ("activation", 3, _I8)],
    "DEPTHWISE_CONV_2D": [*_STRIDED, ("multiplier", 3, _I32), ("activation", 4, _I8)],
    "DEPTH_TO_SPACE": [("block", 0, _I32)],
    "MAX_POOL_2D": [*_STRIDED, ("width", 3, _I32), ("height", 4, _I32), ("activation", 5, _I8)],
    "RESIZE_BILINEAR": [("align_corners", 2, _BOOL), ("half_pixel_centers", 3, _BOOL)],
}


@dataclass(frozen=True)
class Operator:
    """One operator: what it does, the numbers of its tensors, its options (0 = SAME, none)."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int]


@dataclass(frozen=True)
class Network:
    """A network as its file has it: names and shapes by tensor number, operators in running order, constants."""

    names: list[str]
    shapes: list[tuple[int, ...]]
    constants: dict[int, np.ndarray]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class _Record:
    """A table of the FlatBuffer: fields by number; one that is absent reads as 0, empty or None."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._table = Table(data, position)

    def _offset(self, field: int) -> int:
        return int(self._table.Offset(4 + 2 * field))

    def number(self, field: int, flags: type = number_types.Int32Flags) -> int:
        offset = self._offset(field)
        return int(self._table.Get(flags, self._table.Pos + offset)) if offset else 0

    def record(self, field: int) -> _Record | None:
        offset = self._offset(field)
        return _Record(self._data, self._table.Indirect(self._table.Pos + offset)) if offset else None

    def records(self, field: int) -> list[_Record]:
        offset = self._offset(field)
        if not offset:
            return []
        start, count = self._table.Vector(offset), self._table.VectorLen(offset)
        return [_Record(self._data, self._table.Indirect(start + 4 * i)) for i in range(count)]

    def array(self, field: int, dtype: np.dtype | type) -> np.ndarray:
        offset = self._offset(field)
        if not offset:
            return np.zeros(0, dtype)
        return np.frombuffer(self._data, dtype, self._table.VectorLen(offset), self._table.Vector(offset))


def _densify(values: np.ndarray, sparsity: _Record, shape: tuple[int, ...]) -> np.ndarray:
    """Values of a tensor whose last dimension alone is sparse (compressed rows) → the full array of `shape`."""
    *dense, last = sparsity.records(2)
    order = sparsity.array(0, np.int32)
    if (
        list(order) != list(range(len(shape)))
        or any(d.number(0, _I8) for d in dense)
        or last.number(0, _I8) != 1
    ):
        raise ValueError(f"a sparse tensor of shape {shape} is packed in a way that is not read here")
    kinds = {1: np.int32, 2: np.uint16, 3: np.uint8}
    segments = last.record(3).array(0, kinds[last.number(2, _I8)])  # type: ignore[union-attr]
    columns = last.record(5).array(0, kinds[last.number(4, _I8)])  # type: ignore[union-attr]
    rows = np.repeat(np.arange(len(segments) - 1), np.diff(segments.astype(np.int64)))
    full = np.zeros((len(segments) - 1, shape[-1]), values.dtype)
    full[rows, columns] = values
    return full.reshape(shape)


def read(path: Path) -> Network:
    """The network in `path`. ValueError if the file is none, or uses what is not read here."""
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise ValueError(f"{path} is not a .tflite file")
    model = _Record(data, encode.Get(number_types.UOffsetTFlags.packer_type, data, 0))
    # Codes below 127 are kept in the byte of the first versions of the schema, later ones in field 3.
    codes = [max(code.number(0, _I8), code.number(3)) for code in model.records(1)]
    (graph,) = model.records(2)
    buffers = [buffer.array(0, np.uint8) for buffer in model.records(4)]

    names, shapes, constants = [], [], {}
    for number, tensor in enumerate(graph.records(0)):
        names.append(tensor.array(3, np.uint8).tobytes().decode())
        shapes.append(tuple(int(n) for n in tensor.array(0, np.int32)))
        stored = buffers[tensor.number(2, number_types.Uint32Flags)]
        if not len(stored):
            continue
        values = stored.view(DTYPES[tensor.number(1, _I8)])
        sparsity = tensor.record(6)
        constants[number] = _densify(values, sparsity, shapes[-1]) if sparsity else values.reshape(shapes[-1])

    operators = []
    for record in graph.records(3):
        code = codes[record.number(0, number_types.Uint32Flags)]
        if code not in OPERATORS:
            raise ValueError(f"{path} has an operator ({code}) that is not read here")
        kind = OPERATORS[code]
        inputs, outputs = (tuple(int(n) for n in record.array(field, np.int32)) for field in (1, 2))
        if kind in ("DEQUANTIZE", "DENSIFY"):
            constants[outputs[0]] = constants[inputs[0]]
            continue
        options = record.record(4)
        values = {
            name: options.number(at, flags) if options else 0 for name, at, flags in OPTIONS.get(kind, [])
        }
        operators.append(Operator(kind, inputs, outputs, values))
    ends = [tuple(int(n) for n in graph.array(field, np.int32)) for field in (1, 2)]
    return Network(names, shapes, constants, operators, *ends)
