"""A batch on a cluster: one array of jobs whose results are collected as they come; the same command goes on.

What was submitted stands in ``batch-jobs.json`` in the folder of the results, before it is submitted. A sample belongs
to a job as long as its key, made of options and contents, is the one that was submitted.
"""

from __future__ import annotations

import argparse
import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import Cancelled, InputError, MgImplantSegError
from MgImplantSegLib.base.events import Events, Task
from MgImplantSegLib.base.file_digests import FileDigests
from MgImplantSegLib.base.files import atomic_folder
from MgImplantSegLib.base.options import values_of
from MgImplantSegLib.base.protected_files import protected_files
from MgImplantSegLib.cli.batch_board import Board
from MgImplantSegLib.cli.batch_jobs_file import KnownArray, read_arrays, write_arrays
from MgImplantSegLib.cli.batch_keys import BatchOptions, finished_row, inputs_of, require_own_folder, work_key
from MgImplantSegLib.cli.batch_record import RECORD, read_record
from MgImplantSegLib.cli.batch_samples import Sample
from MgImplantSegLib.cli.batch_table import FAILED, RUNNING, WAITING
from MgImplantSegLib.cli.batch_workers import row_of
from MgImplantSegLib.cli.elsewhere import word
from MgImplantSegLib.cli.job_manifest import NAME_THERE, manifest_text
from MgImplantSegLib.cli.measure_options import measure_declarations
from MgImplantSegLib.cli.opening_options import opening_declarations
from MgImplantSegLib.cli.segment_options import segment_declarations
from MgImplantSegLib.cli.user_errors import as_user_error
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.request import InputText, JobRequest, Word

COMMAND, OUT_THERE, CANCEL = "batch", "out", "cancel"
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.3, 5.0


@dataclass
class OpenJob:
    """A job that is not over, with the samples that it still owes."""

    name: str
    owed: list[str]
    offset: int = 0


