"""`python -m realtime.convert`: every kind into every kind; the right errors; never anything half or overwritten."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from bodies import random_smpl_arrays
from bvh_reader import Bvh
from glb_reader import Glb
from programs import ROOT, environment
from takes import bus_messages, take, write_bus

from realtime.body.skeleton import JOINT_NAMES
from realtime.body.smpl import load_body
from realtime.convert import convert, main
from realtime.errors import ConfigError, HmmrLiveError, LoadError
from realtime.files import whole
from realtime.files.rows_file import read_file
from realtime.files.steady import steady
from realtime.record_file import STATES

BODY = load_body(None)


@pytest.fixture
def recording(tmp_path):
    return write_bus(tmp_path / "a.mcap", bus_messages(take(20)))


def test_round_and_round_the_rows_stay(recording, tmp_path):
    expected = read_file(recording).rows
    path = recording
    for step, kind in enumerate((".npz", ".amass.npz", ".mcap", ".amass.npz", ".npz", ".mcap")):
        target = tmp_path / f"{step}{kind}"
        assert len(convert(path, target).rows) == 20
        path = target
        rows = read_file(path).rows
        for key in expected.dtype.names:
            if key != "crc32":
                np.testing.assert_array_equal(rows[key], expected[key], err_msg=f"{key} in {path}")
    for kind in (".bvh", ".glb"):
        for source in (recording, path):
            convert(source, tmp_path / f"of-{source.stem}{kind}")
        one, other = tmp_path / f"of-{recording.stem}{kind}", tmp_path / f"of-{path.stem}{kind}"
        assert one.read_bytes() == other.read_bytes()


def test_skeleton_and_mesh_stand_where_the_recording_says(recording, tmp_path):
    """joints + trans of the bus, camera frame, by hand: x as it is, y and z turned round."""
    rows = read_file(recording).rows
    ours = (rows["joints"] + rows["trans"][:, None]) * (1, -1, -1)
    convert(recording, tmp_path / "a.bvh", origin="camera")
    convert(recording, tmp_path / "a.glb", origin="camera")
    bvh, glb = Bvh(tmp_path / "a.bvh"), Glb(tmp_path / "a.glb")
    order = [bvh.names.index(name) for name in JOINT_NAMES]
    np.testing.assert_allclose(bvh.joints()[:, order], ours, atol=1e-4)
    for frame in (0, 11):
        np.testing.assert_allclose(glb.matrices(frame / 30)[:, :3, 3], ours[frame], atol=1e-4)
    convert(recording, tmp_path / "floor.bvh", origin="floor")
    moved = Bvh(tmp_path / "floor.bvh").joints()[:, order] - ours
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1], moved.shape), atol=1e-4)  # as a whole …
    np.testing.assert_allclose(
        moved[..., [0, 2]], np.broadcast_to(moved[0, 0, [0, 2]], (20, 24, 2)), atol=1e-4
    )
    lowest = (ours + moved)[..., 1].min(axis=1)  # … and up or down, to the floor
    assert lowest.min() > 0.0 and np.ptp(lowest) < np.ptp(ours[..., 1].min(axis=1))


def test_a_part_that_a_crash_left_is_read_as_it_is(recording, tmp_path):
    part = tmp_path / "cut.mcap.part"
    part.write_bytes(recording.read_bytes()[:-1500])
    told = convert(part, tmp_path / "cut.bvh")
    assert 10 < len(told.rows) < 20 and part.exists()


def test_the_body_of_the_recording_is_wanted(tmp_path, capsys):
    np.savez(tmp_path / "smpl.npz", **random_smpl_arrays(5))
    body = load_body(tmp_path / "smpl.npz")
    source = write_bus(tmp_path / "a.mcap", bus_messages(take(10, body)))
    with pytest.raises(LoadError, match=f"recorded with the body {body.id}, and this is anny-24.*--body"):
        convert(source, tmp_path / "a.glb")
    convert(source, tmp_path / "a.glb", str(tmp_path / "smpl.npz"))
    assert main([str(source), str(tmp_path / "b.glb"), "--body", str(tmp_path / "smpl.npz")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "b.glb: glTF has no place for this body's pose corrections; without them" in told[0]
    assert told[1].endswith("b.glb: 10 frames")
    assert len(Glb(tmp_path / "a.glb").attribute("POSITION")) == len(body.v_template)


def test_amass_in_keeps_amass_own_world(tmp_path):
    count = 12
    poses, trans = np.zeros((count, 156)), np.zeros((count, 3))
    poses[:, 0] = np.pi / 2
    trans[:] = (4.0, 5.0, 1.1)
    np.savez(
        tmp_path / "a.npz", poses=poses, trans=trans, betas=np.zeros(16), gender="male", mocap_framerate=60.0
    )
    convert(tmp_path / "a.npz", tmp_path / "a.bvh")
    pelvis = Bvh(tmp_path / "a.bvh").joints()[:, 0]
    np.testing.assert_allclose(pelvis, np.tile((4.0, 1.1, -5.0), (count, 1)), atol=1e-4)
    convert(tmp_path / "a.npz", tmp_path / "b.amass.npz")
    with np.load(tmp_path / "b.amass.npz") as back:
        np.testing.assert_allclose(back["trans"], trans, atol=1e-5)
        np.testing.assert_allclose(back["poses"], poses, atol=1e-5)
        assert float(back["mocap_frame_rate"]) == 60


BAD = {
    "no such file": ("absent.mcap", "x.bvh", "absent.mcap: there is no such file"),
    "kind in": ("a.fbx", "x.bvh", "a.fbx: cannot be read; known: .mcap"),
    "bvh in": (
        "a.bvh",
        "x.glb",
        "a.bvh: .bvh is an end product and is not read back; convert the .mcap or .npz",
    ),
    "glb in": ("a.glb", "x.bvh", "a.glb: .glb is an end product"),
    "pickle": ("a.pkl", "x.bvh", "pickles are never read"),
    "kind out": ("a.mcap", "x.fbx", "x.fbx: cannot be written; known: .amass.npz"),
    "part out": ("a.mcap", "x.npz.part", "x.npz.part: cannot be written"),
    "out exists": ("a.mcap", "there.bvh", "not overwritten"),
    "onto itself": ("a.mcap", "a.mcap", "not overwritten"),
    "folder": ("a.mcap", "nowhere/x.bvh", "no folder"),
    "not an mcap": ("text.mcap", "x.bvh", "text.mcap: not an MCAP file"),
    "nothing in it": ("empty.mcap", "x.bvh", "empty.mcap: holds no pose"),
    "nobody in it": ("nobody.mcap", "x.glb", "nobody.mcap: nobody was seen in it"),
    "text": ("text.npz", "x.bvh", "text.npz: not an .npz file"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_done_is_told_in_a_line_and_nothing_is_left_behind(
    recording, tmp_path, case, monkeypatch
):
    source, target, words = BAD[case]
    monkeypatch.chdir(tmp_path)
    for name in ("a.fbx", "a.bvh", "a.pkl", "there.bvh", "text.mcap", "text.npz"):
        (tmp_path / name).write_text("words")
    write_bus(tmp_path / "empty.mcap", [])
    nobody = take(5)
    nobody.rows["state"] = STATES.index("lost")
    write_bus(tmp_path / "nobody.mcap", bus_messages(nobody))
    before = {entry: entry.stat().st_mtime_ns for entry in tmp_path.iterdir()}
    with pytest.raises(HmmrLiveError) as told:
        main([source, target])
    assert words in str(told.value) and "\n" not in str(told.value) and told.value.exit_code in (1, 2)
    assert {entry: entry.stat().st_mtime_ns for entry in tmp_path.iterdir()} == before


def test_two_at_once_one_wins_and_nothing_is_mixed(recording, tmp_path, monkeypatch):
    """Both found the name free; the second to finish must not replace the first."""
    rename = whole._rename_if_free

    def late(file, place):
        if not place.exists():
            place.write_bytes(b"the other's")
        rename(file, place)

    monkeypatch.setattr(whole, "_rename_if_free", late)
    with pytest.raises(ConfigError, match="not overwritten"):
        convert(recording, tmp_path / "x.bvh")
    assert (tmp_path / "x.bvh").read_bytes() == b"the other's"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.mcap", "x.bvh"]


def test_where_there_are_no_hard_links_nothing_is_replaced_either(recording, tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(whole.os, "link", unsupported)
    convert(recording, tmp_path / "x.bvh")
    assert Bvh(tmp_path / "x.bvh").frame_time > 0
    with pytest.raises(ConfigError, match="not overwritten"):
        convert(recording, tmp_path / "x.bvh")
    with pytest.raises(FileExistsError):
        whole.write_whole(tmp_path / "x.bvh", lambda file: None)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.mcap", "x.bvh"]


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit is a POSIX shell's")
@pytest.mark.parametrize("kind", [".glb", ".bvh", ".amass.npz", ".mcap"])
def test_a_full_disk_leaves_nothing_half_done(recording, tmp_path, kind):
    program = [sys.executable, "-m", "realtime.convert", str(recording), str(tmp_path / f"x{kind}")]
    limited = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", *program]  # 4 kB
    done = subprocess.run(limited, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert f"x{kind}: cannot be written" in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mcap"]


def test_as_a_program(recording, tmp_path):
    program = [sys.executable, "-m", "realtime.convert", str(recording), str(tmp_path / "x.glb")]
    done = subprocess.run(program, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'x.glb'}: 20 frames\n"
    motion = steady(read_file(recording), BODY)
    np.testing.assert_allclose(Glb(tmp_path / "x.glb").matrices(0)[0, :3, 3], motion.pelvis[0], atol=1e-6)
