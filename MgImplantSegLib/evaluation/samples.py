"""Comparisons of several samples, read back from their tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.evaluation.comparison import COLUMNS, ComparedValue, Comparison

NUMBERS = ("value", "reference", "deviation_percent")


def read_comparisons(paths: Iterable[str | Path]) -> tuple[Comparison, ...]:
    """One comparison per file that `Comparison.write_csv` wrote; a sample without a name is named after its file.

    Raises InputError if a file cannot be read or is another table.
    """
    return tuple(_read(Path(path)) for path in paths)


def _read(path: Path) -> Comparison:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
        values = tuple(_value(row, path.stem) for row in rows)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(
            f"Expected a table with the columns {', '.join(COLUMNS)}, could not read {path} ({error!r}).",
            "Give tables written by compare [[csv]].",
        ) from error
    if not values:
        raise InputError(f"Expected a table of a comparison, {path} has no rows.", "Give tables written by compare.")
    return Comparison(values)


def _value(row: dict[str, str], name: str) -> ComparedValue:
    cells = {column: row[column] for column in COLUMNS}
    numbers = {column: float(cells[column]) if cells[column] else math.nan for column in NUMBERS}
    values: dict[str, Any] = {**cells, **numbers, "sample": cells["sample"] or name}
    return ComparedValue(**values)
