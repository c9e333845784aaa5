"""`--record`: what is in the file, and that nothing recorded is ever lost."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from takes import take

from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import load_body
from realtime.errors import ConfigError
from realtime.observation import Estimate, Frame
from realtime.record import Recorder, check_record_path, part_path, recover
from realtime.record_file import README_TEXT, ROW, RecordError

FRAME_NS = 33_333_333
REST_PELVIS_M = np.array([0.0, -0.2, 0.03])
STATE_OF = ("lost", "warming", "tracking", "held")
ROOT = Path(__file__).resolve().parent.parent


def frame(i):
    return Frame(np.zeros((2, 2, 3), np.uint8), 2 * i, 1_000 + i * FRAME_NS, 1_000 + i * FRAME_NS, "test")


def estimate(i):
    rng = np.random.default_rng(i)
    numbers = [rng.normal(0, 0.5, shape).astype(np.float32) for shape in ((85,), (3,), (24, 3))]
    return Estimate(*numbers, ahead=(), state=STATE_OF[i % 4], score=0.5, person=1 + i // 8)


def recorder(path):
    return Recorder(path, 30.0, {"body": "b", "model": "m"}, REST_PELVIS_M)


def record(path, count):
    one = recorder(path)
    for i in range(count):
        one.append(frame(i), estimate(i))
    return one


def check_rows(data, count):
    assert len(data["frame_index"]) == count
    for i in range(count):
        expected = estimate(i)
        assert (data["frame_index"][i], data["t_capture_ns"][i]) == (2 * i, 1_000 + i * FRAME_NS)
        for key in ("theta", "trans", "joints"):
            assert np.array_equal(data[key][i], getattr(expected, key))
        assert data["states"][data["state"][i]] == expected.state
        assert data["tracked"][i] == (expected.state in ("tracking", "warming"))
        assert (data["person"][i], data["score"][i]) == (expected.person, 0.5)


def old(part):
    """As if the run had ended a while ago."""
    os.utime(part, (time.time() - 60, time.time() - 60))
    return part


def test_round_trip(tmp_path):
    path = tmp_path / "a.npz"
    one = record(path, 300)  # more than one batch
    one.close()
    one.close()
    assert (one.made, one.error, one.rows_written) == (path, None, 300)
    assert list(tmp_path.iterdir()) == [path]
    data = np.load(path, allow_pickle=False)
    check_rows(data, 300)
    shapes = {"theta": (300, 85), "joints": (300, 24, 3), "trans": (300, 3), "tracked": (300,)}
    assert {key: data[key].shape for key in shapes} == shapes
    assert data["tracked"].dtype == bool
    assert (str(data["body"]), str(data["model"])) == ("b", "m")


def test_what_readers_of_amass_expect(tmp_path):
    path = tmp_path / "a.npz"
    record(path, 40).close()
    data = np.load(path, allow_pickle=False)
    assert data["poses"].shape == (40, 156)
    assert np.array_equal(data["poses"][:, :66], data["theta"][:, 3:69])
    assert not data["poses"][:, 66:].any()
    assert data["betas"].shape == (16,)
    assert data["betas"][:10] == pytest.approx(data["theta"][data["tracked"], 75:].mean(axis=0))
    assert data["gender"].dtype.kind == "U"
    assert float(data["mocap_framerate"]) == float(data["mocap_frame_rate"]) == pytest.approx(30.0, abs=0.01)
    assert "AMASS" in str(data["readme"])


def test_the_z_up_keys_stand_a_body_on_its_feet(tmp_path):
    """A person upright before the camera, 1 m below it and 3 m away: SMPL's own formula, turned Z-up."""
    path = tmp_path / "a.npz"
    theta = np.zeros(85, np.float32)
    theta[3] = np.pi
    trans = np.array([0.5, 1.0, 3.0], np.float32)
    one = recorder(path)
    one.append(frame(0), Estimate(theta, trans, np.zeros((24, 3), np.float32), (), "tracking", 1.0, 1))
    one.close()
    data = np.load(path)
    root = axis_angle_to_matrix(data["root_orient_zup"][0])
    assert root @ (0, 1, 0) == pytest.approx((0, 0, 1), abs=1e-6)  # the body's up
    assert root @ (0, 0, 1) == pytest.approx((0, -1, 0), abs=1e-6)  # its front, towards the camera
    pelvis = REST_PELVIS_M + data["trans_zup"][0]  # SMPL turns the body about its rest pelvis
    assert pelvis == pytest.approx((0.5, 3.0, -1.0), abs=1e-6)


