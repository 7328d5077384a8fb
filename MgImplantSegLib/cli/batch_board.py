"""How far a batch is: its rows, kept as table and overview, and read by anybody who watches."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.batch_progress import tell_progress
from MgImplantSegLib.cli.batch_table import FAILED, RUNNING, WAITING, Row, write_overview, write_table
from MgImplantSegLib.jobs.file_lock import locked

LOCK_OF = "batch"
SECONDS_OF_PATIENCE = 10.0  # what a killed batch has started ends within some seconds
PART_FOR_WRITING = 0.1  # of the time; tables of many samples take long enough to count


class Board:
    """The rows of a batch; each change is reported as an event and written, at the latest when the board is left.

    Parameters
    ----------
    command : str
        What the batch was started by.
    events : Events
        Gets an event for each change of a sample, and the progress of all.
    """

    def __init__(self, rows: Sequence[Row], folder: Path, command: str, events: Events) -> None:
        self.rows, self.folder = list(rows), folder
        self._command, self._events = command, events
        self._places = {row.sample: place for place, row in enumerate(rows)}
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._ended: float | None = None
        self._last_written = self._cost_s = 0.0

    def __enter__(self) -> Board:
        self._write()
        tell_progress(self.rows, time.time(), self._events)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = time.time()
        try:
            self.none_runs()
            self._write()
        except OutputError:
            if error is None:
                raise

    def row(self, name: str) -> Row:
        """The row of a sample."""
        return self.rows[self._places[name]]

    def set(self, row: Row) -> None:
        """Put a row in its place; it stays where it was worked on."""
        self._put([replace(row, where=row.where or self.row(row.sample).where, began=None)])

    def mark(self, names: Iterable[str], state: str, where: str | None = None) -> None:
        """Give samples another state, without any result; `where` None leaves them where they are."""
        found = [self.row(name) for name in names]
        began = time.time() if state == RUNNING else None
        changed = [
            replace(row, state=state, began=began, where=row.where if where is None else where, is_skipped=False)
            for row in found
            if row.state != state or where not in (None, row.where)
        ]
        if changed:
            self._put(changed)

    def none_runs(self) -> None:
        """Nobody looks at the samples any more: those that run wait for the next start."""
        self.mark([row.sample for row in self.rows if row.state == RUNNING], WAITING)

    def _put(self, rows: Sequence[Row]) -> None:
        for row in rows:
            place = self._places[row.sample]
            self.rows[place] = row
            self._events.emit("sample", index=place + 1, total=len(self.rows), **row.to_dict())
        tell_progress(self.rows, time.time(), self._events)
        self._write_soon()

    def _write_soon(self) -> None:
        """Write now or, if much of the time goes into writing, a little later, with whatever comes until then."""
        with self._lock:
            wait_s = self._last_written + self._cost_s / PART_FOR_WRITING - time.monotonic()
            if wait_s <= 0:
                self._write()
            elif self._timer is None:
                self._timer = threading.Timer(wait_s, self._write_late)
                self._timer.daemon = True
                self._timer.start()

    def _write_late(self) -> None:
        with suppress(OutputError):  # a full disk is told by the next write
            self._write()

    def _write(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            start, rows = time.monotonic(), list(self.rows)
            write_table(rows, self.folder)
            write_overview(rows, self.folder, self._command, self._ended)
            self._last_written = time.monotonic()
            self._cost_s = self._last_written - start


@contextmanager
def batch_lock(folder: Path, seconds: float = SECONDS_OF_PATIENCE) -> Iterator[int]:
    """Hold the folder of a batch: no second one works in it, on this computer or another that shares the disk.

    Raises InputError if another batch holds it.
    """
    try:
        with locked(folder / LOCK_OF, seconds) as number:
            yield number
    except OutputError as error:
        if "another program holds it" not in error.message:
            raise
        raise InputError(
            f"Expected a folder that no other batch is using, got {folder}, which one is using.",
            "Follow it with --status, or wait until it has ended.",
        ) from error


def require_all_done(rows: Sequence[Row], table: Path) -> None:
    """Raise InputError if a sample failed, or none was worked on because another one did."""
    failed = [row for row in rows if row.state == FAILED]
    if failed:
        waiting = sum(row.state in (WAITING, RUNNING) for row in rows)
        left = f", {waiting} not begun" if waiting else ""
        see = f"See the column problem in {os.fspath(table)}; start" if table.exists() else "Start"
        raise InputError(
            f"Expected {len(rows)} samples to succeed, got {len(failed)} that failed{left}: "
            f"{', '.join(row.sample for row in failed)}.",
            f"{see} again to do the remaining samples.",
        )
