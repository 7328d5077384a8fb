"""Which views are shown: plots beside a 3D view, and the layout as it was before when they are no longer wanted."""

from __future__ import annotations

from typing import Any

import slicer

_before: list[int] = []  # the layout that was left for plots, at most one


def showChart(chartNode: Any):
    """Show a chart in a layout that keeps a 3D view; does nothing where there are no views."""
    layout = slicer.app.layoutManager()
    if layout is None:
        return
    wanted = slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalPlotView
    if layout.layout != wanted:
        _before[:] = [layout.layout]
        layout.setLayout(wanted)
    slicer.modules.plots.logic().ShowChartInLayout(chartNode)


def isChartShown():
    """Whether the layout is the one that was chosen for a chart."""
    layout = slicer.app.layoutManager()
    return (
        layout is not None
        and bool(_before)
        and layout.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalPlotView
    )


def leaveChart():
    """Go back to the layout that was left for a chart, if that layout is still shown."""
    if isChartShown():
        slicer.app.layoutManager().setLayout(_before[0])
    _before.clear()


def require3D():
    """Make sure that a 3D view is shown: choose the conventional layout if there is none."""
    layout = slicer.app.layoutManager()
    if layout is not None and not has3D():
        layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)


def has3D():
    """Whether a 3D view is shown; one that the layout hides draws nothing."""
    layout = slicer.app.layoutManager()
    return layout is not None and layout.threeDViewCount > 0 and layout.threeDWidget(0).visible
