"""Figures of measures along the screw axis or over shells around the implant."""

from __future__ import annotations

from pathlib import Path

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.quantification.results import Series

DPI = 150
FIGURE_SUFFIXES = (".png", ".pdf", ".svg")


def write_series_figure(series: Series, path: str | Path) -> None:
    """A measure over shells or along the screw axis as steps.

    Raises InputError if the suffix is not .png, .pdf or .svg, or the series is empty; DependencyError if matplotlib is
    missing.
    """
    if not series.values:
        raise InputError(f"Expected values of {series.symbol} to draw, got none.")
    figure = new_figure(path)
    axes = figure.subplots()
    axes.stairs(series.values, [*series.x_low, series.x_high[-1]], baseline=None, linewidth=1.5)
    axes.set_xlabel(f"{series.x_name} [{series.x_unit}]")
    axes.set_ylabel(f"{series.symbol} [{series.unit}]")
    axes.set_title(f"{series.name}, {series.region}")
    axes.set_ylim(bottom=0)
    save_figure(figure, path)


def new_figure(path: str | Path):
    """A figure of matplotlib that needs no display.

    Raises InputError if the suffix is not .png, .pdf or .svg; DependencyError if matplotlib is missing.
    """
    if Path(path).suffix.lower() not in FIGURE_SUFFIXES:
        raise InputError(f"Expected a figure file ({', '.join(FIGURE_SUFFIXES)}), got {path}.")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError(
            "Expected matplotlib for figures, but it is not installed.", "pip install matplotlib"
        ) from error
    return Figure(figsize=(7, 3.5), layout="constrained")


def save_figure(figure, path: str | Path) -> None:
    """Write a figure of matplotlib; texts of an SVG stay texts that can be edited."""
    from matplotlib import rc_context

    with atomic_output(path) as temporary, rc_context({"svg.fonttype": "none", "svg.hashsalt": "MgImplantSeg"}):
        is_svg = Path(path).suffix.lower() == ".svg"
        figure.savefig(temporary, dpi=DPI, **({"metadata": {"Date": None}} if is_svg else {}))
