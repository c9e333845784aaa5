"""Which TensorRT runs on which GPU, and what is said where none can."""

import builtins
import importlib.util
import inspect
import sys
from types import ModuleType, SimpleNamespace

import pytest
from cuda_double import CUresult, DriverDouble
from tensorrt_double import TensorRTDouble

from engines.tensorrt import api as tensorrt_api
from engines.tensorrt import cuda
from engines.tensorrt.api import available, choose, find, load_api
from engines.tensorrt.cuda import Gpu
from realtime.errors import LoadError

RTX_4090 = Gpu(0, "NVIDIA GeForce RTX 4090", (8, 9))
H200 = Gpu(0, "NVIDIA H200", (9, 0))


@pytest.fixture
def packages(monkeypatch):
    """packages("tensorrt_rtx", …): those are installed, and no others."""

    def only(*names, version="11.0.1"):
        monkeypatch.setattr(tensorrt_api, "installed", lambda runtime: runtime in names)
        if "tensorrt" in names:  # its own module cannot be had here: the other's with another name
            real = pytest.importorskip("tensorrt_rtx")
            module = ModuleType("tensorrt")
            module.__dict__.update(vars(real), __version__=version)
            monkeypatch.setitem(sys.modules, "tensorrt", module)

    load_api.cache_clear()
    yield only
    load_api.cache_clear()


@pytest.fixture
def driver(monkeypatch):
    double = DriverDouble(RTX_4090.name, RTX_4090.capability)
    monkeypatch.setattr(cuda, "load_driver", lambda: double)
    return double


def reason():
    text = available()
    with pytest.raises(LoadError) as caught:
        find()
    assert str(caught.value) == text
    return text


def test_nothing_installed(packages):
    packages()
    assert reason() == (
        'TensorRT is not installed; pip install -e ".[tensorrt-rtx]" for GeForce and RTX cards, '
        'pip install -e ".[tensorrt]" for every NVIDIA GPU'
    )


def test_no_cuda_bindings(packages, monkeypatch):
    packages("tensorrt_rtx")
    monkeypatch.setattr(cuda, "installed", lambda: False)
    assert reason() == 'cuda-bindings is not installed; pip install -e ".[tensorrt-rtx]"'


def test_no_driver_no_gpu_no_package_is_imported(packages, driver, monkeypatch):
    packages("tensorrt_rtx")
    monkeypatch.setattr(tensorrt_api, "load_api", lambda runtime: pytest.fail("imported"))
    driver.fail["cuInit"] = CUresult.CUDA_ERROR_NO_DEVICE
    assert reason().startswith("the NVIDIA driver finds no GPU it can use (cuInit: CUDA_ERROR_NO_DEVICE")
    driver.fail.clear()
    driver.count = 0
    driver.cuInit = lambda flags: (CUresult.CUDA_SUCCESS,)
    assert reason().startswith("no NVIDIA GPU 0: the driver counts 0")


def test_the_drivers_library_is_missing(packages, monkeypatch):
    packages("tensorrt_rtx")

    def missing(_flags):
        raise RuntimeError("libcuda.so.1 not found")

    monkeypatch.setattr(cuda, "load_driver", lambda: SimpleNamespace(cuInit=missing))
    assert reason().startswith("no NVIDIA driver here")


@pytest.mark.parametrize("there", [("tensorrt_rtx",), ("tensorrt",), ("tensorrt", "tensorrt_rtx")])
def test_what_is_there_is_taken_and_tensorrt_first(packages, driver, there):
    pytest.importorskip("tensorrt_rtx")
    packages(*there)
    assert available() is None
    gpu, api = find()
    assert gpu == RTX_4090
    assert api.runtime == there[0]
    assert all(find(runtime)[1].runtime == runtime for runtime in there)
    assert bool(api.targets) == (there[0] == "tensorrt_rtx")


