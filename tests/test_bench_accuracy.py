"""bench.accuracy as a whole: rows, what is held against them, tables, plots, and one small run."""

import json

import numpy as np
import pytest
from streams import write_clip, write_model

from bench.accuracy import __main__ as command
from bench.accuracy import dynamics, rates, report
from bench.accuracy import rows as table
from bench.accuracy.__main__ import main, parse
from bench.accuracy.rows import LOOK_AHEAD, RAW, SINGLE, STREAM, Row, dynamics_rows, parse_also, table_rows
from bench.accuracy.targets import Target, targets
from realtime.errors import ConfigError
from realtime.perception.mirror import mode_here


def test_rows_of_the_table():
    also = [
        parse_also("no dynamics=fit/a.safetensors"),
        parse_also("sure=default,perception.enter_score=0.9"),
    ]
    rows = table_rows("default", "lookahead", also, quick=False)
    names = [row.name for row in rows]
    assert names[0] == RAW and names.index(SINGLE) < names.index("no dynamics") < names.index(STREAM)
    assert {row.name: row.model for row in rows}[LOOK_AHEAD] == "lookahead"
    assert also[1].config("auto").perception.enter_score == 0.9
    for row in rows:
        row.config("auto")  # every setting is one that there is
    # Refinement carries what it corrects from frame to frame: a single frame has none.
    steps = {row.name: row.config("auto").refine.steps for row in rows}
    assert steps[SINGLE] == 0 < steps[STREAM]
    shared = {row.name: row.perception_key("auto") for row in rows}
    assert shared[SINGLE] == shared[STREAM] == shared[table.BLAZEPOSE] == shared["stream, tilt known"]
    assert shared[RAW] == shared[table.ONE_EURO] == shared["stream on mediapipe"]
    assert len(set(shared.values())) == 7  # and smoothed, map off, the mirrors, another score
    here = mode_here("auto")  # of which no row is made twice
    mirrors = [name for name in names if name.startswith("stream, mirror=")]
    assert mirrors == [f"stream, mirror={mode}" for mode in ("off", "alternate", "both") if mode != here]
    named = Row("x", "stream", settings=(f"perception.mirror={here}",))
    assert named.perception_key("auto") == shared[STREAM]
    ahead = dynamics_rows(rows, dynamics.HORIZONS_MS)
    assert [row.name.removeprefix("dynamics of ") for row in ahead] == ["no dynamics", "sure", STREAM]
    assert all(row.ahead_ms == dynamics.HORIZONS_MS for row in ahead)
    assert [row.name for row in table_rows("default", "", [], quick=True)] == [RAW, SINGLE, STREAM]


def test_rows_that_are_none():
    for text in ("", "name", "name=", "=model"):
        with pytest.raises(ConfigError, match="NAME=MODEL"):
            parse_also(text)
    with pytest.raises(ConfigError, match="two rows of one name"):
        table_rows("default", "", [Row(STREAM, "stream")], quick=True)
    with pytest.raises(ConfigError, match="perception.mirror"):
        parse_also("a=default,perception.miror=both").config("auto")


def test_a_target_is_met_or_missed():
    assert Target("a", 0.75, 0.75).met and not Target("a", 0.7501, 0.75).met
    assert Target("a", 0.99, 1.0, at_most=False).met and not Target("a", 1.0, 1.0, at_most=False).met
    assert (
        not Target("a", float("nan"), 1.0).met
        and Target("a", float("nan"), 1.0).as_row()[-1] == "not measured"
    )


