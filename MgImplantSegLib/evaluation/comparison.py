"""The paper's Table 3: the measures of several segmentations, and how far each is from the reference's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events, json_ready
from MgImplantSegLib.base.plain_text import ten_digits, write_csv
from MgImplantSegLib.base.remarks import remarks_of
from MgImplantSegLib.evaluation.overlap import Evaluation, evaluate
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io.grids import along_axes_of
from MgImplantSegLib.quantification.measures.all_measures import quantify
from MgImplantSegLib.quantification.options import QuantifyOptions
from MgImplantSegLib.quantification.results import Measure, QuantificationReport, notes

REFERENCE = "reference"
COLUMNS = (
    "sample",
    "segmentation",
    "symbol",
    "name",
    "region",
    "value",
    "unit",
    "reference",
    "deviation_percent",
    "note",
)
NAN = float("nan")


@dataclass(frozen=True)
class ComparedValue:
    """One number of one segmentation beside the reference's; `deviation_percent` is 100 · (value − ref) / |ref|."""

    sample: str
    segmentation: str
    symbol: str
    name: str
    region: str
    value: float
    unit: str
    reference: float
    deviation_percent: float
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Segmentations of one sample against the reference: one `ComparedValue` per segmentation and number."""

    values: tuple[ComparedValue, ...]

    def value(self, segmentation: str, symbol: str, region: str | None = None) -> ComparedValue:
        """The first number of a segmentation with that symbol, in that region or any.

        Raises InputError if there is none.
        """
        for entry in self.values:
            if (entry.segmentation, entry.symbol) == (segmentation, symbol) and region in (None, entry.region):
                return entry
        raise InputError(f"Expected a compared number, got {symbol!r} of {segmentation!r} in {region!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; NaN becomes None."""
        return {"comparison": [json_ready(vars(entry)) for entry in self.values]}

    def write_csv(self, path: str | Path) -> None:
        """Write one row per segmentation and number."""
        write_comparisons_csv([self], path)


def write_comparisons_csv(comparisons: Iterable[Comparison], path: str | Path) -> None:
    """Write one row per sample, segmentation and number."""
    entries = [entry for comparison in comparisons for entry in comparison.values]
    write_csv(path, COLUMNS, ([ten_digits(getattr(entry, column)) for column in COLUMNS] for entry in entries))


def compare(
    reference: LabelMap,
    others: Mapping[str, LabelMap],
    options: QuantifyOptions | None = None,
    events: Events | None = None,
    sample: str = "",
) -> Comparison:
    """IoU and measures of segmentations of one scan, with the deviation from the reference.

    Raises InputError if grids differ, a label has no role, or a name is taken.

    Parameters
    ----------
    reference : LabelMap
        Taken as the truth.
    others : mapping of str to LabelMap
        Segmentations by name, on the reference's grid, listed along any axes.
    options : QuantifyOptions
        How to measure; the same for all.
    sample : str
        Name of the sample, for tables over several.
    """
    options, events = options or QuantifyOptions(), events or Events()
    if REFERENCE in others or not others:
        raise InputError(f"Expected named segmentations besides the {REFERENCE!r}, got {list(others)}.")
    with events.task("compare", 2 * len(others) + 1) as task:
        true_report = quantify(reference, options, events)
        task.advance()
        values = [_compared(sample, REFERENCE, m, m.value) for m in true_report.measures]
        for name, listed in others.items():
            label_map = along_axes_of(listed, reference.geometry)
            remarks = notes(*remarks_of(reference.provenance), *remarks_of(listed.provenance))
            values += _scores(sample, name, evaluate(label_map, reference), remarks)
            task.advance()
            values += _measures(sample, name, quantify(label_map, options, events), true_report)
            task.advance()
    return Comparison(tuple(values))


def _scores(sample: str, name: str, evaluation: Evaluation, remarks: str) -> list[ComparedValue]:
    """IoU and Dice; `remarks` is what was warned of when the two files were read."""
    means = [
        ComparedValue(
            sample,
            name,
            "mean IoU",
            "mean IoU of the classes present",
            "all classes",
            evaluation.mean_iou,
            "1",
            1.0,
            100 * (evaluation.mean_iou - 1),
            remarks,
        )
    ]
    return means + [
        ComparedValue(
            sample, name, symbol, long, score.name, value, "1", 1.0, 100 * (value - 1), notes(score.note, remarks)
        )
        for score in evaluation.classes
        for symbol, long, value in (("IoU", "intersection over union", score.iou), ("Dice", "Dice", score.dice))
    ]


def _measures(
    sample: str, name: str, report: QuantificationReport, true_report: QuantificationReport
) -> list[ComparedValue]:
    """Measures that depend on the segmentation; those of the initial screw do not."""
    truth = {(m.symbol, m.region): m.value for m in true_report.measures}
    first = {m.symbol: m.value for m in reversed(true_report.measures)}
    return [_compared(sample, name, m, truth.get((m.symbol, m.region), first[m.symbol])) for m in report.measures]


def _compared(sample: str, name: str, measure: Measure, truth: float) -> ComparedValue:
    note = measure.note
    deviation = 100 * (measure.value - truth) / abs(truth) if truth != 0 else NAN
    if not math.isfinite(deviation) and math.isfinite(measure.value):
        note = f"{note} The reference is {'0' if truth == 0 else 'undefined'}, so that the deviation is too.".strip()
    return ComparedValue(
        sample, name, measure.symbol, measure.name, measure.region, measure.value, measure.unit, truth, deviation, note
    )


@dataclass(frozen=True)
class SummaryRow:
    """Mean ± standard error over samples of one number of one segmentation, of its value and of its deviation in %.

    The standard error is the sample standard deviation divided by √n; NaN with fewer than two samples.
    """

    segmentation: str
    symbol: str
    region: str
    unit: str
    samples: int
    mean: float
    standard_error: float
    mean_deviation_percent: float
    deviation_standard_error: float


SUMMARY_COLUMNS = tuple(SummaryRow.__dataclass_fields__)


def summarise(comparisons: Iterable[Comparison]) -> tuple[SummaryRow, ...]:
    """Mean ± standard error over the comparisons of several samples; undefined values are left out of `samples`."""
    grouped: dict[tuple[str, str, str, str], list[ComparedValue]] = {}
    for comparison in comparisons:
        for entry in comparison.values:
            key = (entry.segmentation, entry.symbol, entry.region, entry.unit)
            grouped.setdefault(key, []).append(entry)
    rows = []
    for key, entries in grouped.items():
        values = np.array([entry.value for entry in entries if math.isfinite(entry.value)])
        deviations = np.array([e.deviation_percent for e in entries if math.isfinite(e.deviation_percent)])
        rows.append(SummaryRow(*key, values.size, *_mean_and_error(values), *_mean_and_error(deviations)))
    return tuple(rows)


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    mean = float(values.mean()) if values.size else NAN
    return mean, float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else NAN


def write_summary_csv(rows: Iterable[SummaryRow], path: str | Path) -> None:
    """Write one row per segmentation and number."""
    write_csv(path, SUMMARY_COLUMNS, ([ten_digits(getattr(row, column)) for column in SUMMARY_COLUMNS] for row in rows))
