"""The samples of a batch that runs elsewhere: who works on which, what is left, what has come back.

Several environments share one pool, each from a thread of its own; only the pool writes into the folder of results.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError, MgImplantSegError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.file_digests import FileDigests
from MgImplantSegLib.base.files import atomic_folder
from MgImplantSegLib.base.protected_files import protected_files
from MgImplantSegLib.cli.batch_board import Board
from MgImplantSegLib.cli.batch_jobs_file import KnownArray, read_arrays, write_arrays
from MgImplantSegLib.cli.batch_keys import finished_row, inputs_of, require_own_folder, work_key
from MgImplantSegLib.cli.batch_record import RECORD, read_record
from MgImplantSegLib.cli.batch_samples import Sample
from MgImplantSegLib.cli.batch_table import FAILED, RUNNING, WAITING
from MgImplantSegLib.cli.user_errors import as_user_error
from MgImplantSegLib.jobs.ssh_errors import ConnectionFailed

MOST_TRIES = 2
Fetch = Callable[[Path], object]


@dataclass
class Trouble:
    """What jobs that ended badly while they were at a sample have cost it: how many, and where the last one was."""

    tries: int = 0
    environment: str = ""


class Pool:
    """The samples that are not done yet, given to environments and taken back from them.

    Parameters
    ----------
    arguments : Namespace
        Of the command line.
    board : Board
        Where their rows go.
    events : Events
        Warnings and rows.
    """

    def __init__(self, samples: Sequence[Sample], arguments: argparse.Namespace, board: Board, events: Events) -> None:
        self.samples = {sample.name: sample for sample in samples}
        self.arguments, self.keys = arguments, dict[str, str]()
        self._board, self._events = board, events
        self._digests: dict[str, FileDigests] = {}
        self._troubles: dict[str, Trouble] = {}
        self._lock = threading.RLock()
        self._arrays = read_arrays(arguments.outdir)
        self._owners: dict[str, str] = {}
        self._usable: set[str] = set()
        self._waiting = self._not_done()

    @property
    def is_done(self) -> bool:
        """Whether no sample waits, and none is with anybody."""
        with self._lock:
            return not self._waiting and not self._owners

    def arrays_of(self, environments: Sequence[str]) -> list[KnownArray]:
        """What was submitted to these environments before, the newest first."""
        return [array for array in reversed(self._arrays) if array.environment in environments]

    def claim(self, array: KnownArray, names: Sequence[str]) -> list[str]:
        """Those samples of an earlier job that are still wanted as they were then, and that nobody else owes."""
        with self._lock:
            found = [
                name for name in names if name in self._waiting and array.keys.get(name) == self.keys.get(name, "")
            ]
            self._give(found, array.environment)
            return found

    def joins(self, environment: str) -> None:
        """An environment can be used from now on."""
        with self._lock:
            self._usable.add(environment)

    def leaves(self, environment: str, why: str) -> None:
        """An environment cannot be used now."""
        with self._lock:
            self._usable.discard(environment)
            self.warn(f"{environment} is left out for now: {why}")

    def take(self, environment: str, count: int | None = None) -> list[str]:
        """Samples for an environment to work on, `count` at most (None: all).

        It gets none on which a job of its own has failed, unless there are no others.
        """
        with self._lock:
            is_alone = self._usable <= {environment}
            fitting = [name for name in self._waiting if is_alone or self._trouble(name).environment != environment]
            return self._give(fitting[:count], environment)

    def give_back(self, names: Sequence[str]) -> None:
        """Samples that an environment does not work on after all; they are the next ones."""
        with self._lock:
            for name in names:
                self._owners.pop(name, None)
            self._board.mark(names, WAITING, "")
            waiting = {*self._waiting, *names}
            self._waiting = [name for name in self.samples if name in waiting]

    def ended_badly(self, names: Sequence[str], environment: str, why: str) -> None:
        """The first of these was worked on when its job ended: once more elsewhere, then it has failed."""
        with self._lock:
            guilty = self._trouble(names[0])
            guilty.tries, guilty.environment = guilty.tries + 1, environment
            if guilty.tries < MOST_TRIES:
                self.warn(f"{names[0]}: {why} It is tried once more.")
                self.give_back(names)
            else:
                self.fail(names[0], why)
                self.give_back(names[1:])

    def submitted(self, arrays: Sequence[KnownArray], environment: str, held: Sequence[str]) -> None:
        """Note new arrays of an environment, and forget those of it that owe nothing; `held` are the others."""
        with self._lock:
            kept = [array for array in self._arrays if array.environment != environment or array.name in held]
            self._arrays = [*kept, *arrays]
            write_arrays(self._arrays, self.arguments.outdir)

    def fail(self, name: str, problem: str) -> None:
        """A sample has failed, for this start."""
        with self._lock:
            self._owners.pop(name, None)
            self.warn(f"{name}: {problem}")
            self._board.set(replace(self._board.row(name), state=FAILED, problem=problem))

    def mark_running(self, name: str) -> None:
        """A sample is being worked on."""
        with self._lock:
            self._board.mark([name], RUNNING)

    def stopped(self, environment: str) -> None:
        """The jobs of an environment do not go on: their samples wait at no place."""
        with self._lock:
            self._board.mark([name for name, owner in self._owners.items() if owner == environment], WAITING, "")

    def warn(self, message: str) -> None:
        """Something to say."""
        with self._lock:
            self._events.warning(message)

    def pass_on(self, record: dict[str, Any]) -> None:
        """An event of an environment's own work, copying for example."""
        with self._lock:
            fields = {name: value for name, value in record.items() if name not in ("version", "time", "event")}
            self._events.emit(record["event"], **fields)

    def collect(self, name: str, job: str, fetch: Fetch) -> None:
        """Have `fetch` copy the files of a sample here; they appear together, and the row after them.

        Raises ConnectionFailed if the connection broke; the sample is still with its environment.
        """
        sample, folder = self.samples[name], self._folder(name)
        try:
            with (
                protected_files(inputs_of(sample, sample.arguments(self.arguments))),
                atomic_folder(folder, replace=True) as temporary,
            ):
                fetch(temporary)
                found = read_record(temporary)
                if found is None or not found.is_complete(temporary):
                    raise InputError(f"Expected whole results of {name} from {job}, got others.", "Start again.")
                (temporary / RECORD).unlink()
                digests = self._digests[name].known
                known = replace(found, key=self.keys[name], image=str(sample.image), digests=digests, results=None)
                known.write(temporary)
        except ConnectionFailed:
            raise
        except MgImplantSegError as error:
            self.fail(name, str(error))
            return
        with self._lock:
            for sentence in known.warnings:
                self.warn(f"{name}: {sentence}")
            row = finished_row(folder, self.keys[name], self._board.row(name))
            changed = replace(self._board.row(name), state=FAILED, problem="Its files have changed meanwhile.")
            self._owners.pop(name, None)
            self._board.set(changed if row is None else replace(row, is_skipped=False))

    def _not_done(self) -> list[str]:
        """The samples that have no finished results here; a file that cannot be read is named in its row."""
        left = []
        for name, sample in self.samples.items():
            folder, arguments = self._folder(name), sample.arguments(self.arguments)
            known = read_record(folder)
            self._digests[name] = FileDigests(known.digests if known else None)
            try:
                self.keys[name] = work_key(sample, arguments, self._digests[name])
                finished = finished_row(folder, self.keys[name], self._board.row(name))
                if finished is None:
                    require_own_folder(folder)
            except Exception as error:
                self.fail(name, _user_error(error).message)
                continue
            if finished is None:
                left.append(name)
            else:
                self._board.set(finished)
        return left

    def _give(self, names: Sequence[str], environment: str) -> list[str]:
        self._owners |= dict.fromkeys(names, environment)
        self._board.mark(names, WAITING, environment)
        taken = set(names)
        self._waiting = [name for name in self._waiting if name not in taken]
        return list(names)

    def _trouble(self, name: str) -> Trouble:
        return self._troubles.setdefault(name, Trouble())

    def _folder(self, name: str) -> Path:
        return self.arguments.outdir / name


def _user_error(error: Exception) -> MgImplantSegError:
    known = as_user_error(error)
    if known is None:
        raise error
    return known
