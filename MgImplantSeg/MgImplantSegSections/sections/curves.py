"""Losses and scores of a training as plots that grow: one table node, one line for each number."""

from __future__ import annotations

import math
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from MgImplantSegLib.scene.plots import COLORS_RGB, can_be_drawn
from MgImplantSegLib.scene.tables import add_table
from MgImplantSegSections.work import layouts

X = "iteration"
NOT_PLOTTED = {"event", "version", "time", X, "elapsed_s", "learning_rate", "patches_per_second"}


class Curves:
    """Rows of metrics; `show` makes the chart, after that it follows."""

    def __init__(self):
        self.clear()

    def clear(self):
        """Forget the rows; nodes of an earlier training stay in the scene."""
        self._rows: list[dict[str, float]] = []
        self._table: Any = None
        self._chart: Any = None
        self._lines: dict[str, Any] = {}

    def begin(self):
        """Forget the rows, which come once more; a chart that is shown stays."""
        self._rows = []

    def hasRows(self):
        """Whether there is anything to plot."""
        return bool(self._rows)

    def add(self, event: dict[str, Any]):
        """Take one metric event."""
        if X in event:
            self._rows.append({key: value for key, value in event.items() if isinstance(value, (int, float))})
            if self._table is not None and slicer.mrmlScene.IsNodePresent(
                self._table
            ):  # the scene may have been closed
                self._fill()

    def names(self):
        """Names of the numbers that are plotted."""
        return sorted({key for row in self._rows for key in row} - NOT_PLOTTED)

    def show(self):
        """Make the chart, or bring it up to date, and show it."""
        scene = slicer.mrmlScene
        if self._table is None or not scene.IsNodePresent(self._table):
            self._table, self._lines = add_table(scene, _("Training curves"), {X: [0.0]}), {}
            self._chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", _("Training"))
            self._chart.SetXAxisTitle(X)
        self._fill()
        layouts.showChart(self._chart)

    def _addColumn(self, name: str):
        """One more column; a number may come for the first time when the chart is shown already."""
        column = vtk.vtkDoubleArray()
        column.SetName(name)
        column.SetNumberOfValues(self._table.GetTable().GetNumberOfRows())
        self._table.GetTable().AddColumn(column)

    def _drawLines(self):
        """A line for each number that has values for one; VTK has no range for others, and says so as an error."""
        table = self._table.GetTable()
        for index in range(table.GetNumberOfColumns()):
            column = table.GetColumn(index)
            name, line = column.GetName(), self._lines.get(column.GetName())
            if name == X:
                continue
            if can_be_drawn([column.GetValue(row) for row in range(column.GetNumberOfValues())]):
                if line is None:
                    line = self._lines[name] = self._series(name, COLORS_RGB[len(self._lines) % len(COLORS_RGB)])
                if not self._chart.HasPlotSeriesNodeID(line):
                    self._chart.AddAndObservePlotSeriesNodeID(line)
            elif line is not None:
                self._chart.RemovePlotSeriesNodeID(line)

    def _series(self, name: str, color: tuple[float, float, float]):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", lineText(name))
        node.SetAndObserveTableNodeID(self._table.GetID())
        node.SetXColumnName(X)
        node.SetYColumnName(name)
        node.SetPlotType(node.PlotTypeScatter)
        node.SetMarkerStyle(node.MarkerStyleNone)
        node.SetColor(*color)
        return node.GetID()

    def _fill(self):
        table = self._table.GetTable()
        for name in self.names():
            if table.GetColumnByName(name) is None:
                self._addColumn(name)
        for index in range(table.GetNumberOfColumns()):
            column = table.GetColumn(index)
            column.SetNumberOfValues(len(self._rows))
            for row, values in enumerate(self._rows):
                column.SetValue(row, float(values.get(column.GetName(), math.nan)))
        table.Modified()
        self._drawLines()
        self._table.Modified()


def lineText(name: str):
    """What people read for a number of the engine."""
    return name.replace("held_out_", "").replace("_", " ").replace("iou", "IoU")
