"""Train the default model and write assets/model.safetensors, and assets/model.onnx from it.

    python -m training.fit [--motion FILE] [--videos FOLDER] [--minutes 120]

First the takes are rendered that are not there yet (training/synthesis.py), then the network is trained, on three tiers
of data at once where there are videos. Batches follow from --seed. Takes and checkpoints are kept, so a run that was
cut off goes on with the same command.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines.export import export, weights_sha256
from engines.graph_file import DIGITS
from engines.network.appearance import load_appearance
from engines.network.checkpoint import load_checkpoint, save
from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from realtime.assets import ASSETS
from realtime.body.smpl import Body, load_body
from realtime.errors import HmmrLiveError
from realtime.features import APPEARANCE, FEATURE_DIM, FEATURE_VERSION
from training.appearance_features import describe_takes, encoder_of
from training.augment import MotionBank, Variety
from training.budget import Budget
from training.dataset import Tier, TrainingData
from training.device import choose_device, choose_precision
from training.fit_options import arguments, check
from training.loading import NumberedBatches, Withheld, load_from
from training.loop import Trainer
from training.loss_weights import LossWeights, with_settings
from training.losses import WindowLoss
from training.motion import load_clips
from training.motion_tier import MotionTier
from training.noise import Markers, fit_markers, fit_noise
from training.observe import ObservedTake, load_takes
from training.synthesis import make_takes
from training.take_tier import TakeTier
from training.validation import Validation
from training.video_tier import VideoTier, load_videos, observe_videos

MODEL_ID = "hmmr-live-4"
STATISTICS_BATCHES = 20
VALIDATION_TABLE = "validation.csv"


def build_model(options: argparse.Namespace) -> HMMRLive:
    """A new network, or the one of --init, with the delay asked for. Raises LoadError."""
    if options.init is None:
        return HMMRLive(
            NetworkConfig(
                feature_dim=FEATURE_DIM,
                feature_version=FEATURE_VERSION,
                model_id=MODEL_ID,
                width=options.width,
                head_width=options.head_width,
                dropout=0.0,  # endless data: nothing to overfit to, and masks cost 7 % of a step
                delay=options.delay,
            )
        )
    given, _ = load_checkpoint(options.init, FEATURE_VERSION, FEATURE_DIM)
    model = HMMRLive(dataclasses.replace(given.config, model_id=MODEL_ID, dropout=0.0, delay=options.delay))
    model.load_state_dict(given.state_dict())
    return model


@torch.no_grad()
def tell_encoder(model: HMMRLive, appearance: str, init: Path | None) -> None:
    """Into its configuration: whose appearance features it knows. Without any in the data, --init's remain.

    What it made of another encoder's numbers would be noise now: it begins without them, and learns these.
    """
    before = model.config.appearance if init is not None else ""
    if appearance and before not in ("", None, appearance):
        print(
            f"{init}: of appearance encoder {str(before)[:DIGITS]}; now it learns {appearance[:DIGITS]}'s features"
        )
        model.embed.fc1.weight[:, APPEARANCE] = 0.0
    model.config = dataclasses.replace(model.config, appearance=appearance or before)


def set_statistics(model: HMMRLive, features: torch.Tensor) -> None:
    """Mean and deviation of every feature, (N, F)."""
    model.embed.mean.copy_(features.mean(dim=0))
    model.embed.std.copy_(features.std(dim=0).clamp(min=0.02))


@torch.no_grad()
def rescale_strip(model: HMMRLive, features: torch.Tensor) -> None:
    """Bring the movie strip to the size of 1 without changing what the network computes; features (B, T, F).

    The loss holds it near (`strip_size`), unless switched off; at some tens float32 could not tell stepping from the
    clip pass to 1e-5. Norms take the scale out again and only linear layers read Φ, so it can be moved from one side
    to the other; by a power of two, the bits stay.
    """
    size = model(features).encoded.square().mean().sqrt()
    scale = float(2.0 ** -torch.log2(size).round())
    writers = [model.embed.fc2, model.hallucinator.fc3, *(block.conv2.taps for block in model.encoder.blocks)]
    readers = [
        model.hallucinator.fc1, model.f3d.from_strip, model.dynamics.from_strip, model.dynamics.direct
    ]  # fmt: skip
    for layer in writers:
        layer.weight *= scale
        layer.bias *= scale
    for layer in readers:
        layer.weight /= scale


@dataclasses.dataclass(frozen=True)
class Data:
    """All that a training reads."""

    batches: NumberedBatches
    validation: Validation | None
    markers: Markers
    described: dict[str, str]
    appearance: str  # weights_sha256 of the encoder of its appearance features; "": it has none


def prepare_data(options: argparse.Namespace, body: Body) -> Data:
    """Render, watch videos, load, and divide among the tiers. Raises HmmrLiveError."""
    make_takes(options.motion, options.observed, options.takes, options.seed)
    clips = load_clips(options.motion, "train")
    takes = load_takes(options.observed, body)
    held = min(options.validation_takes, len(takes) // 4)
    kept, watched = (takes[:-held], takes[-held:]) if held else (takes, [])
    markers = fit_markers(kept)
    generator = np.random.default_rng(options.seed)
    variety = Variety(**dict.fromkeys(options.without, False))
    bank = MotionBank(clips, variety)
    motion = MotionTier(body, bank, fit_noise(kept, markers), options.frames, generator)
    rendered = TakeTier(kept, markers, options.frames, generator, options.appearance_share)
    described = {"clips": str(len(clips)), "rendered_takes": str(len(kept))}
    video_share, videos = 0.0, []
    tiers: list[tuple[Tier, float]] = []
    if options.videos is not None:
        observe_videos(options.videos, options.observed_videos, options.seed)
        videos = load_videos(options.observed_videos)
        _describe(videos)
        video_share = options.video_share
        watcher = VideoTier(videos, options.frames, generator, options.appearance_share)
        tiers.append((watcher, video_share))
        described["video_takes"] = str(len(videos))
    # Of a tier that nothing is drawn from, no features are learned: fed them all the same, the network would be lost.
    drawn = [*(takes if options.rendered_share else ()), *(videos if video_share else ())]
    appearance = encoder_of(drawn) if options.appearance_share else ""
    shares = {motion: 1.0 - options.rendered_share, rendered: options.rendered_share}
    for tier, share in shares.items():
        share *= 1.0 - video_share
        tiers.append((tier, share * (1.0 - options.flat_share)))
        if options.flat_share > 0:
            tiers.append((Withheld(tier), share * options.flat_share))
    batches = NumberedBatches(TrainingData(tiers, options.batch), generator, options.seed)
    shown = options.appearance_share if appearance else 0.0
    validation = Validation(watched, markers, options.work / VALIDATION_TABLE, shown) if watched else None
    print(", ".join(f"{value} {name.replace('_', ' ')}" for name, value in described.items()))
    return Data(batches, validation, markers, described, appearance)


def _describe(videos: list[ObservedTake]) -> None:
    """Appearance features beside the videos, where there is an encoder to make them."""
    weights = ASSETS / "appearance.safetensors"
    if weights.exists():
        encoder, _ = load_appearance(weights)
        describe_takes(encoder, videos)


def fit(options: argparse.Namespace) -> None:
    """The whole training. Raises HmmrLiveError."""
    weights = with_settings(LossWeights(), options.loss)
    device = choose_device(options.device)
    mixed = choose_precision(options.precision, device)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    body = load_body(None)
    model = build_model(options)
    data = prepare_data(options, body)
    tell_encoder(model, data.appearance, options.init)
    loss = WindowLoss(body, data.markers, weights, options.delay, mixed).to(device)
    run: dict[str, Any] = {
        "config": dataclasses.asdict(model.config),
        "weights": dataclasses.asdict(weights),
        "seed": options.seed,
        "batch": options.batch,
        "frames": options.frames,
        "init": weights_sha256(model) if options.init else "",
        "rate": options.rate,
        "without": options.without,
        "appearance_share": options.appearance_share,
        "shares": [
            options.rendered_share,
            options.flat_share,
            options.video_share if options.videos else 0.0,
        ],
    }
    budget = Budget(minutes=options.minutes) if options.minutes is not None else Budget(steps=options.steps)
    trainer = Trainer(model.to(device), loss, budget, run=run, peak_rate=options.rate)
    checkpoint = options.work / "checkpoint.pt"
    if trainer.restore(checkpoint):
        print(f"going on from step {trainer.step} of {checkpoint}")
    else:
        (options.work / VALIDATION_TABLE).unlink(missing_ok=True)
        if options.init is None:
            features = data.batches.statistics(STATISTICS_BATCHES).to(device)
            for fresh in (trainer.model, trainer.average):
                set_statistics(fresh, features)
    print(f"on {device}, {'bf16' if mixed else 'fp32'}, {options.threads} threads")
    trainer.run(
        lambda first: load_from(data.batches, first, options.workers, pinned=device.type == "cuda"),
        checkpoint,
        data.validation,
        options.validate_every,
    )
    trained = trainer.average.cpu()
    rescale_strip(trained, data.batches[0]["features"])
    provenance = {
        "command": "python -m training.fit " + " ".join(sys.argv[1:]),
        "motion": "CMU Graphics Lab Motion Capture Database and ACCAD Open Motion Project, split train",
        "steps": str(trainer.step),
        "minutes": f"{trainer.clock.elapsed_s() / 60:.0f}",
        "device": f"{device.type}, {'bf16' if mixed else 'fp32'}",
        "licence": "Apache-2.0",
    }
    save(trained, options.out, provenance | data.described, half=True)
    graph = options.out.with_suffix(".onnx")
    export(options.out, "step", graph)
    for path in (options.out, graph):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    options = parser.parse_args()
    try:
        check(options)
        fit(options)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")


if __name__ == "__main__":
    main()
