"""The course of a run: one row for each validation, as a CSV file and in the checkpoints."""

from __future__ import annotations

import math
from pathlib import Path

from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.plain_text import CsvWriter

METRICS_FILE = "metrics.csv"
Row = dict[str, float]


def write_history(rows: list[Row], folder: Path) -> None:
    """Write ``metrics.csv``; numbers that are undefined stay empty."""
    with (
        atomic_output(folder / METRICS_FILE) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = CsvWriter(stream)
        writer.writerow(rows[0])
        for row in rows:
            values = (row.get(key, math.nan) for key in rows[0])
            writer.writerow("" if math.isnan(value) else f"{value:.10g}" for value in values)
