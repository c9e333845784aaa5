"""The command line of a sink with arguments: `python -m realtime.sinks.NAME [--connect ADDRESS] [ARGS]`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from realtime.bus.subscriber import DEFAULT_ADDRESS
from realtime.sinks.options import Option, options_help


def parse_command(
    sink: str, description: str | None, first: Option, keys: Mapping[str, Option], argv: Sequence[str] | None
) -> tuple[str, str]:
    """The address of the stream, and the arguments as they stand."""
    parser = argparse.ArgumentParser(
        prog=f"python -m realtime.sinks.{sink}",
        description=(description or "").partition("\n")[0],
        epilog=options_help(first.help, keys),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--connect", default=DEFAULT_ADDRESS, metavar="ADDRESS")
    parser.add_argument("arguments", nargs="?", default="", metavar="ARGS")
    flags = parser.parse_args(argv)
    return flags.connect, flags.arguments
