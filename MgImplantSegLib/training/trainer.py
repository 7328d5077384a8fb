"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from MgImplantSegLib.errors import Cancelled, InputError
from MgImplantSegLib.events import Events
from MgImplantSegLib.training.augmentation import Augmentation
from MgImplantSegLib.training.average import AveragedNetwork
from MgImplantSegLib.training.checkpoint import save_checkpoint
from MgImplantSegLib.training.configuration import TrainingConfig
from MgImplantSegLib.training.distributed import World, with_global_batch_norm
from MgImplantSegLib.training.fast_mish import with_fast_mish
from MgImplantSegLib.training.geometry_augmentation import RawBatch
from MgImplantSegLib.training.history import Row, write_history
from MgImplantSegLib.training.losses import build_loss
from MgImplantSegLib.training.patches import PatchBatches
from MgImplantSegLib.training.precision import Arithmetic
from MgImplantSegLib.training.process import StopRequest
from MgImplantSegLib.training.schedule import Progress, learning_rate
from MgImplantSegLib.training.score import mean_defined
from MgImplantSegLib.training.validation import ValidationResult, ValidationSlices, validate

LAST, BEST = "last.pt", "best.pt"
SECONDS_BETWEEN_METRICS = 10.0
STOPPED = "stopped on request"


@dataclass(frozen=True)
class TrainingData:
    """Patches to learn from, slices to validate on, and the step between: augmentation."""

    patches: PatchBatches
    augment: Augmentation
    validation: ValidationSlices


