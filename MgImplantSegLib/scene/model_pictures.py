"""Pictures of coloured result surfaces from both sides, with what the colours mean and a scale bar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.io.label_values import values_in
from MgImplantSegLib.scene.annotations import add_color_bar, add_legend, add_scale_bar
from MgImplantSegLib.scene.canvas import OffscreenCanvas, write_png
from MgImplantSegLib.scene.frames import local_to_world_ras
from MgImplantSegLib.scene.meshes import transformed
from MgImplantSegLib.scene.viewpoint import Viewpoint, viewpoint_of_points

MOST_NAMED_COLORS = 12


def render_model(model_node: Any, path: str | Path, title: str = "", width: int = 1800, height: int = 1200) -> Path:
    """Draw a model node coloured by its active array into a PNG file, front beside back.

    Raises InputError if the model has no surface, is not coloured by an array, or is under a transform that is not
    linear.

    Parameters
    ----------
    title : str
        What the colours show, with its unit; the name of the array if not given.
    """
    mesh, display = model_node.GetPolyData(), model_node.GetDisplayNode()
    if mesh is None or not mesh.GetNumberOfPolys():
        raise InputError(f"Expected a surface in {model_node.GetName()!r}, got none.")
    if display is None or not display.GetScalarVisibility() or display.GetColorNode() is None:
        raise InputError(f"Expected {model_node.GetName()!r} to be coloured by an array, got a plain surface.")
    mesh = transformed(mesh, local_to_world_ras(model_node))
    front = viewpoint_of_points(_points(mesh))
    left = _canvas(mesh, display, front, width // 2, height)
    right = _canvas(mesh, display, _from_behind(front), width // 2, height)
    try:
        _add_key(left, mesh, display, title or display.GetActiveScalarName())
        add_scale_bar(right.renderer, right.width, right.height)
        return write_png(np.concatenate([left.pixels(), right.pixels()], axis=1), path)
    finally:
        left.close()
        right.close()


def _canvas(mesh: Any, display: Any, viewpoint: Viewpoint, width: int, height: int) -> OffscreenCanvas:
    canvas = OffscreenCanvas(width, height)
    canvas.add_colored_mesh(mesh, display.GetActiveScalarName(), _lookup_table(display))
    canvas.aim(viewpoint)
    return canvas


def _lookup_table(display: Any) -> Any:
    """The node's colours over the range that the node shows."""
    from vtkmodules.vtkCommonCore import vtkLookupTable

    table = vtkLookupTable()
    table.DeepCopy(display.GetColorNode().GetLookupTable())
    table.SetTableRange(*display.GetScalarRange())
    return table


def _add_key(canvas: OffscreenCanvas, mesh: Any, display: Any, title: str) -> None:
    """What the colours mean: names where there are few, else a bar with numbers."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    colors = display.GetColorNode()
    if colors.GetNumberOfColors() > MOST_NAMED_COLORS:
        add_color_bar(canvas.renderer, _lookup_table(display), title, canvas.width, canvas.height)
        return
    shown = mesh.GetCellData().GetArray(display.GetActiveScalarName()) or mesh.GetPointData().GetScalars()
    rgba, entries = [0.0] * 4, []
    for value in values_in(vtk_to_numpy(shown)[None]):
        colors.GetColor(value, rgba)
        entries.append((colors.GetColorName(value), triple(rgba[:3])))
    add_legend(canvas.renderer, entries, canvas.height)


def _points(mesh: Any) -> np.ndarray:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(mesh.GetPoints().GetData()).astype(float)


def _from_behind(viewpoint: Viewpoint) -> Viewpoint:
    """The viewpoint turned half around the upright axis."""
    up, to_camera = viewpoint.up_ras, viewpoint.to_camera_ras
    along = up * (up @ to_camera)
    return replace(viewpoint, to_camera_ras=2 * along - to_camera)
