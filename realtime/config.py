"""One configuration tree of dataclasses; `--set group.key=value` reaches every leaf of it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, get_type_hints

from realtime.errors import ConfigError


@dataclass
class CameraConfig:
    width: int = 640  # asked of a webcam; what it really gives is said
    height: int = 480
    fps: float = 30.0
    fourcc: str = "MJPG"
    fov_deg: float = 60.0  # horizontal field of view; turns the weak-perspective camera into metres
    # How the camera is put up, where that is known (unset: it is not; one of the two set, the other counts as 0):
    pitch_deg: float | None = None  # > 0: it looks down
    roll_deg: float | None = None  # > 0: what stands upright leans to the right in the picture
    stale_ms: float = 1000.0  # a camera whose newest frame is older than this counts as gone
    reconnect_first_s: float = 0.5  # pauses between attempts to reconnect grow from here …
    reconnect_max_s: float = 8.0  # … to here
    open_timeout_s: float = 10.0
    # From light to the picture's arrival in the program, for the lead (unset: as python -m calib.latency measured it)
    latency_ms: float | None = None
    buffers: int = 1  # frames a webcam's driver queues; some cameras give half their rate with one: set 2


MAX_LEAD_MS = 1000.0  # who asks for more has mistaken the unit

UNSET = "unset"  # value of a setting that may be without one

MIRROR_MODES = ("auto", "off", "alternate", "both")
MAP_MODES = ("auto", "on", "off")
SMOOTHING_FILTERS = ("off", "one-euro")
PERCEPTION_ENGINES = ("auto", "onnxruntime", "tensorrt")


@dataclass
class PerceptionConfig:
    name: str = "blazepose"  # or mediapipe
    # Of blazepose:
    engine: str = "auto"  # auto | onnxruntime | tensorrt
    threads: int = 0  # on the CPU, per look; 0: two where two cores are there for each look, else one
    # off | alternate (every other frame's crop mirrored) | both (two looks per frame) | auto: both where a second
    # core and, live, the time are there for the second look, else off
    mirror: str = "auto"
    map: str = "auto"  # the network's map as appearance features, too: auto (where their encoder is there) | on | off
    mask: bool = False  # fill Detection.mask; the viewer's picture then dims what is not the person
    # Of mediapipe:
    complexity: int = 1  # MediaPipe's own 0 | 1 | 2; only 1 is in its wheel
    enter_score: float = 0.65  # tracking begins above this …
    leave_score: float = 0.40  # … and ends below this
    enter_frames: int = 2  # consecutive good frames before a new person counts as tracked
    hold_ms: float = 500.0  # how long a person may be missing before he counts as lost
    box_tau_ms: float = 100.0  # time constant of the causal smoothing of the crop


@dataclass
class EngineConfig:
    precision: str = "fp32"  # fp32 | fp16 | int8
    form: str = "step"  # | window: the whole ring is computed anew every frame
    threads: int = 1  # of the CPU
    ahead_ms: str = "166.7"  # horizons of the poses ahead, by commas (HMMR: 5 frames); empty: none


@dataclass
class RefineConfig:
    steps: int = 1  # Gauss-Newton steps per frame toward the landmarks, after the network; 0: none


@dataclass
class LeadConfig:
    # auto: by as much as the pose will be old when it is seen (off with --every-frame) | off | milliseconds; --lead
    mode: str = "auto"
    # What a receiver adds until its picture is seen. Unset: 25 (an assumption, one and a half periods of a screen at
    # 60 Hz), or 0 where the camera was measured with the screen's delay in it (python -m calib.latency): then only what
    # comes on top of that screen belongs here
    display_ms: float | None = None


@dataclass
class TranslationConfig:
    # One-Euro filters of the pelvis, steady when the person stands still. Distance along z, in metres:
    min_cutoff_hz: float = 0.5
    beta: float = 0.6  # Hz per m/s
    # Direction (x/z, y/z), which the picture gives far more exactly than the distance:
    direction_min_cutoff_hz: float = 1.0
    direction_beta: float = 12.0  # Hz per 1/s


@dataclass
class SmoothingConfig:
    filter: str = "off"  # | one-euro: of the rotations, after the model (realtime/smoothing.py)
    min_cutoff_hz: float = 2.0  # of who stands still
    beta: float = 0.5  # Hz per 1/s of an element of a rotation matrix: fast movements pass


@dataclass
class BusConfig:
    # Folder of `python -m realtime.keys`: who may receive. Empty: on this machine's own addresses everybody; on others
    # the user's default folder, without which there is no listening there.
    keys: str = ""
    image_fps: float = 15.0  # rate of the picture topic, sent only while somebody subscribes to it
    image_width: int = 480


@dataclass
class RecordConfig:
    image: bool = False  # into .mcap, the pictures too (bus.image_fps, bus.image_width): megabytes a minute


@dataclass
class ViewerConfig:
    width: int = 1280
    height: int = 640
    fps: float = 60.0  # upper bound of the drawing rate


@dataclass
class Config:
    source: str = "0"
    engine: str = "auto"
    model: str = "default"
    body: str = ""  # empty: the body in assets/
    viewer_kind: str = "open3d"
    bus_address: str = "tcp://127.0.0.1:5555"
    sinks: list[str] = field(default_factory=list)
    record: list[str] = field(default_factory=list)
    every_frame: bool = False
    frames: int = 0  # 0: no limit
    duration: float = 0.0  # seconds; 0: no limit
    summary: str = ""
    trace: str = ""
    debug: bool = False
    camera: CameraConfig = field(default_factory=CameraConfig)
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)
    runtime: EngineConfig = field(default_factory=EngineConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    lead: LeadConfig = field(default_factory=LeadConfig)
    translation: TranslationConfig = field(default_factory=TranslationConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    bus: BusConfig = field(default_factory=BusConfig)
    recording: RecordConfig = field(default_factory=RecordConfig)
    viewer: ViewerConfig = field(default_factory=ViewerConfig)


def settable_keys(config: Any, prefix: str = "") -> dict[str, tuple[Any, str, Any]]:
    """Leaves that `--set` may name: {"camera.width": (owner, attribute, type)}.

    Only leaves of the groups: what a flag of its own sets (source, engine, …) is set by that flag.
    """
    keys: dict[str, tuple[Any, str, Any]] = {}
    hints = get_type_hints(type(config))
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value) and not isinstance(value, type):
            keys.update(settable_keys(value, f"{prefix}{item.name}."))
        elif prefix:
            keys[f"{prefix}{item.name}"] = (config, item.name, hints[item.name])
    return keys


def apply_setting(config: Config, assignment: str) -> None:
    """Apply one `key=value`.

    Raises ConfigError for a missing `=`, an unknown key (naming the nearest known one) and a value of the wrong type.
    """
    key, equals, text = assignment.partition("=")
    key = key.strip()
    if not equals:
        raise ConfigError(f"--set {assignment}: expected key=value, for example --set camera.width=1280")
    keys = settable_keys(config)
    if key not in keys:
        nearest = difflib.get_close_matches(key, keys, n=1, cutoff=0.0)
        raise ConfigError(f"--set {key}: no such key; did you mean {nearest[0]}?")
    owner, name, kind = keys[key]
    setattr(owner, name, _parse(key, text.strip(), kind))


def _parse(key: str, text: str, kind: Any) -> Any:
    may_be_unset = kind == float | None
    if may_be_unset:
        if text.lower() == UNSET:
            return None
        kind = float
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ConfigError(f"--set {key}={text}: expected on or off")
    try:
        value = kind(text)
    except ValueError:
        number = "a whole number" if kind is int else "a number"
        unset = f", or {UNSET}" if may_be_unset else ""
        raise ConfigError(f"--set {key}={text}: expected {number}{unset}") from None
    if isinstance(value, float) and not (abs(value) < float("inf")):
        raise ConfigError(f"--set {key}={text}: expected a finite number")
    return value
