"""The page in a real browser, on a real stream: what is to be seen in it, and what its controls do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Window, chromium
from viewer_stream import Stage, posed
from web_sink import web_sink

from realtime.body.smpl import load_body
from realtime.clock import clock_id
from realtime.messages import StatusMessage, encode_status

pytestmark = pytest.mark.timeout(600)  # a loaded machine draws few pictures per second

CANVAS = 400  # pixels from the left: the scene, and nothing of the panel
BRIGHT = 135  # the body is, floor and background are not
UP, DOWN = posed(left_arm_up=True), posed(left_arm_up=False)


class Scene:
    """One stream, one sink and one window for all tests here: without a graphics card a browser takes its time."""

    def __init__(self, stage: Stage, window: Window, folder: Path) -> None:
        self.stage, self.window, self.folder = stage, window, folder

    def body(self) -> np.ndarray:
        """(H, CANVAS) bool: where the body is on the screen."""
        return self.window.picture()[:, :CANVAS].mean(axis=2) > BRIGHT

    def settled(self) -> np.ndarray:
        """The body once it stands still."""
        before = self.body()
        for _ in range(100):
            now = self.body()
            if now.any() and overlap(before, now) > 0.98:
                return now
            before = now
        raise AssertionError("the body does not come to rest")

    def shows(self, wanted: np.ndarray) -> bool:
        return any(overlap(self.body(), wanted) > 0.95 for _ in range(60))

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
    top, bottom = rows.min(), rows.max()
    left, right = np.percentile(columns, (1, 99))
    return tuple(
        float((bottom - rows[mask].min()) / (bottom - top)) for mask in (columns <= left, columns >= right)
    )  # type: ignore[return-value]


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
    up = still.settled()
    rows, columns = np.nonzero(up)
    assert rows.max() - rows.min() > 0.5 * up.shape[0]
    assert abs(columns.mean() - CANVAS / 2) < 60
    feet, head = up[rows.max() - 6].sum(), up[rows.min() : rows.min() + 6].sum()
    assert feet > 0 and head > 0
    left, right = sides(up)
    assert right > 0.85 > 0.7 > left  # he faces us: his left arm is on the screen's right
    still.stage.pose = DOWN
    assert any(overlap(still.body(), up) < 0.95 for _ in range(60))
    down = still.settled()
    assert max(sides(down)) < 0.7


def test_mirror(still: Scene) -> None:
    up = still.settled()
    still.box("Mirror")
    mirrored = up[:, ::-1]
    assert not np.array_equal(mirrored, up)
    for _ in range(60):
        left, right = sides(still.body())
        if left > 0.85 > right:
            break
    assert left > 0.85 > 0.7 > right
    still.box("Mirror")
    assert still.shows(up)


def test_lead_shows_the_pose_ahead(still: Scene) -> None:
    still.stage.pose = DOWN
    down = still.settled()
    still.stage.changes = still.stage.changes | {"ahead": ((100.0, UP.ravel()),)}
    assert still.shows(down)
    still.slide("Lead, ms", 100)
    for _ in range(60):
        if sides(still.body())[1] > 0.85:
            break
    assert sides(still.body())[1] > 0.85
    still.slide("Lead, ms", 0)
    assert still.shows(down)


def test_smoothing_stills_what_trembles(still: Scene) -> None:
    """An arm that is up in one frame and down in the next is level: the body is widest."""
    widest = max(extent(still.settled()), 1)
    still.stage.motion = lambda seq: UP if seq % 2 else DOWN
    assert max(extent(still.body()) for _ in range(6)) < widest + 12
    still.slide("Smoothing, ms", 500)
    assert any(extent(still.body()) > widest + 20 for _ in range(100))
    still.slide("Smoothing, ms", 0)


def extent(body: np.ndarray) -> int:
    """How far the body reaches to the screen's right."""
    return int(np.nonzero(body.any(axis=0))[0].max(initial=0))


def test_a_lost_body_is_not_shown(still: Scene) -> None:
    still.settled()
    still.stage.state = "lost"
    assert any(not still.body().any() for _ in range(60))
    still.window.until("document.querySelector('#live[data-state=lost]')")


def test_skeleton(still: Scene) -> None:
    plain = still.window.picture()[:, :CANVAS].astype(int)
    blue = (plain[..., 2] - plain[..., 0] > 35).sum()
    still.box("Skeleton")
    for _ in range(60):
        picture = still.window.picture()[:, :CANVAS].astype(int)
        left, right = picture[..., 2] - picture[..., 0] > 35, picture[..., 0] - picture[..., 2] > 35
        if left.sum() > blue + 200 and right.sum() > 200:
            break
    assert left.sum() > blue + 200 and right.sum() > 200
    assert np.nonzero(left)[1].mean() > np.nonzero(right)[1].mean()  # blue is his left, on the screen's right
    still.box("Skeleton")


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
    before = still.settled()
    for kind, x in (("mousePressed", 200), ("mouseMoved", 260), ("mouseMoved", 330), ("mouseReleased", 330)):
        still.window.call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=380, button="left", buttons=1, clickCount=1
        )
    assert any(overlap(still.body(), before) < 0.9 for _ in range(60))
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
