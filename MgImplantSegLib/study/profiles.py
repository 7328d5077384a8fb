"""Profiles of a group: the mean over animals in every bin of a series, with its standard deviation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from MgImplantSegLib.study.numbers import deviation, mean
from MgImplantSegLib.study.samples import Study, StudySample, animal_means

DIGITS = 9


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
    """Of one group at one time point; `low` and `high` limit the bins, `deviations` are NaN for single animals."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    animals: int


def profile_kinds(study: Study) -> list[ProfileKind]:
    """The kinds of profiles that there are, in their order."""
    return list(dict.fromkeys(_kind(series) for sample in study.done for series in sample.series))


def profile_of(samples: Iterable[StudySample], kind: ProfileKind) -> Profile | None:
    """The profile over the animals of samples; None where they have no values."""
    bins: dict[tuple[float, float], list[tuple[str, float]]] = {}
    for sample in samples:
        for series in (entry for entry in sample.series if _kind(entry) == kind):
            for low, high, value in zip(series["x_low"], series["x_high"], series["values"], strict=True):
                if None not in (low, high, value) and math.isfinite(value):
                    limits = (round(float(low), DIGITS), round(float(high), DIGITS))
                    bins.setdefault(limits, []).append((sample.animal, float(value)))
    if not bins:
        return None
    edges = sorted(bins)
    values = [list(animal_means(bins[edge]).values()) for edge in edges]
    return Profile(
        tuple(edge[0] for edge in edges),
        tuple(edge[1] for edge in edges),
        tuple(mean(found) for found in values),
        tuple(deviation(found) for found in values),
        len({animal for found in bins.values() for animal, _value in found}),
    )


def _kind(series: Mapping[str, Any]) -> ProfileKind:
    return ProfileKind(*(str(series[name]) for name in ("symbol", "region", "unit", "x_name", "x_unit")))
