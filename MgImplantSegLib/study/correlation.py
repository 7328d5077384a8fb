"""Correlation of two measures over animals, also within groups and time points."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from MgImplantSegLib.study.numbers import CONFIDENCE, NAN, UNKNOWN, Interval, covariance, deviation, mean, t_probability

FEWEST = 3


@dataclass(frozen=True)
class Correlation:
    """Pearson's r with its interval and p, and Spearman's ρ; NaN where they are not defined, and `note` says why."""

    count: int
    r: float = NAN
    interval: Interval = UNKNOWN
    p: float = NAN
    rho: float = NAN
    note: str = ""


def correlation(x: Sequence[float], y: Sequence[float], cells: Sequence[Hashable] | None = None) -> Correlation:
    """Correlation of pairs of finite numbers.

    Parameters
    ----------
    cells : sequence, optional
        A key for each pair: then what is correlated are the deviations from the means of pairs with the same key, which
        is the partial correlation given the key.
    """
    taken = 0 if cells is None else len(set(cells)) - 1
    if cells is not None:
        x, y = _centred(x, cells), _centred(y, cells)
    count = len(x)
    if count - taken < FEWEST:
        return Correlation(count, note=f"{count} pairs are too few.")
    spread = deviation(x) * deviation(y)
    if not spread > 0:
        return Correlation(count, note="One of the two measures has no spread.")
    r = max(-1.0, min(1.0, covariance(x, y) / spread))
    freedom = count - 2 - taken
    p = t_probability(r * math.sqrt(freedom / (1 - r * r)), freedom) if abs(r) < 1 else 0.0
    return Correlation(count, r, _fisher(r, count - taken), p, _spearman(x, y) if cells is None else NAN)


def _centred(values: Sequence[float], cells: Sequence[Hashable]) -> list[float]:
    members: dict[Hashable, list[float]] = {}
    for value, cell in zip(values, cells, strict=True):
        members.setdefault(cell, []).append(value)
    centres = {cell: mean(found) for cell, found in members.items()}
    return [
        0.0 if min(members[cell]) == max(members[cell]) else value - centres[cell]
        for value, cell in zip(values, cells, strict=True)
    ]


def _fisher(r: float, count: int) -> Interval:
    """Fisher's interval of a correlation; `count` less the number of keys that were taken out."""
    from scipy.stats import norm

    if count < 4 or abs(r) >= 1:
        return UNKNOWN
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) / math.sqrt(count - 3)
    return Interval(math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))


def _spearman(x: Sequence[float], y: Sequence[float]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)
