"""The training loop: steps, validations, checkpoints, and when it ends."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

from MgImplantSegLib.base.errors import Cancelled, InputError
from MgImplantSegLib.base.events import Events, Task
from MgImplantSegLib.training.data.patches import PatchBatches
from MgImplantSegLib.training.loop.checkpoint import save_checkpoint
from MgImplantSegLib.training.loop.history import Row, write_history
from MgImplantSegLib.training.loop.learner import Learner
from MgImplantSegLib.training.loop.losses import build_loss
from MgImplantSegLib.training.loop.process import StopRequest
from MgImplantSegLib.training.loop.schedule import Progress, learning_rate
from MgImplantSegLib.training.loop.score import mean_defined
from MgImplantSegLib.training.loop.validation import ValidationResult, ValidationSlices, validate
from MgImplantSegLib.training.settings.configuration import TrainingConfig

LAST, BEST = "last.pt", "best.pt"
SECONDS_BETWEEN_METRICS = 10.0
STOPPED = "stopped on request"


@dataclass(frozen=True)
class TrainingData:
    """Patches to learn from, and slices to validate on."""

    patches: PatchBatches
    validation: ValidationSlices


class Trainer:
    """The course of a training run; `run` is the loop.

    Parameters
    ----------
    learner : Learner
        The network and what a step is.
    data : TrainingData
        Where batches come from.
    stop : StopRequest
        Asked before every iteration.
    """

    def __init__(
        self, config: TrainingConfig, learner: Learner, data: TrainingData, stop: StopRequest, events: Events
    ) -> None:
        self.config, self.settings, self.learner, self.data = config, config.training, learner, data
        self.world, self.device = learner.world, learner.arithmetic.device
        self.stop, self.events = stop, events
        self.validation_loss = build_loss(self.settings.loss, self.settings.loss_options, config.data.scheme)
        self.progress = Progress()
        self.history: list[Row] = []
        self.recent_losses: list[float] = []
        self._saved_at = self._reported_at = time.monotonic()

    def run(self) -> str:
        """Train to the end; returns why it ended."""
        batches = self.data.patches.batches(
            self.progress.iteration, self.settings.iterations, self.settings.workers, pin=self.device.type == "cuda"
        )
        started = time.monotonic() - self.progress.elapsed_s
        share_before = self.progress.share_done(self.settings)
        with self.events.task("training", 100 * (1 - share_before)) as task:
            while not (reason := self._end_reason(started)):
                loss = self.learner.step(next(batches), learning_rate(self.progress, self.settings))
                self.progress.iteration += 1
                self.recent_losses.append(loss)
                if self.progress.iteration % self.config.validation.every_iterations == 0:
                    self.validate_and_save()
                self._save_now_and_then()
                self._report_now_and_then(loss)
                self._advance(task, share_before)
        return self._finish(reason)

    def validate_and_save(self) -> None:
        """Validate, note the result, write the checkpoints; ``best.pt`` where it is the best so far."""
        result = self._validate()
        scores = self._scores(result)
        is_best = self.progress.note_validation(result.loss, scores, self.settings)
        row = {
            "iteration": self.progress.iteration,
            "elapsed_s": round(self.progress.elapsed_s, 1),
            "learning_rate": learning_rate(self.progress, self.settings),
            "training_loss": sum(self.recent_losses) / max(1, len(self.recent_losses)),
            "validation_loss": result.loss,
            **scores,
        }
        self.recent_losses = []
        self.history.append(row)
        self.events.metric(**row)
        if self.world.is_main:
            write_history(self.history, self.config.run_folder)
        if is_best:
            self.save(BEST)
        self.save(LAST)

    def save(self, name: str) -> None:
        """Write a checkpoint into the run's folder."""
        if self.world.is_main:
            save_checkpoint(self.config.run_folder / name, self.state() if name == LAST else self.weights_state())
        self._saved_at = time.monotonic()

    def weights_state(self) -> dict[str, Any]:
        """What is needed to export the network."""
        return {"weights": self.learner.trained_network.state_dict(), "progress": asdict(self.progress)}

    def state(self) -> dict[str, Any]:
        """Everything that the run depends on, for `load_state`."""
        return {
            "configuration": self.config.to_dict(),
            "progress": asdict(self.progress),
            "history": self.history,
            "recent_losses": self.recent_losses,
            "learner": self.learner.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue where `state` was saved."""
        self.learner.load_state(state["learner"])
        self.progress = Progress(**state["progress"])
        self.history, self.recent_losses = list(state["history"]), list(state["recent_losses"])

    def _validate(self) -> ValidationResult:
        classes = len(self.config.data.classes)
        result = validate(
            self.learner.predict, self.data.validation, self.validation_loss, classes, self.device, self.world
        )
        if not math.isfinite(result.loss):
            raise InputError(
                f"Expected a finite validation loss, got {result.loss} at iteration {self.progress.iteration}.",
                "Lower the learning rate, or train with fp32.",
            )
        return result

    def _scores(self, result: ValidationResult) -> dict[str, float]:
        named = zip(self.config.data.classes, result.iou, strict=True)
        return {**{f"iou_{role}": iou for role, iou in named}, "mean_iou": mean_defined(result.iou)}

    def _end_reason(self, started: float) -> str:
        """Why the run ends now, the same on all ranks, which also take over the longest of their times."""
        asked = self.stop()
        try:
            self.events.check_cancelled()
        except Cancelled:
            asked = True
        elapsed_s = time.monotonic() - started
        asked, self.progress.elapsed_s = self.world.agree(asked, elapsed_s, self.device)
        return STOPPED if asked else self.progress.end_reason(self.settings)

    def _save_now_and_then(self) -> None:
        interval_s = 60 * self.settings.checkpoint_minutes
        if interval_s and time.monotonic() - self._saved_at >= interval_s:
            self.save(LAST)

    def _report_now_and_then(self, loss: float) -> None:
        if time.monotonic() - self._reported_at < SECONDS_BETWEEN_METRICS:
            return
        self._reported_at = time.monotonic()
        patches_per_second = self.progress.iteration * self.settings.batch_size / max(self.progress.elapsed_s, 1e-9)
        self.events.metric(
            iteration=self.progress.iteration,
            loss=loss,
            learning_rate=learning_rate(self.progress, self.settings),
            patches_per_second=round(patches_per_second, 2),
        )

    def _advance(self, task: Task, share_before: float) -> None:
        try:
            task.advance(100 * (self.progress.share_done(self.settings) - share_before) - task.done)
        except Cancelled:
            self.stop.ask()

    def _finish(self, reason: str) -> str:
        """Save where it stopped, or validate once more what has been learned since the last validation."""
        if reason == STOPPED:
            self.save(LAST)
            self.events.warning(
                f"Stopped at iteration {self.progress.iteration}; resume it in {self.config.run_folder} to continue.",
                "stopped",
            )
        elif self.recent_losses or not self.history:
            self.validate_and_save()
        return reason
