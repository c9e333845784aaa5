"""The rows of the main table: which perception, which weights, which settings; and what else runs beside them."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

from realtime.config import MIRROR_MODES, Config, apply_setting
from realtime.errors import ConfigError
from realtime.perception.mirror import mode_here

RAW = "mediapipe: world landmarks"
MEDIAPIPE_SMOOTHED = "mediapipe: its own smoothing"
ONE_EURO = "mediapipe: One-Euro"
BLAZEPOSE = "blazepose: world landmarks"
SINGLE = "single frame"
STREAM = "stream"
LOOK_AHEAD = "stream, look-ahead"
DYNAMICS = "dynamics of "  # + name of a row: the same once more, asked for more poses ahead

# Cut-off at rest and per speed of each coordinate (m/s). Of a grid over 12 takes of the training split: the least
# acceleration error (20 of 56 mm/frame²) among those that come at most a frame (33 ms) later than what they are fed.
ONE_EURO_MIN_CUTOFF_HZ, ONE_EURO_BETA = 1.0, 4.0

_MEDIAPIPE = ("perception.name=mediapipe",)
_DEFAULT = Config()
_USUAL_MIRROR = {_DEFAULT.perception.mirror, mode_here(_DEFAULT.perception.mirror)}
# Every way the stream is not by default, on this machine.
_OTHERWISE = (
    "perception.map=off",
    *(f"perception.mirror={mode}" for mode in MIRROR_MODES if mode not in _USUAL_MIRROR),
    f"refine.steps={0 if _DEFAULT.refine.steps else 1}",
)
SWITCHES = (
    *((f"stream, {setting.removeprefix('perception.')}", (setting,)) for setting in _OTHERWISE),
    ("stream, tilt known", ()),
    ("stream on mediapipe", _MEDIAPIPE),
)


@dataclass(frozen=True)
class Row:
    """One way from pictures to joints. `settings` are as of --set."""

    name: str
    kind: str  # world (the perception's own landmarks) | single (the network on each frame alone) | stream
    model: str = "default"
    settings: tuple[str, ...] = ()
    filtered: str = ""  # of world landmarks: "mediapipe" | "one-euro"
    knows_tilt: bool = False  # camera.pitch_deg and roll_deg are set, to the truth
    ahead_ms: tuple[float, ...] = ()  # instead of the configured ones; may be negative

    def config(self, engine: str) -> Config:
        """Raises ConfigError for a setting that there is not."""
        config = Config(model=self.model, engine=engine)
        config.perception.threads = 1  # whatever is measured beside it; what is seen is the same
        for setting in self.settings:
            apply_setting(config, setting)
        return config

    def perception_key(self, engine: str) -> tuple:
        """Rows of one key look at the pictures through one perception."""
        perception = self.config(engine).perception
        perception.mirror = mode_here(perception.mirror)
        return (*astuple(perception), self.filtered == "mediapipe")


def parse_also(text: str) -> Row:
    """ "NAME=MODEL[,key=value…]" → a row of the stream. Raises ConfigError."""
    name, equals, rest = text.partition("=")
    model, *settings = rest.split(",")
    if not (name.strip() and equals and model):
        raise ConfigError(f"--also {text}: expected NAME=MODEL or NAME=MODEL,key=value,…")
    return Row(name.strip(), "stream", model, tuple(settings))


def table_rows(model: str, look_ahead: str, also: list[Row], quick: bool) -> list[Row]:
    """The rows of the main table, in its order. look_ahead: a model, or empty; quick: only what targets need."""
    rows = [Row(RAW, "world", settings=_MEDIAPIPE)]
    if not quick:
        rows += [
            Row(MEDIAPIPE_SMOOTHED, "world", settings=_MEDIAPIPE, filtered="mediapipe"),
            Row(ONE_EURO, "world", settings=_MEDIAPIPE, filtered="one-euro"),
            Row(BLAZEPOSE, "world"),
        ]
    # What refinement corrects stays corrected in the frames that follow: with it, no frame would be alone.
    single = Row(SINGLE, "single", model, ("refine.steps=0",))
    rows += [single, *also, Row(STREAM, "stream", model)]
    if look_ahead:
        rows.append(Row(LOOK_AHEAD, "stream", look_ahead))
    if not quick:
        rows += [Row(name, "stream", model, settings, knows_tilt=not settings) for name, settings in SWITCHES]
    names = [row.name for row in rows]
    if len(set(names)) < len(names):
        raise ConfigError(f"--also: two rows of one name among {', '.join(names)}")
    return rows


def dynamics_rows(rows: list[Row], horizons_ms: tuple[float, ...]) -> list[Row]:
    """The causal stream and the `--also` rows again, asked for these poses ahead: the main rows' cost stays theirs."""
    switches = {LOOK_AHEAD, *(name for name, _ in SWITCHES)}
    return [
        replace(row, name=DYNAMICS + row.name, ahead_ms=horizons_ms)
        for row in rows
        if row.kind == "stream" and row.name not in switches
    ]