def summary_of(stream):
    """Everything there is, at the bounds for stream = 1, beyond them above."""
    raw = {"mpjpe_14": 100.0, "pa_14": 100.0, "accel_14": 30.0, "flips_percent": 4.0, "lag_ms": 0.0}
    raw |= {"mpjpe_12": 90.0, "pa_12": 80.0, "accel_12": 40.0}
    single = raw | {"accel_14": 20.0, "pa_14": 72.0}
    own = {"mpjpe_14": 75.0, "pa_14": 72.0, "accel_14": 9.0, "flips_percent": 1.0, "lag_ms": 10.0}
    own |= {"mpjpe_12": 67.5, "pa_12": 57.6, "accel_12": 12.0}
    own = {metric: value * stream for metric, value in own.items()}
    ahead = {metric: value * 0.99 for metric, value in own.items()}
    groups = {g: {"error_deg": 12.0 * stream, "ratio": 0.75 * stream}
              for g in ("hips", "knees", "shoulders", "elbows", "head", "wrists", "ankles")}  # fmt: skip

    def methods(position, displacement):
        methods = {m: {"displacement_mm": 101.0} for m in dynamics.CONSTANT}
        ours = {
            "position_ratio": position,
            "displacement_ratio": displacement,
            "displacement_mm": 100.0 * stream,
        }
        return methods | {dynamics.OURS: {k: v * (1 if "mm" in k else stream) for k, v in ours.items()}}

    horizons = {
        name: {"all": methods(0.88 if name == "+167" else 1.0, 0.8), "fastest third": methods(0.8, 0.8)}
        for name in ("+33", "+67", "+100", "+167", "-167")
    }
    return {
        "main": {
            "rows": {RAW: raw, SINGLE: single, STREAM: own, LOOK_AHEAD: ahead},
            "against": {"raw": {STREAM: {"lag_ms": {"mean": own["lag_ms"]}}}},
        },
        "rotations": {"rows": {STREAM: {"groups": groups, "standing_knees": {"bias_deg": -5.0 * stream}}}},
        "dynamics": {STREAM: horizons},
        "rates": {"rates": {name: {"pa_ratio": 1.05 * stream} for name in (*rates.RATES, rates.DROPPED)}},
        "videos": [{"clip": "a.mp4", "rows": {STREAM: {"reprojection_median": 2.5 * stream}}}],
    }


def test_targets_are_the_issues():
    held = targets(summary_of(1.0))
    assert [target.what for target in held if not target.met] == []
    assert len(held) == 11 + 2 + 8 + 7 + 4 + 1
    missed = targets(summary_of(1.02))
    fine = {target.what for target in missed if target.met}
    assert fine == {"acceleration error, look-ahead / stream", "PA-MPJPE, look-ahead / stream"}
    assert targets({"main": None}) == []


def motion_file(path, frames=200):
    """Two people of the eval split and two of the training split, who stand and swing their arms."""
    rng = np.random.default_rng(0)
    pose = np.zeros((4 * frames, 24, 3), np.float32)
    swing = np.sin(np.arange(4 * frames) / 15.0)[:, None]
    for shoulder, side in ((16, -1.0), (17, 1.0)):
        pose[:, shoulder, 2] = side * (0.9 + 0.3 * swing[:, 0])
        pose[:, shoulder, 0] = rng.normal(0, 0.02) + 0.4 * swing[:, 0]
    np.savez(
        path,
        pose_aa=pose,
        trans=np.zeros((4 * frames, 3), np.float32),
        starts=np.arange(5) * frames,
        names=np.array(["01_01", "02_01", "03_01", "04_01"]),
        labels=np.array(["swing"] * 4),
        source=np.array(["amc"] * 4),
        split=np.array(["eval", "eval", "train", "train"]),
        fast_frames=np.zeros(4, int),
    )
    return path


