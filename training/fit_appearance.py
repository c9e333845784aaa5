"""Train the appearance encoder: what BlazePose's 8×8 map knows about depth and its landmarks no longer tell.

    python -m training.fit_appearance [--observed data/observed/train]

It learns on single frames of two takes in three, beside the landmarks and now and then without them, through heads
that are thrown away. Then it writes assets/appearance.*, and beside the third ones, which are of people whose motion is
in no other, what it makes of them: the temporal network must meet it as wrong as it is on strangers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

from engines.appearance import export_appearance
from engines.export import weights_sha256
from engines.network.appearance import AppearanceEncoder, load_appearance, save_appearance
from engines.network.config import NetworkConfig
from engines.network.model import HMMRLive
from realtime.body.smpl import Body, load_body
from realtime.errors import HmmrLiveError, LoadError
from realtime.features import APPEARANCE, FEATURE_DIM, FEATURE_VERSION, HAS_APPEARANCE, UP
from training.appearance_features import describe_takes
from training.batch import Batch
from training.device import choose_precision
from training.losses import WindowLoss
from training.metrics import LIMB_JOINTS, mpjpe_mm, pa_mpjpe_mm
from training.noise import Markers, fit_markers
from training.observe import ObservedTake, load_takes, map_path, of_stranger
from training.schedule import learning_rate
from training.take_tier import TakeTier

BATCH = 192
PEAK_RATE, WEIGHT_DECAY = 1.0e-3, 0.1
P_BLIND = 0.3  # frames without landmarks
WATCHED_TAKES = 40  # strangers', the last ones: to watch by
WATCHED_FRAMES = 1024  # of those
EMA_DECAY = 0.998
LEARNED = ("points", "keypoints", "rotations", "betas")


class _Frames(TakeTier):
    """Single frames with the map of the look that is the plain one there."""

    def __init__(
        self, takes: list[ObservedTake], markers: Markers, rng: np.random.Generator, batch: int
    ) -> None:
        # Features that lie there may be another encoder's: which takes are drawn is none of their business.
        super().__init__(takes, markers, 1, rng, appearance=0.0)
        self._batch = batch
        self._maps: list[np.ndarray] = []
        self._open = {
            kept.take.path: np.load(map_path(kept.take.path), mmap_mode="r") for kept in self._takes
        }

    def _appearance(self, kept, rows, look, mirrored) -> np.ndarray:
        self._maps.append(np.asarray(self._open[kept.take.path][rows[0], int(mirrored)]))
        return np.full((1, APPEARANCE.stop - APPEARANCE.start), np.nan, np.float32)

    def draw(self) -> dict[str, Tensor]:
        self._maps.clear()
        batch = self.windows(self._batch)
        tensors = {name: torch.from_numpy(getattr(batch, name)) for name in Batch.__dataclass_fields__}
        return tensors | {"maps": torch.from_numpy(np.stack(self._maps)).float()}


class _Endless(IterableDataset):
    def __init__(self, frames: _Frames) -> None:
        self._frames = frames

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        while True:
            yield self._frames.draw()


def read(model: HMMRLive, encoder: AppearanceEncoder, batch: dict[str, Tensor], blind: Tensor) -> Tensor:
    """Θ' (B, 1, 157) of single frames; blind (B,) bool: the landmarks of these are kept from it."""
    features = batch["features"].clone()
    features[blind, :, : UP.start - 1] = 0.0
    z = encoder(batch["maps"])
    features = torch.cat(
        (features[..., :HAS_APPEARANCE], torch.ones_like(features[..., :1]), z.float()[:, None]), dim=-1
    )
    return model.f3d(model.hallucinator(model.embed(features)))


def learn(
    takes: list[ObservedTake],
    watched: list[ObservedTake],
    markers: Markers,
    body: Body,
    steps: int,
    seed: int,
    minutes: float,
    encoder: AppearanceEncoder | None = None,
    mixed: bool = False,
) -> AppearanceEncoder:
    """A new encoder, or a given one that goes on; by minutes or steps, whichever ends first. mixed: its products in
    bfloat16."""
    train = _Frames(takes, markers, np.random.default_rng(seed), BATCH)
    watch = _Frames(watched, markers, np.random.default_rng(1), WATCHED_FRAMES)
    if fresh := encoder is None:
        encoder = AppearanceEncoder()
    model = HMMRLive(
        NetworkConfig(
            feature_dim=FEATURE_DIM, feature_version=FEATURE_VERSION, model_id="appearance", dropout=0.25
        )
    )
    maps = _set_statistics(model, train)
    if fresh:
        encoder.mean.copy_(maps.mean(dim=(0, 2, 3)))
        encoder.std.copy_(maps.std(dim=(0, 2, 3)).clamp(min=1e-3))
    loss = WindowLoss(body, markers)
    parameters = [*encoder.parameters(), *model.embed.parameters(), *model.hallucinator.parameters()]
    parameters += list(model.f3d.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98))
    average = [p.detach().clone() for p in parameters]
    loader = DataLoader(_Endless(train), batch_size=None, num_workers=1, prefetch_factor=4)
    began = time.monotonic()
    progress = tqdm(total=steps, unit="step", mininterval=10.0)
    for step, batch in enumerate(loader):
        done = max(step / steps, (time.monotonic() - began) / (60.0 * minutes))
        if done >= 1.0:
            break
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, done, PEAK_RATE)
        blind = torch.rand(len(batch["maps"])) < P_BLIND
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            theta = read(model.train(), encoder.train(), batch, blind)
        true = loss.points(batch["rotations"], batch["betas"][:, None])
        parts = loss.single(model, theta.float(), batch, true)
        total = torch.stack([parts[name] for name in LEARNED]).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in parameters], 1.0 - decay)
        progress.update()
        if step % 500 == 499:
            tqdm.write(f"step {step + 1}: {_watch(model, encoder, watch, loss)}")
    progress.close()
    with torch.no_grad():
        for parameter, kept in zip(parameters, average, strict=True):
            parameter.copy_(kept)
        normalise_(encoder, model, train.draw()["maps"])
    print(f"{len(takes)} takes, averaged weights: {_watch(model, encoder, watch, loss)}")
    return encoder.eval()


