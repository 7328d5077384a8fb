"""Colour legends in the 3D view: which colour is which value, beside the surface that they belong to."""

from __future__ import annotations

from typing import Any

LABELS = 4
SHARE_OF_VIEW, SMALLEST_PX, LARGEST_PX = 1 / 30, 8, 16  # height of letters; Slicer's own are as high in every view
POINTS_PER_INCH = 72


def add_color_legend(model: Any, title: str, named: bool, entries: int) -> Any:
    """A `vtkMRMLColorLegendDisplayNode` of a model's colours; it is shown and hidden with the model.

    Parameters
    ----------
    model : vtkMRMLModelNode
        With a display node that has a colour node and a scalar range.
    named : bool
        Whether the legend shows the names of the colours instead of numbers.
    entries : int
        Number of colours, or of steps of a continuous legend.
    """
    legend = model.GetScene().AddNewNodeByClass("vtkMRMLColorLegendDisplayNode", f"{model.GetName()} legend")
    display = model.GetDisplayNode()
    model.AddAndObserveDisplayNodeID(legend.GetID())  # first: 3D views draw it when it changes afterwards
    legend.SetAndObserveColorNodeID(display.GetColorNodeID())
    legend.SetAndObservePrimaryDisplayNode(display)
    legend.SetTitleText(title)
    legend.SetUseColorNamesForLabels(named)
    legend.SetMaxNumberOfColors(entries)
    legend.SetNumberOfLabels(entries if named else LABELS)
    legend.SetLabelFormat("%s" if named else "%.2f")
    legend.SetSize(0.16, 0.45)
    legend.SetPosition(0.97, 0.08)
    return legend


def fit_color_legend(legend: Any, width_px: int, height_px: int, dpi: int = POINTS_PER_INCH) -> None:
    """Make the letters of a legend fit a view; the bar itself is a part of the view, however large that is.

    Parameters
    ----------
    width_px, height_px : int
        Size of the view.
    dpi : int
        Pixels per inch of the view, by which letters are larger than their size in points.
    """
    pixels = min(max(SHARE_OF_VIEW * min(width_px, height_px), SMALLEST_PX), LARGEST_PX)
    points = max(1, round(pixels * POINTS_PER_INCH / max(1, dpi)))
    for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        if text.GetFontSize() != points:
            text.SetFontSize(points)


def color_legend_of(model: Any) -> Any:
    """The colour legend of a model node, or None."""
    displays = [model.GetNthDisplayNode(index) for index in range(model.GetNumberOfDisplayNodes())]
    return next((node for node in displays if node is not None and node.IsA("vtkMRMLColorLegendDisplayNode")), None)


def remove_colored_model(model: Any) -> None:
    """Take a coloured model out of its scene, with its legend and its colours."""
    scene, legend, display = model.GetScene(), color_legend_of(model), model.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    for node in (legend, model, colors):
        if node is not None:
            scene.RemoveNode(node)
