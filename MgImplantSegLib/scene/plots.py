"""Measures along something, over shells around the implant or along the screw axis, as plot nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.quantification.results import Series
from MgImplantSegLib.scene.tables import add_table

LEAST_ROWS = 2  # VTK reports an error for a line with fewer
# told apart with every kind of colour vision (Okabe and Ito)
TITLE_SIZE = 14  # points; a chart beside other views is less than 500 pixels wide
COLORS_RGB = ((0.0, 0.45, 0.70), (0.84, 0.37, 0.0), (0.0, 0.62, 0.45), (0.80, 0.47, 0.65), (0.34, 0.71, 0.91))


def add_chart(scene: Any, series: Sequence[Series], title: str) -> Any:
    """A `vtkMRMLPlotChartNode` with one line per series, each over a table node of its own.

    Points stand at the middle of their bins; undefined values leave a gap. A series without any value has no line.
    Raises InputError if there is no series, no series with values for a line, or the series do not share their axes.
    """
    if not series:
        raise InputError("Expected a series of measures to plot, got none.", "Compute the measures first.")
    if len({(entry.x_name, entry.x_unit, entry.symbol, entry.unit) for entry in series}) > 1:
        raise InputError(f"Expected series over the same axes in one chart, got {[entry.name for entry in series]}.")
    drawn = [entry for entry in series if can_be_drawn(entry.values)]
    if not drawn:
        reasons = " ".join(dict.fromkeys(entry.note for entry in series if entry.note))
        steps = f"at least {LEAST_ROWS} steps of {series[0].x_name} with values to plot"
        raise InputError(
            f"Expected {steps}, got fewer. {reasons}".strip(),
            "Measure a thicker shell [[distance_mm]].",
        )
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", scene.GenerateUniqueName(title))
    chart.SetTitle(title)
    chart.SetTitleFontSize(TITLE_SIZE)
    chart.SetXAxisTitle(_axis(series[0].x_name, series[0].x_unit))
    chart.SetYAxisTitle(_axis(series[0].symbol, series[0].unit))
    chart.SetLegendVisibility(len(drawn) > 1)
    chart.SetGridVisibility(True)
    for number, entry in enumerate(drawn):
        node = _add_series(scene, entry, COLORS_RGB[number % len(COLORS_RGB)])
        chart.AddAndObservePlotSeriesNodeID(node.GetID())
    return chart


def can_be_drawn(values: Sequence[float]) -> bool:
    """Whether values make a line: VTK takes the range of none, or of undefined ones, for a range from ∞ to -∞."""
    return len(values) >= LEAST_ROWS and any(map(math.isfinite, values))


def _add_series(scene: Any, series: Series, color_rgb: tuple[float, float, float]) -> Any:
    x_column, y_column = _axis(series.x_name, series.x_unit), _axis(series.symbol, series.unit)
    middles = [(low + high) / 2 for low, high in zip(series.x_low, series.x_high, strict=True)]
    columns = {
        x_column: middles,
        f"{series.x_name} from": list(series.x_low),
        f"{series.x_name} to": list(series.x_high),
        y_column: list(series.values),
    }
    table = add_table(scene, f"{series.name} ({series.region})", columns)
    node = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", scene.GenerateUniqueName(series.region))
    node.SetAndObserveTableNodeID(table.GetID())
    node.SetXColumnName(x_column)
    node.SetYColumnName(y_column)
    node.SetPlotType(node.PlotTypeScatter)
    node.SetLineStyle(node.LineStyleSolid)
    node.SetMarkerStyle(node.MarkerStyleCircle)
    node.SetColor(*color_rgb)
    return node


def _axis(name: str, unit: str) -> str:
    return f"{name} [{unit}]"
