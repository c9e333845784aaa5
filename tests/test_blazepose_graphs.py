"""BlazePose as ONNX: what TensorFlow Lite's interpreter makes of MediaPipe's own files, small and quick to run."""

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from engines.graph_file import SEAL, SEAL_LENGTH
from realtime.assets import asset
from training.make_blazepose import CUTS, THINNED, installed_modules, make
from training.tflite_file import read

GOLDEN = Path(__file__).parent / "golden" / "blazepose.npz"
RELATIVE = 1e-4  # of an output's largest value


def _session(name: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(asset(f"{name}.onnx")), options, providers=["CPUExecutionProvider"])


def _run(name: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    session = _session(name)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def results(golden):
    """Every graph on the golden pictures, as a batch of two; the mask from the landmark graph's own maps."""
    pictures = {name: golden[f"{name}.image"].astype(np.float32) for name in CUTS}
    found = {name: _run(name, image=pictures[name]) for name in ("blazepose_detector", "blazepose_landmarks")}
    features = found["blazepose_landmarks"]["mask_features"]
    found["blazepose_mask"] = _run("blazepose_mask", image=pictures["blazepose_mask"], mask_features=features)
    return found


@pytest.mark.parametrize(
    ("name", "output"), [(name, key) for name, cut in CUTS.items() for key in cut.outputs]
)
def test_is_what_tensorflow_lite_computes(golden, results, name, output):
    expected = golden[f"{name}.{output}"]
    values = np.stack([array[THINNED.get(output, ...)] for array in results[name][output]])
    assert values.shape == expected.shape
    assert np.abs(values - expected).max() <= RELATIVE * np.abs(expected).max()


def test_golden_pictures_hold_a_person(golden):
    """A test on pictures that mean nothing to the network would be easy to pass."""
    assert (golden["blazepose_landmarks.pose_flag"] > 0.99).all()
    assert (golden["blazepose_detector.scores"].max(axis=(1, 2)) > 0).all()
    assert np.ptp(golden["blazepose_landmarks.landmarks"][:, :33, 1], axis=1).min() > 100  # pixels of 256


@pytest.mark.parametrize("name", ["blazepose_detector", "blazepose_landmarks"])
def test_a_batch_is_its_pictures_one_by_one(golden, results, name):
    for index, picture in enumerate(golden[f"{name}.image"].astype(np.float32)):
        for key, alone in _run(name, image=picture[None]).items():
            together = results[name][key][index]
            assert np.abs(alone[0] - together).max() <= 1e-5 * np.abs(together).max()


def test_files_are_small_and_say_where_they_come_from():
    paths = [asset(f"{name}.onnx") for name in CUTS]
    assert all(SEAL in path.read_bytes()[-SEAL_LENGTH:] for path in paths)
    assert sum(path.stat().st_size for path in paths) <= 10e6
    for path in paths:
        model = onnx.load(path)
        about = {entry.key: entry.value for entry in model.metadata_props}
        assert "mediapipe 0.10.21" in about["source"] and "Apache-2.0" in about["copyright"]
        stored = [item for item in model.graph.initializer if item.data_type == TensorProto.FLOAT]
        assert all(numpy_helper.to_array(item).size <= 24 * 27 for item in stored)  # only the first kernel


def test_maps_are_never_turned():
    """Transposed maps would cost as much as convolutions."""
    kinds = {node.op_type for node in onnx.load(asset("blazepose_landmarks.onnx")).graph.node}
    assert kinds == {"Add", "Cast", "Clip", "Conv", "MaxPool", "Reshape", "Resize", "Sigmoid"}


@pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None, reason="mediapipe's wheel holds the originals"
)
@pytest.mark.parametrize("name", list(CUTS))
def test_shipped_is_what_the_tool_makes(name):
    made, shipped = make(name, installed_modules()), onnx.load(asset(f"{name}.onnx"))
    assert made.graph == shipped.graph
    assert list(made.metadata_props) == list(shipped.metadata_props)[:-1]  # the last is its seal


def test_a_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "pose.tflite"
    path.write_bytes(b"version https://git-lfs")
    with pytest.raises(ValueError, match="not a .tflite file"):
        read(path)
