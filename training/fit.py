"""Train the default model and write assets/model.safetensors, and assets/model.onnx from it.

    python -m training.fit [--motion FILE]

First the takes are rendered that are not there yet (training/synthesis.py), then the network is trained. Everything
follows from --seed. Takes and checkpoints are kept, so a run that was cut off goes on with the same command.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from engines.export import export
from engines.network.checkpoint import save
from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from realtime.body.smpl import load_body
from realtime.errors import HmmrLiveError
from realtime.features import FEATURE_DIM, FEATURE_VERSION
from training.augment import MotionBank
from training.dataset import Batch, TrainingData
from training.losses import WindowLoss
from training.motion import DEFAULT_MOTION, load_clips
from training.noise import fit_markers, fit_noise, load_takes
from training.synthesis import make_takes

MODEL_ID = "hmmr-live-1"
FRAMES = 24  # 12 of them with a full ring behind them
BATCH = 40
PEAK_RATE = 1.2e-3
WARM_UP_STEPS = 200
WEIGHT_DECAY = 1e-4
EMA_DECAY = 0.999  # the weights that are shipped are a running average
RENDERED_SHARE = 0.45
CHECKPOINT_EVERY = 500
STATISTICS_BATCHES = 20


class _Windows(IterableDataset):
    """The endless data in the loader's own process."""

    def __init__(self, data: TrainingData) -> None:
        self._data = data

    def __iter__(self):
        for batch in self._data:
            yield {name: torch.from_numpy(getattr(batch, name)) for name in Batch.__dataclass_fields__}


def set_statistics(model: HMMRLive, loader: DataLoader) -> None:
    """Mean and deviation of every feature, measured on the data."""
    rows = []
    for count, batch in enumerate(loader):
        rows.append(batch["features"].reshape(-1, FEATURE_DIM))
        if count + 1 == STATISTICS_BATCHES:
            break
    features = torch.cat(rows)
    model.embed.mean.copy_(features.mean(dim=0))
    model.embed.std.copy_(features.std(dim=0).clamp(min=0.02))


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    if step < WARM_UP_STEPS:
        return PEAK_RATE * (step + 1) / WARM_UP_STEPS
    share = (step - WARM_UP_STEPS) / max(1, steps - WARM_UP_STEPS)
    return PEAK_RATE * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0))))


def train(model: HMMRLive, loss: WindowLoss, loader: DataLoader, steps: int, work: Path) -> nn.Module:
    """Run or resume the training. Returns the averaged model."""
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98)
    )
    average = copy.deepcopy(model).eval()
    done = 0
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        done = int(saved["step"])
        print(f"going on from step {done} of {checkpoint}")
    else:
        set_statistics(model, loader)
        average.load_state_dict(model.state_dict())
    smooth: dict[str, float] = {}
    progress = tqdm(total=steps, initial=done, unit="step")
    for step, batch in zip(range(done, steps), loader, strict=False):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps)
        total, parts = loss(model.train(), batch)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(new, 1.0 - decay)
        for name, value in (parts | {"sum": float(total.detach())}).items():
            smooth[name] = 0.98 * smooth.get(name, value) + 0.02 * value
        progress.update()
        if (step + 1) % 50 == 0:
            progress.set_postfix({name: f"{value:.2f}" for name, value in smooth.items()})
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == steps:
            partial = checkpoint.with_suffix(".tmp")
            state = {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step + 1,
            }
            torch.save(state, partial)
            partial.replace(checkpoint)
    progress.close()
    return average


@torch.no_grad()
def rescale_strip(model: HMMRLive, features: torch.Tensor) -> None:
    """Bring the movie strip to the size of 1 without changing what the network computes; features (B, T, F).

    Nothing holds the size of Φ in training, and it drifts to some tens, where float32 cannot tell stepping from the
    clip pass to 1e-5. Norms take the scale out again and only linear layers read Φ, so it can be moved from one side
    to the other; by a power of two, the bits stay.
    """
    size = model(features).encoded.square().mean().sqrt()
    scale = float(2.0 ** -torch.log2(size).round())
    writers = [model.embed.fc2, model.hallucinator.fc3, *(block.conv2.taps for block in model.encoder.blocks)]
    readers = [model.hallucinator.fc1, model.f3d.from_strip, model.dynamics.from_strip]
    for layer in writers:
        layer.weight *= scale
        layer.bias *= scale
    for layer in readers:
        layer.weight /= scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--motion", type=Path, default=DEFAULT_MOTION)
    parser.add_argument("--takes", type=int, default=200, help="rendered takes to learn from")
    parser.add_argument(
        "--observed", type=Path, default=Path("data/observed/train"), help="where they are kept"
    )
    parser.add_argument("--steps", type=int, default=5500)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--head-width", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("data/fit"))
    parser.add_argument("--out", type=Path, default=Path("assets/model.safetensors"))
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        make_takes(options.motion, "train", options.observed, options.takes, options.seed)
        clips = load_clips(options.motion, "train")
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    body = load_body(None)
    takes = load_takes(options.observed, body)
    markers = fit_markers(takes)
    noise = fit_noise(takes, markers)
    clips = load_clips(options.motion, "train")
    print(
        f"{len(takes)} rendered takes, {len(clips)} clips, {sum(len(c.trans) for c in clips) / 1800:.1f} min of motion"
    )
    config = NetworkConfig(
        feature_dim=FEATURE_DIM,
        feature_version=FEATURE_VERSION,
        model_id=MODEL_ID,
        width=options.width,
        head_width=options.head_width,
        dropout=0.0,  # endless data: nothing to overfit to, and masks cost 7 % of a step
    )
    model = HMMRLive(config)
    seed = options.seed + int(np.random.default_rng(options.seed).integers(1 << 30))
    data = TrainingData(
        body,
        MotionBank(clips),
        noise,
        takes,
        batch=BATCH,
        frames=FRAMES,
        rendered_share=RENDERED_SHARE,
        seed=seed,
    )
    loader = DataLoader(
        _Windows(data), batch_size=None, num_workers=1, prefetch_factor=4, persistent_workers=True
    )
    started = time.monotonic()
    trained = train(model, WindowLoss(body, markers), loader, options.steps, options.work)
    rescale_strip(trained, next(iter(loader))["features"])
    provenance = {
        "command": f"python -m training.fit --steps {options.steps} --seed {options.seed}"
        f" --width {options.width} --head-width {options.head_width}",
        "motion": "CMU Graphics Lab Motion Capture Database and ACCAD Open Motion Project, split train",
        "rendered_takes": str(len(takes)),
        "minutes": f"{(time.monotonic() - started) / 60:.0f}",
        "licence": "Apache-2.0",
    }
    save(trained, options.out, provenance, half=True)
    graph = options.out.with_suffix(".onnx")
    try:
        export(options.out, "step", graph)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")
    for path in (options.out, graph):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
