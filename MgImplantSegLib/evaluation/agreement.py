"""How well raters agree on a measure: Bland and Altman's limits for two, intraclass correlations for all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.plain_text import ten_digits, write_csv
from MgImplantSegLib.evaluation.comparison import NAN, Comparison

CONFIDENCE = 0.95
LIMIT_SD = 1.96
ALL_RATERS = "all"


@dataclass(frozen=True)
class BlandAltman:
    """Differences second − first: their mean (bias), standard deviation and limits bias ± 1.96 SD, with intervals.

    Bland & Altman, Lancet 327:307 (1986). NaN where there are too few samples.
    """

    samples: int
    bias: float = NAN
    bias_low: float = NAN
    bias_high: float = NAN
    standard_deviation: float = NAN
    lower_limit: float = NAN
    upper_limit: float = NAN
    limit_half_interval: float = NAN


@dataclass(frozen=True)
class IntraclassCorrelation:
    """ICC(2,1), absolute agreement, and ICC(3,1), consistency, of single ratings, with 95 % intervals.

    Shrout & Fleiss, Psychol. Bull. 86:420 (1979). NaN where there are too few samples or nothing varies.
    """

    samples: int
    raters: int
    icc_2_1: float = NAN
    icc_2_1_low: float = NAN
    icc_2_1_high: float = NAN
    icc_3_1: float = NAN
    icc_3_1_low: float = NAN
    icc_3_1_high: float = NAN


def bland_altman(first: Sequence[float], second: Sequence[float]) -> BlandAltman:
    """Limits of agreement of two raters; pairs with an undefined value are left out.

    Raises InputError if they have not rated the same samples.
    """
    from scipy.stats import t

    if len(first) != len(second):
        raise InputError(f"Expected ratings of the same samples, got {len(first)} and {len(second)}.")
    d = np.array([b - a for a, b in zip(first, second, strict=True) if math.isfinite(a) and math.isfinite(b)])
    if d.size == 0:
        return BlandAltman(0)
    bias = float(d.mean())
    if d.size < 2:
        return BlandAltman(1, bias)
    spread = float(d.std(ddof=1))
    quantile = float(t.ppf((1 + CONFIDENCE) / 2, d.size - 1))
    half = quantile * spread / math.sqrt(d.size)
    limits = (bias - LIMIT_SD * spread, bias + LIMIT_SD * spread)
    return BlandAltman(d.size, bias, bias - half, bias + half, spread, *limits, math.sqrt(3) * half)


def intraclass_correlation(ratings: np.ndarray) -> IntraclassCorrelation:
    """Intraclass correlations of single ratings.

    Raises InputError if it is no such table of two raters or more.

    Parameters
    ----------
    ratings : numpy.ndarray
        Shape (samples, raters). Samples with an undefined rating are left out.
    """
    table = np.asarray(ratings, float)
    if table.ndim != 2 or table.shape[1] < 2:
        raise InputError(f"Expected a table of samples by two raters or more, got the shape {table.shape}.")
    table = table[np.isfinite(table).all(axis=1)]
    n, k = table.shape
    if n < 2:
        return IntraclassCorrelation(n, k)
    rows, columns, rest = _mean_squares(table)
    below_2, below_3 = rows + (k - 1) * rest + k * (columns - rest) / n, rows + (k - 1) * rest
    if not (below_2 > 0 and below_3 > 0):
        return IntraclassCorrelation(n, k)
    agreement, consistency = (rows - rest) / below_2, (rows - rest) / below_3
    return IntraclassCorrelation(
        n,
        k,
        agreement,
        *_interval_of_agreement(rows, columns, rest, n, k, agreement),
        consistency,
        *_interval_of_consistency(rows, rest, n, k),
    )


def _mean_squares(table: np.ndarray) -> tuple[float, float, float]:
    """Mean squares of a two-way table without repeats: between samples, between raters, of what is left."""
    n, k = table.shape
    total = table.mean()
    of_rows, of_columns = table.mean(axis=1), table.mean(axis=0)
    left = table - of_rows[:, None] - of_columns[None, :] + total
    scale = float(np.abs(table).max()) ** 2
    squares = (k * ((of_rows - total) ** 2).sum() / (n - 1), n * ((of_columns - total) ** 2).sum() / (k - 1))
    rest = (left**2).sum() / ((n - 1) * (k - 1))
    rows, columns, rest = (float(value) if value > 1e-24 * scale else 0.0 for value in (*squares, rest))
    return rows, columns, rest


def _interval_of_consistency(rows: float, rest: float, n: int, k: int) -> tuple[float, float]:
    from scipy.stats import f

    if rest == 0:
        return NAN, NAN
    tail, freedom = (1 + CONFIDENCE) / 2, (n - 1) * (k - 1)
    low, high = rows / rest / f.ppf(tail, n - 1, freedom), rows / rest * f.ppf(tail, freedom, n - 1)
    return float((low - 1) / (low + k - 1)), float((high - 1) / (high + k - 1))


def _interval_of_agreement(rows: float, columns: float, rest: float, n: int, k: int, icc: float) -> tuple[float, float]:
    """Satterthwaite's approximation, as Shrout and Fleiss give it."""
    from scipy.stats import f

    if rest == 0:
        return NAN, NAN
    tail, ratio = (1 + CONFIDENCE) / 2, columns / rest
    middle = n * (1 + (k - 1) * icc) - k * icc
    freedom = (k - 1) * (n - 1) * (k * icc * ratio + middle) ** 2
    freedom /= (n - 1) * k**2 * icc**2 * ratio**2 + middle**2
    upper, lower = f.ppf(tail, n - 1, freedom), f.ppf(tail, freedom, n - 1)
    others = k * columns + (k * n - k - n) * rest
    low = n * (rows - upper * rest) / (upper * others + n * rows)
    high = n * (lower * rows - rest) / (others + n * lower * rows)
    return float(low), float(high)