@torch.no_grad()
def _set_statistics(model: HMMRLive, frames: _Frames) -> Tensor:
    """Of the landmarks' features, into the model; some maps."""
    batches = [frames.draw() for _ in range(8)]
    features = torch.cat([batch["features"] for batch in batches]).flatten(0, 1)
    model.embed.mean[: UP.stop] = features[:, : UP.stop].mean(dim=0)
    model.embed.std[: UP.stop] = features[:, : UP.stop].std(dim=0).clamp(min=0.02)
    return torch.cat([batch["maps"] for batch in batches])


@torch.no_grad()
def normalise_(encoder: AppearanceEncoder, model: HMMRLive, maps: Tensor) -> None:
    """Bring every z to mean 0 and deviation 1, in the encoder's last layer; the heads read it back as it was."""
    z = encoder.eval()(maps)
    mean, std = z.mean(dim=0), z.std(dim=0).clamp(min=1e-3)
    encoder.out.weight /= std[:, None]
    encoder.out.bias.sub_(mean).div_(std)
    model.embed.mean[APPEARANCE] = -mean / std
    model.embed.std[APPEARANCE] = 1.0 / std


@torch.no_grad()
def _watch(model: HMMRLive, encoder: AppearanceEncoder, frames: _Frames, loss: WindowLoss) -> str:
    """MPJPE / PA-MPJPE on takes held back: with landmarks, and with the map alone."""
    frames._rng = np.random.default_rng(1)
    batch = frames.draw()
    texts = []
    for blind in (False, True):
        theta = read(model.eval(), encoder.eval(), batch, torch.full((len(batch["maps"]),), blind))
        _, pose, _ = model.decode(theta)
        betas = batch["betas"][:, None]
        points = [loss.points(p, betas)[:, 0, LIMB_JOINTS].numpy() for p in (pose, batch["rotations"])]
        texts.append(f"{mpjpe_mm(*points).mean():.1f}/{pa_mpjpe_mm(*points).mean():.1f}")
    return f"watch {texts[0]} mm, map alone {texts[1]}"


def _positive(text: str) -> int:
    if (number := int(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected more than 0")
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--observed", type=Path, default=Path("data/observed/train"))
    parser.add_argument("--steps", type=_positive, default=10_000)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop and anneal within so many")
    parser.add_argument("--takes", type=_positive, help="learn from so many; default: all but the strangers'")
    parser.add_argument("--init", type=Path, help="encoder (.safetensors) to start from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("assets/appearance.safetensors"))
    options = parser.parse_args()
    try:
        fit_appearance(options)
    except HmmrLiveError as error:
        parser.exit(error.exit_code, f"{error}\n")


def fit_appearance(options: argparse.Namespace) -> None:
    """Train, write and describe. Raises HmmrLiveError."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    given = load_appearance(options.init)[0] if options.init else None
    init = {} if given is None else {"init": weights_sha256(given)}  # before it learns on
    body = load_body(None)
    takes = [take for take in load_takes(options.observed, body) if take.detected.any()]
    known = [take for take in takes if take.path and not of_stranger(take.path)][: options.takes]
    strangers = [take for take in takes if take.path and of_stranger(take.path)]
    if not known or not strangers:
        raise LoadError(
            f"{options.observed}: somebody was found in {len(known)} takes to learn from and {len(strangers)} to "
            f"describe; each needs one\nrender more: python -m training.synthesis --takes N --out {options.observed}"
        )
    watched, markers = strangers[-WATCHED_TAKES:], fit_markers(takes)
    mixed = choose_precision(options.precision, torch.device("cpu"))
    encoder = learn(known, watched, markers, body, options.steps, options.seed, options.minutes, given, mixed)
    provenance = {
        "command": f"python -m training.fit_appearance --takes {len(known)} --steps {options.steps} "
        f"--seed {options.seed}",
        "rendered_takes": str(len(known)),
        "licence": "Apache-2.0",
    } | init
    save_appearance(encoder, options.out, provenance)
    export_appearance(encoder, options.out.with_suffix(".onnx"), provenance)
    shipped, _ = load_appearance(options.out)  # its weights rounded, as they are live
    describe_takes(shipped, strangers)


if __name__ == "__main__":
    main()
