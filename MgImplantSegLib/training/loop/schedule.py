"""The learning rate over a run, and when it ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from MgImplantSegLib.training.settings.loop_settings import LoopSettings
from MgImplantSegLib.training.settings.schedules import SCHEDULES


@dataclass
class Progress:
    """How far a run is; saved with every checkpoint.

    Attributes
    ----------
    iteration : int
        Optimisation steps done.
    elapsed_s : float
        Time spent, over all parts of an interrupted run.
    best_loss : float
        Least validation loss so far.
    best_iteration : int
        When it was reached.
    halvings : int
        How often the plateau schedule has halved the rate.
    last_change : int
        Iteration of the last better loss or halving.
    """

    iteration: int = 0
    elapsed_s: float = 0.0
    best_loss: float = math.inf
    best_iteration: int = 0
    halvings: int = 0
    last_change: int = 0
    best_scores: dict[str, float] = field(default_factory=dict)

    def note_validation(self, loss: float, scores: dict[str, float], settings: LoopSettings) -> bool:
        """Take a validation loss into account; True if it is the best so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_iteration, self.last_change = loss, self.iteration, self.iteration
            self.best_scores = dict(scores)
            return True
        if self.iteration - self.last_change >= settings.plateau_iterations:
            self.halvings += 1
            self.last_change = self.iteration
        return False

    def share_done(self, settings: LoopSettings) -> float:
        """Share of the run in 0–1: of the iterations or of the time, whichever is ahead."""
        share = self.iteration / settings.iterations
        if settings.time_limit_minutes:
            share = max(share, self.elapsed_s / (60 * settings.time_limit_minutes))
        return min(1.0, share)

    def end_reason(self, settings: LoopSettings) -> str:
        """Why the run ends now, or an empty text."""
        if self.iteration >= settings.iterations:
            return "all iterations done"
        if settings.time_limit_minutes and self.elapsed_s >= 60 * settings.time_limit_minutes:
            return "time limit reached"
        stale = self.iteration - self.best_iteration
        if settings.early_stopping_iterations and stale >= settings.early_stopping_iterations:
            return "no better validation loss"
        return ""


def learning_rate(progress: Progress, settings: LoopSettings) -> float:
    """The rate of the next step."""
    share = SCHEDULES[settings.schedule].share
    least = settings.least_learning_rate_share
    part = share(progress.share_done(settings), progress.halvings, least)
    return settings.learning_rate * _warmup(progress, settings) * part


def _warmup(progress: Progress, settings: LoopSettings) -> float:
    return min(1.0, (progress.iteration + 1) / (settings.warmup_iterations + 1))
