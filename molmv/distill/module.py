"""The Lightning module: student, standardisers and loss; what is learnt, how fast, and what is logged."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from molmv.density.floor import near_floor
from molmv.distill.config import TrainConfig
from molmv.distill.data import Batch
from molmv.distill.processes import mean_over_processes, several, sum_over_processes
from molmv.loss import LossOutput, MajorityVoteLoss
from molmv.standardise import Standardiser


class DistillModule(lightning.LightningModule):
    """One distillation.

    Args:
        student: inputs to embeddings.
        loss: the heads of all teachers.
        standardisers: by teacher, fitted; their order is the loss's.
        train: schedule and optimiser.
        digest: of the config, kept in the checkpoints.
        seed: of whatever is random within a step.
    """

    def __init__(
        self,
        student: nn.Module,
        loss: MajorityVoteLoss,
        standardisers: Mapping[str, Standardiser],
        train: TrainConfig,
        digest: str,
        seed: int,
    ) -> None:
        super().__init__()
        self.student, self.loss, self.settings, self.digest, self.seed = student, loss, train, digest, seed
        self.names = list(standardisers)
        self.standardisers = nn.ModuleList(standardisers.values())
        self._squares: dict[str, Tensor] = {}
        self._started = time.monotonic()

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """Standardised vectors of every teacher."""
        return {name: self.standardised(name, values) for name, values in batch.targets.items()}

    def standardised(self, teacher: str, values: Tensor) -> Tensor:
        """Raw vectors of one teacher, standardised."""
        standardiser: Any = self.standardisers[self.names.index(teacher)]
        return standardiser.transform(values)  # type: ignore[no-any-return]

    def on_train_start(self) -> None:
        """From now on the minutes of the schedule count."""
        self._started = time.monotonic()

    def _elapsed(self) -> float:
        """Share of its time that has passed; 0 if there is no limit."""
        minutes = self.settings.minutes
        return (time.monotonic() - self._started) / (60 * minutes) if minutes else 0.0

    def on_train_batch_end(self, *_: Any) -> None:
        """End the training when its time is over."""
        if self._elapsed() >= 1:
            self.trainer.should_stop = True

    def on_train_batch_start(self, batch: Batch, step: int) -> None:
        """Seed by step, so that a resumed run draws what an uninterrupted one would have drawn."""
        torch.manual_seed(hash((self.seed, self.global_step)) % 2**63)

    def training_step(self, batch: Batch, step: int) -> Tensor:
        """The loss of one batch."""
        out = self._loss(self.student(batch.inputs), self.targets(batch), batch.present)
        if self._logs_this_step():
            parts = {f"train/nll/{name}": value for name, value in out.per_dimension.items()}
            self.log_dict(_mean({"train/loss": out.total.detach(), **parts}), batch_size=1)
        return out.total

    def _logs_this_step(self) -> bool:
        """Whether the trainer writes what is logged now. It would take in the numbers of all steps, at a price."""
        return bool((self.global_step + 1) % self.settings.log_every == 0)

    def _loss(self, z: Tensor, targets: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> LossOutput:
        """The loss of this process' part of a batch; over all processes its mean is the loss of the batch."""
        return self.loss(z, targets, present, mean_over_processes if several() else None)  # type: ignore[no-any-return]

    def on_before_optimizer_step(self, optimiser: torch.optim.Optimizer) -> None:
        """Clip the gradient here: Lightning will not clip for a fused optimiser, though nothing is scaled."""
        norm = nn.utils.clip_grad_norm_(self.parameters(), self.settings.clip)
        if self._logs_this_step():
            self.log("train/gradient_norm", norm, batch_size=1)

    def on_validation_epoch_start(self) -> None:
        """Forget the sums of the last validation."""
        self._squares = {}

    def validation_step(self, batch: Batch, step: int) -> None:
        """Negative log-likelihood of each teacher, share of its variances near the floor, and the sums R² needs."""
        z = self.student(batch.inputs)
        targets = self.targets(batch)
        out = self._loss(z, targets, batch.present)
        losses = _mean({"loss": out.total, **out.per_dimension})
        predicted = {name: self.loss.predict(name, z.float()) for name in targets}
        shares = {name: near_floor(q) for name, q in predicted.items()}
        sums = {"rows": torch.as_tensor(float(len(z)), device=z.device)}
        for name, target in targets.items():
            present = batch.present[name]
            sums[f"rows/{name}"], sums[f"present/{name}"] = out.rows[name], present.sum()
            if (near := shares[name]) is not None:
                sums[f"near/{name}"] = near[present].float().mean(tuple(range(1, near.ndim))).sum()
            error = (target - predicted[name].mean)[present].double().square().sum(0)
            values = target[present].double()
            count = torch.full_like(error, len(values))
            found = torch.stack([error, values.sum(0), values.square().sum(0), count])
            self._squares[name] = self._squares.get(name, 0) + found
        counted = {name: float(value) for name, value in _sum(sums).items()}
        self.log("held_out/loss", losses["loss"], batch_size=int(counted["rows"]))
        for name in targets:
            if not counted[f"present/{name}"]:
                continue
            rows = int(counted[f"rows/{name}"])
            self.log(f"held_out/nll/{name}", losses[name], batch_size=rows)
            if shares[name] is not None:
                share = counted[f"near/{name}"] / counted[f"present/{name}"]
                self.log(f"held_out/at_floor/{name}", share, batch_size=rows)

    def on_validation_epoch_end(self) -> None:
        """R² of each teacher: of its dimensions' total variance, the share that the head's mean explains.

        A dimension that is constant in these rows counts with its error. A teacher without two different rows has
        no R².
        """
        for name, sums in self._squares.items():
            error, total, squares, count = sum_over_processes(sums)
            variance = (squares - total.square() / count).sum()
            if variance > 0:
                self.log(f"held_out/r2/{name}", (1 - error.sum() / variance).float())

    def configure_optimizers(self) -> Any:
        """AdamW without decay on vectors; linear warm-up, then half a cosine to zero."""
        learnt = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learnt if p.ndim > 1], "weight_decay": self.settings.weight_decay},
            {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=self.settings.learning_rate, fused=True)
        warmup = max(1, round(self.settings.warmup * self.settings.steps))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            done = max((step - warmup) / max(1, self.settings.steps - warmup), self._elapsed())
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the config's digest."""
        checkpoint["config_digest"] = self.digest


def _mean(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Numbers by name, averaged over the processes in one go."""
    return dict(zip(values, mean_over_processes(torch.stack(list(values.values()))), strict=True))


def _sum(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Counts by name, added up over the processes in one go; exact up to 2^53."""
    return dict(zip(values, sum_over_processes(torch.stack([v.double() for v in values.values()])), strict=True))