def test_a_run_without_frames_leaves_a_valid_file(tmp_path):
    record(tmp_path / "a.npz", 0).close()
    data = np.load(tmp_path / "a.npz")
    assert data["theta"].shape == (0, 85)
    assert float(data["mocap_frame_rate"]) == 30.0


def test_cut_at_any_byte_every_whole_row_comes_back(tmp_path):
    one = record(tmp_path / "a.npz", 3)
    one.flush()
    part = part_path(tmp_path / "a.npz")
    content = part.read_bytes()
    start = len(content) - 3 * ROW.itemsize
    rng = np.random.default_rng(0)
    for length in {*range(40), *(int(x) for x in rng.integers(40, len(content), 60)), start, len(content)}:
        cut = tmp_path / f"cut{length}.npz.part"
        cut.write_bytes(content[:length])
        old(cut)
        if length < start:
            with pytest.raises(RecordError, match="cut"):
                recover(cut)
            assert cut.exists()
            continue
        made, frames, damaged = recover(cut)
        whole, rest = divmod(length - start, ROW.itemsize)
        assert (frames, damaged) == (whole, int(rest > 0))
        check_rows(np.load(made), whole)
        assert not cut.exists()


def test_a_damaged_row_is_left_out_and_told(tmp_path):
    record(tmp_path / "a.npz", 5).flush()
    part = part_path(tmp_path / "a.npz")
    content = bytearray(part.read_bytes())
    content[-2 * ROW.itemsize + 100] ^= 0x40  # in the fourth row
    part.write_bytes(content)
    made, frames, damaged = recover(old(part))
    assert (frames, damaged) == (4, 1)
    assert list(np.load(made)["frame_index"]) == [0, 2, 4, 8]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + b"x" * 100, b"HMMRREC1" + b"\xff" * 200])
def test_what_is_no_recording_is_refused_and_kept(tmp_path, content):
    part = tmp_path / "a.npz.part"
    part.write_bytes(content)
    old(part)
    with pytest.raises(RecordError, match=r"a\.npz\.part"):
        recover(part)
    assert part.read_bytes() == content


def test_a_recording_that_is_being_written_is_not_taken_away(tmp_path):
    record(tmp_path / "a.npz", 3).flush()
    with pytest.raises(RecordError, match="being written"):
        recover(part_path(tmp_path / "a.npz"))


def test_an_existing_file_is_never_replaced(tmp_path):
    one = record(tmp_path / "a.npz", 3)
    (tmp_path / "a.npz").write_bytes(b"came meanwhile")
    one.close()
    assert one.made == tmp_path / "a-1.npz"
    check_rows(np.load(one.made), 3)
    assert (tmp_path / "a.npz").read_bytes() == b"came meanwhile"


def test_paths_are_checked_before_anything_starts(tmp_path):
    check_record_path(tmp_path / "new.npz")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there.npz").touch()
    part_path(tmp_path / "crashed.npz").touch()
    (tmp_path / "folder.npz").mkdir()
    for name, words in {
        "there.npz": "not overwritten",
        "crashed.npz": "recover it first: python -m realtime.record",
        "folder.npz": "is a folder",
        "a.fbx": "what kind of file is that",
        "x" * 300 + ".npz": "cannot write",
        "nowhere/a.npz": "no folder",
    }.items():
        with pytest.raises(ConfigError, match=words):
            check_record_path(tmp_path / name)


CHILD = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_record import estimate, frame, recorder
one = recorder(Path(sys.argv[1]))
print("ready", flush=True)
for i in range(100000):
    one.append(frame(i), estimate(i))
    if one.error:
        break
    time.sleep(0.0005)
