"""Led by a delay of the receiver's own, out of what a message tells: the stream's lead and the poses ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from realtime.lead import Led, pose_at
from realtime.observation import Estimate


def led_by(seen: Estimate, lead: Led | None, ms: float) -> tuple[np.ndarray, np.ndarray]:
    """Axis-angle (72,) and pelvis (3,) `ms` after the frame, float32: each joint turns steadily from the present pose
    to the stream's lead, and from there to those ahead; beyond the last of them it stays there. Where the pelvis goes
    is known as far as the stream leads.

    It is dared as far as the stream dares its own lead: not at all where nobody is tracked. Of a stream that does not
    lead, all of it while somebody is.
    """
    ahead, trans = seen.ahead, seen.trans
    if ms <= 0 or (seen.state != "tracking" if lead is None else lead.confidence == 0):
        return seen.theta[3:75], trans
    if lead is not None and lead.ms > 0:
        # Of the way to what is foretold for later, as much as the stream dares.
        later = ((dt_ms, replace(seen, ahead=((1.0, pose),))) for dt_ms, pose in ahead if dt_ms > lead.ms)
        ahead = ((lead.ms, lead.pose), *((dt_ms, pose_at(one, lead.confidence)) for dt_ms, one in later))
        way = lead.trans.astype(np.float64) - trans  # of any valid message, without overflow
        trans = (trans + min(1.0, ms / lead.ms) * way).astype(np.float32)
    return pose_at(replace(seen, ahead=ahead), ms), trans
