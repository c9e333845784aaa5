"""The TensorRT runner on doubles of the driver and of TensorRT's execution; nothing here has run on a GPU
(tests/test_engines_build.py compiles engines for real).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cuda_double import CUresult, DriverDouble
from small_graph import LOOPS, WIDTH, write_small_graph
from tensorrt_double import doubled

from engines.model_files import graph_path
from engines.onnxruntime_runner import OnnxRuntimeRunner
from engines.tensorrt import cuda
from engines.tensorrt import runner as tensorrt_runner
from engines.tensorrt.api import Api, load_api
from engines.tensorrt.runner import TensorRTRunner
from realtime.errors import LoadError

pytest.importorskip("tensorrt_rtx", reason="TensorRT builds the engines: pip install -e .[tensorrt-rtx]")

DIMS = {"horizons": 2}


@pytest.fixture(autouse=True)
def built_once(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("HMMR_LIVE_CACHE", str(tmp_path_factory.getbasetemp() / "engines"))


@pytest.fixture
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HMMR_LIVE_CACHE", str(tmp_path / "engines"))
    return tmp_path / "engines"


@pytest.fixture
def driver(monkeypatch):
    double = DriverDouble()
    monkeypatch.setattr(cuda, "load_driver", lambda: double)
    return double


@pytest.fixture
def small(tmp_path):
    return write_small_graph(tmp_path)


@pytest.fixture
def trt(monkeypatch, driver, small):
    return use(monkeypatch, driver, small)


def use(monkeypatch, driver, path, dims=DIMS, runtime="tensorrt_rtx"):
    real = load_api("tensorrt_rtx")
    api, trt = doubled(Api(runtime, real.version, real.trt, real.logger), driver, path, dims)
    monkeypatch.setattr(tensorrt_runner, "find", lambda runtime: (cuda.find_gpu(), api))
    return trt


def open_runner(path, **options):
    return TensorRTRunner(path, **{"loops": LOOPS, "dims": DIMS} | options)


def frame(seed):
    random = np.random.default_rng(seed)
    return {
        "features": random.normal(size=(1, WIDTH)).astype(np.float32),
        "dt_ms": random.uniform(size=2).astype(np.float32),
    }


def assert_same_run(runner, reference, inputs):
    made, expected = runner.run(**inputs), reference.run(**inputs)
    assert made.keys() == expected.keys()
    for name, array in expected.items():
        assert made[name].dtype == np.float32
        np.testing.assert_array_equal(made[name], array, err_msg=name)


def assert_nothing_left(driver):
    assert (driver.memory, driver.pinned, driver.graphs, driver.streams, driver.contexts) == (
        {},
        {},
        {},
        {},
        0,
    )


def test_fifty_frames_of_the_shipped_model_equal_onnx_runtime(monkeypatch, driver):
    path, _ = graph_path("default", "step", "fp32", "tensorrt")
    use(monkeypatch, driver, path)
    runner = open_runner(path)
    reference = OnnxRuntimeRunner(path, loops=LOOPS, dims=DIMS)
    assert runner.metadata == reference.metadata
    assert (runner.inputs, runner.outputs) == (reference.inputs, reference.outputs)
    random = np.random.default_rng(0)
    for index in range(50):
        if index == 20:
            runner.clear()
            reference.clear()
        age = np.full(1, min(index % 20, 12), np.float32)
        inputs = {"features": random.normal(size=runner.inputs["features"]).astype(np.float32), "age": age}
        if index % 7 == 0:  # what is left out keeps its value
            for name in runner.inputs.keys() - inputs.keys():
                inputs[name] = random.uniform(size=runner.inputs[name]).astype(np.float32)
        assert_same_run(runner, reference, inputs)
    np.testing.assert_array_equal(runner.read_loop("state"), reference.read_loop("state"))


def test_a_run_is_one_launch_and_allocates_nothing(driver, trt, small):
    runner = open_runner(small)
    told = runner.describe()
    assert (told["engine"], told["device"], told["cuda_graph"]) == (
        "tensorrt",
        "cuda:0 (NVIDIA Double)",
        "yes",
    )
    assert told["tensorrt"] == load_api("tensorrt_rtx").label and "sm86" in told["engine_file"]
    first = runner.run(**frame(0))
    held = (len(driver.memory), len(driver.pinned), len(driver.graphs))
    driver.calls.clear()
    for seed in range(5):
        assert all(array is first[name] for name, array in runner.run(**frame(seed)).items())
    assert driver.calls == ["cuCtxSetCurrent", "cuGraphLaunch", "cuStreamSynchronize"] * 5
    assert held == (len(driver.memory), len(driver.pinned), len(driver.graphs))


@pytest.mark.parametrize("spoil", [{"capturable": False}, {"fails_captured": True}, {"allocates": True}])
def test_an_engine_that_cannot_be_captured_runs_all_the_same_and_says_so(driver, trt, small, caplog, spoil):
    for name, value in spoil.items():
        setattr(trt, name, value)
    runner = open_runner(small)
    assert runner.describe()["cuda_graph"].startswith("no: ")
    assert [record.message for record in caplog.records if "no CUDA graph" in record.message]
    reference = OnnxRuntimeRunner(small, loops=LOOPS, dims=DIMS)
    for seed in range(5):
        assert_same_run(runner, reference, frame(seed))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_states_stay_on_the_gpu_and_can_be_read_written_and_cleared(monkeypatch, driver, tmp_path, dtype):
    path = write_small_graph(tmp_path, state_dtype=dtype)
    use(monkeypatch, driver, path)
    runner = open_runner(path)
    assert "state" not in runner.inputs and "next_state" not in runner.outputs
    first = runner.run(**frame(1))["strip"].copy()
    state = runner.read_loop("state")
    assert state.dtype == dtype
    np.testing.assert_array_equal(
        state[0], np.stack((np.zeros(WIDTH), frame(1)["features"][0])).astype(dtype)
    )
    second = runner.run(**frame(2))["strip"].copy()
    assert not np.array_equal(first, second)
    runner.write_loop("state", state)
    np.testing.assert_array_equal(runner.run(**frame(2))["strip"], second)
    runner.clear()
    assert not runner.read_loop("state").any()
    np.testing.assert_array_equal(runner.run(**frame(1))["strip"], first)


def test_what_it_cannot_take_is_refused_before_anything_changes(driver, trt, small):
    runner = open_runner(small)
    runner.run(**frame(3))
    state = runner.read_loop("state")
    good, other = frame(3)["features"], frame(4)["features"]
    for bad in (
        {"feature": good},
        {"state": state},
        {"dt_ms": np.zeros(3, np.float32)},
        {"dt_ms": np.zeros(2, complex)},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            runner.run(features=other, **bad)
    for call in (lambda: runner.read_loop("next_state"), lambda: runner.write_loop("x", state)):
        with pytest.raises(ValueError, match="no loop"):
            call()
    with pytest.raises(ValueError, match="of shape"):
        runner.write_loop("state", state[0])
    np.testing.assert_array_equal(runner.read_loop("state"), state)
    reference = OnnxRuntimeRunner(small, loops=LOOPS, dims=DIMS)
    reference.run(**frame(3))
    assert_same_run(runner, reference, {})


def test_what_was_never_given_is_zero(driver, trt, small):
    assert_same_run(open_runner(small), OnnxRuntimeRunner(small, loops=LOOPS, dims=DIMS), {})


def test_it_runs_in_any_thread(driver, trt, small):
    runner, reference = open_runner(small), OnnxRuntimeRunner(small, loops=LOOPS, dims=DIMS)

    def work():
        assert_same_run(runner, reference, frame(5))
        runner.clear()
        runner.write_loop("state", runner.read_loop("state"))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_close_frees_everything_and_may_be_called_twice(driver, trt, small):
    runner = open_runner(small)
    runner.close()
    runner.close()
    assert_nothing_left(driver)
    for call in (runner.run, runner.clear, lambda: runner.read_loop("state")):
        with pytest.raises(ValueError, match="closed"):
            call()


CAPTURE_CALLS = ("cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate")


def test_every_call_that_fails_while_loading_is_an_error_that_names_it_and_leaves_nothing(driver, trt, small):
    open_runner(small)
    calls = [name for name in dict.fromkeys(driver.calls) if name not in (*CAPTURE_CALLS, "cuGraphDestroy")]
    assert len(calls) == 16
    for call in calls:
        driver.__init__()
        driver.fail[call] = CUresult.CUDA_ERROR_OUT_OF_MEMORY
        with pytest.raises(LoadError, match=f"{call}: CUDA_ERROR_OUT_OF_MEMORY, out of memory.*nvidia-smi"):
            open_runner(small)
        driver.fail.clear()
        assert_nothing_left(driver)


@pytest.mark.parametrize("call", ["cuStreamBeginCapture", "cuGraphInstantiate"])
def test_a_capture_that_fails_is_no_error(driver, trt, small, call):
    driver.fail[call] = CUresult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
    runner = open_runner(small)
    assert f"{call}: CUDA_ERROR_STREAM_CAPTURE_INVALIDATED" in runner.describe()["cuda_graph"]


@pytest.mark.parametrize("call", ["cuCtxSetCurrent", "cuGraphLaunch", "cuStreamSynchronize"])
def test_a_gpu_that_fails_later_ends_the_run_with_its_reason(driver, trt, small, call):
    runner = open_runner(small)
    driver.fail[call] = CUresult.CUDA_ERROR_LAUNCH_FAILED
    with pytest.raises(LoadError, match=f"{call}: CUDA_ERROR_LAUNCH_FAILED, launch failed"):
        runner.run(**frame(0))


def test_an_engine_that_is_refused_is_built_anew_once(driver, trt, small, own_folder, caplog):
    open_runner(small).close()
    trt.refuse, trt.taken = 1, []
    open_runner(small).close()
    assert len(trt.taken) == 2  # from the cache, then a new one
    assert "refused (made by another version)" in caplog.text
    trt.refuse = 2
    with pytest.raises(
        LoadError, match="cannot load what it built for NVIDIA Double .made by another version"
    ):
        open_runner(small)
    assert_nothing_left(driver)


def test_compiled_kernels_are_kept_for_the_next_start(driver, trt, small, own_folder):
    open_runner(small).close()
    assert trt.known_kernels == []
    trt.kernels = b"others"
    open_runner(small).close()
    assert trt.known_kernels == [b"kernels"]
    driver.name = "NVIDIA Another"  # the engine is good for it, the kernels are not
    open_runner(small).close()
    assert trt.known_kernels == [b"kernels"]
    assert len(list(own_folder.glob("*.engine"))) == 1


def test_tensorrt_itself_builds_for_the_gpu_here_and_compiles_all_at_once(
    monkeypatch, driver, small, own_folder
):
    trt = use(monkeypatch, driver, small, runtime="tensorrt")
    runner = open_runner(small)
    assert_same_run(runner, OnnxRuntimeRunner(small, loops=LOOPS, dims=DIMS), frame(0))
    assert trt.known_kernels == [] and not list(own_folder.glob("*.kernels"))
    driver.name = "NVIDIA Another"
    assert open_runner(small).describe()["engine_file"] != runner.describe()["engine_file"]


def test_where_nothing_can_be_kept_it_runs_and_says_so(driver, trt, small, own_folder, caplog):
    own_folder.write_bytes(b"a file, no folder")
    runner = open_runner(small)
    assert runner.describe()["engine_file"] == "not kept"
    assert "cannot keep an engine" in caplog.text and "the next start will build it again" in caplog.text
    assert_same_run(runner, OnnxRuntimeRunner(small, loops=LOOPS, dims=DIMS), frame(0))


@pytest.mark.parametrize("loops", [{"nothing": "state"}, {"next_state": "features"}, {"features": "state"}])
def test_loops_that_do_not_fit_are_refused(driver, trt, small, loops):
    with pytest.raises(LoadError, match="not this graph"):
        open_runner(small, loops=loops)
    assert_nothing_left(driver)


def test_outputs_are_float32_only(monkeypatch, driver, tmp_path):
    path = write_small_graph(tmp_path, state_dtype="float16")
    use(monkeypatch, driver, path)
    with pytest.raises(LoadError, match="next_state is float16, not float32"):
        open_runner(path, loops={})
