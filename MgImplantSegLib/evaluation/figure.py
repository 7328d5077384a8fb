"""A figure of the deviation of segmentations from the reference."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.evaluation.comparison import REFERENCE, Comparison
from MgImplantSegLib.quantification.figures import new_figure, save_figure

SHOWN = ("DR", "BIC", "BV/TV", "V_r", "V_DL")


def write_deviation_figure(comparisons: Iterable[Comparison], path: str | Path) -> None:
    """Bars of the mean deviation in % of each segmentation, ± standard error over the samples, and of the mean IoU.

    Raises InputError if there is nothing to show or the suffix is not .png, .pdf or .svg; DependencyError if matplotlib
    is missing.
    """
    comparisons = tuple(comparisons)
    names = list(dict.fromkeys(e.segmentation for c in comparisons for e in c.values if e.segmentation != REFERENCE))
    known = {entry.symbol for comparison in comparisons for entry in comparison.values}
    symbols = [symbol for symbol in SHOWN if symbol in known]
    if not names or not symbols:
        raise InputError("Expected compared segmentations for the figure, got none.")
    figure = new_figure(path)
    left, right = figure.subplots(1, 2, width_ratios=(3, 1))
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        offset = (number - (len(names) - 1) / 2) * width
        _bars(left, symbols, comparisons, name, "deviation_percent", offset, width)
        _bars(right, ["mean IoU"], comparisons, name, "value", offset, width)
    left.axhline(0, color="black", linewidth=0.8)
    left.set_ylabel("deviation from the reference [%]")
    left.legend(frameon=False)
    right.set_ylim(0, 1)
    save_figure(figure, path)


def _bars(
    axes, symbols: list[str], comparisons: tuple[Comparison, ...], name: str, field: str, offset: float, width: float
) -> None:
    """One bar per symbol: the mean over the samples, with its standard error."""
    heights, errors = [], []
    for symbol in symbols:
        found = [_first(comparison, name, symbol, field) for comparison in comparisons]
        values = np.array([value for value in found if np.isfinite(value)])
        heights.append(values.mean() if values.size else np.nan)
        errors.append(values.std(ddof=1) / np.sqrt(values.size) if values.size > 1 else 0.0)
    axes.bar(np.arange(len(symbols)) + offset, heights, width, yerr=errors, capsize=2, label=name)
    axes.set_xticks(np.arange(len(symbols)), symbols)


def _first(comparison: Comparison, name: str, symbol: str, field: str) -> float:
    for entry in comparison.values:
        if (entry.segmentation, entry.symbol) == (name, symbol):
            return getattr(entry, field)
    return float("nan")
