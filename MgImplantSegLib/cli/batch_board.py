"""How far a batch is: its rows, kept as table and overview, and read by anybody who watches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.text_files import json_table
from MgImplantSegLib.cli.batch_record import read_record
from MgImplantSegLib.cli.batch_table import DONE, FAILED, OVERVIEW, RUNNING, WAITING, Row, write_overview, write_table
from MgImplantSegLib.jobs.file_lock import locked

LOCK_OF = "batch"
SECONDS_OF_PATIENCE = 10.0  # what a killed batch has started ends within some seconds


class Board:
    """The rows of a batch; each change is written and reported as an event.

    Parameters
    ----------
    command : str
        What the batch was started by.
    events : Events
        Gets an event for each sample that is done or has failed.
    """

    def __init__(self, rows: Sequence[Row], folder: Path, command: str, events: Events) -> None:
        self.rows, self.folder = list(rows), folder
        self._command, self._events = command, events
        self._places = {row.sample: place for place, row in enumerate(rows)}
        self._write()

    def row(self, name: str) -> Row:
        """The row of a sample."""
        return self.rows[self._places[name]]

    def set(self, row: Row) -> None:
        """Put a row in its place."""
        place = self._places[row.sample]
        self.rows[place] = row
        self._write()
        if row.state in (DONE, FAILED):
            self._events.emit("sample", index=place + 1, total=len(self.rows), **row.to_dict())

    def mark(self, name: str, state: str) -> None:
        """Give a sample another state, without any result."""
        if self.row(name).state != state:
            self.set(replace(self.row(name), state=state))

    def _write(self) -> None:
        write_table(self.rows, self.folder)
        write_overview(self.rows, self.folder, self._command)


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


def is_worked_in(folder: Path) -> bool:
    """Whether a batch works in the folder now."""
    if not (folder / f".{LOCK_OF}.lock").exists():
        return False
    try:
        with batch_lock(folder, 0.0):
            return False
    except InputError:
        return True


def status_rows(rows: Sequence[Row], folder: Path) -> list[Row]:
    """The rows as they are now, from what the batch has written; nothing is changed."""
    is_running = is_worked_in(folder)
    known = _overview(folder)
    return [_seen(row, known.get(row.sample, {}), folder, is_running) for row in rows]


def _seen(row: Row, entry: dict[str, Any], folder: Path, is_running: bool) -> Row:
    state = entry.get("state")
    if state == DONE and (record := read_record(folder / row.sample)) is not None:
        return replace(row, state=DONE, seconds=record.seconds, measures=record.measures, warnings=record.warnings)
    if state == FAILED:
        return replace(row, state=FAILED, problem=str(entry.get("problem", "")))
    return replace(row, state=RUNNING) if state == RUNNING and is_running else replace(row, state=WAITING)


def _overview(folder: Path) -> dict[str, dict[str, Any]]:
    rows = json_table(folder / OVERVIEW).get("samples")
    entries = [entry for entry in rows if isinstance(entry, dict)] if isinstance(rows, list) else []
    return {str(entry.get("sample")): entry for entry in entries}


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
