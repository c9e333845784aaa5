"""Read the arrays of an SMPL .pkl without letting the pickle run anything.

A pickle is a program that may call any function by name. Here the names that numpy and scipy.sparse write
are answered by inert classes of this module, every other name is refused, and numpy itself never sees the
file's own idea of its internal state: arrays are rebuilt from checked bytes. Python 2's pickles are read too.
"""

from __future__ import annotations

import io
import pickle
import re
from typing import Any

import numpy as np

from realtime.errors import LoadError

CHUMPY_ADVICE = (
    "it holds chumpy arrays. Where chumpy is installed, convert it once by\n"
    "  d = pickle.load(open('body.pkl', 'rb'), encoding='latin1'); "
    "d['J_regressor'] = d['J_regressor'].toarray()\n"
    "  np.savez('body.npz', **{k: np.array(d[k]) for k in "
    "'v_template shapedirs posedirs J_regressor weights kintree_table f'.split()})"
)


class _Dtype:
    """np.dtype as the pickle spells it: "f8" and, in its state, the byte order."""

    def __init__(self, spec: Any, *_flags: Any) -> None:
        self.spec = spec
        self.order = "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def resolve(self) -> np.dtype:
        spec = self.spec if isinstance(self.spec, str) else ""
        if not re.fullmatch(r"[<>|=]?([biuf][1248]|[SU][0-9]{1,4})", spec):
            raise LoadError(f"it holds an array of type {str(self.spec)[:20]!r}; only plain numbers are read")
        dtype = np.dtype(spec)
        if self.order == "<":
            return dtype.newbyteorder("<")
        return dtype.newbyteorder(">") if self.order == ">" else dtype


class _Array:
    """np.ndarray: `numpy.core.multiarray._reconstruct`, then this state."""

    def __init__(self, *_subtype_shape_typecode: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def resolve(self) -> np.ndarray:
        _version, shape, dtype, fortran, raw = self.state
        return _build(raw, dtype, shape, "F" if fortran else "C")


class _FromBuffer(_Array):
    """np.ndarray of pickle protocol 5: (bytes, dtype, shape, order)."""

    def __init__(self, raw: Any, dtype: Any, shape: Any, order: Any) -> None:
        self.state = (1, shape, dtype, order == "F", raw)


class _Scalar:
    """numpy scalar: (dtype, bytes)."""

    def __init__(self, dtype: Any, raw: Any) -> None:
        self.dtype, self.raw = dtype, raw

    def resolve(self) -> np.ndarray:
        return _build(self.raw, self.dtype, (), "C")


class _Sparse:
    """scipy.sparse.csc_matrix: its attributes."""

    def resolve(self) -> np.ndarray:
        shape = vars(self).get("_shape", vars(self).get("shape"))
        rows, columns = (int(n) for n in shape or (0, 0))
        if not (0 < rows <= 1000 and 0 < columns <= 1_000_000):
            raise LoadError(f"it holds a sparse matrix of shape {shape}, not that of a joint regressor")
        data = self._array("data")
        dense = np.zeros((rows, columns), data.dtype)
        np.add.at(dense, self._places(rows, columns), data)  # add, not assign: entries may come in parts
        return dense

    def _array(self, name: str) -> np.ndarray:
        value: np.ndarray = _resolve(vars(self)[name])
        return value

    def _places(self, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        return self._array("indices"), np.repeat(np.arange(columns), np.diff(self._array("indptr")))


class _SparseByRow(_Sparse):
    """scipy.sparse.csr_matrix."""

    def _places(self, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        return np.repeat(np.arange(rows), np.diff(self._array("indptr"))), self._array("indices")


class _SparseByEntry(_Sparse):
    """scipy.sparse.coo_matrix: `coords` since scipy 1.13, `row` and `col` before."""

    def _places(self, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        if "coords" in vars(self):
            row, column = vars(self)["coords"]
            return _resolve(row), _resolve(column)
        return self._array("row"), self._array("col")


def _encode(text: str, encoding: str) -> bytes:
    """`_codecs.encode`: how Python 3 writes bytes in the old protocols."""
    if encoding not in ("latin1", "latin-1"):
        raise LoadError(f"it asks for the codec {str(encoding)[:20]!r}; only arrays are read")
    return text.encode("latin1")


def _new_sparse(cls: Any, *_base_state: Any) -> _Sparse:
    """`copy_reg._reconstructor`: how Python 2 makes an object before it sets the attributes."""
    if not (isinstance(cls, type) and issubclass(cls, _Sparse)):
        raise LoadError("it builds an object that is neither an array nor a sparse matrix")
    return cls()


_NAMES: dict[str, Any] = {
    "multiarray._reconstruct": _Array,
    "multiarray.scalar": _Scalar,
    "numeric._frombuffer": _FromBuffer,
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "csc.csc_matrix": _Sparse,
    "csr.csr_matrix": _SparseByRow,
    "coo.coo_matrix": _SparseByEntry,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _new_sparse,
    "copy_reg._reconstructor": _new_sparse,
    "builtins.object": object,
    "__builtin__.object": object,
    "collections.OrderedDict": dict,
}


def _answer(module: str, name: str) -> Any:
    if module.partition(".")[0] == "chumpy":
        raise LoadError(CHUMPY_ADVICE)
    # Where the private modules live has moved over the years: numpy.core / numpy._core, csc / _csc.
    short = re.sub(r"^(numpy\._?core\.|scipy\.sparse\._?)", "", module)
    try:
        return _NAMES[f"{short}.{name}"]
    except KeyError:
        raise LoadError(
            f"it wants to run {module}.{name}, and a pickle can run anything; refused.\n"
            "Save the body's arrays with np.savez and give the .npz"
        ) from None


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _answer(module, name)


def read_pickle(content: bytes, keys: tuple[str, ...]) -> dict[str, Any]:
    """These keys of the dictionary in a pickle, as far as it has them; sparse matrices made dense.

    Raises LoadError: not a pickle, not a dictionary, chumpy arrays (with the way to convert them), anything
    that is neither a plain container nor an array.
    """
    try:
        loaded = _Unpickler(io.BytesIO(content), encoding="latin1").load()
        if not isinstance(loaded, dict):
            raise LoadError("not an SMPL body: the pickle holds no dictionary")
        return {key: _resolve(loaded[key]) for key in keys if key in loaded}
    except LoadError:
        raise
    except Exception as error:
        # Broken bytes make the unpickler raise almost any type; its documentation names no closed list.
        raise LoadError(
            f"not an SMPL .npz or .pkl file, or a damaged one ({type(error).__name__}); "
            "copy or convert it again"
        ) from None


def _resolve(value: Any) -> Any:
    return value.resolve() if isinstance(value, (_Array, _Scalar, _Sparse)) else value


def _build(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(dtype, _Dtype):
        raise LoadError("it holds an array without a type")
    kind = dtype.resolve()
    data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    # frombuffer and reshape both check the size; the copy is writable and in the machine's byte order
    array = np.frombuffer(data, kind).reshape(tuple(int(n) for n in shape), order=order)
    return np.array(array, dtype=kind.newbyteorder("="))
