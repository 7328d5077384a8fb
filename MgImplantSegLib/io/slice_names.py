"""The order of slices from the numbers in their names: counted, or positions with decimals, signs and powers of ten."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from MgImplantSegLib.base.errors import InputError

logger = logging.getLogger(__name__)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?(?!\d)")
SIGNED = re.compile(r"(?:(?<!\d)[-+])?" + NUMBER.pattern)
PARTS = re.compile(r"[.,]|[eE][-+]?")
DECIMAL = re.compile(r"[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?")
THOUSANDS = re.compile(r"[1-9]\d{0,2}(?P<mark>[.,])\d{3}(?:(?P=mark)\d{3})*|\d{1,3}")
MOST_NAMED = 5
GREATEST_DEVIATION = Decimal("0.4")  # of a step that rounding in the names may explain


@dataclass(frozen=True)
class _Reading:
    """One way to read the names: the value of each, and the step by which the last written digit counts."""

    values: tuple[Decimal, ...]
    resolution: Decimal
    counts: bool

    @property
    def order(self) -> tuple[int, ...]:
        """Indices of the names by rising value."""
        return tuple(sorted(range(len(self.values)), key=lambda index: self.values[index]))

    @property
    def steps(self) -> list[Decimal]:
        """Differences of neighbours in that order."""
        ordered = [self.values[index] for index in self.order]
        return [after - before for before, after in pairwise(ordered)]

    @property
    def is_even(self) -> bool:
        """Whether the values differ and rise in steps that are equal up to rounding."""
        return self.odd_step is None

    @property
    def odd_step(self) -> int | None:
        """Index of the first step that is too large or none at all."""
        usual = sorted(self.steps)[len(self.steps) // 2]
        least = min(self.steps) if self.counts else usual
        if least == 0:
            return self.steps.index(min(self.steps))
        tolerance = Decimal(0) if self.counts else min(self.resolution, GREATEST_DEVIATION * least)
        return next((index for index, step in enumerate(self.steps) if abs(step - least) > tolerance), None)


def in_order(names: Sequence[str], folder: Path) -> list[str]:
    """The names of slices in the order in which they lie, from the one number that counts or measures them.

    Raises InputError if the names differ in more than numbers, a number is missing or occurs twice, or two readings of
    the names put the slices in different orders.

    Parameters
    ----------
    names : sequence of str
        At least two names of files of one folder.
    """
    stems = [Path(name).stem for name in names]
    pattern = _pattern(names, stems, folder)
    tokens = [tuple(pattern.findall(stem)) for stem in stems]
    changing = [column for column in zip(*tokens, strict=True) if len(set(column)) > 1]
    readings = [reading for column in changing for reading in _readings(column)]
    if not readings:
        raise _refused(names, folder, f"{names[0]} and {names[1]} without numbers that give their order")
    even = [reading for reading in readings if reading.is_even]
    if not even:
        raise _uneven(names, changing, readings, folder)
    first = even[0].order
    for other in even[1:]:
        if other.order not in (first, first[::-1]):
            raise _refused(names, folder, _two_orders(names, first, other.order))
    step = even[0].steps[0]
    if even[0].counts and step > 1:
        logger.warning("%s: slice numbers rise by %d; the slices are treated as neighbours.", folder, step)
    return [names[index] for index in first]


def _pattern(names: Sequence[str], stems: Sequence[str], folder: Path) -> re.Pattern[str]:
    """The pattern of numbers outside which all names are the same; signs count where only some have one."""
    kinds: Counter[str] = Counter()
    for pattern in (NUMBER, SIGNED):
        suffixes = [Path(name).suffix for name in names]
        kinds = Counter(pattern.sub("#", stem) + suffix for stem, suffix in zip(stems, suffixes, strict=True))
        if len(kinds) == 1:
            return pattern
    kinds = Counter(NUMBER.sub("#", Path(name).stem) + Path(name).suffix for name in names)
    listed = ", ".join(f"{count} × {kind}" for kind, count in kinds.most_common(MOST_NAMED))
    raise InputError(
        f"Expected the slices of one volume in {folder}, got several series of names: {listed}.",
        "Keep only the slices of one volume in the folder.",
    )


def _readings(column: Sequence[str]) -> list[_Reading]:
    """All ways to read one number of the names: its whole parts one by one, as decimal, with marks of thousands."""
    parts = [PARTS.split(token.lstrip("+-")) for token in column]
    readings = []
    signed = any(token[0] in "+-" for token in column)
    if not signed and len({len(entry) for entry in parts}) == 1:
        for whole in zip(*parts, strict=True):
            if len(set(whole)) > 1:
                readings.append(_Reading(tuple(Decimal(part) for part in whole), Decimal(1), counts=True))
    if all(DECIMAL.fullmatch(token) for token in column) and (signed or any(len(entry) > 1 for entry in parts)):
        values = tuple(Decimal(token.replace(",", ".")) for token in column)
        places = min(int(value.as_tuple().exponent) for value in values)
        readings.append(_Reading(values, Decimal(1).scaleb(places), counts=places >= 0))
    if any(len(entry) > 1 for entry in parts) and all(THOUSANDS.fullmatch(token) for token in column):
        readings.append(
            _Reading(tuple(Decimal(re.sub("[.,]", "", token)) for token in column), Decimal(1), counts=True)
        )
    return readings


def _uneven(
    names: Sequence[str], changing: Sequence[Sequence[str]], readings: Sequence[_Reading], folder: Path
) -> InputError:
    """The error for names of which no number rises evenly: doubled, with a gap, or of two volumes."""
    is_distinct = any(len(set(reading.values)) == len(names) for reading in readings)
    if not is_distinct and len(changing) > 1:
        ranges = " and ".join(f"{len(set(column))} values like {column[0]}" for column in changing)
        return _refused(names, folder, f"names in which {len(changing)} numbers change, {ranges}")
    best = min(readings, key=lambda reading: (len(set(reading.steps)), min(reading.steps)))
    index = best.odd_step or 0
    before, after = (names[best.order[at]] for at in (index, index + 1))
    if best.steps[index] == 0:
        return _refused(names, folder, f"one number twice, {before} and {after}")
    return InputError(
        f"Expected slices numbered without gaps in {folder}, got {after} after {before}.",
        "Add the missing slices, or keep only the slices of one volume in the folder.",
    )


def _two_orders(names: Sequence[str], first: Sequence[int], other: Sequence[int]) -> str:
    at = next(index for index in range(len(first)) if first[index] != other[index])
    return f"two ways to read them, in which {names[first[at]]} or {names[other[at]]} comes as number {at + 1}"


def _refused(names: Sequence[str], folder: Path, what: str) -> InputError:
    return InputError(
        f"Expected names that number the slices of one volume in {folder}, got {what}.",
        "Keep only the slices of one volume in the folder, numbered 0001, 0002, and so on.",
    )
