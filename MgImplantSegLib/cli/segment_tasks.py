"""``segment --tasks N``: the work on one scan in parts, each kept as it is done, here or as tasks of a job elsewhere.

Elsewhere the parts are an array of jobs, and a last job merges them where they lie; only the results come here. The
same command names the same jobs: those that are done are taken, those that have failed run again, alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.errors import Cancelled, InputError, MgImplantSegError
from MgImplantSegLib.base.events import Events, Task
from MgImplantSegLib.base.files import require_writable_folder
from MgImplantSegLib.base.option_kinds import WholeNumber
from MgImplantSegLib.base.options import option
from MgImplantSegLib.cli.elsewhere import given, result_folders, word
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.bundle import state_of_files
from MgImplantSegLib.jobs.engine_archive import engine_archive
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.environment_file import find_environment
from MgImplantSegLib.jobs.request import InputPath, InputText, JobRequest, Word, shown_word
from MgImplantSegLib.jobs.watch import collected, followed_to_success, pause

if TYPE_CHECKING:
    from MgImplantSegLib.grids.volume import Volume
    from MgImplantSegLib.inference.options import SegmentOptions
    from MgImplantSegLib.inference.segmenter import SegmentationRun

NAME, TASKS, TASK, PARTS = "segment", "--tasks", "--task", "--parts"
LIST_OF_PARTS = "parts.txt"
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.3, 5.0
DIGITS_OF_ID = 10


@dataclass(frozen=True)
class TaskOptions:
    """How the work on a scan is divided; nothing of it changes the result."""

    tasks: int | None = option(
        "divide the work into N parts by planes and slices; with --environment as tasks of one job, here one after the "
        "other. Finished parts are kept until all are done: the same command does what is missing",
        WholeNumber(1),
        None,
        default_help="one, of which nothing is kept",
        changes_result=False,
    )


def add_hidden_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments for the tasks themselves."""
    parser.add_argument(TASK, type=int, help=argparse.SUPPRESS)
    parser.add_argument(PARTS, type=Path, help=argparse.SUPPRESS)


def parts_folder(out: Path) -> Path:
    """Where the parts of a segmentation are kept while others are missing."""
    return out.with_name(f"{out.name}.parts")


def part_path(out: Path, number: int) -> Path:
    """The folder of one part."""
    return parts_folder(out) / f"part-{number:04d}"


def do_part(volume: Volume, options: SegmentOptions, arguments: argparse.Namespace, events: Events) -> Path:
    """The part that is this process's task."""
    from MgImplantSegLib.inference.segmenter import SegmentationRun

    if not 0 <= arguments.task < (arguments.tasks or 0):
        raise InputError(f"Expected a task from 0 to {(arguments.tasks or 0) - 1}, got {arguments.task}.")
    return _do(SegmentationRun(volume, options, events), arguments, arguments.task)


def _do(run: SegmentationRun, arguments: argparse.Namespace, number: int) -> Path:
    """One part, kept beside the output; one that is there already is kept."""
    from MgImplantSegLib.inference.parts import Part

    path = part_path(arguments.out, number)
    path.parent.mkdir(exist_ok=True)
    run.do_part(Part(number, arguments.tasks), path)
    return path


def do_all_parts(run: SegmentationRun, arguments: argparse.Namespace, events: Events) -> list[Path]:
    """All parts one after the other, but those that are there; or those of a list, where other tasks have left them."""
    if arguments.parts is not None:
        return [Path(line) for line in arguments.parts.read_text("utf-8").splitlines()]
    parts = []
    for number in range(arguments.tasks or 0):
        parts.append(_do(run, arguments, number))
        events.check_cancelled()
    return parts


def remove_parts(arguments: argparse.Namespace) -> None:
    """Delete the parts after the segmentation that they became is written."""
    if not arguments.tasks or arguments.parts is not None:
        return
    for number in range(arguments.tasks):
        shutil.rmtree(part_path(arguments.out, number), ignore_errors=True)
    with suppress(OSError):  # something else is in it
        parts_folder(arguments.out).rmdir()


