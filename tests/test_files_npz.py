"""AMASS's form and back; other people's AMASS files; what is refused."""

import io
import zipfile

import numpy as np
import pytest
from bodies import random_body
from scipy.spatial.transform import Rotation
from takes import FRAME_NS, take

from realtime.body.kinematics import forward_kinematics
from realtime.body.rotations import axis_angle_to_matrix
from realtime.body.smpl import load_body
from realtime.coordinates import AMASS
from realtime.files.npz import AMASS_README, read_npz
from realtime.files.rows_file import write_file
from realtime.files.steady import steady
from realtime.record_file import RecordError, write_npz

BODY = load_body(None)


def as_amass_readers_do(path, body):
    """(T, 22, 3) joints by the keys that AMASS documents: SMPL turns the body about its rest pelvis, then moves it."""
    with np.load(path, allow_pickle=False) as data:
        poses, trans, betas = data["poses"], data["trans"], data["betas"]
    turns = np.concatenate((poses[:, :66], np.zeros((len(poses), 6))), axis=1).reshape(-1, 24, 3)
    joints, _ = forward_kinematics(body, axis_angle_to_matrix(turns), betas[:10])
    return (joints + trans[:, None])[:, :22]


def test_the_documented_keys_without_pickles_at_a_whole_rate(tmp_path):
    path = write_file(take(45, jitter_ns=6_000_000), tmp_path / "a.amass.npz", BODY)
    with np.load(path, allow_pickle=False) as data:
        assert data["poses"].shape == (len(data["trans"]), 156) and not data["poses"][:, 66:].any()
        assert data["trans"].shape[1:] == (3,) and data["betas"].shape == (16,)
        assert data["gender"].dtype.kind == "U" and str(data["gender"]) == "neutral"
        assert float(data["mocap_frame_rate"]) == float(data["mocap_framerate"]) == 30.0
        assert data["t_capture_ns"].shape == (45,) and data["theta"].shape == (45, 85)
        assert str(data["readme"]) == AMASS_README
        for key in data.files:
            assert data[key].dtype.kind != "O"
            assert key in AMASS_README or key in ("model", "source", "states", "readme")


def test_an_amass_reader_sees_the_joints_where_they_were(tmp_path):
    """A body of SMPL's size, so that its betas are told; its joints in AMASS's world."""
    body = random_body(3, vertices=6890)
    recording = take(20, body)
    path = write_file(recording, tmp_path / "a.amass.npz", body)
    there = AMASS.points(steady(recording, body).joints(body))[:, :22]
    np.testing.assert_allclose(as_amass_readers_do(path, body), there, atol=2e-4)


def test_upright_z_up_and_betas_of_another_body_are_not_told(tmp_path):
    recording = take(10)
    recording.rows["theta"][:, 3:75] = 0
    recording.rows["theta"][:, 3] = np.pi
    recording.rows["trans"] = (0.4, 0.1, 3.0)
    path = write_file(recording, tmp_path / "a.amass.npz", BODY)
    joints = as_amass_readers_do(path, BODY)[0]
    assert joints[15, 2] > 1.4 and 0 < joints[10, 2] < 0.15  # head up, toes on the floor
    assert joints[20, 0] > 0.5 and joints[10, 1] < joints[7, 1]  # left toward x, toes toward −y
    assert not np.load(path)["betas"].any() and recording.rows["theta"][:, 75:].any()


@pytest.mark.parametrize("kind", [".npz", ".amass.npz"])
def test_rows_come_back_bit_for_bit(tmp_path, kind):
    recording = take(25, jitter_ns=3_000_000)
    recording.header["constants"]["camera_pitch_deg"] = "12"
    path = write_file(recording, tmp_path / f"a{kind}", BODY)
    back = read_npz(path)
    for key in recording.rows.dtype.names:
        if key != "crc32":
            np.testing.assert_array_equal(back.rows[key], recording.rows[key])
    assert back.header["constants"] == recording.header["constants"]


def amass(path, count=40, fps=120.0, **changes):
    """As AMASS's own: someone who stands upright in its Z-up world and walks along y."""
    rng = np.random.default_rng(0)
    poses = np.zeros((count, 156))
    poses[:, 3:66] = rng.normal(0, 0.2, 63)
    poses[:, :3] = Rotation.from_euler("x", 90, degrees=True).as_rotvec()
    trans = np.stack((np.zeros(count), np.arange(count) / fps, np.full(count, 1.2)), axis=1)
    fields = {"poses": poses, "trans": trans, "betas": rng.normal(0, 1, 16), "gender": np.array("female")}
    fields["mocap_framerate"] = np.array(fps)
    fields.update(changes)
    np.savez(path, **{key: value for key, value in fields.items() if value is not None})
    return path


