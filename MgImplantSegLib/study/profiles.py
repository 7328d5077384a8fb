"""Profiles of a group: the mean over animals in every bin of a series, with its standard deviation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from MgImplantSegLib.study.numbers import deviation, mean
from MgImplantSegLib.study.samples import Study, StudySample, animal_means

DIGITS, ROUNDING = 9, 1e-6


@dataclass(frozen=True, order=True)
class ProfileKind:
    """What goes along what."""

    symbol: str
    region: str
    unit: str
    x_name: str
    x_unit: str


@dataclass(frozen=True)
class Profile:
    """Of one group at one time point; `low` and `high` limit the bins; NaN where nothing is known."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    animals: int


def profile_kinds(study: Study) -> list[ProfileKind]:
    """The kinds of profiles that there are, in their order."""
    return list(dict.fromkeys(_kind(series) for sample in study.done for series in sample.series))


def profile_of(samples: Iterable[StudySample], kind: ProfileKind) -> Profile | None:
    """The profile over the animals of samples; None where they have no values.

    Bins are as wide as most of the samples', and begin at multiples of that; what lies in the same one is averaged, so
    that screws whose bins begin elsewhere can be taken together.
    """
    found = [
        (sample.animal, float(low), float(high), float(value))
        for sample in samples
        for series in sample.series
        if _kind(series) == kind
        for low, high, value in zip(series["x_low"], series["x_high"], series["values"], strict=True)
        if None not in (low, high, value) and math.isfinite(value) and high > low
    ]
    if not found:
        return None
    step = median(round(high - low, DIGITS) for _animal, low, high, _value in found)
    bins: dict[int, list[tuple[str, float]]] = {}
    for animal, low, high, value in found:
        bins.setdefault(math.floor((low + high) / 2 / step + ROUNDING), []).append((animal, value))
    places = range(min(bins), max(bins) + 1)
    values = [list(animal_means(bins.get(place, ())).values()) for place in places]
    return Profile(
        tuple(round(place * step, DIGITS) for place in places),
        tuple(round((place + 1) * step, DIGITS) for place in places),
        tuple(mean(numbers) for numbers in values),
        tuple(deviation(numbers) for numbers in values),
        len({animal for animal, *_rest in found}),
    )


def _kind(series: Mapping[str, Any]) -> ProfileKind:
    return ProfileKind(*(str(series[name]) for name in ("symbol", "region", "unit", "x_name", "x_unit")))