def test_a_gpu_that_tensorrt_rtx_does_not_know_needs_tensorrt(packages, driver):
    pytest.importorskip("tensorrt_rtx")
    packages("tensorrt_rtx")
    driver.name, driver.capability = H200.name, H200.capability
    assert "knows sm75, sm80, sm86, sm89, sm120, sm121, and NVIDIA H200 is sm90; " in reason()
    assert reason().endswith('pip install -e ".[tensorrt]" runs on every NVIDIA GPU')
    with pytest.raises(LoadError, match="is sm90"):
        find("tensorrt_rtx")
    packages("tensorrt", "tensorrt_rtx")
    assert choose(H200).runtime == "tensorrt"


def test_a_package_too_old_or_broken_gives_way_to_the_other(packages, monkeypatch):
    pytest.importorskip("tensorrt_rtx")
    packages("tensorrt", "tensorrt_rtx", version="8.6.1")
    assert choose(RTX_4090).runtime == "tensorrt_rtx"
    packages("tensorrt", version="8.6.1")
    with pytest.raises(LoadError, match="tensorrt 8.6.1 is too old, 10 or later is needed; pip install"):
        choose(RTX_4090)
    monkeypatch.delitem(sys.modules, "tensorrt")
    monkeypatch.setattr(tensorrt_api.importlib, "import_module", raise_os_error)
    load_api.cache_clear()
    with pytest.raises(
        LoadError, match="tensorrt cannot be loaded .libnvinfer.so.10: not found.; pip install"
    ):
        choose(RTX_4090)


def raise_os_error(name):
    raise OSError("libnvinfer.so.10: not found")


def test_an_unknown_runtime():
    with pytest.raises(LoadError, match="use tensorrt or tensorrt_rtx"):
        load_api("tensorrt_lean")


def test_gpu_names_things_as_others_do():
    assert (RTX_4090.target, RTX_4090.device) == ("sm89", "cuda:0 (NVIDIA GeForce RTX 4090)")
    assert Gpu(1, "x", (12, 0)).target == "sm120"


def test_no_package_costs_no_import(monkeypatch):
    """What --engine auto asks on every start: neither the bindings nor TensorRT are imported to find none."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(builtins, "__import__", lambda *_: pytest.fail("imported"))
    message = available()
    monkeypatch.undo()
    assert message.startswith("TensorRT is not installed")


def test_the_driver_double_has_the_drivers_own_functions():
    real = pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is in the extras of TensorRT")
    names = [name for name in vars(DriverDouble) if name.startswith("cu")]
    assert len(names) > 25
    for name in names:
        parameters = [
            each for each in inspect.signature(vars(DriverDouble)[name]).parameters if each != "self"
        ]
        assert parameters == list(inspect.signature(getattr(real, name)).parameters), name
    for error in CUresult:
        assert int(getattr(real.CUresult, error.name)) == error
    capability = real.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
    assert int(capability) == DriverDouble.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
    assert int(real.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) == 1
    assert int(real.CUstream_flags.CU_STREAM_NON_BLOCKING) == 1


def test_the_tensorrt_double_has_tensorrts_own_methods():
    import tensorrt_double

    real = pytest.importorskip("tensorrt_rtx")
    assert hasattr(TensorRTDouble, "__getattr__")
    pairs = {
        tensorrt_double._Runtime: real.Runtime,
        tensorrt_double._Engine: real.ICudaEngine,
        tensorrt_double._RuntimeConfig: real.IRuntimeConfig,
        tensorrt_double._Context: real.IExecutionContext,
    }
    for double, original in pairs.items():
        methods = [name for name in vars(double) if not name.startswith("_")]
        assert methods
        for name in methods:
            documented = getattr(original, name).__doc__
            parameters = [each for each in inspect.signature(vars(double)[name]).parameters if each != "self"]
            assert all(f"{each}:" in documented for each in parameters), (name, documented)
    assert {"serialize", "deserialize"} <= set(dir(real.IRuntimeCache))
