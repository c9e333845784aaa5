""".glb: valid by Khronos' own validator where there is Node, and its posed mesh is the body as we pose it."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bodies import figure_body, random_body
from glb_reader import Glb
from importers.run import in_blender, needs_blender
from takes import take

from realtime.body.kinematics import forward_kinematics, skin
from realtime.body.skeleton import JOINT_NAMES, PARENTS
from realtime.body.smpl import load_body
from realtime.coordinates import BLENDER
from realtime.files.glb import influences, skin_error_m, write_glb
from realtime.files.steady import steady


def written(path, recording, body):
    motion = steady(recording, body)
    with path.open("wb") as file:
        write_glb(file, motion, body)
    return motion


def with_four_weights(body):
    joints, largest = influences(body.weights)
    weights = np.zeros_like(body.weights)
    np.add.at(weights, (np.arange(len(weights))[:, None], joints), largest)
    return replace(body, weights=weights, posedirs=None)


def volume(vertices, faces):
    a, b, c = (vertices[faces[:, corner]].astype(float) for corner in range(3))
    return (a * np.cross(b, c)).sum() / 6


def posed(body, motion, frame):
    rotations = motion.rotations()[frame]
    joints, transforms = forward_kinematics(body, rotations, motion.betas)
    return skin(body, transforms, motion.betas, rotations) - joints[0] + motion.pelvis[frame]


@pytest.mark.parametrize(
    "body", [load_body(None), figure_body(), random_body(2)], ids=["shipped", "figure", "random"]
)
def test_the_animated_mesh_is_the_body_as_we_pose_it(tmp_path, body):
    motion = written(tmp_path / "a.glb", take(30, body, jitter_ns=4_000_000), body)
    glb = Glb(tmp_path / "a.glb")
    assert glb.times() == pytest.approx(np.arange(len(motion.pelvis)) / motion.fps, abs=1e-6)
    assert glb.attribute("WEIGHTS_0").sum(axis=1) == pytest.approx(1, abs=1e-6)
    own = with_four_weights(body)
    for frame in (0, 7, len(motion.pelvis) - 1):
        t_s = float(glb.times()[frame])
        np.testing.assert_allclose(glb.vertices(t_s), posed(own, motion, frame), atol=1e-4)
        np.testing.assert_allclose(glb.matrices(t_s)[:, :3, 3], motion.joints(body)[frame], atol=1e-5)
    faces = glb.array(glb.primitive["indices"]).reshape(-1, 3)
    np.testing.assert_array_equal(faces, body.faces)


@pytest.mark.parametrize("body", [load_body(None), random_body(2)], ids=["shipped", "with posedirs"])
def test_what_the_file_lacks_is_told(tmp_path, body):
    """Of the shipped body four weights lose little."""
    motion = written(tmp_path / "a.glb", take(30, body), body)
    glb = Glb(tmp_path / "a.glb")
    told = skin_error_m(motion, body)
    assert told.shape == (30, len(body.v_template))
    for frame in (0, 13, 29):
        lacks = np.linalg.norm(glb.vertices(frame / 30) - posed(body, motion, frame), axis=1)
        np.testing.assert_allclose(told[frame], lacks, atol=1e-4)
    if body.posedirs is None:
        assert told.max() < 0.01 and np.percentile(told, 99) < 0.001
    else:
        assert np.median(told) > 0.01


def test_names_tree_and_axes(tmp_path):
    body, recording = load_body(None), take(5)
    recording.rows["theta"][:, 3:75] = 0
    recording.rows["theta"][:, 3] = np.pi
    recording.rows["trans"] = (0.4, 0.1, 3.0)
    motion = written(tmp_path / "a.glb", recording, body)
    glb = Glb(tmp_path / "a.glb")
    assert [glb.nodes[joint]["name"] for joint in glb.skin["joints"]] == list(JOINT_NAMES)
    assert [glb.parent.get(joint, -1) for joint in glb.skin["joints"]] == list(PARENTS)
    vertices = glb.vertices(0.0)
    assert (
        vertices[:, 1].min() == pytest.approx(0, abs=0.01) and vertices[:, 1].max() > 1.6
    )  # upright, on the floor
    at = dict(zip(JOINT_NAMES, glb.matrices(0.0)[:, :3, 3], strict=True))
    assert at["left_wrist"][0] > 0.5 and at["left_foot"][2] > at["left_ankle"][2] + 0.05  # looks along +z
    rest = body.shaped(motion.betas)
    np.testing.assert_array_equal(glb.attribute("POSITION"), rest)  # the shape of who was seen
    assert np.abs(rest - body.v_template).max() > 0.01
    normals = glb.attribute("NORMAL")  # along them the body grows
    assert volume(rest + 1e-3 * normals, body.faces) > volume(rest, body.faces) > 0.03  # m³
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-5)


def test_quaternions_never_jump_to_their_opposite(tmp_path, monkeypatch):
    monkeypatch.setattr("realtime.files.steady.PART", 9)
    body, recording = load_body(None), take(200)
    recording.rows["theta"][:, 3:6] = 0
    recording.rows["theta"][:, 4] = np.linspace(0, 4 * np.pi, 200)
    written(tmp_path / "a.glb", recording, body)
    glb = Glb(tmp_path / "a.glb")
    for sampler in glb.document["animations"][0]["samplers"][1:]:
        turns = glb.array(sampler["output"])
        assert ((turns[1:] * turns[:-1]).sum(axis=1) > 0.9).all()


def test_khronos_validator_has_nothing_to_say(tmp_path, gltf_validator):
    body = load_body(None)
    for name, count in (("motion.glb", 30), ("still.glb", 1)):
        written(tmp_path / name, take(count, body), body)
        report = gltf_validator(tmp_path / name)
        assert report["issues"]["numErrors"] == report["issues"]["numWarnings"] == 0, report["issues"]
        assert report["info"]["animationCount"] == 1 and report["info"]["maxInfluences"] == 4
    content = bytearray((tmp_path / "still.glb").read_bytes())
    content[content.index(b'"max":[') + 7 : content.index(b'"max":[') + 8] = b"9"
    (tmp_path / "broken.glb").write_bytes(content)
    assert gltf_validator(tmp_path / "broken.glb")["issues"]["numErrors"] > 0  # it does look


@needs_blender
def test_blender_imports_it_with_joints_and_skin_where_ours_are(tmp_path):
    body = load_body(None)
    motion = written(tmp_path / "a.glb", take(20, body), body)
    told = in_blender(tmp_path / "a.glb", 20, tmp_path / "out.json", 10)
    heads = np.array(told["heads"])[:, [told["names"].index(name) for name in JOINT_NAMES]]
    assert np.abs(heads - BLENDER.points(motion.joints(body))).max() < 1e-3
    ours = BLENDER.points(posed(with_four_weights(body), motion, 10))
    np.testing.assert_allclose(told["vertices"], ours, atol=1e-4)


@pytest.fixture(scope="session")
def gltf_validator(tmp_path_factory):
    """Khronos' validator from npm: path of a .glb → its report."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no node and npm to run Khronos' gltf-validator with")
    place = tmp_path_factory.mktemp("validator")
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "gltf-validator@2.0.0-dev.3.10"],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if installed.returncode:
        pytest.skip("npm cannot install gltf-validator here (no network?)")
    program = (
        "const fs = require('fs');"
        "require('gltf-validator').validateBytes(new Uint8Array(fs.readFileSync(process.argv[1])))"
        ".then(report => console.log(JSON.stringify(report)))"
    )

    def validate(path: Path) -> dict:
        done = subprocess.run(
            ["node", "-e", program, str(path)], cwd=place, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return validate
