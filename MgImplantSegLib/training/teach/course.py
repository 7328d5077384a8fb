"""The course of a round: how far it is, the learning rate, when it has settled, when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from MgImplantSegLib.training.teach.settings import TeachSettings

LEAST_RATE_SHARE = 0.02
SETTLED_FALL = 0.01  # of the loss from one half of the window to the other: less is no progress


class Course:
    """Iterations and time of one round.

    The rate rises over a few steps, stays, and falls over the last part. When the loss no longer falls, the last part
    begins at once and is as long as it would have been in a round that ends then.

    Parameters
    ----------
    settings : TeachSettings
        Minutes and iterations, whichever come first.
    started : float
        `clock` when the user began to wait.
    reserved_s : float
        Time to keep for what comes after learning.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        settings: TeachSettings,
        started: float,
        reserved_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.iteration = settings, 0
        self._started, self._clock = started, clock
        self._first = clock()
        self._seconds = max(1.0, 60 * settings.minutes - (self._first - started) - reserved_s)
        self._cooldown_from, self._end = 1 - settings.cooldown_share, 1.0
        self._losses: list[float] = []
        self.settled = False

    @property
    def elapsed_s(self) -> float:
        """Since the user began to wait."""
        return self._clock() - self._started

    def share(self) -> float:
        """How far the round is, 0–1, by iterations or by time, whichever is ahead."""
        settings, shares = self.settings, [0.0]
        if settings.iterations:
            shares.append(self.iteration / settings.iterations)
        if settings.minutes:
            shares.append((self._clock() - self._first) / self._seconds)
        return min(1.0, max(shares))

    def done(self, share: float) -> float:
        """The same as part of what is still to come once the round has settled."""
        return min(1.0, share / self._end)

    def is_over(self, share: float) -> bool:
        """Whether the round ends now."""
        return share >= self._end

    def rate(self, share: float) -> float:
        """The learning rate of the next step."""
        warm = min(1.0, (self.iteration + 1) / (self.settings.warmup_iterations + 1))
        length = self._end - self._cooldown_from
        late = (share - self._cooldown_from) / length if length > 0 else 0.0
        return self.settings.learning_rate * warm * (1 - (1 - LEAST_RATE_SHARE) * min(1.0, max(0.0, late)))

    def note(self, loss: float) -> bool:
        """Count a step with its loss; True if the loss no longer falls."""
        self.iteration += 1
        self._losses.append(loss)
        window = self.settings.settled_iterations
        if not window or len(self._losses) < window:
            return False
        half = window // 2
        before, now = self._losses[-2 * half : -half], self._losses[-half:]
        return sum(now) > (1 - SETTLED_FALL) * sum(before)

    def forget_losses(self) -> None:
        """From now on other data are learned from."""
        self._losses.clear()

    def settle(self, share: float) -> None:
        """Begin the last part now."""
        if self.settled or share >= self._cooldown_from:
            return
        self.settled = True
        cooldown = self.settings.cooldown_share
        self._cooldown_from, self._end = share, min(1.0, share / (1 - cooldown))
