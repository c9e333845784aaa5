"""The page in a real browser, on a real stream: what is to be seen in it, and what its controls do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Window, chromium
from viewer_stream import TRANS_M, Stage, posed
from web_sink import web_sink

from realtime.body.smpl import load_body
from realtime.clock import clock_id
from realtime.lead import Led
from realtime.messages import StatusMessage, encode_status

pytestmark = pytest.mark.timeout(600)  # a loaded machine draws few pictures per second

CANVAS = 400  # pixels from the left: the scene, and nothing of the panel
PATIENCE = 150  # pictures, each of which takes the time that the machine takes
BRIGHT = 135  # the body is, floor and background are not
UP, DOWN = posed(left_arm_up=True), posed(left_arm_up=False)


class Scene:
    """One stream, one sink and one window for all tests here: without a graphics card a browser takes its time."""

    def __init__(self, stage: Stage, window: Window, folder: Path) -> None:
        self.stage, self.window, self.folder = stage, window, folder

    def body(self) -> np.ndarray:
        """(H, CANVAS) bool: where the body is on the screen."""
        return self.window.picture()[:, :CANVAS].mean(axis=2) > BRIGHT

    def settled(self, left_arm_up: bool) -> np.ndarray:
        """The body with its arm like this, once it stands still."""
        before = self.body()
        for _ in range(PATIENCE):
            now = self.body()
            if left_arm_is_up(now) == left_arm_up and overlap(before, now) > 0.98:
                return now
            before = now
        raise AssertionError("the body does not come to rest")

    def shows(self, wanted: np.ndarray) -> bool:
        return any(overlap(self.body(), wanted) > 0.95 for _ in range(PATIENCE))

    def comes_to(self, condition: Callable[[np.ndarray], bool]) -> bool:
        return any(condition(self.body()) for _ in range(PATIENCE))

    def box(self, label: str) -> None:
        self.window.click(field(label, "checkbox"))

    def slide(self, label: str, value: int) -> None:
        self.window.type(field(label, "text"), str(value))

    def button(self, label: str) -> None:
        self.window.click(
            f"[...document.querySelectorAll('button')].find(b => b.innerText.trim() == '{label}')"
        )


def field(label: str, kind: str) -> str:
    """The input nearest to its label, for a script."""
    return (
        f"(() => {{let e = [...document.querySelectorAll('label,div')].filter(e => e.innerText == '{label}').pop();"
        f"while (!e.querySelector('input[type={kind}]')) e = e.parentElement;"
        f"return e.querySelector('input[type={kind}]')}})()"
    )


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def sides(body: np.ndarray) -> tuple[float, float]:
    """How high the body reaches at its left and right edge on the screen, 0 at its feet, 1 at its top."""
    rows, columns = np.nonzero(body)
    top, bottom = rows.min(initial=0), rows.max(initial=1)
    edges = np.percentile(columns, (1, 99)) if len(columns) else (0, 0)
    left, right = (
        float((bottom - rows[at].min(initial=bottom)) / (bottom - top))
        for at in (columns <= edges[0], columns >= edges[1])
    )
    return left, right


def left_arm_is_up(body: np.ndarray) -> bool:
    """He faces us: his left arm is on the screen's right. The other one hangs."""
    left, right = sides(body)
    return right > 0.85 > 0.7 > left


def extent(body: np.ndarray) -> int:
    """How far the body reaches to the screen's right."""
    return int(np.nonzero(body.any(axis=0))[0].max(initial=0))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    chromium()  # or skipped
    folder = tmp_path_factory.mktemp("web")
    with Stage(pose=UP) as stage:
        stage.changes = {"body": load_body("").id}
        with (
            web_sink(stage.address, f"0,fps=15,record={folder}") as (_, address),
            Window(folder / "profile", 800, 420) as window,
        ):
            window.open(address)
            window.until("document.querySelector('#live[data-state=tracking]')")
            # viser's note that this browser draws without a graphics card lies over the scene.
            window.run(
                "document.head.append(Object.assign(document.createElement('style'),"
                "{textContent: '[class*=mantine-Notification]{display:none!important}'}))"
            )
            yield Scene(stage, window, folder)


@pytest.fixture
def still(scene: Scene) -> Scene:
    """Left arm up, and every control where it is in the beginning."""
    scene.stage.pose, scene.stage.state, scene.stage.motion = UP, "tracking", None
    scene.stage.changes = {"body": load_body("").id}
    return scene


def test_the_body_stands_upright_and_moves(still: Scene) -> None:
    up = still.settled(True)
    rows, columns = np.nonzero(up)
    assert rows.max() - rows.min() > 0.5 * up.shape[0]
    assert abs(columns.mean() - CANVAS / 2) < 60
    still.stage.pose = DOWN
    down = still.settled(False)
    assert overlap(down, up) < 0.9 and max(sides(down)) < 0.7


def test_mirror(still: Scene) -> None:
    up = still.settled(True)
    still.box("Mirror")
    assert still.comes_to(lambda body: left_arm_is_up(body[:, ::-1]))
    still.box("Mirror")
    assert still.shows(up)


