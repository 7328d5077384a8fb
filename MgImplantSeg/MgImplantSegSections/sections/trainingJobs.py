"""The trainings of all environments, with the states in which they were seen last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from slicer.i18n import tr as _

from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.training_request import TRAINING_COMMANDS
from MgImplantSegSections.sections.queueTable import Entry, QueueTable
from MgImplantSegSections.work import settings

MOST_JOBS = 20
TRAINING = 0
KEPT = ("state", "name", "created", "reason")


class TrainingJobs:
    """The table of trainings, the newest first; those that were started or chosen here are kept on this computer.

    :param table: a `QTableWidget` in which one row can be selected.
    :param onChosen: called when the user has chosen another training.
    """

    def __init__(self, table: Any, onChosen: Callable[[], Any]):
        self._onChosen = onChosen
        self._known = {job: _known(facts) for job, facts in settings.readTable(settings.TRAININGS).get("jobs", [])}
        self.job = settings.read(settings.LAST_TRAINING)
        headers = [_("Training"), _("State"), _("Where"), _("Begun")]
        self._isFilling = True
        self._table = QueueTable(table, headers, (TRAINING,), self.onSelected)
        self._refill()

    def remember(self, job: str, state: str, **facts: Any):
        """A training has begun or is in another state; it is the chosen one now."""
        entry = {**self._known.get(job, {}), **_known({**facts, "state": state})}
        isNew = job not in self._known
        self._known = {job: entry, **self._known} if isNew else {**self._known, job: entry}
        self.job = job
        settings.write(settings.LAST_TRAINING, job)
        self._keep()
        self._refill()

    def learn(self, jobs: Iterable[Mapping[str, Any]]):
        """What the launcher has told of all jobs; trainings that it does not know stay as they were seen last."""
        found = [job for job in jobs if job["command"] in TRAINING_COMMANDS]
        told = {job["reference"]: _known(job) for job in sorted(found, key=lambda job: -job["created"])}
        others = {job: facts for job, facts in self._known.items() if job not in told}
        self._known = {**told, **others}
        self._keep()
        self._refill()

    def onSelected(self):
        """The user has chosen a training; the chosen one stays chosen where nothing is selected."""
        chosen = self._table.selected()
        if self._isFilling or not chosen or chosen[0] == self.job:
            return
        self.job = chosen[0]
        settings.write(settings.LAST_TRAINING, self.job)
        self._onChosen()

    def _keep(self):
        kept = dict(list(self._known.items())[:MOST_JOBS])
        if self.job in self._known:
            kept[self.job] = self._known[self.job]
        settings.writeTable(settings.TRAININGS, {"jobs": list(kept.items())})

    def _refill(self):
        self._isFilling = True
        self._table.replace(_entry(job, facts) for job, facts in self._known.items())
        self._table.select([self.job])
        self._isFilling = False


def _known(facts: Any):
    """What is kept of a job; of one that an earlier version has kept the state alone."""
    facts = {"state": facts} if isinstance(facts, str) else facts
    return {name: facts[name] for name in KEPT if isinstance(facts, Mapping) and name in facts}


def _entry(reference: str, facts: Mapping[str, Any]):
    environment, _slash, job = reference.rpartition("/")
    created = facts.get("created")
    texts = (facts.get("name") or job, stateText(facts.get("state", "")), environment, _when(created))
    return Entry(reference, texts, facts.get("reason") or reference, (*texts[:3], created))


def _when(seconds: float | None):
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def stateText(state: str):
    """What people read for the state of a job."""
    known = {
        State.PENDING.value: _("waiting"),
        State.RUNNING.value: _("running"),
        State.DONE.value: _("done"),
        State.FAILED.value: _("failed"),
        State.CANCELLED.value: _("stopped"),
    }
    return known.get(state, state)