@dataclass(frozen=True)
class AgreementRow:
    """Agreement on one measure: of two raters (limits), or of all (correlations); what does not apply is NaN."""

    symbol: str
    region: str
    unit: str
    first: str
    second: str
    limits: BlandAltman
    correlation: IntraclassCorrelation


LIMIT_COLUMNS = tuple(BlandAltman.__dataclass_fields__)[1:]
CORRELATION_COLUMNS = tuple(IntraclassCorrelation.__dataclass_fields__)[1:]
AGREEMENT_COLUMNS = (
    "symbol",
    "region",
    "unit",
    "first",
    "second",
    "samples",
    *LIMIT_COLUMNS,
    *CORRELATION_COLUMNS,
)


def agreement(comparisons: Iterable[Comparison]) -> tuple[AgreementRow, ...]:
    """Agreement of the segmentations of several samples on every measure, the reference being one of the raters.

    Parameters
    ----------
    comparisons : iterable of Comparison
        One for each sample.
    """
    rated: dict[tuple[str, str, str], dict[str, dict[int, float]]] = {}
    for number, comparison in enumerate(comparisons):
        for entry in comparison.values:
            of_measure = rated.setdefault((entry.symbol, entry.region, entry.unit), {})
            of_measure.setdefault(entry.segmentation, {})[number] = entry.value
    rows: list[AgreementRow] = []
    for key, by_rater in rated.items():
        rows += _rows_of(key, by_rater)
    return tuple(rows)


def _rows_of(key: tuple[str, str, str], by_rater: Mapping[str, Mapping[int, float]]) -> list[AgreementRow]:
    """One row a pair of raters, and one for all where they are more than two."""
    numbers = sorted({number for values in by_rater.values() for number in values})
    table = np.array([[values.get(number, NAN) for values in by_rater.values()] for number in numbers])
    names = list(by_rater)
    rows = [
        AgreementRow(
            *key,
            names[i],
            names[j],
            bland_altman(list(table[:, i]), list(table[:, j])),
            intraclass_correlation(table[:, [i, j]]),
        )
        for i, j in combinations(range(len(names)), 2)
    ]
    if len(names) > 2:
        nothing = BlandAltman(int(np.isfinite(table).all(axis=1).sum()))
        rows.append(AgreementRow(*key, ALL_RATERS, ALL_RATERS, nothing, intraclass_correlation(table)))
    return rows


def agreement_cells(row: AgreementRow) -> dict[str, object]:
    """A row as plain data, by `AGREEMENT_COLUMNS`."""
    who = {name: getattr(row, name) for name in AGREEMENT_COLUMNS[:5]}
    limits = {name: getattr(row.limits, name) for name in LIMIT_COLUMNS}
    return {
        **who,
        "samples": row.correlation.samples,
        **limits,
        **{name: getattr(row.correlation, name) for name in CORRELATION_COLUMNS},
    }


def write_agreement_csv(rows: Iterable[AgreementRow], path: str | Path) -> None:
    """Write one row a measure and pair of raters."""
    write_csv(path, AGREEMENT_COLUMNS, (map(ten_digits, agreement_cells(row).values()) for row in rows))
