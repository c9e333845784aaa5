"""The command line: flags → Config, and errors → one or two lines and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path

from realtime.bus.publisher import keys_for
from realtime.config import MAP_MODES, MIRROR_MODES, PERCEPTION_ENGINES, Config, apply_setting, settable_keys
from realtime.errors import ConfigError, HmmrLiveError, LoadError, install_command
from realtime.flags import build_parser
from realtime.lead_time import asked_ms
from realtime.perception import PERCEPTIONS
from realtime.record import check_record_path, check_trace_path, check_writable_folder
from realtime.supervisor import Supervisor
from realtime.terminal import print_anything

# What a setting may be where another value would divide by zero, never end, or mean nothing.
LIMITS = {
    "camera.width": (1, 16384),
    "camera.height": (1, 16384),
    "camera.fps": (1, 1000),
    "camera.fov_deg": (5, 170),
    "camera.pitch_deg": (-90, 90),
    "camera.roll_deg": (-180, 180),
    "camera.stale_ms": (10, 1e6),
    "camera.reconnect_first_s": (0.01, 3600),
    "camera.reconnect_max_s": (0.01, 3600),
    "camera.open_timeout_s": (0.1, 3600),
    "camera.buffers": (1, 100),
    "camera.latency_ms": (0, 2000),
    "perception.threads": (0, 256),
    "perception.enter_score": (0, 1),
    "perception.leave_score": (0, 1),
    "perception.enter_frames": (1, 1000),
    "perception.hold_ms": (0, 1e6),
    "perception.box_tau_ms": (0, 1e6),
    "runtime.threads": (1, 256),
    "refine.steps": (0, 10),
    "lead.display_ms": (0, 1000),
    "bus.image_fps": (0.1, 1000),
    "bus.image_width": (16, 8192),
    "viewer.width": (200, 8192),
    "viewer.height": (200, 8192),
    "viewer.fps": (1, 1000),
}

# Settings that are one of a few words.
CHOICES: dict[str, Collection[str]] = {
    "perception.name": PERCEPTIONS,
    "perception.mirror": MIRROR_MODES,
    "perception.map": MAP_MODES,
    "perception.engine": PERCEPTION_ENGINES,
}

# Packages that the default install leaves out → the extra of pyproject.toml that brings them.
EXTRAS = {
    "cuda": "tensorrt-rtx",
    "mediapipe": "mediapipe",
    "safetensors": "torch",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt-rtx",
    "torch": "torch",
    "viser": "web",
}


def parse(argv: Sequence[str]) -> Config:
    """Flags → Config, everything checked that can be checked before anything is loaded or opened.

    Raises ConfigError. Leaves by SystemExit(0) for --help and --version.
    """
    flags = vars(build_parser().parse_args(argv))
    settings, perception, lead = (flags.pop(name) for name in ("settings", "perception", "lead"))
    config = Config(**flags)
    config.perception.name, config.lead.mode = perception, lead
    for assignment in settings:
        apply_setting(config, assignment)
    for key, (least, most) in LIMITS.items():
        owner, name, _ = settable_keys(config)[key]
        value = getattr(owner, name)
        if value is not None and not least <= value <= most:
            raise ConfigError(f"--set {key}={value:g}: expected {least:g} to {most:g}")
    for key, words in CHOICES.items():
        owner, name, _ = settable_keys(config)[key]
        if getattr(owner, name) not in words:
            raise ConfigError(f"--set {key}={getattr(owner, name)}: expected one of {', '.join(words)}")
    asked_ms(config.lead.mode)
    fourcc = config.camera.fourcc
    if not (1 <= len(fourcc) <= 4 and fourcc.isascii() and fourcc.isprintable()):
        raise ConfigError(
            f"--set camera.fourcc={fourcc}: expected up to four letters, for example MJPG or YUYV"
        )
    keys_for(config.bus_address, config.bus)  # listens nowhere: a bad address, or missing keys, are told now
    Supervisor(config)  # starts nothing: an unknown sink is told now
    if not config.source:
        raise ConfigError("--source: empty; give a webcam number, demo, a file or an address")
    taken = set()
    for record in config.record:
        path = Path(record)
        check_record_path(path)
        if path.resolve() in taken:
            raise ConfigError(f"--record {record}: given twice")
        taken.add(path.resolve())
    if config.summary:
        check_writable_folder("--summary", Path(config.summary))
    if config.trace:
        check_trace_path(Path(config.trace))
        if config.summary and Path(config.trace).resolve() == Path(config.summary).resolve():
            raise ConfigError(
                f"--trace {config.trace}: --summary goes there, too; give one of them another name"
            )
    return config


def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    print_anything()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        config = parse(arguments)
        # Only now: --help and a mistyped flag should not wait for the networks' packages to load.
        from realtime.pipeline import run

        run(config)
    except KeyboardInterrupt:
        return 0  # Ctrl-C while still loading: nothing was started that is not closed by now
    except HmmrLiveError as error:
        _report(error, f"run_live: {error}", debug)
        return error.exit_code
    except ModuleNotFoundError as error:
        what = f"run_live: the package {error.name} is not installed for {sys.executable}"
        _report(error, f"{what}\n{_how_to_install(error.name)}", debug)
        return LoadError.exit_code
    except Exception as error:
        # The one place where anything may be caught: a bug of ours must not bury its message in a traceback.
        what = " ".join(str(error).split())[:300]
        _report(
            error,
            f"run_live: unexpected {type(error).__name__}: {what}\nrun with --debug to see where",
            debug,
        )
        return 1
    return 0


def _how_to_install(module: str | None) -> str:
    extra = EXTRAS.get((module or "").partition(".")[0])
    if extra is None:
        return "run it with .venv/bin/python (make demo sets that up), or pip install -e ."
    return f"install it: {install_command(extra)}"


def _report(error: Exception, text: str, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    print(text, file=sys.stderr)
