"""The tables of a study as tidy CSV files, one row an observation, with a dictionary of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.plain_text import ten_digits, write_csv
from MgImplantSegLib.study.analysis import Comparison, GroupSummary, MeasuredCorrelation
from MgImplantSegLib.study.samples import ANIMAL, GROUP, TIME_POINT, Study, StudySample

DICTIONARY = "dictionary.csv"
OF_THE_MANIFEST = "column of the manifest, as written there"
Row = dict[str, Any]


@dataclass(frozen=True)
class TidyTable:
    """A file with its rows; `meanings` says what each column is, those that are not named come from the manifest."""

    name: str
    rows: Sequence[Row]
    meanings: dict[str, str]

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return list(dict.fromkeys((*self.meanings, *(name for row in self.rows for name in row))))

    def type_of(self, column: str) -> str:
        """``number`` or ``text``; a column without any cell is ``empty``."""
        cells = [cell for row in self.rows if (cell := row.get(column)) not in (None, "")]
        numbers = [isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells]
        return "empty" if not cells else "number" if all(numbers) else "text"

    def write(self, folder: Path) -> None:
        """Write the file; undefined values are empty cells."""
        cells = ([ten_digits(row.get(name)) for name in self.columns] for row in self.rows)
        write_csv(folder / self.name, self.columns, cells)


def write_tables(tables: Sequence[TidyTable], folder: Path) -> list[str]:
    """Write all tables and the dictionary; returns the names of the files."""
    for table in tables:
        table.write(folder)
    words = [
        (table.name, column, table.type_of(column), table.meanings.get(column, OF_THE_MANIFEST))
        for table in tables
        for column in table.columns
    ]
    write_csv(folder / DICTIONARY, ("file", "column", "type", "meaning"), words)
    return [*(table.name for table in tables), DICTIONARY]


def study_tables(
    study: Study,
    summaries: Sequence[GroupSummary],
    comparisons: Sequence[Comparison],
    correlations: Sequence[MeasuredCorrelation],
) -> list[TidyTable]:
    """All tables that have rows."""
    tables = [
        TidyTable("measures.csv", [row for sample in study.samples for row in _measure_rows(sample)], MEASURES),
        TidyTable("profiles.csv", [row for sample in study.samples for row in _profile_rows(sample)], PROFILES),
        TidyTable("groups.csv", [_read(GROUPS, entry) for entry in summaries], _said(GROUPS)),
        TidyTable("comparisons.csv", [_read(COMPARISONS, entry) for entry in comparisons], _said(COMPARISONS)),
        TidyTable("correlations.csv", [_read(CORRELATIONS, entry) for entry in correlations], _said(CORRELATIONS)),
    ]
    return [table for table in tables if table.rows]


OF_SAMPLE = {
    "sample": "name of the sample",
    ANIMAL: "animal; a sample without one counts as a separate animal",
    GROUP: "group",
    TIME_POINT: "time point in days; the time of degradation where the manifest has none",
}
MEASURES = {
    **OF_SAMPLE,
    "state": "done, or another state",
    "symbol": "short symbol of the measure",
    "name": "name of the measure",
    "region": "part of the volume that it belongs to",
    "value": "value in `unit`; empty where it is undefined",
    "unit": "unit of value, low and high",
    "low": "lower end of the range from the disagreement of the slicing planes; empty if it was not requested",
    "high": "upper end of that range",
    "note": "why the value is undefined, or a remark on it",
    "method": "how it was computed",
}
PROFILES = {
    **OF_SAMPLE,
    "symbol": "short symbol of the measure",
    "region": "part of the volume that it belongs to",
    "x_name": "along what",
    "x_low": "lower limit of the bin in `x_unit`",
    "x_high": "upper limit of the bin in `x_unit`",
    "x_unit": "unit of the limits",
    "value": "value in `unit`; empty if there was none",
    "unit": "unit of value",
}


def _measure_rows(sample: StudySample) -> list[Row]:
    said = {**_of_sample(sample), "state": sample.state}
    further = {name: text for name, text in sample.study.items() if name not in said and name not in MEASURES}
    if not sample.measures:
        return [{**said, "note": sample.problem, **further}]
    names = ("symbol", "name", "region", "value", "unit", "low", "high", "note", "method")
    return [{**said, **{name: entry.get(name) for name in names}, **further} for entry in sample.measures]


def _profile_rows(sample: StudySample) -> list[Row]:
    said = _of_sample(sample)
    return [
        {
            **said,
            **{name: series[name] for name in ("symbol", "region", "x_name", "x_unit", "unit")},
            "x_low": low,
            "x_high": high,
            "value": value,
        }
        for series in sample.series
        for low, high, value in zip(series["x_low"], series["x_high"], series["values"], strict=True)
    ]


def _of_sample(sample: StudySample) -> Row:
    return {"sample": sample.name, ANIMAL: sample.animal, GROUP: sample.group, TIME_POINT: sample.time_days}


Columns = dict[str, tuple[str, str]]  # name → meaning, attribute
OF_QUANTITY: Columns = {
    "symbol": ("short symbol of the measure", "quantity.symbol"),
    "region": ("part of the volume that it belongs to", "quantity.region"),
    "unit": ("unit of the values", "quantity.unit"),
}
GROUPS: Columns = {
    **OF_QUANTITY,
    GROUP: ("group", "group"),
    TIME_POINT: ("time point in days", "time_days"),
    "mean": ("mean over animals; an animal with several implants counts with the mean of these", "mean"),
    "standard_deviation": ("standard deviation over animals, n − 1", "standard_deviation"),
    "mean_low": ("lower end of the mean's 95 % confidence interval (Student's t)", "interval.low"),
    "mean_high": ("upper end of that interval", "interval.high"),
    "median": ("median over animals", "median"),
    "lowest": ("lowest animal", "lowest"),
    "highest": ("highest animal", "highest"),
    "animals": ("number of animals with a value", "animals"),
    "implants": ("number of implants with a value", "implants"),
    "missing": ("number of samples whose value is undefined", "missing"),
}
COMPARISONS: Columns = {
    **OF_QUANTITY,
    "compared": ("groups, time points, or changes of groups (the interaction of group and time point)", "kind"),
    "within": ("time point or group within which they are compared; of changes: from when to when", "within"),
    "first": ("first group or time point", "first"),
    "second": ("second group or time point", "second"),
    "difference": (
        "mean over animals of second minus that of first; of changes: that of their changes",
        "found.difference",
    ),
    "difference_low": ("lower end of its 95 % confidence interval", "found.interval.low"),
    "difference_high": ("upper end of that interval", "found.interval.high"),
    "hedges_g": ("Hedges' g* = difference / √((SD₁² + SD₂²) / 2), corrected for small samples", "found.effect_size"),
    "hedges_g_low": ("lower end of its 95 % confidence interval", "found.effect_interval.low"),
    "hedges_g_high": ("upper end of that interval", "found.effect_interval.high"),
    "p": ("two-sided p of the t-test", "found.p"),
    "p_holm": ("p with Holm's correction for all comparisons of this kind of the measure", "p_holm"),
    "p_permutation": ("two-sided p of the permutation test", "found.permutation.p"),
    "permutations": ("number of arrangements of the permutation test", "found.permutation.arrangements"),
    "t": ("statistic of the t-test", "found.t"),
    "degrees_of_freedom": ("degrees of freedom of the t-test", "found.degrees_of_freedom"),
    "animals_first": ("number of animals of first", "found.animals_first"),
    "animals_second": ("number of animals of second", "found.animals_second"),
    "animals_both": ("number of animals in both; of changes: of those seen at both times", "found.animals_both"),
    "method": ("the t-test", "found.method"),
    "note": ("why something is undefined, or a remark", "found.note"),
}
CORRELATIONS: Columns = {
    "x": ("first measure", "x.title"),
    "y": ("second measure", "y.title"),
    "within": ("all animals, a group, or deviations from the means of group and time point", "within"),
    "pairs": ("number of animals, at each time point, with both", "found.count"),
    "r": ("Pearson's correlation", "found.r"),
    "r_low": ("lower end of its 95 % confidence interval (Fisher)", "found.interval.low"),
    "r_high": ("upper end of that interval", "found.interval.high"),
    "p": ("two-sided p of r", "found.p"),
    "spearman_rho": ("Spearman's rank correlation", "found.rho"),
    "note": ("why something is undefined", "found.note"),
}


def _read(columns: Columns, entry: Any) -> Row:
    return {name: attrgetter(attribute)(entry) for name, (_meaning, attribute) in columns.items()}


def _said(columns: Columns) -> dict[str, str]:
    return {name: meaning for name, (meaning, _attribute) in columns.items()}
