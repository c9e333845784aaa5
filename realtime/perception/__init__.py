"""Perception: a picture goes in, the landmarks of one person come out; one interface, swappable by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engines.graph_file import DIGITS
from realtime.assets import APPEARANCE
from realtime.config import Config
from realtime.errors import ConfigError, LoadError
from realtime.observation import Detection

if TYPE_CHECKING:
    from engines.runtime import Engine


class Perception(Protocol):
    """Finds one person in a picture and follows him from picture to picture.

    One instance belongs to one source and one thread; any number of instances work side by side.
    """

    name: str

    def process(self, image: np.ndarray, t_ns: int) -> Detection | None:
        """Find the person; None: nobody found.

        image: (H, W, 3) uint8 BGR, left as it is. t_ns: its stamp, growing.
        """

    def reset(self) -> None:
        """Forget whom it follows: the next picture is searched anew, as if it were the first."""

    def close(self) -> None:
        """Let go of models and threads; may be called twice."""

    def describe(self) -> dict[str, Any]:
        """What it is, for status and summary: {"name", "version", settings that change its results}; "chosen": why such
        a setting is not what it would usually be; "appearance": where it has such features, which encoder makes them.
        """


def _blazepose(config: Config, fps: float | None) -> Perception:
    from realtime.perception.blazepose import BlazePose

    return BlazePose(config.perception, fps)


def _mediapipe(config: Config, fps: float | None) -> Perception:
    asked = {"mirror": config.perception.mirror not in ("auto", "off"), "map": config.perception.map == "on"}
    for key, wanted in {**asked, "mask": config.perception.mask}.items():
        if wanted:
            raise ConfigError(
                f"--set perception.{key}: mediapipe does not have it; use --perception blazepose"
            )
    from realtime.perception.mediapipe_pose import MediaPipePose

    return MediaPipePose(config.perception.complexity)


PERCEPTIONS: dict[str, Callable[[Config, float | None], Perception]] = {  # imported when asked for
    "blazepose": _blazepose,
    "mediapipe": _mediapipe,
}


def make_perception(config: Config, fps: float | None = None) -> Perception:
    """The perception that `config.perception.name` names, ready to process.

    fps: pictures a second that it is to keep up with; None: it is waited for. With None, what it says of a picture
    depends on the settings and the number of cores alone, otherwise on how fast they are, too.

    Raises ConfigError for an unknown name or a bad setting, LoadError if its models cannot be loaded.
    """
    name = config.perception.name
    if name not in PERCEPTIONS:
        raise ConfigError(
            f"--set perception.name={name}: no such perception; known: {', '.join(sorted(PERCEPTIONS))}"
        )
    return PERCEPTIONS[name](config, fps)


def in_short(perception: Perception) -> str:
    """ "blazepose, mirror=both": for the terminal and the head of recordings."""
    told = perception.describe()
    return told["name"] + (f", mirror={told['mirror']}" if "mirror" in told else "")


def check_appearance(perception: Perception, engine: Engine) -> None:
    """Whether the network was trained on the appearance features that it is about to be fed.

    The numbers of another encoder mean something else, and the pose would be wrong with nobody the wiser. Perceptions
    without such features, and models from before they told their encoder, pass. Raises LoadError.
    """
    given, known = perception.describe().get("appearance"), engine.appearance
    if given is None or not known:  # of a model that knows none, the estimator keeps them away
        return
    if given != known[: len(given)] or not given:
        raise LoadError(
            f"model {engine.model_id} was trained with appearance encoder {known[:DIGITS]}, "
            f"assets/{APPEARANCE} is {given or 'another one'}\n"
            f"put the right assets/{APPEARANCE} there, or go by landmarks alone: --set perception.map=off"
        )