class Trainer:
    """Trains a network; `run` is the loop.

    Parameters
    ----------
    config : TrainingConfig
        The whole configuration.
    network : Module
        With its first weights.
    data : TrainingData
        Where batches come from.
    arithmetic : Arithmetic
        Device and precision.
    world : World
        This process among others.
    stop : StopRequest
        Asked before every iteration.
    events : Events
        Progress and metrics.
    """

    def __init__(
        self, config: TrainingConfig, network: nn.Module, data: TrainingData, arithmetic: Arithmetic, world: World,
        stop: StopRequest, events: Events,
    ) -> None:  # fmt: skip
        self.config, self.settings, self.data = config, config.training, data
        self.arithmetic, self.world, self.stop, self.events = arithmetic, world, stop, events
        network = with_global_batch_norm(network, world)
        if arithmetic.device.type == "cpu" and not self.settings.compile:
            network = with_fast_mish(network)
        self.network = network.to(arithmetic.device, memory_format=torch.channels_last)
        self.average = AveragedNetwork(self.network, self.settings.ema_decay) if self.settings.ema_decay else None
        self.model = self._wrapped(self.network)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), self.settings.learning_rate, self.settings.betas,
            weight_decay=self.settings.weight_decay,
        )  # fmt: skip
        self.scaler = arithmetic.scaler()
        self.loss = build_loss(self.settings.loss, self.settings.loss_options, world.sum)
        self.validation_loss = build_loss(self.settings.loss, self.settings.loss_options)
        self.progress = Progress()
        self.history: list[Row] = []
        self.recent_losses: list[float] = []

    @property
    def trained_network(self) -> nn.Module:
        """The network that is validated and exported: the averaged one where there is one."""
        return self.average.network if self.average else self.network

    def run(self) -> str:
        """Train to the end; returns why it ended."""
        pin = self.arithmetic.device.type == "cuda"
        batches = self.data.patches.batches(
            self.progress.iteration, self.settings.iterations, self.settings.workers, pin
        )
        saved_at = reported_at = started = time.monotonic() - self.progress.elapsed_s
        with self.events.task("training", 100.0) as task:
            while not (reason := self._end_reason(started)):
                loss = self.step(next(batches).to(self.arithmetic.device))
                self.progress.iteration += 1
                self.recent_losses.append(loss)
                if self.progress.iteration % self.config.validation.every_iterations == 0:
                    self.validate_and_save()
                    saved_at = time.monotonic()
                elif self._is_due(saved_at, 60 * self.settings.checkpoint_minutes):
                    self.save(LAST)
                    saved_at = time.monotonic()
                if time.monotonic() - reported_at >= SECONDS_BETWEEN_METRICS:
                    self._report(loss)
                    reported_at = time.monotonic()
                self._advance(task)
        return self._finish(reason)

    def step(self, batch: RawBatch) -> float:
        """One optimisation step on this rank's part of a global batch; returns the loss of the global batch."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.progress, self.settings)
        self.model.train()
        parts = batch.split(self.settings.accumulate)
        total = 0.0
        for number, part in enumerate(parts):
            images, labels = self.data.augment(part)
            images = images.to(memory_format=torch.channels_last)
            with self._gradients_summed(number == len(parts) - 1):
                with self.arithmetic.autocast():
                    logits = self.model(images)
                loss = self.loss(logits, labels) / len(parts)
                self._require_finite(loss, images, part)
                self.scaler.scale(loss).backward()
            total += float(loss.detach())
        self._update()
        return total

    def validate_and_save(self) -> None:
        """Validate, note the result, write the checkpoints; ``best.pt`` where it is the best so far."""
        result = self.validate()
        scores = self._scores(result)
        self._check_validation_loss(result)
        is_best = self.progress.note_validation(result.loss, scores, self.settings)
        training_loss = sum(self.recent_losses) / max(1, len(self.recent_losses))
        self.recent_losses = []
        row = {
            "iteration": self.progress.iteration, "elapsed_s": round(self.progress.elapsed_s, 1),
            "learning_rate": learning_rate(self.progress, self.settings),
            "training_loss": training_loss, "validation_loss": result.loss, **scores,
        }  # fmt: skip
        self.history.append(row)
        self.events.metric(**row)
        if self.world.is_main:
            write_history(self.history, self.config.run_folder)
        if is_best:
            self.save(BEST)
        self.save(LAST)

    def validate(self) -> ValidationResult:
        """Loss and IoU of the network that would be exported now."""
        network = self.trained_network.eval()

        def predict(images: torch.Tensor) -> torch.Tensor:
            with self.arithmetic.autocast():
                return network(images.to(memory_format=torch.channels_last)).float()

        classes = len(self.config.data.classes)
        return validate(
            predict, self.data.validation, self.validation_loss, classes, self.arithmetic.device, self.world
        )

    def save(self, name: str) -> None:
        """Write a checkpoint into the run's folder."""
        if self.world.is_main:
            save_checkpoint(self.config.run_folder / name, self.state() if name == LAST else self.weights_state())

    def weights_state(self) -> dict[str, Any]:
        """What is needed to export the network."""
        return {
            "weights": self.trained_network.state_dict(), "progress": asdict(self.progress), "history": self.history,
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Everything that the run depends on, for `load_state`."""
        return {
            **self.weights_state(),
            "configuration": self.config.to_dict(),
            "network": self.network.state_dict(),
            "average_updates": self.average.updates if self.average else 0,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "recent_losses": self.recent_losses,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was saved."""
        self.network.load_state_dict(state["network"])
        if self.average:
            self.average.network.load_state_dict(state["weights"])
            self.average.updates = state["average_updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.history, self.recent_losses = list(state["history"]), list(state["recent_losses"])

    def _wrapped(self, network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        model = network
        if self.world.size > 1:
            devices = [self.arithmetic.device] if self.arithmetic.device.type == "cuda" else None
            model = DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)
        return torch.compile(model) if self.settings.compile else model

    def _gradients_summed(self, now: bool) -> Any:
        waits = self.world.size > 1 and not now
        return self.model.no_sync() if waits else nullcontext()

    def _update(self) -> None:
        if self.settings.gradient_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.network)

    def _require_finite(self, loss: torch.Tensor, images: torch.Tensor, part: RawBatch) -> None:
        """Raise InputError that names the samples if the loss is NaN or infinite; all ranks do so together."""
        if math.isfinite(float(loss.detach())):
            return
        bad = (~images.isfinite()).flatten(1).any(1).tolist()
        named = [name for name, is_bad in zip(part.samples, bad, strict=True) if is_bad] or list(part.samples)
        names = sorted({name for names in self.world.gather(named) for name in names})
        raise InputError(
            f"Expected a finite loss, got {float(loss.detach())} at iteration {self.progress.iteration + 1} in a batch "
            f"with the sample{'s' if len(names) > 1 else ''} {', '.join(names)}.",
            "Check these samples, lower the learning rate, or go on from the last checkpoint with fp32.",
        )

    def _check_validation_loss(self, result: ValidationResult) -> None:
        if not math.isfinite(result.loss):
            raise InputError(
                f"Expected a finite validation loss, got {result.loss} at iteration {self.progress.iteration}.",
                "Lower the learning rate, or train with fp32.",
            )

    def _end_reason(self, started: float) -> str:
        """Why the run ends now, the same on all ranks; also takes the time of rank 0 for all."""
        asked = self.stop()
        try:
            self.events.check_cancelled()
        except Cancelled:
            asked = True
        elapsed_s = time.monotonic() - started
        asked, self.progress.elapsed_s = self.world.agree(asked, elapsed_s, self.arithmetic.device)
        return STOPPED if asked else self.progress.end_reason(self.settings)

    def _is_due(self, since: float, interval_s: float) -> bool:
        return interval_s > 0 and self.world.is_main and time.monotonic() - since >= interval_s

    def _report(self, loss: float) -> None:
        rate = learning_rate(self.progress, self.settings)
        patches = self.progress.iteration * self.settings.batch_size / max(self.progress.elapsed_s, 1e-9)
        self.events.metric(iteration=self.progress.iteration, loss=loss, learning_rate=rate,
                           patches_per_second=round(patches, 2))  # fmt: skip

    def _advance(self, task: Any) -> None:
        try:
            task.advance(100 * self.progress.share_done(self.settings) - task.done)
        except Cancelled:
            self.stop.ask()

    def _finish(self, reason: str) -> str:
        if reason == STOPPED:
            self.save(LAST)
        elif self.progress.iteration % self.config.validation.every_iterations or not self.history:
            self.validate_and_save()
        return reason

    def _scores(self, result: ValidationResult) -> dict[str, float]:
        named = zip(self.config.data.classes, result.iou, strict=True)
        return {**{f"iou_{role}": iou for role, iou in named}, "mean_iou": mean_defined(result.iou)}
