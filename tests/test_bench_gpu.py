"""bench.gpu on a machine without a GPU: the same check on the CPU, and what it says where nothing can run."""

import json

import numpy as np
import pytest

from bench import gpu, gpu_engines
from bench.gpu_engines import Network, candidates, default_network, run_gate
from bench.gpu_machine import why_no_gpu
from engines import load
from engines.gate import load_gate
from engines.network.checkpoint import load_checkpoint
from engines.parity import compare, run_graph
from realtime.assets import asset
from realtime.body.smpl import load_body

no_gpu_here = pytest.mark.skipif(why_no_gpu() is None, reason="there is a GPU here")


def test_the_gate_runs_through_an_engine_as_through_the_bare_graph():
    gate, body = load_gate(), load_body(None)
    expected, _ = run_graph(asset("model.onnx"), gate, body)
    track = run_gate(load("default", "onnxruntime"), gate, body)
    assert track.keys() == expected.keys()
    assert max(compare(track, expected).values()) < 1e-5


def test_the_whole_check_runs_on_the_cpu(tmp_path, capsys):
    out = tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--width", "256", "--rounds", "5", "--json", str(out)]) == 0
    assert "ONNX Runtime, int8" in capsys.readouterr().out
    found = json.loads(out.read_text())
    (network,) = found["networks"]
    assert [row["agrees"] for row in network["engines"]] == [True] * 3
    for row in network["engines"]:
        assert row["limit_ms"] == pytest.approx(row["bytes"] / 1e6 / found["machine"]["gb_per_s"])
        assert row["frame_ms"]["p50"] > row["step_ms"]["p50"] > 0


def test_an_engine_that_disagrees_fails_the_check(monkeypatch, tmp_path, capsys):
    def bent(engine, gate, body):
        track = run_gate(engine, gate, body)
        if engine.name == "onnxruntime":
            track["joints"] = track["joints"] + np.float32(0.001)  # a millimetre along every axis
        return track

    monkeypatch.setattr(gpu, "run_gate", bent)
    assert gpu.main(["--device", "cpu", "--width", "256", "--rounds", "5"]) == 1
    assert " NO " in capsys.readouterr().out


@no_gpu_here
def test_without_a_gpu_it_says_so_in_one_line(capsys):
    assert gpu.main([]) == gpu.NO_GPU
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "no NVIDIA GPU" in said.err


@no_gpu_here
def test_every_engine_that_cannot_run_is_listed_with_its_reason(tmp_path):
    tried = candidates("cuda")
    opened, refused = gpu.open_engines(default_network(tmp_path, "cuda"), tried)
    assert opened == []
    assert len(refused) == len(tried)
    assert all(reason and "\n" not in reason for reason in refused.values())


def test_a_network_without_a_graph_gives_its_reason(tmp_path):
    graphs = {("onnxruntime", precision): "no graph either" for precision in ("fp32", "int8")}
    network = Network("none", "made by nobody", graphs)
    opened, refused = gpu.open_engines(network, candidates("cpu"))
    assert opened == []
    assert set(refused.values()) == {"made by nobody", "no graph either"}


def test_engines_of_random_networks_are_not_kept(monkeypatch, tmp_path):
    monkeypatch.setenv(gpu.VARIABLE, "mine")
    with gpu.cache_in(str(tmp_path)):
        assert gpu.os.environ[gpu.VARIABLE] == str(tmp_path)
    assert gpu.os.environ[gpu.VARIABLE] == "mine"
    monkeypatch.delenv(gpu.VARIABLE)
    with gpu.cache_in(str(tmp_path)):
        pass
    assert gpu.VARIABLE not in gpu.os.environ


def test_bytes_are_those_of_the_matrices_that_a_full_ring_needs(tmp_path):
    network = default_network(tmp_path, "cpu")
    torch_, fp32, int8 = (candidate.weight_bytes(network) for candidate in candidates("cpu"))
    model = load_checkpoint(network.checkpoint)[0]
    hallucinator = 4 * sum(p.numel() for p in model.hallucinator.parameters() if p.dim() > 1)
    assert torch_ == 4 * sum(p.numel() for p in model.parameters() if p.dim() > 1)
    assert fp32 == pytest.approx(torch_ - hallucinator, rel=0.01)
    assert 0.25 * fp32 < int8 < 0.6 * fp32  # f3D stays fp32


def test_random_networks_can_be_checked(tmp_path):
    network = gpu_engines.random_network(256, tmp_path, "cpu")
    opened, refused = gpu.open_engines(network, candidates("cpu"))
    assert refused == {}
    assert len(opened) == 3
