"""A receiver's key file, as `python -m realtime.keys add NAME` makes it (docs/wire-format.md)."""

from __future__ import annotations

import os
import string
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = "HMMR_LIVE_KEYS"  # names the file where the panel names none
LOCAL_FILE = "local.key"  # of a folder of keys: this machine's own
_FIELDS = ("server", "public", "secret")
_MAX_BYTES = 4096
_Z85 = string.digits + string.ascii_lowercase + string.ascii_uppercase + ".-:+=^!/*?&<>()[]{}@%$#"


class KeysError(ValueError):
    """No key can be taken from the file; says why and what to do."""


@dataclass(frozen=True)
class Keys:
    """Whom a receiver trusts and who it is: CURVE keys in Z85, 40 characters each."""

    file: Path
    server: bytes
    public: bytes
    secret: bytes


def load_keys(path: str) -> Keys | None:
    """Of a file, or of a folder, whose "local" key it is then; "" means the one that HMMR_LIVE_KEYS names, and None is
    returned where it names none. Raises KeysError."""
    path = path or os.environ.get(ENVIRONMENT, "")
    if not path:
        return None
    file = Path(path).expanduser()
    if file.is_dir():
        file = file / LOCAL_FILE
    try:
        with file.open("rb") as source:
            lines = source.read(_MAX_BYTES).decode("ascii").splitlines()
    except OSError as error:
        raise KeysError(
            f"keys {file}: cannot be read ({error.strerror}); on the stream's machine, "
            "python -m realtime.keys add NAME makes NAME.key to copy here"
        ) from None
    except UnicodeDecodeError:
        raise KeysError(f"keys {file}: not a key file of hmmr-live") from None
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    for name in _FIELDS:
        if not _is_key(fields.get(name, "")):
            raise KeysError(
                f"keys {file}: no key of a receiver, or damaged ({name}: no key); expected a NAME.key that "
                "python -m realtime.keys add NAME made"
            )
    return Keys(file, *(fields[name].encode("ascii") for name in _FIELDS))


def _is_key(text: str) -> bool:
    """40 characters of Z85, of which each five are a number of 32 bits (rfc.zeromq.org/spec/32)."""
    if len(text) != 40 or any(letter not in _Z85 for letter in text):
        return False
    for at in range(0, 40, 5):
        number = 0
        for letter in text[at : at + 5]:
            number = number * 85 + _Z85.index(letter)
        if number >= 2**32:
            return False
    return True