@pytest.mark.timeout(600)
def test_one_run_prints_and_writes_everything(tmp_path, capsys):
    pytest.importorskip("mediapipe", reason="the table's first row is mediapipe's")
    pytest.importorskip("matplotlib", reason="plots are drawn with it")
    motion, model = motion_file(tmp_path / "motion.npz"), str(write_model(tmp_path / "model.onnx"))
    late = str(write_model(tmp_path / "late.onnx", delay=6))
    arguments = [
        "--motion",
        motion,
        "--model",
        model,
        "--look-ahead",
        late,
        "--quick",
        "--takes",
        2,
        "--frames",
        32,
    ]
    arguments += [
        "--rate-takes",
        1,
        "--also",
        f"twin={model}",
        "--videos",
        write_clip(tmp_path / "bar.avi", 5),
    ]
    out = tmp_path / "out.json"
    assert main([str(a) for a in (*arguments, "--json", out, "--plots", tmp_path / "plots")]) == 0
    printed = capsys.readouterr().out
    for part in (
        RAW,
        LOOK_AHEAD,
        "twin",
        "rotations",
        "dynamics of stream, fastest third",
        "15 fps",
        "bar.avi",
        "targets",
    ):
        assert part in printed
    written = json.loads(out.read_text())
    assert written["mirror"] == mode_here("auto")
    assert f"rows that do not name perception.mirror: {written['mirror']}" in printed
    rows = written["main"]["rows"]
    assert list(rows) == [RAW, SINGLE, "twin", STREAM, LOOK_AHEAD]
    twin, stream = rows["twin"], rows[STREAM]
    assert {m: twin[m] for m in twin if m != "cost_ms"} == {m: stream[m] for m in stream if m != "cost_ms"}
    assert rows[LOOK_AHEAD]["tracked_percent"] < stream["tracked_percent"]  # the last six frames
    assert set(written["rates"]["rates"]) == {*rates.RATES, rates.DROPPED}
    assert set(written["dynamics"]) == {"twin", STREAM}
    ceiling = written["rotations"]["ceiling"]
    assert written["oracles"] == {"rotations": list(ceiling), "dynamics": [dynamics.ORACLE]}
    assert all(f"[{name}]" in printed for names in written["oracles"].values() for name in names)
    assert dynamics.ORACLE in written["dynamics"][STREAM]["+167"]["all"]
    counted = [take["counted"] for take in written["takes_detail"]]
    assert {column["frames"] for column in ceiling.values()} == {sum(-(-n // 24) for n in counted if n)}
    of_display = targets({"display": written["display"]})
    assert (
        len(written["targets"]) == len(targets(summary_of(1.0))) + len(of_display) and len(of_display) == 14
    )
    assert (
        "display time" in printed and "smoothing after the model" in printed and "off" in written["smoothing"]
    )
    assert sorted(file.name for file in (tmp_path / "plots").iterdir()) == [
        "display.png", "dynamics.png", "error_histogram.png", "error_over_time.png", "error_per_joint.png"]  # fmt: skip


def test_plots_that_cannot_be_drawn_take_no_numbers_along(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("no plots today")

    for name, instead in (
        ("table_rows", lambda *_: []),
        ("_rendered", lambda *_: ["a take"]),
        ("report", lambda _: None),
        ("targets", lambda _: []),
        ("details", lambda _: []),
    ):
        monkeypatch.setattr(command, name, instead)
    monkeypatch.setattr(command.plots, "draw_all", fails)
    out = tmp_path / "out.json"
    with pytest.raises(RuntimeError, match="no plots today"):
        main(["--sections", "display", "--look-ahead", "none", "--json", str(out), "--plots", str(tmp_path)])
    assert json.loads(out.read_text())["options"]["sections"] == ["display"]


def test_what_cannot_be_measured_is_said(tmp_path, capsys):
    for arguments, said in (
        (["--motion", tmp_path / "none.npz", "--quick"], "none.npz: no motion file here"),
        (["--model", tmp_path / "none.onnx"], "none.onnx"),
        (["--also", "a"], "expected NAME=MODEL"),
    ):
        assert main([str(a) for a in (*arguments, "--look-ahead", "none")]) in (2, 4)
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(["--sections", "mian"])
    assert "mian is none of main, rotations" in capsys.readouterr().err
    assert parse(["--motions", "x.npz"]).motion == parse(["--motion", "x.npz"]).motion


def test_the_report_shows_dashes_for_what_a_row_has_not(capsys):
    report.print_table(("", "a"), [["row", report._number(float("nan"))]])
    assert capsys.readouterr().out.split() == ["a", "row", "-"]
