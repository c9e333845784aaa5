"""The live path loads what it uses, and uses only what the default install brings."""

import json
import re
import subprocess
import sys
from importlib import metadata

import pytest
from streams import ROOT

from realtime import cli, pipeline

ASKED_FOR = {"torch", "safetensors", "mediapipe"}  # extras bring them
ELSEWHERE = {"open3d", "onnx", "jax", "matplotlib", "scipy", "psutil"}  # the viewer's, the tools', others'
TRIED = {"cuda-bindings", "tensorrt", "tensorrt-rtx"}  # by --engine auto, where they are installed

LIVE = """
import json, sys
from realtime.cli import main
flags = ["--source", "demo", "--every-frame", "--frames", "8", "--viewer", "none", "--bus", "tcp://127.0.0.1:0"]
code = main(flags)
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.fixture(scope="module")
def loaded():
    """The top-level modules that are loaded after eight frames of the demo clip."""
    done = subprocess.run(
        [sys.executable, "-c", LIVE], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


def test_the_live_path_loads_nothing_that_was_not_asked_for(loaded):
    assert {"numpy", "cv2", "zmq", "msgpack", "onnxruntime", "realtime", "engines"} <= loaded
    assert not loaded & (ASKED_FOR | ELSEWHERE)


def test_what_the_live_path_loads_comes_with_the_default_install(loaded):
    """The tests run where the extras are installed, too: a package that only they bring would be missed."""
    brought_by = metadata.packages_distributions()
    foreign = {module: brought_by[module] for module in loaded if module in brought_by}
    default = _with_requirements(_default_dependencies() | TRIED)
    assert {"numpy", "opencv-python", "onnxruntime"} <= default
    for module, packages in foreign.items():
        assert default.intersection(map(_plain, packages)), f"{module} comes from {packages}"


@pytest.mark.parametrize("module", cli.EXTRAS)
def test_a_package_that_is_missing_is_named_with_its_extra(module, monkeypatch, capsys):
    def needs_it(_config):
        raise ModuleNotFoundError(f"No module named '{module}.sub'", name=f"{module}.sub")

    monkeypatch.setattr(pipeline, "run", needs_it)
    assert cli.main(["--source", "demo", "--viewer", "none"]) == 4
    told = capsys.readouterr().err
    extra = re.search(r'pip install -c constraints.txt -e "\.\[(.*)\]"', told)
    assert extra and re.search(rf"^{extra[1]} = \[", _project(), re.MULTILINE), told


def _project() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")  # tomllib came with Python 3.11


def _default_dependencies() -> set[str]:
    listed = re.search(r"^dependencies = \[$(.*?)^\]$", _project(), re.MULTILINE | re.DOTALL)
    assert listed
    return {_plain(re.match(r"[\w-]+", line)[0]) for line in re.findall(r'"(.*?)"', listed[1])} | {
        "hmmr-live"
    }


def _with_requirements(names: set[str]) -> set[str]:
    """These packages and all that they need, extras of theirs left out; what is not installed needs nothing."""
    known, open_ends = set(), list(names)
    while open_ends:
        name = open_ends.pop()
        if name in known:
            continue
        known.add(name)
        if name == "hmmr-live":
            continue  # its extras are what is to be left out
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        open_ends += [_plain(re.match(r"[\w.-]+", one)[0]) for one in requirements if "extra ==" not in one]
    return known


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
