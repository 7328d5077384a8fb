"""Hedges' g* of a difference of two means, for groups whose spreads may differ, with its confidence interval."""

from __future__ import annotations

import math
from itertools import pairwise

from MgImplantSegLib.study.numbers import CONFIDENCE, NAN, UNKNOWN, Interval

FEWEST_DEGREES, ROUNDING = 2.0, 1e-9
LARGEST_NONCENTRALITY, SMALLEST, STEP_WIDTHS = 1e4, 1e-15, 8.0


def small_sample_factor(degrees_of_freedom: float) -> float:
    """Hedges' exact correction J = Γ(m/2) / (√(m/2) · Γ((m−1)/2)); NaN for fewer than two degrees of freedom.

    Towards one degree of freedom J becomes 0, which would make a great difference look like none.
    Hedges, J. Educ. Stat. 6:107 (1981).
    """
    m = degrees_of_freedom
    if not m >= FEWEST_DEGREES - ROUNDING:
        return NAN
    return math.exp(math.lgamma(m / 2) - math.lgamma((m - 1) / 2)) / math.sqrt(m / 2)


def standard_deviation_of_both(first: float, second: float) -> float:
    """√((s₁² + s₂²) / 2), what the difference is divided by; it does not depend on the group sizes."""
    return math.sqrt((first**2 + second**2) / 2)


def freedom_of_both(first: float, second: float, count_first: int, count_second: int) -> float:
    """Degrees of freedom for the correction of two independent groups (Delacre et al. 2021)."""
    a, b = first**2, second**2
    below = (count_second - 1) * a**2 + (count_first - 1) * b**2
    return (count_first - 1) * (count_second - 1) * (a + b) ** 2 / below if below > 0 else NAN


def noncentrality_limits(t: float, degrees_of_freedom: float) -> Interval:
    """The non-centrality parameters for which `t` is just at the edge of what is expected.

    Multiplied by standard error / standard deviation they limit the standardised difference (Delacre et al., PsyArXiv
    tu6mp, 2021, for two groups; Algina & Keselman, Educ. Psychol. Meas. 63:537, 2003, for pairs).
    """
    if not (math.isfinite(t) and degrees_of_freedom > 0) or abs(t) > LARGEST_NONCENTRALITY / 10:
        return UNKNOWN
    tail = (1 - CONFIDENCE) / 2
    low, high = (
        _root(lambda x, p=p: noncentral_t_probability(t, degrees_of_freedom, x) - p, t) for p in (1 - tail, tail)
    )
    return Interval(low, high)


def noncentral_t_probability(t: float, degrees_of_freedom: float, noncentrality: float) -> float:
    """P(T ≤ t) of the non-central t distribution, by integration over the standard deviation in its denominator.

    scipy's own is NaN for some values of a few degrees of freedom.
    """
    from scipy.integrate import quad
    from scipy.stats import chi2

    m = degrees_of_freedom
    scale = math.log(2) + m / 2 * math.log(m / 2) - math.lgamma(m / 2)

    def density(s: float) -> float:
        normal = 0.5 * math.erfc((noncentrality - t * s) / math.sqrt(2))
        return normal * math.exp(scale + (m - 1) * math.log(s) - m * s * s / 2) if s > 0 else 0.0

    low, high = (math.sqrt(float(limit) / m) for limit in (chi2.ppf(SMALLEST, m), chi2.isf(SMALLEST, m)))
    step, width = (
        (noncentrality / t, STEP_WIDTHS / abs(t)) if t else (0.0, 0.0)
    )  # where the normal part goes from 0 to 1
    edges = sorted({low, high, *(edge for edge in (step - width, step, step + width) if low < edge < high)})
    return math.fsum(quad(density, a, b, limit=200)[0] for a, b in pairwise(edges))


def _root(function, start: float) -> float:
    """The root of a falling function, searched from `start` outwards."""
    from scipy.optimize import brentq

    width = 2.0
    while width < LARGEST_NONCENTRALITY:
        low, high = start - width, start + width
        if function(low) > 0 > function(high):
            return float(brentq(function, low, high, xtol=1e-10))
        width *= 2
    return NAN
