"""Live SMPL from a webcam, a file or a stream: python run_live.py --help."""

import sys

from realtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
