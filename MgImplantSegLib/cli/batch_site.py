"""One environment of a batch: what it is given, the jobs that work on it, and their results as they come."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from MgImplantSegLib.base.choices import Choice
from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.options import values_of
from MgImplantSegLib.cli.batch_jobs_file import KnownArray
from MgImplantSegLib.cli.batch_keys import BatchOptions
from MgImplantSegLib.cli.batch_pool import Pool
from MgImplantSegLib.cli.batch_samples import Sample
from MgImplantSegLib.cli.batch_table import FAILED
from MgImplantSegLib.cli.batch_workers import row_of
from MgImplantSegLib.cli.elsewhere import word
from MgImplantSegLib.cli.job_manifest import NAME_THERE, manifest_text
from MgImplantSegLib.cli.measure_options import measure_declarations
from MgImplantSegLib.cli.opening_options import opening_declarations
from MgImplantSegLib.cli.segment_options import segment_declarations
from MgImplantSegLib.cli.stop_signals import word_of
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.request import InputText, JobRequest, Word

COMMAND, OUT_THERE = "batch", "out"
LEAVE, CANCEL = "leave", "cancel"
WHEN_STOPPED = {
    LEAVE: Choice("leave", "they continue, and the same command collects their results"),
    CANCEL: Choice("cancel", "they are stopped"),
}
BAD_JOBS_IN_A_ROW = 2


class UnusableEnvironment(MgImplantSegError):
    """Jobs end badly there, one after the other."""

    kind = "environment"


@dataclass
class OpenJob:
    """A job that is not over, with the samples that it still owes."""

    name: str
    owed: list[str]
    offset: int = 0


class Site:
    """The part of one environment in a batch.

    Parameters
    ----------
    is_alone : bool
        Whether no other environment shares the samples. It gets all of them at once then, in arrays where there is a
        queue; otherwise it gets as many as may run at once, and more when these are done.
    """

    def __init__(self, environment: Environment, pool: Pool, events: Events, is_alone: bool) -> None:
        self.environment, self.name, self.is_alone = environment, environment.name, is_alone
        self._pool, self._arguments, self._events = pool, pool.arguments, events
        self._open: dict[str, OpenJob] = {}
        self._left: list[str] = []
        self._bad_jobs, self._why = 0, ""

    @property
    def is_idle(self) -> bool:
        """Whether no job of it is open."""
        return not self._open

    def take_up(self, array: KnownArray) -> None:
        """Note the jobs of an array of an earlier start that owe samples which are still wanted."""
        for index, names in enumerate(array.tasks):
            if owed := self._pool.claim(array, names):
                self._open[f"{array.name}-{index}"] = OpenJob(f"{array.name}-{index}", owed)

    def submit(self, backend: Backend) -> None:
        """Start jobs for the samples that this environment takes now; noted before, so that a cut loses nothing."""
        tasks = self._tasks(self._pool.take(self.name, self._wanted()))
        if not tasks:
            return
        try:
            arrays = self._arrays(tasks, backend.array_limit())
            self._pool.submitted(arrays, self.name, [job.rpartition("-")[0] for job in self._open])
            self._submit(backend, arrays)
        except BaseException:
            held = {name for job in self._open.values() for name in job.owed}
            self._pool.give_back([name for task in tasks for name in task if name not in held])
            raise

    def collect(self, backend: Backend, is_first: bool = False) -> bool:
        """Look at all open jobs once, and take what they have finished; whether there was any news.

        At the first look after a new start a job that ended badly owes nothing: its samples are submitted again. Raises
        UnusableEnvironment if the samples are shared, and two jobs after each other have ended badly.
        """
        jobs, has_news = list(self._open.values()), False
        answers = backend.look_all([job.name for job in jobs], [job.offset for job in jobs]) if jobs else []
        for job, answer in zip(jobs, answers, strict=True):
            state = State(answer["state"])
            if state is State.RUNNING and job.owed:
                self._pool.mark_running(job.owed[0])
            for record in answer["events"]:
                has_news |= self._take_event(backend, job, record, is_first)
            job.offset = answer["offset"]
            if state.is_final:
                has_news = True
                self._close(job, state, answer, is_first)
        if self._bad_jobs >= BAD_JOBS_IN_A_ROW:
            self.give_up()
            self.stop_what_was_given_up(backend)
            raise UnusableEnvironment(self._why)
        return has_news

    def give_up(self) -> None:
        """The environment cannot be used now: others do what its jobs owe, and these are stopped when it can again."""
        jobs, self._open = self._open, {}
        self._left += jobs
        self._pool.give_back([name for job in jobs.values() for name in job.owed])

    def stop_what_was_given_up(self, backend: Backend) -> None:
        """Have the jobs stopped whose samples others do by now."""
        if self._left:
            backend.ask_to_stop(self._left)
            self._left = []

    def leave(self, backend: Backend) -> None:
        """After a stop the jobs continue, or all are stopped; what the stop file says comes first."""
        if not self._open:
            return
        wish = word_of(self._arguments.stop_file)
        if (wish if wish in WHEN_STOPPED else self._arguments.when_stopped) != CANCEL:
            self._pool.warn(
                f"{len(self._open)} jobs in {self.name} go on; the same command collects their results, "
                "with --when-stopped cancel and Ctrl-C it stops them."
            )
            return
        backend.ask_to_stop(list(self._open))
        for job in self._open:
            backend.cancel(job)
        self._pool.stopped(self.name)

    def _wanted(self) -> int | None:
        """How many samples this environment can take now; None: all."""
        if self.is_alone:
            return None
        places = (self._arguments.at_once or 1) - len(self._open)
        return max(0, places) * self._arguments.scans_per_task

    def _tasks(self, names: Sequence[str]) -> list[list[str]]:
        """The samples of each task: few where tasks are held back, else as many tasks as may run at once."""
        size = self._arguments.scans_per_task
        if self.is_alone and not self.environment.has_queue:
            size = max(size, math.ceil(len(names) / (self._arguments.at_once or 1)))
        return [list(names[start : start + size]) for start in range(0, len(names), size)]

    def _arrays(self, tasks: Sequence[list[str]], limit: int | None) -> list[KnownArray]:
        """The tasks in arrays of `limit` at most."""
        step = limit or len(tasks)
        parts = [tasks[start : start + step] for start in range(0, len(tasks), step)]
        return [
            KnownArray(
                f"batch-{uuid.uuid4().hex[:10]}",
                self.name,
                part,
                {name: self._pool.keys[name] for task in part for name in task},
            )
            for part in parts
        ]

    def _submit(self, backend: Backend, arrays: Sequence[KnownArray]) -> None:
        """One array after the other waits for the one before where no more than some tasks may run at once."""
        at_once, last = self._arguments.at_once or 0, ""
        for array in arrays:
            members = [self._pool.samples[name] for task in array.tasks for name in task]
            request = JobRequest(tuple(self._words(members)), COMMAND, checkpoint=OUT_THERE)
            further = [[f"--only={name}" for name in task] for task in array.tasks]
            jobs = backend.submit_array(request, array.name, further, at_once, self._events, last if at_once else "")
            self._open |= {job: OpenJob(job, list(task)) for job, task in zip(jobs, array.tasks, strict=True)}
            last = jobs[-1]

    def _words(self, samples: Sequence[Sample]) -> list[Word]:
        """The command there: its manifest names the files where they are there."""
        words: list[Word] = [COMMAND, InputText(NAME_THERE, lambda there: manifest_text(samples, there)), OUT_THERE]
        declared = (BatchOptions, *segment_declarations(), *opening_declarations(), *measure_declarations())
        for entry, value in values_of(self._arguments, *declared):
            for single in value if entry.option.many else (value,):
                if single is not None and single is not False and entry.option.changes_result:
                    words.append(word(entry.flag, entry.option.kind.parse, single))
        return words

    def _take_event(self, backend: Backend, job: OpenJob, record: dict[str, Any], is_first: bool) -> bool:
        if record.get("event") != "sample":
            return False
        row = row_of(record)
        if row is None or row.sample not in job.owed:
            return False
        if row.state == FAILED:
            if not is_first:  # at a new start it is tried again as soon as the job is over
                job.owed.remove(row.sample)
                self._pool.fail(row.sample, row.problem)
            return True
        self._pool.collect(
            row.sample, job.name, lambda folder: backend.fetch(job.name, folder, Events(), f"{OUT_THERE}/{row.sample}/")
        )
        job.owed.remove(row.sample)
        self._bad_jobs = 0
        return True

    def _close(self, job: OpenJob, state: State, answer: dict[str, Any], is_first: bool) -> None:
        """A job that is over: what it owes still has failed, or is done again, elsewhere or at a new start."""
        del self._open[job.name]
        if not job.owed:
            return
        if is_first:
            self._pool.give_back(job.owed)
            return
        why = f"{answer['reason']} {answer['remedy']}".strip() or "It told no result of this sample."
        self._why = f"{self.name}/{job.name}, {state.value}: {why}"
        if self.is_alone:
            for name in job.owed:
                self._pool.fail(name, self._why)
        else:
            self._bad_jobs += 1
            self._pool.ended_badly(job.owed, self.name, self._why)
