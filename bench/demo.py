"""How close a recording of the demo clip came to the true motion that the clip was rendered from.

python run_live.py --source demo --record demo.npz
python -m bench.demo demo.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from realtime.assets import asset
from realtime.errors import HmmrLiveError, LoadError
from training.metrics import LIMB_JOINTS, acceleration_error_mm, mpjpe_mm, pa_mpjpe_mm


def compare(recording: Path) -> str:
    """One paragraph. Raises LoadError for a file that is no recording of the demo clip."""
    try:
        with np.load(recording, allow_pickle=False) as data:
            index, joints, trans, tracked = (
                data[key] for key in ("frame_index", "joints", "trans", "tracked")
            )
    except (OSError, ValueError, KeyError) as error:
        raise LoadError(
            f"{recording}: not a recording of hmmr-live ({error}); make one with --record"
        ) from None
    with np.load(asset("demo_truth.npz"), allow_pickle=False) as truth:
        true_joints, true_trans = truth["joints"], truth["trans"]
    rows = index % len(true_joints)  # the clip may have been played in a loop
    if not tracked.any():
        raise LoadError(f"{recording}: nobody was tracked in it; was it recorded with --source demo?")
    predicted, true = joints[:, LIMB_JOINTS], true_joints[rows][:, LIMB_JOINTS]
    in_order = (
        tracked[:-2] & tracked[1:-1] & tracked[2:] & (np.diff(index, n=2) == 0) & (np.diff(index)[:-1] == 1)
    )
    lines = [
        f"against the true motion of the demo clip ({len(index)} frames, a person in {tracked.mean():.1%}):",
        f"  joints (12 limbs): {mpjpe_mm(predicted, true)[tracked].mean():.0f} mm MPJPE, "
        f"{pa_mpjpe_mm(predicted, true)[tracked].mean():.0f} mm after Procrustes (PA-MPJPE)",
    ]
    if in_order.any():
        error = acceleration_error_mm(predicted, true)[in_order].mean()
        lines.append(f"  acceleration error: {error:.1f} mm/frame² over {in_order.sum()} frames in a row")
    place = np.linalg.norm(trans - true_trans[rows], axis=1)[tracked]
    lines.append(f"  place of the pelvis in the room: {np.median(place) * 100:.0f} cm off (median)")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    options = parser.parse_args()
    try:
        print(compare(options.recording))
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
