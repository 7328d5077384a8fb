"""The course of a run: one row for each validation, as a CSV file and in the checkpoints."""

from __future__ import annotations

import math
from pathlib import Path

from MgImplantSegLib.base.plain_text import write_csv

METRICS_FILE = "metrics.csv"
Row = dict[str, float]


def write_history(rows: list[Row], folder: Path) -> None:
    """Write ``metrics.csv``; numbers that are undefined stay empty."""
    write_csv(folder / METRICS_FILE, rows[0], ([_cell(row.get(key, math.nan)) for key in rows[0]] for row in rows))


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"
