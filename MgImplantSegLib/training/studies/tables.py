"""Tables of means with standard errors, as CSV and Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from MgImplantSegLib.base import plain_text


@dataclass(frozen=True)
class Estimate:
    """Mean and standard error s/√n of `count` values; NaN where there are too few of them."""

    mean: float
    standard_error: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Estimate:
        """Of the values that are defined; the sample's standard deviation has n − 1 in its denominator."""
        defined = [value for value in values if value is not None and not math.isnan(value)]
        count = len(defined)
        if not count:
            return cls(math.nan, math.nan, 0)
        mean = sum(defined) / count
        if count == 1:
            return cls(mean, math.nan, 1)
        variance = sum((value - mean) ** 2 for value in defined) / (count - 1)
        return cls(mean, math.sqrt(variance / count), count)

    def __str__(self) -> str:
        if not self.count:
            return "–"
        return f"{self.mean:.4f}" if math.isnan(self.standard_error) else f"{self.mean:.4f} ± {self.standard_error:.4f}"


@dataclass(frozen=True)
class ScaledModel:
    """One model of the study.

    Attributes
    ----------
    name : str
        ``d5-c64-i640`` for depth 5, width 64, input size 640.
    depth, width, input_size : int
        Its place in the grid.
    parameters : int
        Number of learned values.
    flops : float
        Floating-point operations of one forward pass of one patch; a multiplication and an addition are two.
    mean_iou : float
        Mean over the test samples with 3 planes and soft voting; without test samples on the validation slices.
    tested_on : str
        "test" or "validation".
    """

    name: str
    depth: int
    width: int
    input_size: int
    parameters: int
    flops: float
    mean_iou: float
    tested_on: str


Table = dict[str, dict[str, Estimate]]  # row → column → estimate


def write_csv(table: Table, first_column: str, path: Path) -> None:
    """One row of the table a line, with two columns (mean and standard error) for each of its columns."""
    columns = list(next(iter(table.values())))
    rows = []
    for row, cells in table.items():
        numbers = (value for column in columns for value in (cells[column].mean, cells[column].standard_error))
        rows.append([row, *("" if math.isnan(value) else f"{value:.6f}" for value in numbers)])
    names = (name for column in columns for name in (column, f"{column} standard error"))
    plain_text.write_csv(path, (first_column, *names), rows)


def markdown(table: Table, first_column: str) -> str:
    """The table as Markdown."""
    columns = list(next(iter(table.values())))
    lines = [f"| {first_column} | {' | '.join(columns)} |", "|" + " --- |" * (len(columns) + 1)]
    lines += [f"| {row} | {' | '.join(str(cells[column]) for column in columns)} |" for row, cells in table.items()]
    return "\n".join(lines) + "\n"
