"""What comes out: `Measure`, `Series`, `QuantificationReport`, as data, JSON and CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import json_ready, json_text
from MgImplantSegLib.base.expected_iou import expected_of
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.plain_text import ten_digits, write_csv

CSV_COLUMNS = ("symbol", "name", "region", "value", "unit", "low", "high", "method", "definition", "note", "counts")
INPUT_COLUMNS = ("segmentation", "voxel_size_um", "model", "software_version", "expected_iou")
SERIES_COLUMNS = ("symbol", "region", "x_name", "x_low", "x_high", "x_unit", "value", "unit", "method", "note")
UNDEFINED = float("nan")
NO_IMPLANT = "There is no implant in the segmentation."


class Missing(str, Enum):
    """Why a value is not defined: what it needs was not given, or it cannot be derived from the data."""

    NOT_GIVEN = "not given"
    UNDEFINED = "undefined"


def notes(*parts: str) -> str:
    """One note of several sentences, each once, without the empty ones."""
    return " ".join(dict.fromkeys(part for part in parts if part))


@dataclass(frozen=True)
class Measure:
    """One number with all that is needed to trust it.

    Parameters
    ----------
    symbol, name : str
        Short symbol (``DR``) and full name.
    value : float
        In `unit`; NaN where it is not defined, and then `note` says why.
    unit, region, method, definition : str
        Unit, the part of the volume it belongs to, how it was computed, and its formula in words.
    note : str
        Reason for NaN, or what the reader has to know.
    counts : mapping
        Numbers behind the value: voxels, areas, times; names carry the unit.
    low, high : float
        Range of the value from the disagreement of planes; NaN where it was not asked for.
    missing : Missing, optional
        Of a NaN: why. None for a value.
    """

    symbol: str
    name: str
    value: float
    unit: str
    region: str
    method: str
    definition: str
    note: str = ""
    counts: Mapping[str, float] = field(default_factory=dict)
    low: float = UNDEFINED
    high: float = UNDEFINED
    missing: Missing | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "counts", MappingProxyType(dict(self.counts)))
        is_defined = math.isfinite(self.value)
        object.__setattr__(self, "missing", None if is_defined else self.missing or Missing.UNDEFINED)
        if not is_defined:
            object.__setattr__(self, "value", UNDEFINED)
            if not self.note:
                raise ValueError(f"An undefined {self.symbol} needs a note that says why.")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; NaN becomes None."""
        return json_ready({column: getattr(self, column) for column in CSV_COLUMNS if column != "counts"}) | {
            "counts": json_ready(dict(self.counts))
        }


@dataclass(frozen=True)
class Series:
    """A measure along something: over shells around the implant, or along the screw axis.

    `x_low` and `x_high` are the limits of each bin in `x_unit`; `values` are NaN where nothing was there.
    """

    symbol: str
    name: str
    region: str
    x_name: str
    x_unit: str
    x_low: tuple[float, ...]
    x_high: tuple[float, ...]
    values: tuple[float, ...]
    unit: str
    method: str
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; NaN becomes None."""
        return json_ready(vars(self))


@dataclass(frozen=True)
class QuantificationReport:
    """All measures of one segmentation, the series behind the plots, and the inputs they were computed from."""

    measures: tuple[Measure, ...]
    inputs: Mapping[str, Any]
    series: tuple[Series, ...] = ()

    def find(self, symbol: str, region: str | None = None) -> Measure:
        """The measure with that symbol, in that region or else the first one listed.

        Raises InputError if there is none.
        """
        for measure in self.measures:
            if measure.symbol == symbol and region in (None, measure.region):
                return measure
        known = ", ".join(sorted({f"{measure.symbol} ({measure.region})" for measure in self.measures}))
        raise InputError(
            f"Expected a measure of the report, got {symbol!r} in region {region!r}.", f"There are {known}."
        )

    def value(self, symbol: str, region: str | None = None) -> float:
        """The value of `find(symbol, region)`; NaN where it is not defined."""
        return self.find(symbol, region).value

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: ``{"measures": [...], "series": [...], "inputs": {...}}``."""
        return {
            "measures": [measure.to_dict() for measure in self.measures],
            "series": [series.to_dict() for series in self.series],
            "inputs": json_ready(dict(self.inputs)),
        }

    def write_json(self, path: str | Path) -> None:
        """Write `to_dict` as a JSON file."""
        with atomic_output(path) as temporary:
            temporary.write_text(json_text(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    def write_csv(self, path: str | Path) -> None:
        """Write one row per measure and region; undefined values are empty and have a note.

        Each row names the segmentation, its voxel size, the model, the version of the software and the mean IoU that
        the model expects, if it is calibrated.
        """
        inputs = self._input_cells()
        rows = [
            [ten_digits(getattr(measure, column)) for column in CSV_COLUMNS[:-1]]
            + [counts_text(measure.counts), *inputs]
            for measure in self.measures
        ]
        write_csv(path, CSV_COLUMNS + INPUT_COLUMNS, rows)

    def _input_cells(self) -> list[str]:
        source = self.inputs.get("segmentation", {})
        spacing = [f"{step:.6g}" for step in self.inputs.get("spacing_zyx_um", ())[::-1]]  # x × y × z
        spacing = spacing[:1] if len(set(spacing)) == 1 else spacing
        version = str(self.inputs.get("software_version", ""))
        expected = expected_of(source)
        told = "" if expected is None else expected.mean.text()
        return [str(source.get("path", "")), " × ".join(spacing), str(source.get("model", "")), version, told]

    def write_series_csv(self, path: str | Path) -> None:
        """Write the series in long form: one row per series and bin."""
        rows = [
            [
                entry.symbol,
                entry.region,
                entry.x_name,
                ten_digits(low),
                ten_digits(high),
                entry.x_unit,
                ten_digits(value),
                entry.unit,
                entry.method,
                entry.note,
            ]
            for entry in self.series
            for low, high, value in zip(entry.x_low, entry.x_high, entry.values, strict=True)
        ]
        write_csv(path, SERIES_COLUMNS, rows)


def counts_text(counts: Mapping[str, float]) -> str:
    """The numbers behind a value in one cell: ``voxels=12; faces=7``."""
    return "; ".join(f"{name}={ten_digits(float(value))}" for name, value in counts.items())