def test_lead_shows_the_pose_ahead(still: Scene) -> None:
    still.stage.pose = DOWN
    down = still.settled(False)
    still.stage.changes = {"body": load_body("").id, "ahead": ((100.0, UP.ravel()),)}
    assert still.shows(down)
    still.slide("Lead, ms", 100)
    assert still.comes_to(left_arm_is_up)
    still.slide("Lead, ms", 0)
    assert still.shows(down)
    still.stage.changes |= {"lead": Led(40.0, UP.ravel(), TRANS_M, 1.0)}
    assert still.shows(down)  # its own, which is none
    still.box("Lead as the stream says")
    assert still.comes_to(left_arm_is_up)


def test_smoothing_stills_what_trembles(still: Scene) -> None:
    """An arm that is up in one frame and down in the next is level: the body is widest."""
    widest = extent(still.settled(True))
    body, now_ns = load_body("").id, time.monotonic_ns()
    still.stage.motion = lambda seq: UP if seq % 2 else DOWN
    # Its stamps go slower than the clock, so that a machine that shows few of them is not taken for a pause.
    still.stage.changes = lambda seq: {"body": body, "t_capture_ns": now_ns + seq * 10_000_000}
    assert max(extent(still.body()) for _ in range(6)) < widest + 12
    still.slide("Smoothing, ms", 500)
    assert still.comes_to(lambda body: extent(body) > widest + 20)
    still.slide("Smoothing, ms", 0)


def test_a_lost_body_is_not_shown(still: Scene) -> None:
    still.settled(True)
    still.stage.state = "lost"
    assert still.comes_to(lambda body: not body.any())
    still.window.until("document.querySelector('#live[data-state=lost]')")


def test_skeleton(still: Scene) -> None:
    still.settled(True)
    assert not any(mask.any() for mask in blue_and_orange(still))
    still.box("Skeleton")
    for _ in range(PATIENCE):
        blue, orange = blue_and_orange(still)
        if blue.sum() > 200 and orange.sum() > 200:
            break
    assert blue.sum() > 200 and orange.sum() > 200
    assert (
        np.nonzero(blue)[1].mean() > np.nonzero(orange)[1].mean()
    )  # his left is blue, on the screen's right
    still.box("Skeleton")


def blue_and_orange(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    picture = scene.window.picture()[:, :CANVAS].astype(int)
    warmth = picture[..., 0] - picture[..., 2]
    return warmth < -35, warmth > 35


def test_picture_and_numbers(still: Scene) -> None:
    status = StatusMessage(
        seq=0, t_publish_ns=time.monotonic_ns(), clock=clock_id(), state="tracking",
        rates={"published_fps": 29.25}, drops={"replaced_by_newer": 7},
    )  # fmt: skip
    still.stage.raw.append(encode_status(status))
    still.window.until("/published 29.2 fps/.test(document.body.innerText)")
    text = still.window.text()
    assert "person 1 score 0.93" in text and "dropped 7" in text
    age = re.search(r"age of the pose (\d+) ms", text)
    assert age and int(age[1]) >= 20  # the stage says that its pictures are 20 ms old
    still.window.until("document.querySelector('#camera').naturalWidth == 480")


def test_graphs_have_lines(still: Scene) -> None:
    """Their colours, in what uPlot has drawn: blue for what is shown here, orange for the age of the pose."""
    colours = (
        "Object.values(window.__viserTestpoints.uplots).map(({chart}) => {const c = chart.ctx.canvas; let n = [0, 0];"
        "const d = chart.ctx.getImageData(0, 0, c.width, c.height).data;"
        "for (let i = 0; i < d.length; i += 4)"
        "{const warmth = d[i + 3] ? d[i] - d[i + 2] : 0; n[0] += warmth < -99; n[1] += warmth > 99}"
        "return n})"
    )
    still.window.until(f"(([fps, age]) => fps[0] > 20 && age[1] > 20)({colours})")


def test_record(still: Scene) -> None:
    still.button("Record")
    still.window.until(
        "/recording .*\\.npz: \\d\\d+ frames/.test(document.querySelector('#recording').innerText)"
    )
    still.button("Stop recording")
    still.window.until("/^\\/.*\\.npz: \\d+ frames$/.test(document.querySelector('#recording').innerText)")
    said = still.window.run("document.querySelector('#recording').innerText")
    path, frames = said.rsplit(": ", 1)
    assert Path(path).parent == still.folder.resolve()
    with np.load(path) as recording:
        assert f"{len(recording['theta'])} frames" == frames
        np.testing.assert_array_equal(
            recording["theta"][:, 3:75], np.tile(UP.ravel(), (len(recording["theta"]), 1))
        )


def test_reset_view_and_graphs(still: Scene) -> None:
    before = still.settled(True)
    for kind, x in (("mousePressed", 200), ("mouseMoved", 260), ("mouseMoved", 330), ("mouseReleased", 330)):
        still.window.call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=380, button="left", buttons=1, clickCount=1
        )
    assert still.comes_to(lambda body: overlap(body, before) < 0.9)
    still.button("Reset view")
    assert still.shows(before)
    samples = "Math.max(...Object.values(window.__viserTestpoints.uplots).map(u => u.chart.data[0].length))"
    still.window.until(f"{samples} > 12")
    still.button("Reset all")
    still.window.until(f"{samples} < 8")
    assert still.shows(before)


def test_the_console_stays_clean(scene: Scene) -> None:
    scene.window.run("1")
    assert scene.window.errors == []
