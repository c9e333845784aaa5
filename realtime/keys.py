"""Keys, for a stream that other machines may receive.

python -m realtime.keys                the stream's keys, and those of programs on this machine
python -m realtime.keys add laptop     let one more receiver in: makes laptop.key, to be copied there
python -m realtime.keys list           who may receive
python -m realtime.keys remove laptop  refuse it from its next connection on; the stream may go on running
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from realtime import key_files
from realtime.errors import HmmrLiveError


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=key_files.COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", nargs="?", default="init", choices=("init", "add", "list", "remove"))
    parser.add_argument("name", nargs="?", help="of a receiver, for add and remove")
    parser.add_argument(
        "--folder",
        type=Path,
        default=key_files.default_folder(),
        metavar="FOLDER",
        help="where the keys are; default %(default)s",
    )
    arguments = parser.parse_args(argv)
    if (arguments.name is not None) != (arguments.action in ("add", "remove")):
        parser.error("add and remove take the name of a receiver; init and list take none")
    folder = arguments.folder.expanduser()
    try:
        if arguments.action == "init":
            lines = _init(folder)
        elif arguments.action == "add":
            lines = _added(key_files.make_client(folder, arguments.name))
        elif arguments.action == "remove":
            key_files.remove_client(folder, arguments.name)
            lines = [f"{arguments.name} is refused from its next connection on."]
        else:
            key_files.load_server(folder)
            lines = key_files.client_names(folder)
    except HmmrLiveError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("\n".join(lines))
    return 0


def _init(folder: Path) -> list[str]:
    if (folder / key_files.SERVER_FILE).exists():
        names = ", ".join(key_files.client_names(folder)) or "nobody"
        return [f"{folder} has keys already; nothing was changed. Who may receive: {names}"]
    key_files.make_server(folder)
    key_files.make_client(folder, key_files.LOCAL)
    option = "" if folder == key_files.default_folder() else f" --folder {folder}"
    setting = f" --set bus.keys={folder}" if option else ""
    lines = [
        f"Made in {folder}:",
        f"  {key_files.SERVER_FILE}  the stream's own; never leaves this machine",
        f"  {key_files.LOCAL}.key   for programs on this machine (--keys)",
        f"Open the stream to others:  python run_live.py --bus tcp://0.0.0.0:5555{setting}",
        f"Let a machine in:           {key_files.COMMAND} add NAME{option}",
    ]
    if sys.platform == "win32":
        lines.append("Windows: the files are as private as their folder is; keep it inside your own profile.")
    return lines


def _added(file: Path) -> list[str]:
    return [
        f"Made {file}: whoever has it can receive the stream. Copy it to that machine, delete it here, and there:",
        f"  python -m realtime.viewer --connect tcp://THIS-MACHINE:5555 --keys {file.name}",
    ]


if __name__ == "__main__":
    sys.exit(main())
