"""bench.encoder: every way it times computes the same, what computes something else is refused, the sums are right."""

import json
import time

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from bench import bandwidth, encoder, encoder_lineup
from bench import encoder_variants as ways
from bench.encoder_lineup import ALONE, HEADS, ONNX, PORT, Lineup
from bench.encoder_models import random_model, random_weights
from bench.interleave import LEAST_ROUNDS, Variant, interleave, statistics
from bench.own_process import OwnProcess

WIDTH = 256  # the smallest with HMMR's 32 groups


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return random_model(WIDTH, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def columns():
    return np.random.default_rng(0).standard_normal((30, WIDTH)).astype(np.float32)


@pytest.mark.parametrize(
    ("make", "first"),
    [
        (
            lambda encoder: ways.torch_window(encoder, hmmr=False),
            12,
        ),  # zero frames before the start are not padding
        (ways.torch_clip_window, 12),
        (ways.continual_step, 0),
        (ways.torch_step, 0),
        (ways.numpy_step, 0),
    ],
    ids=["port", "clip window", "continual-inference", "torch step", "numpy step"],
)
def test_every_way_to_step_the_encoder_is_the_clip_pass(model, columns, make, first):
    if make is ways.continual_step:
        pytest.importorskip("continual", reason="continual-inference is not installed")
    encoder_ = model.network.encoder
    step = make(encoder_)
    given = np.stack([np.array(step(column)) for column in columns])
    np.testing.assert_allclose(given[first:], ways.clip_strip(encoder_, columns)[first:], atol=1e-5)


def test_the_encoder_cut_out_of_the_graph_is_the_clip_pass_and_no_more(model, columns):
    step = ways.onnxruntime_step(model.encoders["fp32"], 1)
    given = np.stack([np.array(step(column)) for column in columns])
    np.testing.assert_allclose(given, ways.clip_strip(model.network.encoder, columns), atol=1e-5)
    graph = onnx.load(str(model.encoders["fp32"])).graph
    matrices = sum(
        numpy_helper.to_array(tensor).size for tensor in graph.initializer if len(tensor.dims) == 2
    )
    assert matrices == 6 * 3 * WIDTH * WIDTH


def test_the_port_times_hmmrs_structure():
    """Statistics over time and SAME padding: a frame depends on what comes after it in the window."""
    port = ways.WindowPort(random_weights(WIDTH).encoder)
    window = torch.randn(1, WIDTH, port.length, generator=torch.Generator().manual_seed(0))
    changed = window.clone()
    changed[:, :, -1] += 1.0
    assert not torch.equal(port(window)[:, :, 0], port(changed)[:, :, 0])
    port.hmmr = False
    assert torch.equal(port(window)[:, :, 0], port(changed)[:, :, 0])


def test_what_computes_something_else_is_not_timed(model):
    """One weight of the network differs from its graph's."""
    weight = model.network.encoder.blocks[1].conv2.taps.weight
    before = weight[0, 0].item()
    with torch.no_grad():
        weight[0, 0] += 1.0
    try:
        with pytest.raises(RuntimeError, match=ONNX):
            Lineup(model, threads=1)
    finally:
        with torch.no_grad():
            weight[0, 0] = before


def test_in_a_process_of_its_own_it_is_the_same_and_times_itself(model, columns):
    here = ways.torch_window(model.network.encoder, hmmr=True)
    alone = OwnProcess(1, ways.port_of_checkpoint, model.checkpoint, None)
    for column in columns[:3]:
        np.testing.assert_allclose(alone.step(column), here(column), atol=1e-6)
    started = time.perf_counter()
    took_ms = alone.step_ms(columns[3])
    assert 0 < took_ms <= 1e3 * (time.perf_counter() - started)
    here(columns[3])
    np.testing.assert_allclose(alone.step(columns[4]), here(columns[4]), atol=1e-6)
    alone.close()
    alone.close()
    assert not alone._process.is_alive()


def test_where_repacked_weights_are_not_kept_the_port_gets_its_own_process(model, monkeypatch):
    monkeypatch.setattr(encoder_lineup, "KEPT_BYTES", 0)
    lineup = Lineup(model, threads=1)
    for rows in lineup.groups.values():
        assert [row.name for row in rows[:2]] == [PORT, encoder_lineup.PORT_HERE]
        interleave(rows[:2], None, rounds=5, seconds=0.0)
        assert all(took > 0 for took in rows[0].hot_ms)
    lineup.close()


def test_turns_are_equal_and_the_order_rotates():
    done: list[str] = []
    variants = [Variant(name, lambda name=name: done.append(name), 1) for name in "abc"]
    rounds = interleave(variants, lambda: done.append("-"), rounds=7, seconds=60.0)
    assert rounds == 7
    assert all(len(variant.hot_ms) == len(variant.cold_ms) == 7 for variant in variants)
    turn = 3 * 2 + 3 * 2  # untimed and timed; perception and timed
    assert "".join(done[:turn]) == "aabbcc-a-b-c"
    assert "".join(done[turn : 2 * turn]) == "bbccaa-b-c-a"


def test_time_is_up_but_five_rounds_are_made():
    variant = Variant("slow", lambda: None, 1)
    assert interleave([variant], None, rounds=1000, seconds=0.0) == LEAST_ROUNDS == len(variant.hot_ms)
    assert variant.cold_ms == []


def test_ratios_are_to_the_port_and_to_the_reader(model):
    lineup = Lineup(model, threads=1)
    for group in lineup.groups.values():
        for variant in group:
            variant.hot_ms, variant.cold_ms = [6.0], [12.0]
        group[0].hot_ms = [60.0]
    for reader in lineup.readers.values():
        reader.hot_ms, reader.cold_ms = [4.0], [3.0]
    found = encoder.result(lineup, rounds=1)
    for group in (ALONE, HEADS):
        port, *others = found["groups"][group]
        assert port["name"] == PORT
        assert port["hot"]["of_limit"] == 15.0
        for row in others:
            assert row["hot"]["faster_than_port"] == 10.0
            assert (row["hot"]["of_limit"], row["cold"]["of_limit"]) == (1.5, 4.0)
    fp32, int8 = (row["bytes"] for row in found["groups"][ALONE][-2:])
    assert fp32 == pytest.approx(4 * 6 * 3 * WIDTH**2, rel=0.01)
    assert int8 == pytest.approx(fp32 / 4, rel=0.02)


def test_statistics_of_nothing_are_no_numbers():
    assert np.isnan(statistics([])["p50"])
    assert statistics([1.0, 2.0, 9.0])["p50"] == 2.0


def test_the_command_prints_and_writes_what_it_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")  # else it starts itself anew
    out = tmp_path / "bench.json"
    assert encoder.main(["--width", "256", "--rounds", "5", "--perception", "none", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "ONNX Runtime step, int8" in printed
    assert "cold" not in printed
    (width,) = json.loads(out.read_text())["widths"]
    assert width["model"] == "default"
    assert width["rounds"] == 5
    assert all(row["hot"]["p50"] > 0 for rows in width["groups"].values() for row in rows)


def test_bandwidth_is_bytes_by_time(tmp_path, capsys):
    out = tmp_path / "bandwidth.json"
    assert bandwidth.main(["--mb", "1", "--rounds", "5", "--json", str(out)]) == 0
    assert "1 MB" in capsys.readouterr().out
    (row,) = json.loads(out.read_text())
    assert row["gb_per_s_best"] >= row["gb_per_s"]
    assert row["gb_per_s"] == pytest.approx(1.0 / row["ms"], rel=0.5)
