"""The table of a batch: one row a sample, one column a measure and region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from MgImplantSegLib import __version__
from MgImplantSegLib.base.choices import Choice, Registry
from MgImplantSegLib.base.errors import readable
from MgImplantSegLib.base.events import json_text
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.plain_text import write_csv
from MgImplantSegLib.cli.tables import text_table, value_text

TABLE, OVERVIEW = "batch.csv", "batch.json"
FIRST_COLUMNS = ("sample", "state", "image", "seconds", "problem", "warnings")
DONE, FAILED, WAITING, RUNNING, SKIPPED = "done", "failed", "waiting", "running", "skipped"
STATES = Registry(
    "a state of a sample",
    {
        WAITING: Choice("waiting", "not begun"),
        RUNNING: Choice("running", "being processed"),
        DONE: Choice("done", "finished"),
        SKIPPED: Choice("skipped", "finished by an earlier start and unchanged since"),
        FAILED: Choice("failed", "could not be processed; the same command tries it again"),
    },
)
SHORT_SYMBOLS = ("V_r", "V_DL", "DR", "BIC", "BV/TV")


@dataclass(frozen=True)
class Row:
    """One sample in the table; `measures` are those of the report as plain data, `warnings` the warnings about it.

    `study` has the cells of the manifest's other columns: animal, group, time_point_days and so on. `where` is the
    computer or environment that has it or had it last, `began` the time since which it runs there, in seconds since
    1970. A done sample `is_skipped` if an earlier start had finished it.
    """

    sample: str
    image: str
    state: str = WAITING
    seconds: float | None = None
    problem: str = ""
    measures: Sequence[dict[str, Any]] = field(default_factory=tuple)
    warnings: Sequence[str] = ()
    study: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    began: float | None = None
    is_skipped: bool = False

    @property
    def seen_as(self) -> str:
        """The state among `STATES`; that of a sample of an earlier start has a name of its own."""
        return SKIPPED if self.state == DONE and self.is_skipped else self.state

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        lists = {"measures": list(self.measures), "warnings": list(self.warnings)}
        return {**vars(self), **lists, "study": dict(self.study)}


def write_table(rows: Sequence[Row], folder: Path) -> Path:
    """Write all rows as CSV; undefined values are empty cells."""
    columns = list(dict.fromkeys(column_of(entry) for row in rows for entry in row.measures))
    study = list(dict.fromkeys(name for row in rows for name in row.study))
    cells = []
    for row in rows:
        values = {column_of(entry): entry["value"] for entry in row.measures}
        seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
        first = (row.sample, row.state, readable(row.image), seconds, row.problem, " ".join(row.warnings))
        cells.append((*first, *map(row.study.get, study), *(_cell(values.get(column)) for column in columns)))
    write_csv(folder / TABLE, (*FIRST_COLUMNS, *(_study_column(name, columns) for name in study), *columns), cells)
    return folder / TABLE


def write_overview(rows: Sequence[Row], folder: Path, command: str, ended: float | None = None) -> Path:
    """Write what a report reads in addition to the samples' files, and a status: states, what they are in the study.

    `ended` is when the batch ended, in seconds since 1970; None while it runs.
    """
    kept = [{name: value for name, value in row.to_dict().items() if name != "measures"} for row in rows]
    data = {"version": 1, "software_version": __version__, "command": command, "ended": ended, "samples": kept}
    with atomic_output(folder / OVERVIEW) as temporary:
        temporary.write_text(json_text(data, indent=1) + "\n", "utf-8")
    return folder / OVERVIEW


def _study_column(name: str, columns: Sequence[str]) -> str:
    """The name of a manifest's column in the table, where each name stands once."""
    return f"{name} (manifest)" if name in (*FIRST_COLUMNS, *columns) else name


def column_of(measure: dict[str, Any]) -> str:
    """``DR [mm/year], implant`` for a measure as plain data."""
    return f"{measure['symbol']} [{measure['unit']}], {measure['region']}"


def table_text(rows: Sequence[dict[str, Any]]) -> str:
    """A short table for the terminal: the state and the first value of each important measure."""
    cells = []
    for row in rows:
        first = {entry["symbol"]: entry["value"] for entry in reversed(row["measures"])}
        cells.append((row["sample"], row["state"], *(value_text(first.get(symbol)) for symbol in SHORT_SYMBOLS)))
    return text_table(("sample", "state", *SHORT_SYMBOLS), cells)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
