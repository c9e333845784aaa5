"""Loading bodies: SMPL's .npz and .pkl, our own compact form, and everything that is not a body."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from bodies import figure_body, random_smpl_arrays

from realtime.body.pickles import CHUMPY_ADVICE
from realtime.body.skeleton import BLAZEPOSE_BONES, BLAZEPOSE_NAMES, BONES, JOINT_NAMES, PARENTS, TREE_LEVELS
from realtime.body.smpl import REQUIRED_KEYS, body_from_arrays, load_body
from realtime.errors import LoadError


@pytest.fixture
def arrays():
    return random_smpl_arrays(3, vertices=60)


def saved(path, arrays):
    np.savez(path, **arrays)
    return path


def test_npz_and_every_pickle_protocol_give_the_same_body(tmp_path, arrays):
    expected = load_body(saved(tmp_path / "model.npz", arrays))
    assert expected.id.startswith("model-") and len(expected.id) == len("model-") + 8
    assert expected.parents[0] == -1 and expected.faces.dtype == np.int32
    variants = {"dense": arrays["J_regressor"]}
    for kind in ("csc_matrix", "csr_matrix", "coo_matrix"):
        variants[kind] = getattr(scipy.sparse, kind)(arrays["J_regressor"])
    for kind, regressor in variants.items():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            file = tmp_path / f"{kind}{protocol}.pkl"
            extra = {"bs_style": "lbs", "names": np.array([None, "a"], object), "n": np.float64(3)}
            file.write_bytes(pickle.dumps({**arrays, **extra, "J_regressor": regressor}, protocol))
            body = load_body(file)
            for name in ("v_template", "shapedirs", "posedirs", "weights", "J_regressor", "faces"):
                np.testing.assert_allclose(getattr(body, name), getattr(expected, name), atol=1e-7)


def test_python_2_pickle_of_old_numpy_and_scipy(tmp_path, arrays):
    """Written opcode by opcode as Python 2 did: str for bytes, copy_reg._reconstructor, scipy.sparse.csc."""

    def text(data: bytes) -> bytes:
        return b"T" + len(data).to_bytes(4, "little") + data

    def array(a: np.ndarray) -> bytes:
        raw, spec = text(np.asfortranarray(a).tobytes("F")), a.dtype.str[1:].encode()
        shape = b"(" + b"".join(b"I%d\n" % n for n in a.shape) + b"t"
        dtype = b"cnumpy\ndtype\n(" + text(spec) + b"I0\nI1\ntR(I3\n" + text(b"<") + b"NNNI-1\nI-1\nI0\ntb"
        head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\nt" + text(b"b") + b"tR"
        return head + b"(I1\n" + shape + dtype + b"I01\n" + raw + b"tb"

    sparse = scipy.sparse.csc_matrix(arrays["J_regressor"])
    state = b"(d" + text(b"_shape") + b"(I24\nI60\nts"
    for name in ("data", "indices", "indptr"):
        state += text(name.encode()) + array(getattr(sparse, name)) + b"s"
    names = b"ccopy_reg\n_reconstructor\n(cscipy.sparse.csc\ncsc_matrix\nc__builtin__\nobject\nNtR"
    regressor = names + state + b"b"
    others = {key: value for key, value in arrays.items() if key != "J_regressor"}
    items = b"".join(text(key.encode()) + array(value) + b"s" for key, value in others.items())
    file = tmp_path / "old.pkl"
    file.write_bytes(b"(d" + items + text(b"J_regressor") + regressor + b"s.")
    body, expected = load_body(file), body_from_arrays(arrays, "x")
    np.testing.assert_array_equal(body.posedirs, expected.posedirs)
    np.testing.assert_array_equal(body.J_regressor, expected.J_regressor)


def test_more_than_ten_shape_directions_keeps_ten_and_fewer_are_filled(tmp_path):
    many = random_smpl_arrays(1, vertices=40, shape_directions=300)
    body = load_body(saved(tmp_path / "many.npz", many))
    np.testing.assert_array_equal(body.shapedirs, many["shapedirs"][:, :, :10].astype(np.float32))
    few = body_from_arrays(random_smpl_arrays(1, vertices=40, shape_directions=4), "few")
    assert few.shapedirs.shape == (40, 3, 10) and not few.shapedirs[:, :, 4:].any()


def test_our_own_compact_form(tmp_path, arrays):
    compact = {key: np.asarray(arrays[key], np.float16) for key in ("v_template", "shapedirs", "J_regressor")}
    compact |= {"weights": np.round(arrays["weights"] * 255).astype(np.uint8)}
    compact |= {"id": "anny-cc0", "licence": "CC0-1.0"}
    compact |= {key: arrays[key] for key in ("kintree_table", "f")}
    body = load_body(saved(tmp_path / "own.npz", compact))
    assert (body.id, body.licence, body.posedirs) == ("anny-cc0", "CC0-1.0", None)
    assert body.v_template.dtype == body.weights.dtype == np.float32
    np.testing.assert_allclose(body.weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(body.v_template, arrays["v_template"], atol=2e-3)


def test_id_follows_the_content(tmp_path, arrays):
    first = load_body(saved(tmp_path / "m.npz", arrays)).id
    moved = arrays | {"v_template": arrays["v_template"] + 0.1}
    assert load_body(saved(tmp_path / "m.npz", moved)).id != first


def test_an_id_is_short_text_whatever_the_file_is_called(tmp_path, arrays):
    assert len(load_body(saved(tmp_path / ("b" * 250 + ".npz"), arrays)).id) < 100
    if sys.platform != "win32":
        odd = tmp_path / os.fsdecode(b"odd\xff.npz")
        saved(tmp_path / "m.npz", arrays).rename(odd)
        load_body(odd).id.encode()


@pytest.mark.parametrize("key", REQUIRED_KEYS)
def test_a_missing_key_is_named(tmp_path, arrays, key):
    del arrays[key]
    with pytest.raises(LoadError, match=rf"(?s)short\.npz.*{key} missing"):
        load_body(saved(tmp_path / "short.npz", arrays))


def test_all_missing_keys_are_named(tmp_path):
    with pytest.raises(LoadError, match=", ".join(REQUIRED_KEYS)):
        load_body(saved(tmp_path / "motion.npz", {"poses": np.zeros((5, 156))}))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weights", np.ones((60, 55)) / 55, r"weights has shape \(60, 55\).*SMPL-X"),
        ("weights", np.ones((60, 24)), "rows do not sum to 1"),
        ("posedirs", np.zeros((60, 3, 9)), r"posedirs has shape \(60, 3, 9\), expected \(60, 3, 207\)"),
        ("v_template", np.zeros((60, 2)), r"v_template has shape \(60, 2\)"),
        ("v_template", np.full((60, 3), np.nan), "not finite"),
        ("shapedirs", np.zeros((61, 3, 10)), "shapedirs has shape"),
        ("J_regressor", np.array(["a"]), "J_regressor is not an array of numbers"),
        ("kintree_table", np.array([range(-1, 23), range(24)]), "not SMPL's tree"),
        ("kintree_table", np.zeros(24), "kintree_table has shape"),
        ("f", np.array([[0, 1, 60]]), "outside 0 … 59"),
        ("f", np.zeros((3, 4), int), "f has shape"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, arrays, key, value, message):
    with pytest.raises(LoadError, match=message):
        load_body(saved(tmp_path / "wrong.npz", arrays | {key: value}))


def test_object_arrays_are_never_unpickled(tmp_path, arrays):
    sparse = np.array(scipy.sparse.csc_matrix(arrays["J_regressor"]), dtype=object)
    with pytest.raises(LoadError, match=r"J_regressor is not a plain array.*toarray"):
        load_body(saved(tmp_path / "object.npz", arrays | {"J_regressor": sparse}))


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(tmp_path, arrays):
    file, mark = tmp_path / "evil.pkl", tmp_path / "ran"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        file.write_bytes(pickle.dumps(arrays | {"x": _Bomb(mark)}, protocol))
        with pytest.raises(LoadError, match=r"evil\.pkl.*open.*refused"):
            load_body(file)
    assert not mark.exists()


def test_chumpy_arrays_get_the_recipe(tmp_path):
    file = tmp_path / "official.pkl"
    array = b"ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR"
    file.write_bytes(b"(dS'shapedirs'\n" + array + b"s.")
    with pytest.raises(LoadError, match="chumpy") as caught:
        load_body(file)
    assert "np.savez" in str(caught.value) and all(key in str(caught.value) for key in REQUIRED_KEYS)


def test_the_chumpy_recipe_works_as_printed(tmp_path, arrays):
    """Its two lines, run on a clean pickle: np.array takes a chumpy array just as it takes these."""
    sparse = scipy.sparse.csc_matrix(arrays["J_regressor"])
    (tmp_path / "body.pkl").write_bytes(pickle.dumps(arrays | {"J_regressor": sparse}))
    lines = [line.strip() for line in CHUMPY_ADVICE.splitlines()[1:]]
    assert len(lines) == 2
    code = "\n".join(["import pickle, numpy as np", *lines])
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    np.testing.assert_array_equal(
        load_body(tmp_path / "body.npz").J_regressor, body_from_arrays(arrays, "x").J_regressor
    )


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x89PNG\r\n\x1a\n" + bytes(50), b"PK\x03\x04", b"."])
def test_not_a_body_at_all(tmp_path, content):
    for name in ("x.npz", "x.pkl"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LoadError, match=name):
            load_body(tmp_path / name)
    with pytest.raises(LoadError, match=r"nowhere\.npz.*cannot be read"):
        load_body(tmp_path / "nowhere.npz")
    with pytest.raises(LoadError, match="cannot be read"):
        load_body(tmp_path)


def test_damaged_files_end_in_a_load_error_only(tmp_path, arrays):
    """Cut at many places, and with bytes changed: never another exception, never a crash."""
    rng = np.random.default_rng(0)
    npz = saved(tmp_path / "a.npz", arrays).read_bytes()
    pkl = pickle.dumps(arrays | {"J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"])}, 2)
    file = tmp_path / "damaged"
    refused = 0
    for content in (npz, pkl):
        for _ in range(60):
            file.write_bytes(content[: rng.integers(0, len(content))])
            with pytest.raises(LoadError):
                load_body(file)
        for _ in range(150):
            broken = bytearray(content)
            # Names, shapes and opcodes lie in front; far inside only numbers change.
            for at in rng.integers(0, min(len(content), 3000), rng.integers(1, 6)):
                broken[at] = rng.integers(0, 256)
            file.write_bytes(bytes(broken))
            try:
                load_body(file)
            except LoadError:
                refused += 1
    assert refused > 100


def test_skeleton_tables_agree():
    assert len(JOINT_NAMES) == len(PARENTS) == 24 and len(BONES) == 23 and len(BLAZEPOSE_NAMES) == 33
    assert len(set(JOINT_NAMES)) == 24 and len(set(BLAZEPOSE_NAMES)) == 33
    reached = {0}
    for joints, parents in TREE_LEVELS:
        assert set(parents) <= reached and [PARENTS[j] for j in joints] == parents
        reached |= set(joints)
    assert reached == set(range(24))
    swap = {"left": "right", "right": "left"}
    mirrored = {frozenset((_mirror(a, swap), _mirror(b, swap))) for a, b in BLAZEPOSE_BONES}
    assert mirrored == {frozenset((BLAZEPOSE_NAMES[a], BLAZEPOSE_NAMES[b])) for a, b in BLAZEPOSE_BONES}


def _mirror(index, swap):
    return "_".join(swap.get(word, word) for word in BLAZEPOSE_NAMES[index].split("_"))


def test_the_figure_of_the_tests_is_a_body():
    body = figure_body()
    assert body.J_template[16, 0] > 0.1 > -0.1 > body.J_template[17, 0]  # its left is +x
    assert body.v_template[:, 1].min() < -0.9 and body.v_template[:, 1].max() > 0.7
