"""Means, standard deviations, intervals of confidence and Holm's correction; NaN where they are undefined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NAN = float("nan")
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`; NaN where it is not defined."""

    low: float = NAN
    high: float = NAN


UNKNOWN = Interval()


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; NaN of nothing."""
    return math.fsum(values) / len(values) if values else NAN


def deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation, with n − 1; NaN of fewer than two values, exactly 0 of equal ones."""
    if len(values) < 2:
        return NAN
    if min(values) == max(values):
        return 0.0
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def covariance(x: Sequence[float], y: Sequence[float]) -> float:
    """The sample's covariance of pairs, with n − 1."""
    centre_x, centre_y = mean(x), mean(y)
    return math.fsum((a - centre_x) * (b - centre_y) for a, b in zip(x, y, strict=True)) / (len(x) - 1)


def t_limit(degrees_of_freedom: float) -> float:
    """The quantile of Student's t for a two-sided 95 % interval."""
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, degrees_of_freedom)) if degrees_of_freedom > 0 else NAN


def t_probability(t_value: float, degrees_of_freedom: float) -> float:
    """The two-sided p of a value of Student's t."""
    from scipy.stats import t

    return 2 * float(t.sf(abs(t_value), degrees_of_freedom)) if degrees_of_freedom > 0 else NAN


def mean_interval(values: Sequence[float]) -> Interval:
    """The 95 % confidence interval of a mean; undefined for fewer than two values, or for equal ones."""
    spread = deviation(values)
    if not spread > 0:
        return UNKNOWN
    half = t_limit(len(values) - 1) * spread / math.sqrt(len(values))
    return Interval(mean(values) - half, mean(values) + half)


def holm(probabilities: Sequence[float]) -> list[float]:
    """Holm's correction for several tests (Scand. J. Stat. 6:65, 1979); what is NaN stays so and does not count."""
    order = sorted((p, index) for index, p in enumerate(probabilities) if math.isfinite(p))
    adjusted, largest = [NAN] * len(probabilities), 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = largest
    return adjusted
