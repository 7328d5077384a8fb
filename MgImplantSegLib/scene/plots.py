"""Measures along something, over shells around the implant or along the screw axis, as plot nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.quantification.results import Series
from MgImplantSegLib.scene.tables import add_table

# told apart with every kind of colour vision (Okabe and Ito)
TITLE_SIZE = 14  # points; a chart beside other views is less than 500 pixels wide
COLORS_RGB = ((0.0, 0.45, 0.70), (0.84, 0.37, 0.0), (0.0, 0.62, 0.45), (0.80, 0.47, 0.65), (0.34, 0.71, 0.91))


def add_chart(scene: Any, series: Sequence[Series], title: str) -> Any:
    """A `vtkMRMLPlotChartNode` with one line per series, each over a table node of its own.

    Points stand at the middle of their bins; undefined values leave a gap. Raises InputError if there is no series,
    or the series do not share their axes.
    """
    if not series:
        raise InputError("Expected a series of measures to plot, got none.", "Compute the measures first.")
    if len({(entry.x_name, entry.x_unit, entry.symbol, entry.unit) for entry in series}) > 1:
        raise InputError(f"Expected series over the same axes in one chart, got {[entry.name for entry in series]}.")
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", scene.GenerateUniqueName(title))
    chart.SetTitle(title)
    chart.SetTitleFontSize(TITLE_SIZE)
    chart.SetXAxisTitle(_axis(series[0].x_name, series[0].x_unit))
    chart.SetYAxisTitle(_axis(series[0].symbol, series[0].unit))
    chart.SetLegendVisibility(len(series) > 1)
    chart.SetGridVisibility(True)
    for number, entry in enumerate(series):
        node = _add_series(scene, entry, COLORS_RGB[number % len(COLORS_RGB)])
        chart.AddAndObservePlotSeriesNodeID(node.GetID())
    return chart


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
