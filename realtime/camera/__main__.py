"""`python -m realtime.camera`: list the cameras found with their modes; exit code 3 if there is none."""

from __future__ import annotations

import argparse
import sys

from realtime.camera.devices import list_cameras
from realtime.errors import SourceError


def main() -> int:
    argparse.ArgumentParser(prog="python -m realtime.camera", description=__doc__).parse_args()
    cameras = list_cameras()
    if not cameras:
        print(
            "no camera found; connect one, or use --source demo, a video FILE or the URL of a network camera",
            file=sys.stderr,
        )
        return SourceError.exit_code
    for camera in cameras:
        print(f"--source {camera.index}   {camera.name}")
        for mode in camera.modes or ("modes unknown",):
            print(f"    {mode}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
