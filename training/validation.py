"""How a training goes, on rendered takes that it does not see: a line now and then, and a row in a CSV file.

These takes share subjects and clips with the training: they tell whether it still learns. What the model is worth is
measured on other subjects (python -m bench.accuracy).
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engines.network.model import HMMRLive
from training.loading import tensors
from training.loop import Trainer
from training.loss_terms import acceleration_error, distance
from training.losses import WindowLoss
from training.metrics import LIMB_JOINTS, LIMBS, mpjpe_mm, pa_mpjpe_mm
from training.noise import Markers
from training.observe import ObservedTake
from training.take_tier import APPEARANCE_SHARE, TakeTier

WINDOWS, FRAMES = 64, 40
SEED = 7
FAR_AHEAD_MS = 100.0  # changes of a smaller Δt are small whatever is foretold
FULL_RING = 12  # frames at the start of a window that are left out
STEADY_DT_S = (0.022, 0.045)  # frames of about 30 a second: the accelerations of others are of another size
COLUMNS = ("mpjpe_mm", "pa_mpjpe_mm", "acceleration_mm", "ahead_to_hold_last")
_HIPS = [LIMBS.index("left_hip"), LIMBS.index("right_hip")]


class Validation:
    """Call it with a Trainer: measures its averaged model, adds a row to `table`, gives a line to print.

    appearance: share of windows with appearance features; 0 for a network that learns without.
    """

    def __init__(
        self, takes: list[ObservedTake], markers: Markers, table: Path, appearance: float = APPEARANCE_SHARE
    ) -> None:
        batch = TakeTier(takes, markers, FRAMES, np.random.default_rng(SEED), appearance).windows(WINDOWS)
        self._batch = tensors(batch)
        self._table = table

    def __call__(self, trainer: Trainer) -> str:
        batch = {name: value.to(trainer.device) for name, value in self._batch.items()}
        found = measure(trainer.average, trainer.loss, batch)
        minutes = trainer.clock.elapsed_s() / 60.0
        self._write({"step": trainer.step, "minutes": round(minutes, 2)} | found)
        return (
            f"step {trainer.step}, {minutes:.1f} min: MPJPE {found['mpjpe_mm']:.1f} mm, "
            f"PA {found['pa_mpjpe_mm']:.1f} mm, acceleration {found['acceleration_mm']:.2f} mm/frame², "
            f"ahead {found['ahead_to_hold_last']:.3f} × hold-last"
        )

    def _write(self, row: dict[str, float]) -> None:
        new = not self._table.exists()
        with self._table.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


@torch.no_grad()
def measure(model: HMMRLive, loss: WindowLoss, batch: dict[str, Tensor]) -> dict[str, float]:
    """COLUMNS of a model on windows whose 3-D is known; 12 limb joints about the middle of the hips, ring full.

    The acceleration error is per (1/30 s)², of windows of about 30 frames a second (nan: there is none).
    ahead_to_hold_last: mean error at t + Δt for Δt of 100 to 200 ms, over that of the pose of t.
    """
    out = model(batch["features"])
    strip, theta6d = out.movie_strip[:, loss.delay :], out.theta6d[:, loss.delay :]
    frames = theta6d.shape[1]
    rotations, ahead, dt_s, dt_ahead_ms = (
        batch[name][:, :frames] for name in ("rotations", "ahead", "dt_s", "dt_ahead_ms")
    )
    _, pose, betas = model.decode(theta6d)
    true_betas = batch["betas"][:, None].expand_as(betas)

    def limbs(rotation: Tensor, shape: Tensor) -> Tensor:
        joints = loss.points(rotation, shape)[..., LIMB_JOINTS, :]
        return joints - joints[..., _HIPS, :].mean(dim=-2, keepdim=True)

    now, true = limbs(pose, betas), limbs(rotations, true_betas)
    off = (now - true)[:, FULL_RING:]
    steady = dt_s[:, FULL_RING:].median(dim=1).values
    steady = (steady > STEADY_DT_S[0]) & (steady < STEADY_DT_S[1])
    accelerations = (
        acceleration_error(off[steady], dt_s[steady, FULL_RING:]) if bool(steady.any()) else torch.nan
    )
    far = dt_ahead_ms >= FAR_AHEAD_MS
    far[:, :FULL_RING] = False
    there = limbs(model.dynamics(strip, pose, dt_ahead_ms), betas)[far]
    true_there = limbs(ahead, true_betas)[far]
    ratio = distance(there - true_there).mean() / distance(now[far] - true_there).mean()
    flat = [joints[:, FULL_RING:].flatten(0, 1).cpu().numpy() for joints in (now, true)]
    values = (mpjpe_mm(*flat).mean(), pa_mpjpe_mm(*flat).mean(), float(accelerations) * 1000.0, float(ratio))
    return {name: round(float(value), 4) for name, value in zip(COLUMNS, values, strict=True)}
