"""The Blender add-on's parts that need no Blender, held against the program's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgpack
import numpy as np
import pytest
from client_streams import body, bus_pose
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import ROOT, environment, until
from scipy.spatial.transform import Rotation

from realtime import coordinates, key_files
from realtime.body.skeleton import JOINT_NAMES, PARENTS
from realtime.bus.publisher import Publisher
from realtime.clock import clock_id
from realtime.config import BusConfig
from realtime.coordinates import BLENDER, to_world
from realtime.messages import decode, encode_pose

sys.path.insert(0, str(ROOT / "clients/blender"))
from hmmr_live import axes, body_file, keys, message, receiver, smallpack  # noqa: E402  (the add-on's folder, as Blender has it)

GOLDEN = (ROOT / "tests/golden/pose_v1.bin").read_bytes()
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=400),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=40), inner, max_size=20),
    max_leaves=60,
)


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_it_reads_what_msgpack_writes(value):
    packed = msgpack.packb(value)
    try:
        assert smallpack.unpack(packed) == value
    except smallpack.PackError as error:
        assert "levels deep" in str(error)


def test_lengths_of_every_width():
    for length in (0, 31, 32, 255, 256, 4096):
        assert smallpack.unpack(msgpack.packb("a" * length)) == "a" * length
    for length in (0, 255, 256, 65535, 65536):
        assert smallpack.unpack(msgpack.packb(b"a" * length)) == b"a" * length
    assert smallpack.unpack(msgpack.packb(list(range(256)))) == list(range(256))
    assert smallpack.unpack(msgpack.packb(0.5, use_single_float=True)) == 0.5


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ends 1 bytes too early"),
        (b"\xc1", "extension type or nothing"),
        (msgpack.packb(msgpack.ExtType(1, b"x")), "extension type"),
        (b"\xc0\xc0", "1 bytes too many"),
        (b"\xdd\xff\xff\xff\xff", "the limit is 256"),
        (b"\xdf\xff\xff\xff\xff", "the limit is 256"),
        (b"\xdb\xff\xff\xff\xff", "the limit is 4096"),
        (b"\xc6\xff\xff\xff\xff", "too early"),
        (b"\x91" * 10_000, "levels deep"),
        (b"\xa1\xff", "UTF-8"),
        (b"\x81\x01\x01", "a key that is int"),
        (b"\x81\x90\x01", "a key that is list"),
        (bytes(smallpack.MAX_BYTES + 1), "the limit is"),
    ],
)
def test_what_is_no_value_is_refused(data, reason):
    with pytest.raises(smallpack.PackError, match=reason):
        smallpack.unpack(data)


def test_a_pose_is_what_our_decoder_makes_of_it():
    for data in (GOLDEN, encode_pose(bus_pose(5))):
        ours, theirs = decode(data), message.decode(data)
        for name in (
            "seq",
            "frame",
            "t_publish_ns",
            "t_capture_ns",
            "clock",
            "person",
            "state",
            "score",
            "body",
        ):
            assert getattr(theirs, name) == getattr(ours, name)
        for name in ("betas", "trans", "joints"):
            np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name))
        np.testing.assert_array_equal(theirs.rotations, ours.pose)
        for one, other in zip(theirs.shown(), ours.shown(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert theirs.lead is not None and np.abs(theirs.lead[0] - theirs.rotations).max() > 0.2


def test_every_mutation_gives_a_pose_or_one_kind_of_error():
    rng = np.random.default_rng(0)
    for end in range(len(GOLDEN)):
        with pytest.raises(message.MessageError):
            message.decode(GOLDEN[:end])
    for _ in range(3000):
        data = bytearray(GOLDEN)
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(0, 256)
        try:
            pose = message.decode(bytes(data))
        except message.MessageError:
            continue
        assert np.isfinite(pose.rotations).all() and pose.state in message.STATES


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 2}, "update the add-on"),
        ({"v": 0}, "no schema version"),
        ({"state": "dancing"}, "none of tracking"),
        ({"score": 2.0}, "0…1"),
        ({"seq": -1}, "63 bits"),
        ({"seq": True}, "63 bits"),
        ({"clock": 7}, "clock: expected a string"),
        ({"theta": b"1234"}, "theta: expected 340 bytes"),
        ({"lead": 5}, "lead: expected a map"),
        ({"lead": {"pose": b"\0" * 288}}, "trans: missing"),
        ({"lead": {"pose": b"\0" * 284, "trans": b"\0" * 12}}, "pose: expected 288 bytes"),
        ({"trans": np.full(3, np.nan, "<f4").tobytes()}, "trans: holds NaN"),
    ],
)
def test_a_message_with_a_wrong_field_is_refused(change, reason):
    fields = {**msgpack.unpackb(GOLDEN[5:]), **change}
    with pytest.raises(message.MessageError, match=reason):
        message.decode(b"pose " + msgpack.packb(fields))


def test_the_age_is_told_on_this_machine_only():
    pose = message.decode(encode_pose(bus_pose(0)))
    age_ms = message.age_ms(pose)
    assert message.clock_id() == clock_id() and age_ms is not None and 0 <= age_ms < 60_000
    assert message.age_ms(message.decode(GOLDEN)) is None


def test_arrivals_are_forgotten_also_where_nobody_asks_for_them(monkeypatch: pytest.MonkeyPatch):
    times = iter(np.arange(20_000) / 60)  # 60 poses a second; each call of the clock is later
    shape = body()
    poses = iter([message.decode(encode_pose(bus_pose(seq, one=shape))) for seq in range(300)])
    monkeypatch.setattr(receiver, "time", SimpleNamespace(monotonic=lambda: next(times)))
    one = receiver.Receiver("tcp://127.0.0.1:1")
    try:
        monkeypatch.setattr(one, "_take", lambda socket: next(poses))
        for _ in range(300):
            one.newest()
        assert one.received == 300 and len(one._arrivals) <= 60
    finally:
        one.close()


@pytest.mark.parametrize("how", ["setting", "environment"])
def test_a_stream_with_keys_is_received(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str):
    key_files.make_server(tmp_path)
    key_files.make_client(tmp_path, "local")  # without it no stream starts
    laptop = str(key_files.make_client(tmp_path, "laptop"))
    monkeypatch.delenv(keys.ENVIRONMENT, raising=False)
    with Publisher("tcp://127.0.0.1:0", BusConfig(keys=str(tmp_path))) as publisher:
        stranger = receiver.Receiver(publisher.address)
        if how == "environment":
            monkeypatch.setenv(keys.ENVIRONMENT, laptop)
        one = receiver.Receiver(publisher.address, laptop if how == "setting" else "")
        one.start_every()
        messages = iter(range(100_000))
        shape = body()

        def received() -> bool:
            publisher.poll()
            publisher.publish(encode_pose(bus_pose(next(messages), one=shape)))
            return (one.newest() is not None or one.pose is not None) and bool(one.every())

        try:
            assert until(received, 60)
            assert stranger.newest() is None and stranger.bad == 0
            assert publisher.subscribers["pose"] == 2
            assert one.refused == ""
            assert until(lambda: publisher.poll() or stranger.refused != "", 60)
            assert stranger.refused == "refused: the stream wants a key, or is none of hmmr-live"
        finally:
            one.close()
            stranger.close()


@pytest.mark.parametrize("stream_has_keys", [True, False], ids=["unknown key", "stream without keys"])
def test_a_key_that_the_stream_does_not_take_is_said(tmp_path: Path, stream_has_keys: bool):
    key_files.make_server(tmp_path)
    key_files.make_client(tmp_path, "local")
    kept = tmp_path / "kept.key"
    kept.write_bytes(key_files.make_client(tmp_path, "laptop").read_bytes())
    key_files.remove_client(tmp_path, "laptop")
    config = BusConfig(keys=str(tmp_path)) if stream_has_keys else BusConfig()
    with Publisher("tcp://127.0.0.1:0", config) as publisher:
        one = receiver.Receiver(publisher.address, str(kept))
        try:
            assert until(lambda: publisher.poll() or one.refused != "", 60)
            words = "refuses this key" if stream_has_keys else "takes no keys, or others than this one"
            assert words in one.refused and one.newest() is None
        finally:
            one.close()


def test_what_is_no_key_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(keys.ENVIRONMENT, raising=False)
    assert keys.load_keys("") is None
    key_files.make_server(tmp_path)
    local = key_files.make_client(tmp_path, "local")
    theirs = key_files.load_client(local)
    for path in (local, tmp_path):  # a folder's own key, too
        ours = keys.load_keys(str(path))
        assert ours is not None
        assert (ours.server, ours.public, ours.secret) == (theirs.server, theirs.public, theirs.secret)
    (tmp_path / "bytes.key").write_bytes(b"\xff\xfe")
    (tmp_path / "short.key").write_text(local.read_text()[:-2])
    (tmp_path / "large.key").write_text(local.read_text().replace(theirs.public.decode(), "#" * 40))
    for name, words in (
        ("absent.key", "cannot be read"),
        ("bytes.key", "not a key file"),
        ("short.key", "secret: no key"),
        ("large.key", "public: no key"),  # letters of Z85, but no 32 bits
        ("server.key", "server: no key"),
    ):
        with pytest.raises(receiver.ReceiverError, match=words):
            receiver.Receiver("tcp://127.0.0.1:1", str(tmp_path / name))


def test_axes_are_those_of_the_coordinates_module():
    assert axes.JOINTS == JOINT_NAMES and axes.PARENTS == PARENTS
    rng = np.random.default_rng(1)
    for pitch, roll in ((0, 0), (20, -15), (-70, 60)):
        R = axes.world_of_camera(pitch, roll)
        np.testing.assert_allclose(R, coordinates.world_of_camera(pitch, roll), atol=1e-12)
        theta = rng.normal(0, 1.5, 85).astype(np.float32)
        trans = rng.normal(0, 2, 3).astype(np.float32)
        quaternions, pelvis = axes.to_blender(theta[3:75].reshape(24, 3), trans, R)
        world = to_world(theta, trans, R)
        turned = Rotation.from_quat(quaternions[:, [1, 2, 3, 0]])
        off = turned * Rotation.from_matrix(BLENDER.rotations(world.rotations)).inv()
        assert off.magnitude().max() < 1e-5
        np.testing.assert_allclose(pelvis, BLENDER.points(world.trans), atol=1e-6)
        # Bones that stand any way at rest: what stood along the bone then, is where the body's own rotation takes it.
        rest = Rotation.random(24, random_state=2).as_matrix()
        bones = Rotation.from_quat(axes.to_bones(quaternions, rest)[:, [1, 2, 3, 0]]).as_matrix()
        np.testing.assert_allclose(rest @ bones, turned.as_matrix() @ rest, atol=1e-9)


def test_the_body_is_ours_in_blenders_axes():
    one, betas = body(), np.random.default_rng(3).normal(0, 1, 10).astype(np.float32)
    shape = body_file.load_body("", betas, one.id)
    assert shape.shaped and shape.id == one.id
    np.testing.assert_allclose(shape.vertices, BLENDER.points(one.shaped(betas)), atol=1e-5)
    np.testing.assert_allclose(shape.joints, BLENDER.points(one.rest_joints(betas)), atol=1e-5)
    np.testing.assert_allclose(shape.weights, one.weights, atol=1e-6)
    other = body_file.load_body("", betas, "another body")
    assert not other.shaped
    np.testing.assert_allclose(other.vertices, BLENDER.points(one.v_template), atol=1e-6)


def test_a_pickled_smpl_body_becomes_one_that_the_addon_reads(tmp_path: Path):
    import pickle

    one = body()
    arrays = {
        "v_template": one.v_template,
        "shapedirs": one.shapedirs,
        "posedirs": np.zeros((len(one.v_template), 3, 207), np.float32),
        "J_regressor": one.J_regressor,
        "weights": one.weights,
        "kintree_table": np.stack([one.parents, np.arange(24)]),
        "f": one.faces,
    }
    (tmp_path / "mine.pkl").write_bytes(pickle.dumps(arrays, 2))
    command = [sys.executable, str(ROOT / "clients/blender/smpl_to_npz.py"), "mine.pkl", "mine.npz"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60
        )

    done = run()
    assert done.returncode == 0, done.stderr
    shape = body_file.load_body(str(tmp_path / "mine.npz"))
    np.testing.assert_allclose(shape.vertices, BLENDER.points(one.v_template), atol=1e-6)
    assert shape.id.startswith("mine-") and len(shape.id) == len("mine-") + 8
    again = run()
    assert again.returncode == 2 and "not overwritten" in again.stderr
