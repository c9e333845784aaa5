"""The command line of a sink: `python -m realtime.sinks.NAME [--connect ADDRESS] [--keys FILE] [ARGS]`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from realtime.bus.connect import add_connect_flags
from realtime.sinks.options import Option, options_help


def parse_command(
    sink: str, description: str | None, first: Option, keys: Mapping[str, Option], argv: Sequence[str] | None
) -> argparse.Namespace:
    """`connect` and `keys` of the stream, and `arguments` as they stand."""
    parser = argparse.ArgumentParser(
        prog=f"python -m realtime.sinks.{sink}",
        description=(description or "").partition("\n")[0],
        epilog=options_help(first.help, keys),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_connect_flags(parser)
    parser.add_argument("arguments", nargs="?", default="", metavar="ARGS")
    return parser.parse_args(argv)
