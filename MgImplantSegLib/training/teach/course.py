"""The course of a round: how far it is, the learning rate, when it has settled, when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from MgImplantSegLib.training.teach.settings import TeachSettings

LEAST_RATE_SHARE = 0.02
SETTLED_FALL = 0.01  # of the loss from one half of the window to the other: less is no progress
SETTLED_MEASUREMENTS = 4  # on held-out slices, none of them better than all before
SETTLED_GAIN = 0.01  # of mean IoU: less is no better


class Course:
    """Iterations and time of one round, of one part or of two.

    In each part the rate stays high and falls over the last share of it. When the loss no longer falls, or the IoU on
    held-out slices no longer rises, the rate begins to fall at once, and the part ends as early as one would that had
    been planned to; a last part that follows is shorter in the same proportion.

    Parameters
    ----------
    settings : TeachSettings
        Minutes and iterations, whichever come first.
    started : float
        `clock` when the user began to wait.
    reserved_s : float
        Time to keep for what comes after learning.
    first_part : float
        Share of the round that a part of its own comes first; 0: the round is one part.
    clock : callable
        Seconds.
    wants_end : callable
        Whether the user wants the round to end now, with what has been learned so far.
    """

    def __init__(
        self,
        settings: TeachSettings,
        started: float,
        reserved_s: float = 0.0,
        first_part: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        wants_end: Callable[[], bool] = lambda: False,
    ) -> None:
        self.settings, self.iteration = settings, 0
        self._started, self._clock, self._wants_end = started, clock, wants_end
        self.is_stopped = False
        self._first = clock()
        self._seconds = max(1.0, 60 * settings.minutes - (self._first - started) - reserved_s)
        self._losses: list[float] = []
        self._held_out: list[float] = []
        self.settled = False
        self._first_part = first_part or 1.0
        self._is_last = not first_part
        self._end = self._first_part
        self._begin(0.0, self._end)

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
        """The same as part of what is still to come once the last part has settled."""
        return min(1.0, share / self._end) if self._is_last else share

    def part_is_over(self, share: float) -> bool:
        """Whether the present part ends now; `is_stopped` if the user wants the whole round to."""
        self.is_stopped = self.iteration > 0 and self._wants_end()
        return share >= self._end or self.is_stopped

    def begin_last_part(self, share: float) -> None:
        """Go on with the rate high again, and with other losses."""
        self._losses.clear()
        self._is_last = True
        self._begin(share, min(1.0, share / self._first_part) if self.settled else 1.0)

    def rate(self, share: float) -> float:
        """The learning rate of the next step."""
        warm = min(1.0, (self.iteration + 1) / (self.settings.warmup_iterations + 1))
        length = self._end - self._cooldown_from
        late = (share - self._cooldown_from) / length if length > 0 else 0.0
        return self.settings.learning_rate * warm * (1 - (1 - LEAST_RATE_SHARE) * min(1.0, max(0.0, late)))

    def note(self, loss: float, share: float) -> None:
        """Count a step with its loss; when losses no longer fall, the part comes to its end."""
        self.iteration += 1
        self._losses.append(loss)
        window = self.settings.settled_iterations
        if not window or len(self._losses) < window or share >= self._cooldown_from:
            return
        half = window // 2
        before, now = self._losses[-2 * half : -half], self._losses[-half:]
        if sum(now) > (1 - SETTLED_FALL) * sum(before):
            self._settle(share)

    def note_held_out(self, mean_iou: float, share: float) -> None:
        """Count a measurement on held-out slices; when they no longer rise, the part comes to its end."""
        self._held_out.append(mean_iou)
        before, now = self._held_out[:-SETTLED_MEASUREMENTS], self._held_out[-SETTLED_MEASUREMENTS:]
        if before and share < self._cooldown_from and max(now) < max(before) + SETTLED_GAIN:
            self._settle(share)

    def _settle(self, share: float) -> None:
        cooldown = self.settings.cooldown_share
        self.settled = True
        self._cooldown_from = share
        self._end = min(self._end, share + (share - self._part_from) * cooldown / (1 - cooldown))

    def _begin(self, start: float, end: float) -> None:
        self._part_from, self._end = start, end
        self._cooldown_from = end - self.settings.cooldown_share * (end - start)
