"""The add-on as one file to install in Blender: python clients/blender/pack.py [hmmr_live.zip]

In it are the add-on, the free body (assets/body.npz, CC0) and the licences.
"""

import sys
import zipfile
from pathlib import Path

ADDON = Path(__file__).resolve().parent / "hmmr_live"
ROOT = ADDON.parent.parent.parent


def pack(path: Path) -> None:
    """Raises OSError."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(ADDON.glob("*.py")):
            archive.write(file, f"hmmr_live/{file.name}")
        for name in ("assets/body.npz", "assets/body.md", "LICENSE"):
            archive.write(ROOT / name, f"hmmr_live/{Path(name).name}")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "hmmr_live.zip")
    try:
        pack(target)
    except OSError as error:
        sys.exit(f"{target}: cannot be written ({error.strerror}); give another name")
    print(f"{target}: in Blender, Edit > Preferences > Add-ons > Install… this file, then tick hmmr-live")