def test_other_peoples_amass_files_are_read(tmp_path):
    path = amass(tmp_path / "walk.npz")
    body = random_body(4)
    recording = read_npz(path, body)
    np.testing.assert_allclose(np.diff(recording.rows["t_capture_ns"]), 1e9 / 120, atol=1)
    with np.load(path) as data:
        np.testing.assert_allclose(
            recording.rows["theta"][:, 75:], np.tile(data["betas"][:10], (40, 1)), rtol=1e-6
        )
    motion = steady(recording, body, on_floor=False)
    assert motion.fps == 120 and len(motion.pelvis) == 40
    there = AMASS.points(motion.joints(body))[:, :22]
    np.testing.assert_allclose(there, as_amass_readers_do(path, body), atol=1e-4)
    assert recording.header["own_world"]
    assert not read_npz(path).rows["theta"][:, 75:].any()  # nobody said whose betas they are
    np.testing.assert_allclose(recording.rows["joints"][:, 0], 0, atol=1e-6)


def test_a_take_of_one_frame_and_smplx_width(tmp_path):
    poses = np.zeros((1, 165))
    path = amass(
        tmp_path / "x.npz", count=1, poses=poses, mocap_framerate=None, mocap_frame_rate=np.array(30)
    )
    assert len(read_npz(path).rows) == 1


BAD_AMASS = {
    "fps 0": ({"mocap_framerate": np.array(0.0)}, "mocap_framerate is 0.0"),
    "fps NaN": ({"mocap_framerate": np.array(np.nan)}, "mocap_framerate is nan"),
    "fps negative": ({"mocap_framerate": np.array(-30.0)}, "above 0"),
    "fps two": ({"mocap_framerate": np.array([30.0, 60.0])}, "above 0"),
    "fps text": ({"mocap_framerate": np.array("30")}, "above 0"),
    "no fps": ({"mocap_framerate": None}, "neither mocap_frame_rate nor"),
    "NaN": ({"trans": np.full((40, 3), np.nan)}, "trans holds NaN"),
    "infinity": ({"poses": np.full((40, 156), np.inf)}, "poses holds NaN, infinity"),
    "huge": ({"trans": np.full((40, 3), 1e30)}, "beyond"),
    "empty": ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "holds no frames"),
    "lengths": ({"trans": np.zeros((39, 3))}, "trans is"),
    "width": ({"poses": np.zeros((40, 100))}, "expected (T, 156)"),
    "text": ({"poses": np.full((40, 156), "x")}, "poses is"),
    "objects": ({"poses": np.array([None] * 40)}, "pickles, which are never read"),
    "no poses": ({"poses": None}, "neither a recording of hmmr-live"),
}


@pytest.mark.parametrize("case", BAD_AMASS)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, case):
    changes, words = BAD_AMASS[case]
    refused(amass(tmp_path / "bad.npz", **changes), words)


def refused(path, words):
    with pytest.raises(RecordError) as told:
        read_npz(path)
    assert words in str(told.value) and str(path) in str(told.value) and "\n" not in str(told.value)


BAD_OURS = {
    "NaN": ("theta", lambda a: a * np.nan, "theta holds NaN"),
    "lengths": ("joints", lambda a: a[:-1], "joints is"),
    "missing": ("tracked", None, "tracked missing"),
    "time of floats": ("t_capture_ns", lambda a: a.astype(float), "whole numbers"),
    "time before time": ("t_capture_ns", lambda a: a - 2**62, "whole numbers"),
    "state": ("state", lambda a: a + 9, "state or person"),
    "empty": ("theta", lambda a: a[:0], "holds no frames"),
}


@pytest.mark.parametrize("case", BAD_OURS)
def test_a_damaged_recording_is_refused_in_one_line(tmp_path, case):
    key, change, words = BAD_OURS[case]
    whole = np.load(write_npz(take(5), tmp_path / "whole.npz"))
    arrays = {name: whole[name] for name in whole.files}
    if change is None:
        del arrays[key]
    else:
        arrays[key] = change(arrays[key])
    np.savez(tmp_path / "bad.npz", **arrays)
    refused(tmp_path / "bad.npz", words)


def test_files_that_are_no_npz(tmp_path):
    path = tmp_path / "bad.npz"
    whole = write_npz(take(5), tmp_path / "whole.npz").read_bytes()
    np.save(io_bytes := io.BytesIO(), np.zeros(3))
    single = io_bytes.getvalue()
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("theta.npy", b"not an array")
    for content in (
        b"",
        b"\x80\x04K\x01.",
        b"words",
        single,
        whole[: len(whole) // 2],
        whole[:-30],
        zipped.getvalue(),
    ):
        path.write_bytes(content)
        with pytest.raises(RecordError) as told:
            read_npz(path)
        assert "bad.npz" in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(RecordError, match="cannot be read"):
        read_npz(tmp_path / "absent.npz")


def test_rates_near_a_whole_number_are_told_as_it(tmp_path):
    """Meshcapade's add-on cuts off what is behind the point, and refuses 29."""
    recording = take(31)
    for step_ns, fps in ((33_366_700, 30.0), (FRAME_NS, 30.0), (34_000_000, 1e9 / 34_000_000)):
        recording.rows["t_capture_ns"] = np.arange(31) * step_ns
        path = write_npz(recording, tmp_path / f"{step_ns}.npz")
        assert float(np.load(path)["mocap_frame_rate"]) == pytest.approx(fps)
