"""What every program that the live program starts (viewer, sinks) does alike: end with its parent, end
quietly.

The parent holds the other end of the child's standard input. When that closes, because the parent is stopping
or is gone in whatever way, the child gets the same KeyboardInterrupt as by Ctrl-C, on every platform.
Children stand in a process group of their own, so that a Ctrl-C in the terminal reaches the parent alone.

The other way, a child has a note, a small file, in which it tells its parent that it serves by now, or which file it is
making whole.
"""

from __future__ import annotations

import _thread
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import realtime
from realtime.errors import HmmrLiveError
from realtime.key_files import ENVIRONMENT
from realtime.terminal import print_anything

EXIT_FINAL = 2  # bad arguments: starting the program again would not help
EXIT_NO_DISPLAY = 5  # the viewer found no display and has said so
GRACE_S = 1.0  # how long a child may take to end after its parent …
AGAIN_S = 0.02  # until an interrupt that was lost comes again
_longer_s = 0.0  # … unless it has said how much longer: take_longer

_MARK = "HMMR_LIVE_CHILD"  # set for children: a program started by hand may well have an empty standard input
_NOTE = "HMMR_LIVE_NOTE"  # names the child's note
NOTE_TRIES = 5


@dataclass
class Note:
    serves: bool = False
    finishing: str = ""  # the file that must not be left half done; "": none


_own_note = Note()
_own_note_file = ""


def start(
    command: Sequence[str], keys: Path | None = None, note: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a child that shares stdout and stderr with us, connects with `keys`, and keeps a `note`. Raises OSError."""
    packages = str(Path(realtime.__file__).resolve().parent.parent)
    paths = [packages, *filter(None, [os.environ.get("PYTHONPATH")])]
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), _MARK: "1"}
    environment.pop(ENVIRONMENT, None)  # the user's may be for another stream
    environment.pop(_NOTE, None)
    if note is not None:
        note.unlink(missing_ok=True)
        environment[_NOTE] = str(note)
    if keys is not None:
        environment[ENVIRONMENT] = str(keys.resolve())
    return subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        env=environment,
        **apart,
    )


def run(main: Callable[[], int]) -> int:
    """Run the body of a child program and return its exit code.

    Ctrl-C, SIGTERM and the end of the parent all raise KeyboardInterrupt in `main` and mean success. An
    HmmrLiveError is printed without a traceback and gives its own exit code.
    """
    global _own_note_file
    print_anything()
    _own_note_file = os.environ.pop(_NOTE, "")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.unraisablehook = _interrupt_again
    if os.environ.pop(_MARK, None):  # popped: it is not meant for programs started from here
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored
        threading.Thread(target=_follow_parent, name="follow-parent", daemon=True).start()
    try:
        return main()
    except KeyboardInterrupt:
        return 0
    except HmmrLiveError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def say_serving() -> None:
    """What we are there for can be had from now on."""
    _own_note.serves = True
    _write_note()


def take_longer(seconds: float, finishing: Path | None = None) -> None:
    """Our end, of which we may be told at any time, takes up to `seconds` more: the file `finishing` is to be made
    whole. 0 and None: it is."""
    global _longer_s
    _longer_s = seconds
    _own_note.finishing = "" if finishing is None else str(finishing.resolve())
    _write_note()


def read_note(note: Path | None) -> Note | None:
    """What the child has told; None where it can tell nothing (there was no place for a note)."""
    if note is None:
        return None
    try:
        return Note(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Note()


def _write_note() -> None:
    """Where it cannot be written, our parent knows no more than it did."""
    for _ in range(NOTE_TRIES if _own_note_file else 0):
        try:
            whole = Path(_own_note_file + ".new")
            whole.write_text(json.dumps(asdict(_own_note)), encoding="utf-8")
            whole.replace(_own_note_file)
            return
        except OSError:  # on Windows also while our parent reads the one before
            time.sleep(0.01)


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """A signal that comes while code runs that cannot raise (a callback of pyzmq's) would be told as "ignored" and be
    lost. It comes again a moment later, when that code is over."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        again = threading.Timer(AGAIN_S, _signal_main)
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


def _signal_main() -> None:
    main = threading.main_thread().ident
    if sys.platform != "win32" and main is not None:
        signal.pthread_kill(main, signal.SIGTERM)  # out of a sleep, too
    else:
        _thread.interrupt_main(signal.SIGTERM)


def _follow_parent() -> None:
    while os.read(0, 1024):
        pass
    _thread.interrupt_main()
    time.sleep(GRACE_S)
    time.sleep(_longer_s)
    os._exit(1)  # still here: the main thread hangs in foreign code
