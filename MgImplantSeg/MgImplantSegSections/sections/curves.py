"""Losses and scores of a training as plots that grow: one table node, one line for each number."""

from __future__ import annotations

import math
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from MgImplantSegLib.scene.plots import COLORS_RGB
from MgImplantSegLib.scene.tables import add_table
from MgImplantSegSections.work import layouts

X = "iteration"
NOT_PLOTTED = {"event", "version", "time", X, "elapsed_s", "learning_rate", "patches_per_second"}


class Curves:
    """Rows of metrics; `show` makes the chart, after that it follows."""

    def __init__(self):
        self._rows = []
        self._table: Any = None
        self._chart: Any = None

    def clear(self):
        """Forget the rows; nodes of an earlier training stay in the scene."""
        self._rows, self._table, self._chart = [], None, None

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
            if self._table is not None:
                self._fill()

    def names(self):
        """Names of the numbers that are plotted."""
        return sorted({key for row in self._rows for key in row} - NOT_PLOTTED)

    def show(self):
        """Make the chart, or bring it up to date, and show it."""
        scene = slicer.mrmlScene
        if self._table is None or not scene.IsNodePresent(self._table):
            self._table = add_table(scene, _("Training curves"), {X: [0.0], **{name: [0.0] for name in self.names()}})
            self._chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", _("Training"))
            self._chart.SetXAxisTitle(X)
            for name in self.names():
                self._addLine(name)
        self._fill()
        layouts.showChart(self._chart)

    def _addLine(self, name: str):
        """One more line; a number may come for the first time when the chart is shown already."""
        if self._table.GetTable().GetColumnByName(name) is None:
            column = vtk.vtkDoubleArray()
            column.SetName(name)
            column.SetNumberOfValues(self._table.GetTable().GetNumberOfRows())
            self._table.GetTable().AddColumn(column)
        number = self._chart.GetNumberOfPlotSeriesNodes()
        self._chart.AddAndObservePlotSeriesNodeID(self._series(name, COLORS_RGB[number % len(COLORS_RGB)]))

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
                self._addLine(name)
        for index in range(table.GetNumberOfColumns()):
            column = table.GetColumn(index)
            column.SetNumberOfValues(len(self._rows))
            for row, values in enumerate(self._rows):
                column.SetValue(row, float(values.get(column.GetName(), math.nan)))
        table.Modified()
        self._table.Modified()


def lineText(name: str):
    """What people read for a number of the engine."""
    return name.replace("held_out_", "").replace("_", " ").replace("iou", "IoU")
