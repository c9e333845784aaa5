"""The training loop: steps, running average, discriminator, checkpoints that go on as if nothing had happened."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from engines.network.model import HMMRLive
from realtime.errors import HmmrLiveError, LoadError
from training.budget import Budget, Clock
from training.losses import LossResult, WindowLoss
from training.prior import LEARNING_RATE as PRIOR_RATE
from training.prior import FactorisedPrior
from training.schedule import learning_rate

PEAK_RATE = 1.2e-3
WEIGHT_DECAY = 1e-4
EMA_DECAY = 0.999  # the weights that are shipped are a running average
GRADIENT_LIMIT = 1.0
DYNAMICS_SHARE = 0.3  # of the learning rate: fΔt must not shout before Φ has anything to tell it
DISCRIMINATOR_EVERY = 2  # steps: half its cost, and it learns faster than it is needed all the same
CHECKPOINT_EVERY = 500
SHOWN_EVERY = 10
SHOWN = (
    "sum",
    "points",
    "landmarks",
    "rotations",
    "velocity",
    "acceleration",
    "ahead_points",
    "ahead_change",
)

Batches = Callable[[int], Iterable[dict[str, Tensor]]]  # from the step with this number on


class Trainer:
    """A model with all that its training remembers. Everything on one device.

    run: what the training was started with (JSON values); a checkpoint of another one is not gone on with.
    """

    def __init__(
        self,
        model: HMMRLive,
        loss: WindowLoss,
        budget: Budget,
        *,
        run: dict[str, Any],
        peak_rate: float = PEAK_RATE,
    ) -> None:
        self.model, self.loss, self.budget, self.run_id = model.train(), loss, budget, run
        self.peak_rate = peak_rate
        self.device = next(model.parameters()).device
        self.average = copy.deepcopy(model).eval()
        slow = list(model.dynamics.parameters())
        others = [p for name, p in model.named_parameters() if not name.startswith("dynamics.")]
        self.optimiser = torch.optim.AdamW(
            [{"params": others, "share": 1.0}, {"params": slow, "share": DYNAMICS_SHARE}],
            lr=peak_rate, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98), fused=True,
        )  # fmt: skip
        self.prior: FactorisedPrior | None = None
        if loss.weights.prior > 0:
            self.prior = FactorisedPrior().to(self.device)
            self.prior_optimiser = torch.optim.Adam(self.prior.parameters(), lr=PRIOR_RATE, fused=True)
        self.step = 0
        self.clock = Clock()

    @property
    def share(self) -> float:
        """How much of the budget is used up, 0 … 1."""
        return self.budget.share(self.step, self.clock.elapsed_s())

    def restore(self, checkpoint: Path) -> bool:
        """Go on from a checkpoint if there is one. Raises LoadError for one of another run."""
        if not checkpoint.exists():
            return False
        try:
            saved = torch.load(checkpoint, weights_only=True, map_location=self.device)
            if saved["run"] != self.run_id:
                raise ValueError("it is of a training with other options")
            for name, part in self._parts().items():
                part.load_state_dict(saved[name])
            self.step = int(saved["step"])
            self.clock = Clock(float(saved["elapsed_s"]))
        except (KeyError, ValueError, RuntimeError, EOFError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise LoadError(
                f"{checkpoint}: cannot be gone on with ({reason}); delete it or give another --work"
            ) from None
        return True

    def save(self, checkpoint: Path) -> None:
        """Written whole or not at all."""
        partial = checkpoint.with_suffix(".tmp")
        state = {name: part.state_dict() for name, part in self._parts().items()}
        progress = {"step": self.step, "elapsed_s": self.clock.elapsed_s(), "run": self.run_id}
        torch.save(state | progress, partial)
        partial.replace(checkpoint)

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {
            "model": self.model,
            "average": self.average,
            "optimiser": self.optimiser,
        }
        if self.prior is not None:
            parts |= {"prior": self.prior, "prior_optimiser": self.prior_optimiser}
        return parts

    def train_step(self, batch: dict[str, Tensor]) -> LossResult:
        """One step of the model, and every other time one of the discriminator."""
        rate = learning_rate(self.step, self.share, self.peak_rate)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        result = self.loss(self.model, batch, self.prior)
        self.optimiser.zero_grad(set_to_none=True)
        result.total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_LIMIT)
        self.optimiser.step()
        if self.prior is not None and self.step % DISCRIMINATOR_EVERY == 0 and len(result.real):
            self._train_prior(self.prior, result)
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1.0 - decay)
        self.step += 1
        return result

    def _train_prior(self, prior: FactorisedPrior, result: LossResult) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.loss.mixed):
            loss = prior.discriminator_loss(result.real, result.made_up)
        self.prior_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.prior_optimiser.step()

    def run(
        self,
        batches: Batches,
        checkpoint: Path,
        validate: Callable[[Trainer], str] | None = None,
        validate_every: int = 500,
    ) -> nn.Module:
        """Train until the budget is used up; the averaged model.

        validate: called every so many steps and after the last; what it returns is printed. Raises HmmrLiveError where
        the loss is no number any more.
        """
        shown: dict[str, float] = {}
        progress = tqdm(initial=self.step, total=self.budget.steps, unit="step", mininterval=5.0)
        for batch in batches(self.step):
            if self.share >= 1.0:
                break
            result = self.train_step(batch)
            progress.update()
            if self.step % SHOWN_EVERY == 0:
                for name, value in (result.parts | {"sum": result.total.detach()}).items():
                    shown[name] = 0.8 * shown.get(name, float(value)) + 0.2 * float(value)
                if not shown["sum"] < float("inf"):
                    raise HmmrLiveError(
                        f"step {self.step}: the loss is {shown['sum']}; last whole state: {checkpoint}"
                    )
                progress.set_postfix(
                    {name: f"{shown[name]:.2f}" for name in SHOWN if name in shown}, refresh=False
                )
            if self.step % CHECKPOINT_EVERY == 0:
                self.save(checkpoint)
            if validate is not None and self.step % validate_every == 0:
                tqdm.write(validate(self))
        progress.close()
        self.save(checkpoint)
        if validate is not None and self.step % validate_every:
            print(validate(self))
        return self.average
