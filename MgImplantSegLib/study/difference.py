"""The difference of two conditions, a value an animal and condition: animals may be in one of them or in both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from MgImplantSegLib.study.effect_size import (
    freedom_of_both,
    noncentrality_limits,
    small_sample_factor,
    standard_deviation_of_both,
)
from MgImplantSegLib.study.numbers import NAN, UNKNOWN, Interval, covariance, deviation, mean, t_limit, t_probability
from MgImplantSegLib.study.permutation import NO_TEST, PermutationTest, Stratum, permutation_test

FEWEST_PAIRS = 3
INDEPENDENT = "Welch's t-test"
PAIRED = "paired t-test"
OVERLAPPING = "t-test for partly paired samples (Derrick et al. 2017)"
STRATIFIED = "Welch's t-tests within time points, pooled"
TOO_FEW = "Too few animals for an effect size."
NO_SPREAD = "No spread within the groups, so that interval, effect size and t are not defined."


@dataclass(frozen=True)
class Difference:
    """mean(second) − mean(first) over animals, with what is known of it; NaN where it is not defined, and `note` why.

    `effect_size` is Hedges' g*; `p` that of the t-test in `method`, `permutation` a test without a distribution.
    """

    difference: float
    interval: Interval = UNKNOWN
    effect_size: float = NAN
    effect_interval: Interval = UNKNOWN
    t: float = NAN
    degrees_of_freedom: float = NAN
    p: float = NAN
    permutation: PermutationTest = NO_TEST
    method: str = ""
    animals_first: int = 0
    animals_second: int = 0
    animals_both: int = 0
    note: str = ""


def difference(first: Mapping[str, float], second: Mapping[str, float]) -> Difference:
    """Compare two conditions.

    Parameters
    ----------
    first, second : mapping of str to float
        One finite value for each animal.

    Notes
    -----
    Animals in both conditions are pairs. Without any it is Welch's t-test, with pairs alone the paired t-test, between
    the two the test of Derrick et al., J. Mod. Appl. Stat. Meth. 16:137 (2017), of which both are special cases. The
    effect size divides by √((s₁² + s₂²) / 2) and has Hedges' correction.
    """
    both = [animal for animal in first if animal in second]
    a, b = list(first.values()), list(second.values())
    counts: dict[str, Any] = {"animals_first": len(a), "animals_second": len(b), "animals_both": len(both)}
    if not a or not b:
        return Difference(NAN, note="One of the two has no value.", **counts)
    stratum = Stratum(
        [value for animal, value in first.items() if animal not in second],
        [value for animal, value in second.items() if animal not in first],
        [(first[animal], second[animal]) for animal in both],
    )
    found = mean(b) - mean(a)
    if len(a) < 2 or len(b) < 2:
        return Difference(found, note="Fewer than two animals in one of the two: no test is possible.", **counts)
    permutation = permutation_test([stratum])
    error, freedom, method, note = _standard_error(stratum, a, b)
    if not error > 0:
        return Difference(found, permutation=permutation, method=method, note=NO_SPREAD, **counts)
    scale = _effect_of_t(error, freedom, a, b, method)
    note = note if math.isfinite(scale) else f"{note} {TOO_FEW}".strip()
    return tested(found, error, freedom, scale, permutation=permutation, method=method, note=note, **counts)


def tested(found: float, error: float, freedom: float, effect_of_t: float, **further: Any) -> Difference:
    """A difference with the t-test, interval and effect size that follow from its standard error, above 0.

    Parameters
    ----------
    freedom : float
        Degrees of freedom of the error.
    effect_of_t : float
        Effect size for each unit of t; NaN where there is none.
    further : dict
        Other fields of `Difference`.
    """
    t, half, limits = found / error, t_limit(freedom) * error, noncentrality_limits(found / error, freedom)
    return Difference(
        found,
        Interval(found - half, found + half),
        t * effect_of_t,
        Interval(limits.low * effect_of_t, limits.high * effect_of_t),
        t,
        freedom,
        t_probability(t, freedom),
        **further,
    )


def pooled_difference(strata: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> Difference:
    """The difference of two groups of different animals over several strata (time points), each compared in itself.

    Weights are n₁ n₂ / (n₁ + n₂); the degrees of freedom are Satterthwaite's. Strata with fewer than two animals in one
    of the two are left out, which `note` says.
    """
    kept = [(a, b) for a, b in strata if len(a) > 1 and len(b) > 1]
    left = len(strata) - len(kept)
    note = f"{left} of {len(strata)} time points have fewer than two animals in one of the two." if left else ""
    counts: dict[str, Any] = {
        "animals_first": len({animal for a, _ in kept for animal in a}),
        "animals_second": len({animal for _, b in kept for animal in b}),
    }
    if not kept:
        return Difference(NAN, note=note or "There is no time point with both.", **counts)
    weights = [len(a) * len(b) / (len(a) + len(b)) for a, b in kept]
    parts = [difference(a, b) for a, b in kept]
    found = math.fsum(w * part.difference for w, part in zip(weights, parts, strict=True)) / sum(weights)
    permutation = permutation_test(
        [Stratum(list(a.values()), list(b.values()), weight=w) for (a, b), w in zip(kept, weights, strict=True)]
    )
    cells = [list(values.values()) for pair in kept for values in pair]
    freedoms = [len(cell) - 1 for cell in cells]
    spread = math.sqrt(sum(f * deviation(cell) ** 2 for f, cell in zip(freedoms, cells, strict=True)) / sum(freedoms))
    squares = [
        (w / sum(weights)) ** 2 * deviation(list(group.values())) ** 2 / len(group)
        for w, pair in zip(weights, kept, strict=True)
        for group in pair
    ]
    error = math.sqrt(math.fsum(squares))
    if not error > 0:
        return Difference(found, permutation=permutation, method=STRATIFIED, note=NO_SPREAD, **counts)
    freedom = math.fsum(squares) ** 2 / math.fsum(s**2 / f for s, f in zip(squares, freedoms, strict=True))
    scale = small_sample_factor(sum(freedoms)) * error / spread
    return tested(found, error, freedom, scale, permutation=permutation, method=STRATIFIED, note=note, **counts)


def _standard_error(stratum: Stratum, first: Sequence[float], second: Sequence[float]) -> tuple[float, float, str, str]:
    """Standard error of the difference, its degrees of freedom, the method's name, and what has to be said."""
    a, b, n_a, n_b, pairs = deviation(first), deviation(second), len(first), len(second), len(stratum.pairs)
    if pairs == n_a == n_b:
        spread = deviation([y - x for x, y in stratum.pairs])
        return spread / math.sqrt(pairs), pairs - 1, PAIRED, ""
    squares = (a**2 / n_a, b**2 / n_b)
    below = squares[0] ** 2 / (n_a - 1) + squares[1] ** 2 / (n_b - 1)
    welch = sum(squares) ** 2 / below if below > 0 else NAN
    if pairs < FEWEST_PAIRS:
        note = f"{pairs} animals are in both; too few to account for the pairing." if pairs else ""
        return math.sqrt(sum(squares)), welch, INDEPENDENT, note
    shared = 2 * _correlation(stratum.pairs) * a * b * pairs / (n_a * n_b)
    single = len(stratum.first) + len(stratum.second)
    freedom = (pairs - 1) + (welch - pairs + 1) / (single + 2 * pairs) * single
    return math.sqrt(max(0.0, sum(squares) - shared)), freedom, OVERLAPPING, ""


def _correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Pearson's correlation of pairs; 0 where one side has no spread."""
    x, y = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    spread = deviation(x) * deviation(y)
    return covariance(x, y) / spread if spread > 0 else 0.0


def _effect_of_t(error: float, freedom: float, first: Sequence[float], second: Sequence[float], method: str) -> float:
    """Hedges' g* for each unit of t; NaN without spread or with too few animals."""
    a, b = deviation(first), deviation(second)
    spread = standard_deviation_of_both(a, b)
    if not spread > 0:
        return NAN
    of_correction = freedom_of_both(a, b, len(first), len(second)) if method == INDEPENDENT else freedom
    return small_sample_factor(of_correction) * error / spread
