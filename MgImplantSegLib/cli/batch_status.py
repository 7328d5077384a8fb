"""What can be seen of a batch from outside, while it runs and afterwards: its rows, and whether it runs.

Everything comes from the files that the batch writes; they may be old, cut off, or of anybody.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.text_files import json_from
from MgImplantSegLib.cli.batch_board import LOCK_OF, batch_lock
from MgImplantSegLib.cli.batch_progress import tell_progress
from MgImplantSegLib.cli.batch_record import read_record
from MgImplantSegLib.cli.batch_table import DONE, FAILED, OVERVIEW, RUNNING, WAITING, Row
from MgImplantSegLib.jobs.watch import pause

SECONDS_BETWEEN_LOOKS = 1.0
LOOKS_BETWEEN_PROGRESS = 5
MOST_BYTES = 1 << 27
KNOWN_STATES = (WAITING, RUNNING, DONE, FAILED)


class BatchStatus:
    """The rows of a batch as they are now; `look` brings them up to date.

    Parameters
    ----------
    folder : Path
        Of the results; nothing in it is changed.
    rows : sequence of Row, optional
        Of the samples as they are wanted now. By default those that the batch was started with.
    """

    def __init__(self, folder: Path, rows: Sequence[Row] | None = None) -> None:
        self.folder, self.rows, self.is_running = folder, list[Row](), False
        self._wanted = None if rows is None else list(rows)
        self._shown: dict[str, tuple[Row, Row]] = {}
        self._mark: tuple[int, int] | None = None
        self._entries: list[Row] = []
        self._ended = False

    def look(self) -> list[Row]:
        """Bring the rows up to date; returns those that have changed since the last look, at the first one all."""
        self._read()
        self.is_running = not self._ended and is_worked_in(self.folder)
        entries = {row.sample: row for row in self._entries}
        wanted = self._entries if self._wanted is None else self._wanted
        before = {row.sample: row for row in self.rows}
        self.rows = [self._row(row, entries.get(row.sample, row)) for row in wanted]
        return [row for row in self.rows if before.get(row.sample) is not row]

    def _read(self) -> None:
        """Read the overview if it is another one than last time; one that cannot be read says nothing new."""
        try:
            found = (self.folder / OVERVIEW).stat()
            if (found.st_mtime_ns, found.st_size) == self._mark or found.st_size > MOST_BYTES:
                return
            data = json_from((self.folder / OVERVIEW).read_bytes())
        except (OSError, ValueError):
            return
        self._mark = (found.st_mtime_ns, found.st_size)
        entries = data.get("samples") if isinstance(data, dict) else None
        rows = [_row_from(entry) for entry in entries] if isinstance(entries, list) else []
        self._entries = list({row.sample: row for row in rows if row is not None}.values())
        self._ended = isinstance(data, dict) and _number(data.get("ended")) is not None

    def _row(self, wanted: Row, entry: Row) -> Row:
        """The row of a sample, the same object as long as nothing has changed."""
        entry = replace(entry, image=wanted.image, study=wanted.study)
        if entry.state == RUNNING and not self.is_running:
            entry = replace(entry, state=WAITING, began=None)
        before = self._shown.get(entry.sample)
        if before is None or before[0] != entry:
            self._shown[entry.sample] = before = entry, self._with_results(entry)
        return before[1]

    def _with_results(self, entry: Row) -> Row:
        if entry.state != DONE:
            return entry
        record = read_record(self.folder / entry.sample)
        if record is None:
            return replace(entry, state=WAITING, seconds=None, is_skipped=False)
        return replace(entry, seconds=record.seconds, measures=record.measures, warnings=record.warnings)


def is_worked_in(folder: Path) -> bool:
    """Whether a batch works in the folder now; that of somebody else, whose lock cannot be read, may do."""
    if not (folder / f".{LOCK_OF}.lock").exists():
        return False
    try:
        with batch_lock(folder, 0.0):
            return False
    except (InputError, OutputError):
        return True


def require_overview(folder: Path) -> None:
    """Raise InputError unless a batch has written its overview into the folder."""
    if not (folder / OVERVIEW).is_file():
        raise InputError(
            f"Expected the results of a batch, got {folder} without {OVERVIEW}.",
            "Choose the folder that was given as OUTDIR.",
        )


def follow_status(status: BatchStatus, events: Events) -> None:
    """Tell all rows, and then each change, until the batch has ended.

    Raises
    ------
    Cancelled
        If the events are cancelled; the batch goes on.
    """
    looks = 0
    while True:
        changed = status.look()
        places = {row.sample: place for place, row in enumerate(status.rows, start=1)} if changed else {}
        for row in changed:
            events.emit("sample", index=places[row.sample], total=len(status.rows), **row.to_dict())
        if changed or looks % LOOKS_BETWEEN_PROGRESS == 0:
            tell_progress(status.rows, time.time(), events, status.is_running)
        if not status.is_running:
            return
        looks += 1
        pause(SECONDS_BETWEEN_LOOKS, events)


def _row_from(entry: Any) -> Row | None:
    """The row that an entry of an overview stands for; None unless it names a sample in a known state."""
    if not isinstance(entry, dict) or entry.get("state") not in KNOWN_STATES or not _is_name(entry.get("sample")):
        return None
    study, warnings = entry.get("study"), entry.get("warnings")
    return Row(
        entry["sample"],
        _text(entry.get("image")),
        entry["state"],
        _number(entry.get("seconds")),
        _text(entry.get("problem")),
        warnings=tuple(map(_text, warnings)) if isinstance(warnings, list) else (),
        study={_text(name): _text(cell) for name, cell in study.items()} if isinstance(study, Mapping) else {},
        where=_text(entry.get("where")),
        began=_number(entry.get("began")),
        is_skipped=entry.get("is_skipped") is True,
    )


def _is_name(value: Any) -> bool:
    """Whether a name is that of a folder beside the table, and of none elsewhere."""
    return (
        isinstance(value, str) and value not in ("", ".", "..") and "\0" not in value and PurePath(value).name == value
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    is_number = type(value) in (int, float) and math.isfinite(value) and value >= 0
    return float(value) if is_number else None
