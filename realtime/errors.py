"""Errors that end the program, each with its exit code.

Each message is one or two lines: what was wrong, with which input, and what to do next.
`run_live.py` prints it to stderr without a traceback (unless --debug) and exits with `exit_code`.
"""

import sys


def install_command(extra: str) -> str:
    """What installs an extra of pyproject.toml into the Python that runs now, whichever `pip` is on the path."""
    return f'{sys.executable} -m pip install -c constraints.txt -e ".[{extra}]"'


class HmmrLiveError(Exception):
    """Base of every error that a user can cause and mend."""

    exit_code = 1


class ConfigError(HmmrLiveError):
    """Bad arguments or configuration."""

    exit_code = 2


class SourceError(HmmrLiveError):
    """The camera, file or URL cannot be opened, or holds no picture."""

    exit_code = 3


class LoadError(HmmrLiveError):
    """A model, a body or an engine cannot be loaded."""

    exit_code = 4
