"""Train the head that leads poses (realtime/lead_head.py): assets/lead.npz.

    python -m training.fit_lead [--observed data/observed/train] [--model default] [--out assets/lead.npz]

It learns from what the stream said of rendered takes: to be where the stream's own pose, and where the truth, will be
33 to 200 ms later, by the distance of the joints, and not to tremble more than the stream does. Takes of every eighth
subject are kept back to watch by; bench.accuracy measures on subjects that are in none.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import engines
from realtime.assets import ASSETS
from realtime.body.smpl import Body, load_body
from realtime.config import Config
from realtime.errors import HmmrLiveError, LoadError
from realtime.lead import HEAD
from realtime.lead_head import INPUTS, JOINTS, KNOTS_MS, OUTPUTS
from training.body_torch import TorchBody
from training.lead_samples import HORIZONS_MS, Samples, samples_of
from training.lead_streams import replays
from training.metrics import POINT_JOINTS

HIDDEN, DROPOUT = 160, 0.3
EPOCHS, BATCH = 24, 192  # BATCH: runs of three frames
PEAK_RATE, WEIGHT_DECAY = 1.5e-3, 0.02
WATCHED_EVERY = 8  # subjects
# Weights: the stream's own later pose, the truth, all joints' places rather than the 14 points', the pelvis, trembling.
OWN, TRUE, REST, WAY, TREMBLING = 1.0, 0.5, 0.2, 0.5, 0.3
UNIT_RAD, UNIT_M = 0.1, 0.05  # of an output


class HeadNetwork(nn.Module):
    """The same as realtime.lead_head.Head, on batches."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: np.ndarray, scale: np.ndarray, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("scale", torch.from_numpy(scale))
        self.first = nn.Linear(INPUTS, hidden)
        self.second = nn.Linear(hidden, OUTPUTS)
        self.skip = nn.Linear(INPUTS, OUTPUTS, bias=False)
        self.drop_inputs, self.drop = nn.Dropout(DROPOUT / 2), nn.Dropout(DROPOUT)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)
        nn.init.zeros_(self.skip.weight)
        unit = torch.full((len(KNOTS_MS), JOINTS + 1, 3), UNIT_RAD)
        unit[:, JOINTS] = UNIT_M
        self.register_buffer("unit", unit.reshape(-1))

    unit: Tensor

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, INPUTS) → (N, knots, 25, 3)."""
        x = self.drop_inputs((inputs - self.mean) / self.scale)
        out = self.skip(x) + self.second(self.drop(torch.relu(self.first(x))))
        return (out * self.unit).reshape(-1, len(KNOTS_MS), JOINTS + 1, 3)

    def arrays(self) -> dict[str, np.ndarray]:
        """What the file holds; matrices as float16."""
        unit = self.unit
        found = {
            "w0": self.first.weight.T,
            "w1": self.second.weight.T * unit,
            "skip": self.skip.weight.T * unit,
            "b0": self.first.bias,
            "b1": self.second.bias * unit,
            "mean": self.mean,
            "scale": self.scale,
        }
        small = ("w0", "w1", "skip")
        return {
            key: value.detach().numpy().astype(np.float16 if key in small else np.float32)
            for key, value in found.items()
        }


def at_horizons(knots: Tensor) -> Tensor:
    """(N, knots, 25, 3) → (N, H, 25, 3) at HORIZONS_MS: realtime.lead_head.moves_at."""
    times = (0.0, *KNOTS_MS)
    weights = torch.zeros(len(HORIZONS_MS), len(times))
    for h, ms in enumerate(HORIZONS_MS):
        k = min(int(np.searchsorted(times, ms - 1e-6)), len(KNOTS_MS))
        share = (ms - times[k - 1]) / (times[k] - times[k - 1])
        weights[h, k - 1], weights[h, k] = 1.0 - share, share
    return torch.einsum("hk,nkjc->nhjc", weights[:, 1:], knots)


def rotations_of(turns: Tensor) -> Tensor:
    """Rodrigues' formula: (…, 3) → (…, 3, 3)."""
    square = (turns * turns).sum(-1).clamp_min(1e-12)
    angle = square.sqrt()
    a, b = torch.sin(angle) / angle, (1.0 - torch.cos(angle)) / square
    x, y, z = turns.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    return torch.eye(3) + a[..., None, None] * cross + b[..., None, None] * (cross @ cross)


