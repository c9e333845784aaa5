"""The network on TensorRT's runner, as the live program steps it: equal to ONNX Runtime (on doubles, without a GPU)."""

import numpy as np
import pytest
from cuda_double import DriverDouble
from tensorrt_double import doubled

from engines.gate import load_gate
from engines.graph_engine import LOOPS, GraphEngine
from engines.graph_file import HORIZONS
from engines.model_files import graph_path
from engines.runner import make_runner
from engines.tensorrt import cuda
from engines.tensorrt import runner as tensorrt_runner
from engines.tensorrt.api import load_api
from realtime.body.smpl import load_body

pytest.importorskip("tensorrt_rtx", reason='TensorRT compiles: pip install -e ".[tensorrt-rtx]"')

FRAMES = 60


@pytest.fixture
def engines(monkeypatch, tmp_path):
    """The shipped model: on TensorRT, and on ONNX Runtime."""
    monkeypatch.setenv("HMMR_LIVE_CACHE", str(tmp_path))
    driver = DriverDouble()
    monkeypatch.setattr(cuda, "load_driver", lambda: driver)
    path, _ = graph_path("default", "step", "fp32", "tensorrt")
    api, trt = doubled(load_api("tensorrt_rtx"), driver, path, {})
    monkeypatch.setattr(tensorrt_runner, "find", lambda runtime: (cuda.find_gpu(), api))

    def opened(kind):
        def open_runner(horizons):
            trt.dims = {HORIZONS: horizons}
            return make_runner(path, kind, loops=LOOPS, dims=trt.dims)

        return GraphEngine(open_runner, path)

    return opened("tensorrt"), opened("onnxruntime")


def test_real_frames_with_resets_a_changing_number_of_horizons_and_a_rebuild(engines):
    gate, body = load_gate(), load_body(None)
    for engine in engines:
        engine.prepare(1, body)
    assert engines[0].name == "tensorrt" and engines[0].describe()["cuda_graph"] == "yes"
    starts = gate.starts[:FRAMES].copy()
    starts[25] = True
    mean = np.zeros(10, np.float32)
    for index in range(FRAMES):
        ahead_ms = (40.0, 80.0) if 10 <= index < 40 else (120.0,)
        for engine in engines:
            if starts[index]:
                engine.reset()
            if index == 50:
                engine.rebuild(gate.features[index - 13 : index])
        first, second = (engine.step(gate.features[index], ahead_ms, mean, 0.5) for engine in engines)
        for name in first.__slots__:
            np.testing.assert_array_equal(
                getattr(first, name), getattr(second, name), err_msg=f"{name}, {index}"
            )
        mean = first.shape