class ClusterBatch:
    """One start of a batch on a cluster, or on a host without a queue.

    Parameters
    ----------
    samples : list of Sample
        All of the batch.
    arguments : Namespace
        Of the command line.
    environment : Environment
        Where the jobs run.
    board : Board
        Where their rows go.
    events : Events
        Progress, warnings, cancellation.
    """

    def __init__(
        self,
        samples: list[Sample],
        arguments: argparse.Namespace,
        environment: Environment,
        board: Board,
        events: Events,
    ) -> None:
        self._samples = {sample.name: sample for sample in samples}
        self._arguments, self._board, self._events = arguments, board, events
        self._environment = environment
        self._keys: dict[str, str] = {}
        self._digests: dict[str, FileDigests] = {}
        self._open: dict[str, OpenJob] = {}
        self._arrays: list[KnownArray] = []

    def run(self) -> None:
        """Collect what was submitted before, submit what is left, and follow all to its end.

        Raises
        ------
        Cancelled
            If the events are cancelled; the jobs go on, or are stopped where that was chosen.
        MgImplantSegError
            If the environment cannot be reached or refuses.
        """
        self._arrays = read_arrays(self._arguments.outdir)
        with Backend(self._environment) as backend, self._events.task("samples", len(self._samples)) as task:
            left = self._not_done(task)
            left = self._take_up(backend, left, task)
            self._submit(backend, left)
            self._follow(backend, task)

    def _not_done(self, task: Task) -> list[str]:
        """The samples that have no finished results here; a file that cannot be read is told in its row."""
        left = []
        for name, sample in self._samples.items():
            folder, arguments = self._folder(name), sample.arguments(self._arguments)
            known = read_record(folder)
            self._digests[name] = FileDigests(known.digests if known else None)
            try:
                self._keys[name] = work_key(sample, arguments, self._digests[name])
                finished = finished_row(folder, self._keys[name], self._board.row(name))
                if finished is None:
                    require_own_folder(folder)
            except Exception as error:
                self._fail(name, _user_error(error).message, task)
                continue
            if finished is None:
                left.append(name)
            else:
                self._board.set(finished)
                task.advance()
        return left

    def _take_up(self, backend: Backend, left: Sequence[str], task: Task) -> list[str]:
        """Note the jobs of earlier starts that owe samples which are still wanted; gives the samples of no such job."""
        wanted = set(left)
        for array in self._arrays:
            if array.environment != self._environment.name:
                continue
            for index, names in enumerate(array.tasks):
                owed = [name for name in names if name in wanted and array.keys.get(name) == self._keys[name]]
                if owed:
                    self._open[f"{array.name}-{index}"] = OpenJob(f"{array.name}-{index}", owed)
        if self._open:
            self._collect_all(backend, task, is_first=True)
        held = {name for job in self._open.values() for name in job.owed}
        return [name for name in left if name not in held and self._board.row(name).state in (WAITING, FAILED)]

    def _submit(self, backend: Backend, names: Sequence[str]) -> None:
        """Start one array for the samples; noted before, so that nothing is lost if this is cut off."""
        if not names:
            return
        for name in names:
            self._board.mark(name, WAITING)
        tasks = self._tasks(backend, names)
        keys = {name: self._keys[name] for name in names}
        array = KnownArray(f"batch-{uuid.uuid4().hex[:10]}", self._environment.name, tasks, keys)
        held = {job.rpartition("-")[0] for job in self._open}
        kept = [old for old in self._arrays if old.environment != self._environment.name or old.name in held]
        self._arrays = [*kept, array]
        write_arrays(self._arrays, self._arguments.outdir)
        request = JobRequest(tuple(self._words([self._samples[name] for name in names])), COMMAND, checkpoint=OUT_THERE)
        further = [[f"--only={name}" for name in members] for members in tasks]
        jobs = backend.submit_array(request, array.name, further, self._arguments.at_once or 0, self._events)
        self._open |= {job: OpenJob(job, list(members)) for job, members in zip(jobs, tasks, strict=True)}

    def _tasks(self, backend: Backend, names: Sequence[str]) -> list[list[str]]:
        """The samples of each task: few where a queue holds tasks back, else as many tasks as may run at once."""
        size = self._arguments.scans_per_task
        if not self._environment.has_queue:
            size = max(size, math.ceil(len(names) / (self._arguments.at_once or 1)))
        limit = backend.array_limit()
        size = max(size, math.ceil(len(names) / limit)) if limit else size
        return [list(names[start : start + size]) for start in range(0, len(names), size)]

    def _words(self, samples: list[Sample]) -> list[Word]:
        """The command there: its manifest names the files where they are there."""
        words: list[Word] = [COMMAND, InputText(NAME_THERE, lambda there: manifest_text(samples, there)), OUT_THERE]
        declared = (BatchOptions, *segment_declarations(), *opening_declarations(), *measure_declarations())
        for entry, value in values_of(self._arguments, *declared):
            for single in value if entry.option.many else (value,):
                if single is not None and single is not False and entry.option.changes_result:
                    words.append(word(entry.flag, entry.option.kind.parse, single))
        return words

    def _follow(self, backend: Backend, task: Task) -> None:
        """Collect until no job is open."""
        wait_s = SHORTEST_WAIT_S
        try:
            while self._open:
                has_news = self._collect_all(backend, task)
                wait_s = SHORTEST_WAIT_S if has_news else min(2 * wait_s, LONGEST_WAIT_S)
                self._wait(wait_s if self._open else 0.0)
        except (Cancelled, KeyboardInterrupt):
            self._leave(backend)
            raise

    def _collect_all(self, backend: Backend, task: Task, is_first: bool = False) -> bool:
        """Look at all open jobs once, and take what they have finished; whether there was any news.

        At the first look after a new start a job that ended badly owes nothing: its samples are submitted again.
        """
        jobs, has_news = list(self._open.values()), False
        answers = backend.look_all([job.name for job in jobs], [job.offset for job in jobs])
        for job, answer in zip(jobs, answers, strict=True):
            job.offset = answer["offset"]
            state = State(answer["state"])
            if state is State.RUNNING and job.owed:
                self._board.mark(job.owed[0], RUNNING)
            for record in answer["events"]:
                has_news |= self._take_event(backend, job, record, task, is_first)
            if state.is_final:
                has_news = True
                self._close(backend, job, state, answer, task, is_first)
        return has_news

    def _take_event(self, backend: Backend, job: OpenJob, record: dict[str, Any], task: Task, is_first: bool) -> bool:
        if record.get("event") != "sample":
            return False
        row = row_of(record)
        if row is None or row.sample not in job.owed:
            return False
        if row.state == FAILED:
            if not is_first:  # at a new start it is tried again as soon as the job is over
                job.owed.remove(row.sample)
                self._fail(row.sample, row.problem, task)
            return True
        job.owed.remove(row.sample)
        self._collect(backend, job.name, row.sample, task)
        return True

    def _close(
        self, backend: Backend, job: OpenJob, state: State, answer: dict[str, Any], task: Task, is_first: bool
    ) -> None:
        """A job that is over: what it owes still has failed, or is done again at a new start."""
        del self._open[job.name]
        if is_first:
            return
        why = f"{answer['reason']} {answer['remedy']}".strip() or "It told no result of this sample."
        for name in job.owed:
            self._fail(name, f"{self._environment.name}/{job.name}, {state.value}: {why}", task)

    def _collect(self, backend: Backend, job: str, name: str, task: Task) -> None:
        """Copy the files of a sample here; they appear together, and the row after them."""
        sample, folder = self._samples[name], self._folder(name)
        try:
            with (
                protected_files(inputs_of(sample, sample.arguments(self._arguments))),
                atomic_folder(folder, replace=True) as temporary,
            ):
                backend.fetch(job, temporary, Events(), f"{OUT_THERE}/{name}/")
                found = read_record(temporary)
                if found is None or not found.is_complete(temporary):
                    raise InputError(f"Expected whole results of {name} from {job}, got others.", "Start again.")
                (temporary / RECORD).unlink()
                known = replace(
                    found,
                    key=self._keys[name],
                    image=str(sample.image),
                    digests=self._digests[name].known,
                    results=None,
                )
                known.write(temporary)
        except MgImplantSegError as error:
            self._fail(name, str(error), task)
            return
        for sentence in known.warnings:
            self._events.warning(f"{name}: {sentence}")
        row = finished_row(folder, self._keys[name], self._board.row(name))
        self._board.set(
            row or replace(self._board.row(name), state=FAILED, problem="Its files have changed meanwhile.")
        )
        task.advance()

    def _fail(self, name: str, problem: str, task: Task) -> None:
        self._events.warning(f"{name}: {problem}")
        self._board.set(replace(self._board.row(name), state=FAILED, problem=problem))
        task.advance()

    def _leave(self, backend: Backend) -> None:
        """After Ctrl-C the jobs go on, or all are stopped."""
        for row in self._board.rows:
            if row.state == RUNNING:
                self._board.mark(row.sample, WAITING)
        if self._arguments.when_stopped != CANCEL:
            self._events.warning(
                f"{len(self._open)} jobs in {self._environment.name} go on; the same command collects their results, "
                "with --when-stopped cancel and Ctrl-C it stops them."
            )
            return
        backend.ask_to_stop(list(self._open))
        for job in self._open:
            backend.cancel(job)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._events.check_cancelled()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, SHORTEST_WAIT_S))
            self._events.check_cancelled()

    def _folder(self, name: str) -> Path:
        return self._arguments.outdir / name


def _user_error(error: Exception) -> MgImplantSegError:
    known = as_user_error(error)
    if known is None:
        raise error
    return known