def led_joints(body: TorchBody, knots: Tensor, rotations: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
    """→ (N, H, 24, 3) joints about the pelvis at HORIZONS_MS, (N, H, 3) the pelvis's way."""
    moves = at_horizons(knots)
    there = rotations[:, None] @ rotations_of(moves[:, :, :JOINTS])
    joints, _ = body.joints(there, betas[:, None].expand(-1, len(HORIZONS_MS), -1))
    return joints - joints[:, :, :1], moves[:, :, JOINTS]


@dataclass(frozen=True)
class Tensors:
    """Samples as tensors; `starts`: those that two more follow."""

    inputs: Tensor
    rotations: Tensor
    betas: Tensor
    later: Tensor
    true: Tensor
    way: Tensor
    starts: np.ndarray


def tensors_of(samples: Samples, chosen: np.ndarray) -> Tensors:
    """chosen (N,) bool, whole takes."""
    follows = samples.follows[chosen]
    # The truth is asked from where the stream is now: its present error is not the head's business.
    values = {
        key: torch.from_numpy(getattr(samples, key)[chosen])
        for key in ("inputs", "rotations", "betas", "later", "true", "way")
    }
    return Tensors(**values, starts=np.flatnonzero(follows))


def loss_of(network: HeadNetwork, body: TorchBody, data: Tensors, rows: Tensor, scale: Tensor) -> Tensor:
    """rows (B,) starts of runs of three. scale (H,): how far the stream moves in each horizon, metres."""
    three = (rows[:, None] + torch.arange(3)).reshape(-1)
    knots = network(data.inputs[three])
    joints, way = led_joints(body, knots, data.rotations[three], data.betas[three])
    later, true = data.later[three], data.true[three]

    def off(other: Tensor) -> Tensor:
        far = _length(joints - other)
        return ((far[..., POINT_JOINTS].mean(-1) + REST * far.mean(-1)) / scale).mean()

    bent = joints.unflatten(0, (-1, 3))
    trembling = (_length(bent[:, 0] - 2 * bent[:, 1] + bent[:, 2]).mean(-1) / scale).mean()
    pelvis = (_length(way - data.way[three]) / scale).mean()
    return OWN * off(later) + TRUE * off(true) + WAY * pelvis + TREMBLING * trembling


def _length(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(-1) + 1e-8).sqrt()


@torch.no_grad()
def watch(network: HeadNetwork, body: TorchBody, data: Tensors, now: Tensor) -> str:
    """A line: error against the stream's own later pose and against the truth, over holding the pose `now`."""
    network.eval()
    sums = np.zeros((4, len(HORIZONS_MS)))
    for rows in torch.arange(len(data.inputs)).split(1024):
        joints, _ = led_joints(body, network(data.inputs[rows]), data.rotations[rows], data.betas[rows])
        for k, there in enumerate((joints, now[rows][:, None].expand_as(joints))):
            for m, other in enumerate((data.later[rows], data.true[rows])):
                sums[2 * k + m] += _length(there - other)[..., POINT_JOINTS].mean(-1).sum(0).numpy()
    network.train()
    own, true = sums[0] / sums[2], sums[1] / sums[3]
    text = [f"+{ms:.0f} ms {a:.3f} / {b:.3f}" for ms, a, b in zip(HORIZONS_MS, own, true, strict=True)]
    return "own / truth over holding: " + ", ".join(text)


def fit(samples: Samples, model_body: Body, epochs: int, seed: int) -> HeadNetwork:
    """Raises LoadError where there is too little to learn from."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    subjects = np.unique(samples.subject)
    if len(subjects) < 2:
        raise LoadError("takes of one subject only: nobody to watch by; give more takes (--observed)")
    watched = np.isin(samples.subject, subjects[WATCHED_EVERY // 2 :: WATCHED_EVERY] if len(subjects) >= WATCHED_EVERY
                      else subjects[:1])  # fmt: skip
    body = TorchBody(model_body, [0])
    data, kept = tensors_of(samples, ~watched), tensors_of(samples, watched)
    now = torch.from_numpy(samples.joints[watched])
    moved = np.linalg.norm(samples.later - samples.joints[:, None], axis=-1)[..., POINT_JOINTS]
    scale = torch.from_numpy(moved.mean(axis=(0, 2)).astype(np.float32))
    mean, spread = samples.inputs[~watched].mean(axis=0), samples.inputs[~watched].std(axis=0)
    network = HeadNetwork(mean, np.maximum(spread, 0.02).astype(np.float32))
    optimizer = torch.optim.AdamW(network.parameters(), PEAK_RATE, weight_decay=WEIGHT_DECAY)
    batches = -(-len(data.starts) // (3 * BATCH))  # every frame about once an epoch
    if not batches:
        raise LoadError("nobody is tracked for long enough in these takes; give more of them (--observed)")
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=epochs * batches, pct_start=0.1
    )
    started = time.monotonic()
    for epoch in range(epochs):
        for _ in range(batches):
            rows = torch.from_numpy(rng.choice(data.starts, BATCH))
            loss = loss_of(network, body, data, rows, scale)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % 4 == 3 or epoch == epochs - 1:
            print(
                f"epoch {epoch + 1}, {time.monotonic() - started:.0f} s: {watch(network, body, kept, now)}",
                flush=True,
            )
    network.eval()
    return network


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add(
        "--observed",
        type=Path,
        default=Path("data/observed/train"),
        help="rendered takes (training.synthesis)",
    )
    add("--takes", type=int, default=0, metavar="N", help="the first so many; default: all")
    add("--model", default="default", help="whose stream is led")
    add(
        "--samples", type=Path, metavar="FILE", help="keep what the stream said there, and take it from there"
    )
    add("--epochs", type=int, default=EPOCHS)
    add("--seed", type=int, default=0)
    add("--out", type=Path, default=ASSETS / HEAD)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    try:
        body = load_body(None)
        samples = _samples(options, body)
        print(f"{len(samples.inputs)} moments of {len(np.unique(samples.subject))} subjects", flush=True)
        network = fit(samples, body, options.epochs, options.seed)
    except HmmrLiveError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    np.savez_compressed(options.out, **network.arrays())
    print(options.out)
    return 0


def _samples(options: argparse.Namespace, body: Body) -> Samples:
    """Raises LoadError where there are no takes."""
    kept: Path | None = options.samples
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as data:
            return Samples(**{field.name: data[field.name] for field in fields(Samples)})
    files = sorted(file for file in options.observed.glob("take_*.npz") if not file.name.endswith(".tmp.npz"))
    if not files:
        raise LoadError(f"{options.observed}: no takes here; python -m training.synthesis makes some")
    config = Config(model=options.model)
    engine = engines.load(options.model)
    try:
        samples = samples_of(replays(files[: options.takes or None], engine, body, config))
    finally:
        engine.close()
    if kept is not None:
        np.savez(kept, **vars(samples))
    return samples


if __name__ == "__main__":
    sys.exit(main())