one.close()
"""


def child(path, prefix=()):
    command = [*prefix, sys.executable, "-c", CHILD, str(path), str(ROOT / "tests")]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_after_a_kill_the_command_line_recovers_the_recording(tmp_path):
    path = tmp_path / "a.npz"
    process = child(path)
    process.stdout.readline()
    deadline = time.monotonic() + 20
    while part_path(path).stat().st_size < 300 * ROW.itemsize and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    old(part_path(path))
    done = subprocess.run(
        [sys.executable, "-m", "realtime.record", part_path(path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    data = np.load(path, allow_pickle=False)
    assert len(data["theta"]) >= 256
    check_rows(data, len(data["theta"]))
    again = subprocess.run(
        [sys.executable, "-m", "realtime.record", part_path(path)], cwd=ROOT, capture_output=True, text=True
    )
    assert again.returncode == 1
    assert len(again.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit is a POSIX shell's")
def test_a_full_disk_ends_the_recording_and_loses_nothing(tmp_path):
    """The kernel refuses to let the file grow beyond 512 kB, as a full disk would."""
    path = tmp_path / "a.npz"
    process = child(path, ("sh", "-c", 'ulimit -f 1024; exec "$@"', "sh"))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors  # whoever records goes on
    assert "recording stopped after" in errors and "make room" in errors
    assert "Traceback" not in errors
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz.part"]  # no half .npz
    unfinished = tmp_path / ".a.npz.77.tmp"
    unfinished.write_bytes(b"what a kill while it was made whole left")
    with pytest.raises(RecordError, match="a.npz is being made of it"):  # perhaps its writer is at it
        recover(old(part_path(path)))
    old(unfinished)
    made, frames, _ = recover(old(part_path(path)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]
    assert frames >= 256
    check_rows(np.load(made), frames)


def test_the_readme_names_every_key(tmp_path):
    record(tmp_path / "a.npz", 2).close()
    for key in np.load(tmp_path / "a.npz").files:
        explains_itself = key in ("body", "model", "gender", "mocap_framerate", "states", "readme")
        assert explains_itself or key in README_TEXT, key


@pytest.mark.parametrize("kind", [".amass.npz", ".bvh", ".glb"])
def test_of_the_same_rows_the_other_kinds_are_made(tmp_path, kind):
    """Ended in peace, or killed and recovered: the same file; and where nobody was seen, nothing is lost."""
    body, rows = load_body(None), take(20).rows
    constants = {"body": body.id, "model": "m"}

    def recorded(name):
        one = Recorder(tmp_path / name, 30.0, constants, body.J_template[0])
        for row in rows:
            seen = Estimate(row["theta"], row["trans"], row["joints"], (), "tracking", 0.9, 1)
            one.append(Frame(np.zeros((2, 2, 3), np.uint8), 0, row["t_capture_ns"], 0, "test"), seen)
        one.flush()
        return one

    whole, killed = recorded(f"whole{kind}"), recorded(f"killed{kind}")
    whole.close()
    assert (whole.made, whole.error) == (tmp_path / f"whole{kind}", None)
    made, frames, damaged = recover(old(part_path(killed.path)))
    assert (made, frames, damaged) == (tmp_path / f"killed{kind}", 20, 0)
    same = np.load if kind == ".amass.npz" else None
    if same is None:
        assert made.read_bytes() == whole.made.read_bytes()
    else:
        assert all(np.array_equal(same(made)[key], same(whole.made)[key]) for key in same(made).files)
    assert sorted(tmp_path.iterdir()) == sorted([made, whole.made])

    rows = rows[:0]
    empty = recorded(f"empty{kind}")
    empty.close()
    assert empty.made is None and "nobody was seen" in empty.error and part_path(empty.path).exists()
    with pytest.raises(RecordError, match="nobody was seen"):
        recover(old(part_path(empty.path)))
    assert part_path(empty.path).exists()


def test_a_body_that_is_gone_is_asked_for_and_the_rows_stay(tmp_path):
    """The recording names the body that it was made with; recovered elsewhere, it may be missing."""
    one = Recorder(tmp_path / "a.glb", 30.0, {"body": "smpl"}, REST_PELVIS_M, str(tmp_path / "smpl.npz"))
    one.append(frame(0), estimate(2))
    one.close()
    assert one.made is None and "smpl.npz" in one.error and "python -m realtime.record" in one.error
    with pytest.raises(RecordError, match=r"a\.glb\.part.*smpl\.npz"):
        recover(old(part_path(one.path)))
    assert part_path(one.path).exists()
