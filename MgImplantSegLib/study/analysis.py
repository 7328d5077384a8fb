"""The statistics of a study: groups at each time point, comparisons of them, and the correlation of DR with contact."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from MgImplantSegLib.study.correlation import Correlation, correlation
from MgImplantSegLib.study.difference import Difference, difference, pooled_difference
from MgImplantSegLib.study.interaction import interaction
from MgImplantSegLib.study.numbers import NAN, Interval, deviation, holm, mean, mean_interval
from MgImplantSegLib.study.samples import Cell, Quantity, Study, animal_means, same_time

RATE, CONTACT = "DR", "BIC"
BY_GROUP, BY_TIME, BY_CHANGE = "groups", "time points", "changes of groups"
ALL_TIMES = "all time points"
REPEATED = "Animals were seen at several time points, so the time points are compared one by one."


@dataclass(frozen=True)
class GroupSummary:
    """Mean ± SD over the animals of a group at a time point; NaN where it is not defined."""

    quantity: Quantity
    group: str
    time_days: float
    mean: float
    standard_deviation: float
    interval: Interval
    median: float
    lowest: float
    highest: float
    animals: int
    implants: int
    missing: int


@dataclass(frozen=True)
class Comparison:
    """One comparison: `second` minus `first`, `within` a time point or a group; `p_holm` for all of the measure.

    Of the kind `BY_CHANGE` it is the interaction: the change of `second` minus that of `first`, `within` two times.
    """

    quantity: Quantity
    kind: str
    within: str
    first: str
    second: str
    found: Difference
    p_holm: float = NAN


@dataclass(frozen=True)
class MeasuredCorrelation:
    """Correlation of two measures over animals, `within` a group, all, or within groups and time points."""

    x: Quantity
    y: Quantity
    within: str
    found: Correlation


def summaries(study: Study) -> list[GroupSummary]:
    """Every measure of every group at every time point."""
    return [_summary(quantity, cell) for quantity in study.quantities for cell in study.cells(quantity)]


def _summary(quantity: Quantity, cell: Cell) -> GroupSummary:
    values = sorted(cell.animals.values())
    middle = mean(values[(len(values) - 1) // 2 : len(values) // 2 + 1])
    return GroupSummary(
        quantity,
        cell.group,
        cell.time_days,
        mean(values),
        deviation(values),
        mean_interval(values),
        middle,
        values[0] if values else NAN,
        values[-1] if values else NAN,
        len(values),
        len(cell.implants),
        cell.missing,
    )


def comparisons(study: Study) -> list[Comparison]:
    """All pairs of groups at each time point and over all, of time points in each group, and of groups' changes."""
    found = []
    for quantity in study.quantities:
        cells = list(study.cells(quantity))
        of_one = [
            *_of_groups(quantity, cells, study),
            *_of_times(quantity, cells, study),
            *_of_changes(quantity, cells, study),
        ]
        for kind in (BY_GROUP, BY_TIME, BY_CHANGE):
            family = [entry for entry in of_one if entry.kind == kind]
            adjusted = holm([entry.found.p for entry in family])
            found += [replace(entry, p_holm=p) for entry, p in zip(family, adjusted, strict=True)]
    return found


def _of_groups(quantity: Quantity, cells: Sequence[Cell], study: Study) -> Iterator[Comparison]:
    for first, second in combinations(study.groups, 2):
        strata = []
        for time_days in study.times:
            pair = [_cell(cells, group, time_days) for group in (first, second)]
            if all(pair):
                a, b = (cell.animals for cell in pair if cell)
                strata.append((a, b))
                yield Comparison(quantity, BY_GROUP, time_text(time_days), first, second, difference(a, b))
        if len(strata) > 1:
            yield Comparison(quantity, BY_GROUP, ALL_TIMES, first, second, _over_all_times(strata))


def _over_all_times(strata) -> Difference:
    animals = [animal for pair in strata for cell in pair for animal in cell]
    if len(set(animals)) < len(animals):
        return Difference(NAN, note=REPEATED)
    return pooled_difference(strata)


def _of_times(quantity: Quantity, cells: Sequence[Cell], study: Study) -> Iterator[Comparison]:
    times = [time_days for time_days in study.times if math.isfinite(time_days)]
    for group in study.groups:
        for first, second in combinations(times, 2):
            pair = [_cell(cells, group, time_days) for time_days in (first, second)]
            if all(pair):
                a, b = (cell.animals for cell in pair if cell)
                yield Comparison(quantity, BY_TIME, group, time_text(first), time_text(second), difference(a, b))


def _of_changes(quantity: Quantity, cells: Sequence[Cell], study: Study) -> Iterator[Comparison]:
    """The interaction of group and time point, for all pairs of both."""
    times = [time_days for time_days in study.times if math.isfinite(time_days)]
    for first, second in combinations(study.groups, 2):
        for earlier, later in combinations(times, 2):
            four = [_cell(cells, group, time_days) for group in (first, second) for time_days in (earlier, later)]
            if all(four):
                a, b, c, d = (cell.animals for cell in four if cell)
                within = f"from {time_text(earlier)} to {time_text(later)}"
                yield Comparison(quantity, BY_CHANGE, within, first, second, interaction((a, b), (c, d)))


def _cell(cells: Sequence[Cell], group: str, time_days: float) -> Cell | None:
    return next((cell for cell in cells if cell.group == group and same_time(cell.time_days, time_days)), None)


def correlations(study: Study) -> list[MeasuredCorrelation]:
    """Degradation rate and contact: over all animals, in each group, and within groups and time points."""
    rate, contact = (next((q for q in study.quantities if q.symbol == symbol), None) for symbol in (RATE, CONTACT))
    if rate is None or contact is None:
        return []
    points = correlation_points(study, rate, contact)
    found = [MeasuredCorrelation(rate, contact, "all", _over(points))]
    if len(study.groups) > 1:
        found += [
            MeasuredCorrelation(rate, contact, group, _over([point for point in points if point[0] == group]))
            for group in study.groups
        ]
    cells = {(group, time_text(time_days)) for group, time_days, _x, _y in points}
    if len(cells) > 1:
        keys = [(group, time_text(time_days)) for group, time_days, _x, _y in points]
        partial = correlation([point[2] for point in points], [point[3] for point in points], keys)
        found.append(MeasuredCorrelation(rate, contact, "within groups and time points", partial))
    return found


def correlation_points(study: Study, x: Quantity, y: Quantity) -> list[tuple[str, float, float, float]]:
    """Group, time point and the means of both measures, for each animal that has implants with both."""
    points = []
    for time_days, group in product(study.times, study.groups):
        pairs = [(sample.animal, sample.value(x), sample.value(y)) for sample in study.members(group, time_days)]
        known = [pair for pair in pairs if math.isfinite(pair[1]) and math.isfinite(pair[2])]
        of_x = animal_means((animal, value) for animal, value, _ in known)
        of_y = animal_means((animal, value) for animal, _, value in known)
        points += [(group, time_days, of_x[animal], of_y[animal]) for animal in of_x]
    return points


def _over(points: Sequence[tuple[str, float, float, float]]) -> Correlation:
    return correlation([point[2] for point in points], [point[3] for point in points])


def time_text(time_days: float) -> str:
    """``84 days``; what stands for an unknown time point."""
    return f"{time_days:g} days" if math.isfinite(time_days) else "no time point"