def run_as_tasks(add_arguments: Callable[[Any], None], arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Run the parts as jobs of an environment, then the one that merges them; returns its result, with the files here.

    Raises InputError if its outputs do not lie in one folder; MgImplantSegError if the environment cannot be reached,
    or tasks fail there; the others are kept for the same command; Cancelled if the events are cancelled; the tasks are
    stopped then, and those that are done are kept.
    """
    entries = list(given(add_arguments, arguments))
    folder = result_folders(entries).pop()
    words: list[Word] = [NAME, *(word(*entry) for entry in entries)]
    environment = find_environment(arguments.environment)
    with Backend(environment) as backend:
        work = _Work(backend, environment, words, arguments, events)
        try:
            work.do_parts()
            return work.merge(require_writable_folder(folder))
        except Cancelled:
            work.stop()
            raise


class _Work:
    """The jobs of one segmentation: its parts in arrays, and the job that merges them.

    Where there is a queue it gets all parts at once; a host without one as many as it has processes.
    """

    def __init__(
        self,
        backend: Backend,
        environment: Environment,
        words: Sequence[Word],
        arguments: argparse.Namespace,
        events: Events,
    ) -> None:
        self._backend, self._words, self._events = backend, tuple(words), events
        self._count, self._out, self._has_queue = arguments.tasks, arguments.out.name, environment.has_queue
        self._step = (backend.array_limit() or self._count) if self._has_queue else environment.processes_per_node
        self._name = f"{NAME}-{_digest([environment.name, engine_archive()[0], *map(_said, words)])}"
        self._jobs: list[str] = []
        self._merging = ""

    def do_parts(self) -> None:
        """Start what has not been started, again what has failed, and wait for the end of all."""
        with self._events.task("tasks", self._count) as task:
            for first in range(0, self._count, self._step):
                numbers = range(first, min(self._count, first + self._step))
                self._start(f"{self._name}-{first}", numbers)
                if not self._has_queue or numbers.stop == self._count:
                    self._wait(task)

    def merge(self, folder: Path) -> dict[str, Any]:
        """Have the parts merged there and the results copied here; the jobs are removed with all they kept."""
        parts = [f"../../{job}/results/{part_path(Path(self._out), n)}" for n, job in enumerate(self._jobs)]
        listed = InputText(LIST_OF_PARTS, lambda _there: "\n".join(parts))
        status = self._backend.submit(JobRequest((*self._words, PARTS, listed), self._name), self._events)
        self._merging = status.job
        status = followed_to_success(self._backend, status.job, self._events)
        finished = collected(self._backend, status, folder, self._events)
        for job in (status.job, *self._jobs):
            self._backend.remove(job)
        return {**finished.result, "files": [str(path) for path in finished.files], "job": finished.reference}

    def stop(self) -> None:
        """Stop what runs; parts that are done are kept."""
        jobs = [*self._jobs, *([self._merging] if self._merging else [])]
        self._backend.ask_to_stop(jobs)
        for job in jobs:
            self._backend.cancel(job)

    def _start(self, array: str, numbers: range) -> None:
        jobs = [f"{array}-{index}" for index in range(len(numbers))]
        answers = self._backend.look_all(jobs, [0] * len(jobs))
        if not all(answer["is_here"] for answer in answers):
            tasks = [[f"{TASK}={number}"] for number in numbers]
            self._backend.submit_array(JobRequest(self._words, self._name), array, tasks, 0, self._events)
        for job, answer in zip(jobs, answers, strict=True):
            state = State(answer["state"])
            if answer["is_here"] and state.is_final and state is not State.DONE:
                self._backend.resume(job, self._events)
        self._jobs += jobs

    def _wait(self, task: Task) -> None:
        """Until all jobs that were started are over. Raises MgImplantSegError if some have not ended well."""
        wait_s, done_before = SHORTEST_WAIT_S, 0
        while True:
            answers = self._backend.look_all(self._jobs, [0] * len(self._jobs))
            states = [State(answer["state"]) for answer in answers]
            if all(state.is_final for state in states):
                break
            done = states.count(State.DONE)
            task.advance(done - done_before)
            wait_s = SHORTEST_WAIT_S if done > done_before else min(2 * wait_s, LONGEST_WAIT_S)
            done_before = done
            pause(wait_s, self._events)
        failed = [(job, answer) for job, answer in zip(self._jobs, answers, strict=True) if answer["state"] != "done"]
        if failed:
            job, answer = failed[0]
            raise MgImplantSegError(
                f"Expected {self._count} tasks to end well, got {len(failed)} that did not; "
                f"{self._backend.environment.name}/{job}, {answer['state']}: {answer['reason']}",
                "Run the same command again: it does these tasks alone.",
            )


def _said(entry: Word) -> str:
    """A word with the state of the files that it names."""
    return f"{shown_word(entry)} {state_of_files(entry.path)}" if isinstance(entry, InputPath) else shown_word(entry)


def _digest(said: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(said)).encode("ascii")).hexdigest()[:DIGITS_OF_ID]
