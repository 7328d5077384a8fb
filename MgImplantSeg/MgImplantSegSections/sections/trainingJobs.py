"""The trainings that were started from this computer, with the state in which they were seen last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from MgImplantSegSections.work import settings

MOST_JOBS = 20


class TrainingJobs:
    """The combo box of trainings, the newest first; kept on this computer.

    :param onChosen: called when the user has chosen another training.
    """

    def __init__(self, selector: Any, onChosen: Callable[[], Any]):
        self._selector, self._onChosen = selector, onChosen
        self._states = dict(settings.readTable(settings.TRAININGS).get("jobs", []))
        self.job = settings.read(settings.LAST_TRAINING)
        selector.connect("activated(int)", self.onActivated)
        self._refill()

    def remember(self, job: Any, state: Any):
        """A training has begun or is in another state; it is the chosen one now."""
        others = {key: value for key, value in self._states.items() if key != job}
        isNew = job not in self._states
        kept = {job: state, **others} if isNew else {**self._states, job: state}
        self._states, self.job = dict(list(kept.items())[:MOST_JOBS]), job
        settings.writeTable(settings.TRAININGS, {"jobs": list(self._states.items())})
        settings.write(settings.LAST_TRAINING, job)
        self._refill()

    def onActivated(self, index: int):
        """The user has chosen a training."""
        self.job = list(self._states)[index]
        settings.write(settings.LAST_TRAINING, self.job)
        self._onChosen()

    def _refill(self):
        self._selector.clear()
        self._selector.addItems([f"{job}  {stateText(state)}".strip() for job, state in self._states.items()])
        if self.job in self._states:
            self._selector.setCurrentIndex(list(self._states).index(self.job))


def stateText(state: Any):
    """What people read for the state of a job."""
    known = {
        "queued": _("waiting"),
        "running": _("running"),
        "done": _("done"),
        "failed": _("failed"),
        "cancelled": _("stopped"),
    }
    return known.get(state, state)
