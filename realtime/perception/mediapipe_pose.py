"""MediaPipe Pose (BlazePose, Apache-2.0) by the mediapipe package: 33 landmarks, about 20 ms on one core. Our own run
of the same networks, blazepose.py, is held against it.

Version 0.10.21 is the last whose wheel holds its models. It runs in video mode: the landmark model on a crop
that follows the landmarks of the picture before, the person detector only when that fails. MediaPipe's own
smoothing is off: our network does it better, and its delay would add to ours. World landmarks come in metres,
x right, y down, z away from the camera, origin between the hips: the axes of our camera frame, nothing is
turned.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime.errors import ConfigError, LoadError, install_command
from realtime.observation import Detection
from realtime.perception.quiet import native_log_kept_quiet

LANDMARKS = 33
MODELS = {0: "pose_landmark_lite.tflite", 1: "pose_landmark_full.tflite", 2: "pose_landmark_heavy.tflite"}
DOWNLOAD_STALLED_S = 10.0  # MediaPipe itself would wait for ever

_log = logging.getLogger(__name__)
_download = threading.Lock()
_BLACK = np.zeros((48, 64, 3), np.uint8)


class MediaPipePose:
    """See `realtime.perception.Perception`. One person, found and followed by MediaPipe.

    complexity: MediaPipe's own 0 | 1 | 2; the models of 0 and 2 are downloaded by MediaPipe when first used.
    Raises ConfigError for another complexity, LoadError if MediaPipe or its model cannot be loaded.
    """

    name = "mediapipe"

    def __init__(self, complexity: int = 1) -> None:
        if complexity not in MODELS:
            raise ConfigError(f"--set perception.complexity={complexity}: expected 0, 1 or 2")
        self.complexity = complexity
        self.own_time_ns = 0  # MediaPipe's own share of the last `process`
        with native_log_kept_quiet():
            pose = _import_pose()
        path = _ensure_model(complexity)
        with native_log_kept_quiet():
            try:
                _say_it_now()
                self._pose: Any = pose.Pose(model_complexity=complexity, smooth_landmarks=False)
                self._pose.process(_BLACK)  # waits until the graph's threads have loaded the models
            except (OSError, RuntimeError, ValueError) as error:
                raise LoadError(
                    f"MediaPipe cannot load its model {path}: {_first_line(error)}\n"
                    "delete that file, then: pip install --force-reinstall --no-deps mediapipe==0.10.21"
                ) from error

    def process(self, image: np.ndarray, t_ns: int) -> Detection | None:
        """image: (H, W, 3) uint8 BGR, or (H, W) grey. t_ns is not used: nothing is smoothed here."""
        if image.size == 0:
            return None
        rgb = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB)
        started_ns = time.monotonic_ns()
        found = self._pose.process(rgb)
        self.own_time_ns = time.monotonic_ns() - started_ns
        if found.pose_landmarks is None or found.pose_world_landmarks is None:
            return None
        height, width = image.shape[:2]
        points = np.array([(p.x, p.y, p.visibility) for p in found.pose_landmarks.landmark], np.float32)
        world = np.array([(p.x, p.y, p.z) for p in found.pose_world_landmarks.landmark], np.float32)
        return Detection(points[:, :2] * np.array((width, height), np.float32), world, points[:, 2])

    def reset(self) -> None:
        """A black picture makes MediaPipe lose its person in 20 ms; its own reset reloads models: 100 ms."""
        if self._pose.process(_BLACK).pose_landmarks is not None:
            with native_log_kept_quiet():
                self._pose.reset()
                self._pose.process(_BLACK)

    def close(self) -> None:
        if self._pose is not None:
            self._pose.close()
            self._pose = None

    def describe(self) -> dict[str, Any]:
        from mediapipe import __version__

        return {"name": self.name, "version": __version__, "complexity": self.complexity}


def _import_pose() -> Any:
    try:
        from mediapipe.python.solutions import pose
    except (ImportError, AttributeError) as error:  # AttributeError: other versions, half installed
        raise LoadError(
            f"MediaPipe cannot be imported: {_first_line(error)}\ninstall it: {install_command('mediapipe')}"
        ) from error
    return pose


@cache
def _say_it_now() -> None:
    """Make MediaPipe say now what it says once per process, with the first person it finds.

    With thresholds at 0 it finds one in a black picture.
    """
    with _import_pose().Pose(min_detection_confidence=0.0, min_tracking_confidence=0.0) as credulous:
        credulous.process(_BLACK)


def _ensure_model(complexity: int) -> Path:
    """Path of this complexity's model, which MediaPipe downloads unless it is there. Raises LoadError."""
    import mediapipe
    from mediapipe.python.solutions import download_utils

    name = f"mediapipe/modules/pose_landmark/{MODELS[complexity]}"
    path = Path(mediapipe.__file__).parent.parent / name
    with _download:
        if complexity == 1 or path.exists():  # 1 is part of the package
            return path
        _log.info("MediaPipe downloads its model of complexity %d to %s", complexity, path)
        patience = socket.getdefaulttimeout()
        complete = False
        try:
            socket.setdefaulttimeout(DOWNLOAD_STALLED_S)
            with redirect_stdout(StringIO()):
                download_utils.download_oss_model(name)
            _try_model(complexity)
            complete = True
        except (OSError, subprocess.SubprocessError) as error:
            raise LoadError(
                f"perception.complexity={complexity}: MediaPipe's model {MODELS[complexity]} is not on this "
                f"machine, and downloading it failed ({_first_line(error)})\n"
                "connect to the network once, or use the one that is here: --set perception.complexity=1"
            ) from error
        finally:
            socket.setdefaulttimeout(patience)
            if not complete:  # MediaPipe would take the torso of a file for the model next time
                path.unlink(missing_ok=True)
    return path


def _try_model(complexity: int) -> None:
    """Load a model that was just downloaded, in another process: a damaged one makes MediaPipe crash.

    Raises SubprocessError.
    """
    program = f"from mediapipe.python.solutions.pose import Pose; Pose(model_complexity={complexity}).close()"
    if subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=False
    ).returncode:
        raise subprocess.SubprocessError("the file that came is damaged")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
