"""CURVE key files: who a stream is, and who may receive it. `python -m realtime.keys` makes them.

    FOLDER/server.key            the stream's own pair; never leaves its machine
    FOLDER/clients/NAME.public   who may receive: one public key each; a file that is removed is a receiver refused
    FOLDER/NAME.key              all that the receiver NAME needs, to be copied to its machine; "local" is this machine

A file is lines of `field = KEY`, keys in Z85 (40 characters), as CURVE takes them (rfc.zeromq.org/spec/32). Whatever is
secret is made with mode 0600; nothing is ever overwritten.
"""

from __future__ import annotations

import logging
import os
import re
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.utils.z85 as z85

from realtime.errors import ConfigError

log = logging.getLogger(__name__)

ENVIRONMENT = "HMMR_LIVE_KEYS"  # a client's key file, for programs that are not told by --keys
LOCAL = "local"  # the receiver on the stream's own machine: the viewer, the sinks
SERVER_FILE = "server.key"
COMMAND = "python -m realtime.keys"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MAX_BYTES = 4096


@dataclass(frozen=True)
class ServerKeys:
    """The stream's pair, Z85, and the folder that says who may connect."""

    folder: Path
    public: bytes
    secret: bytes

    def client_of(self, public: bytes) -> str | None:
        """Name of the client with this public key (Z85), None for an unknown one. Read anew each time: adding and
        removing keys needs no restart.
        """
        for name in client_names(self.folder):
            try:
                if _read(_public_file(self.folder, name), ("public",))["public"] == public:
                    return name
            except ConfigError as error:
                log.warning("bus: %s", error)  # that client is refused, the others are not
        return None

    @property
    def local_file(self) -> Path:
        """The key file of programs on this machine."""
        return self.folder / f"{LOCAL}.key"


@dataclass(frozen=True)
class ClientKeys:
    """What a receiver needs, Z85: whom it trusts, and who it is."""

    file: Path
    server: bytes
    public: bytes
    secret: bytes

    def apply(self, socket: zmq.Socket) -> None:
        """Before `connect`."""
        socket.curve_serverkey = self.server
        socket.curve_publickey = self.public
        socket.curve_secretkey = self.secret


def default_folder() -> Path:
    """Where the user's key files are: his configuration folder."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData/Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "hmmr-live" / "keys"


def make_server(folder: Path) -> ServerKeys:
    """The stream's pair, new, in `folder`. Raises ConfigError where there is one, or nothing can be written."""
    try:
        (folder / "clients").mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be made ({error.strerror}); choose another with --folder"
        ) from None
    public, secret = zmq.curve_keypair()
    about = "The stream's own keys. Secret: they stay on this machine."
    _write(folder / SERVER_FILE, about, {"public": public, "secret": secret})
    return ServerKeys(folder, public, secret)


def make_client(folder: Path, name: str) -> Path:
    """Let one more receiver in. Returns its key file, to be copied to its machine.

    Raises ConfigError for a name that is taken or no name, and where the folder has no keys.
    """
    check_name(name)
    server = load_server(folder)
    public, secret = zmq.curve_keypair()
    file = folder / f"{name}.key"
    if name in client_names(folder):
        raise ConfigError(f"{name}: has a key already; first {COMMAND} remove {name}, or choose another name")
    about = f'Key of "{name}". Secret: whoever has this file can receive the stream.'
    _write(file, about, {"server": server.public, "public": public, "secret": secret})
    try:
        _write(_public_file(folder, name), f'May receive the stream: "{name}".', {"public": public})
    except ConfigError:
        file.unlink()
        raise
    return file


def remove_client(folder: Path, name: str) -> None:
    """Refuse it from its next connection on. Raises ConfigError for an unknown name."""
    check_name(name)
    if name not in client_names(folder):
        known = ", ".join(client_names(folder)) or "none"
        raise ConfigError(f"{name}: no such key in {folder}; there: {known}")
    try:
        _public_file(folder, name).unlink()
        (folder / f"{name}.key").unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be removed ({error.strerror})") from None


def client_names(folder: Path) -> list[str]:
    """Who may receive, sorted."""
    return sorted(path.stem for path in (folder / "clients").glob("*.public"))


def load_server(folder: Path) -> ServerKeys:
    """Raises ConfigError where there are none."""
    file = folder / SERVER_FILE
    if not file.is_file():
        raise ConfigError(f"{folder}: no keys there; {COMMAND} --folder {folder} makes them")
    fields = _read(file, ("public", "secret"))
    _warn_if_others_can_read(file)
    return ServerKeys(folder, fields["public"], fields["secret"])


def load_client(path: str | Path) -> ClientKeys:
    """A receiver's key file, or a folder, whose "local" key it is then. Raises ConfigError."""
    file = Path(path).expanduser()
    if file.is_dir():
        file = file / f"{LOCAL}.key"
    if not file.is_file():
        raise ConfigError(
            f"keys {file}: no such file; on the stream's machine, {COMMAND} add NAME makes NAME.key to copy here"
        )
    if file.name == SERVER_FILE:
        raise ConfigError(f"keys {file}: these are the stream's own; a receiver needs the file of a client")
    fields = _read(file, ("server", "public", "secret"))
    _warn_if_others_can_read(file)
    return ClientKeys(file, fields["server"], fields["public"], fields["secret"])


def check_name(name: str) -> str:
    """Raises ConfigError for what cannot be a client's name."""
    if not _NAME.fullmatch(name) or name.lower() == "server":
        raise ConfigError(f"{name!r}: not a name for a key; letters, digits, - and _, for example laptop")
    return name


def _public_file(folder: Path, name: str) -> Path:
    return folder / "clients" / f"{name}.public"


def _write(file: Path, about: str, fields: Mapping[str, bytes]) -> None:
    lines = [f"# hmmr-live. {about}", *(f"{name} = {key.decode('ascii')}" for name, key in fields.items())]
    try:
        # Made readable to nobody else from its first moment on, which zmq's own helper does not do.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{file}: exists already, and keys are never overwritten") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written ({error.strerror})") from None
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write("\n".join(lines) + "\n")
    except OSError as error:
        file.unlink(missing_ok=True)
        raise ConfigError(f"{file}: cannot be written ({error.strerror})") from None


def _read(file: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    try:
        with file.open("rb") as source:
            lines = source.read(_MAX_BYTES).decode("ascii").splitlines()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: not a key file of hmmr-live") from None
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    fields = {name.strip(): value.strip().encode("ascii") for name, _, value in pairs}
    for name in names:
        if not _is_key(fields.get(name, b"")):
            raise ConfigError(f"{file}: not a key file of hmmr-live, or damaged ({name}: no key)")
    return {name: fields[name] for name in names}


def _is_key(text: bytes) -> bool:
    try:
        return len(text) == 40 and len(z85.decode(text)) == 32
    except (KeyError, ValueError, struct.error):
        return False


def _warn_if_others_can_read(file: Path) -> None:
    if sys.platform != "win32" and file.stat().st_mode & 0o077:
        log.warning("%s: others on this machine can read this secret; chmod 600 %s", file, file)
