"""Cutting a closed surface open with a plane, and closing the cut."""

from __future__ import annotations

from typing import Any

import numpy as np

INSIDE, CUT = 0, 1


def cut_open(mesh: Any, point_mm: np.ndarray, normal: np.ndarray) -> tuple[Any, Any]:
    """What remains of a closed `vtkPolyData` behind a plane, and the flat faces that close the cut.

    Everything on the side to which `normal` points is removed.
    """
    from vtkmodules.vtkCommonDataModel import vtkPlane, vtkPlaneCollection
    from vtkmodules.vtkFiltersGeneral import vtkClipClosedSurface

    plane = vtkPlane()
    plane.SetOrigin(*point_mm)
    plane.SetNormal(*(-np.asarray(normal)))
    planes = vtkPlaneCollection()
    planes.AddItem(plane)
    clip = vtkClipClosedSurface()
    clip.SetInputData(mesh)
    clip.SetClippingPlanes(planes)
    clip.SetScalarModeToLabels()
    clip.PassPointDataOn()
    clip.Update()
    rest, cap = (_cells_labelled(clip.GetOutput(), label) for label in (INSIDE, CUT))
    cap.GetPointData().SetNormals(None)
    return rest, cap


def _cells_labelled(mesh: Any, label: int) -> Any:
    from vtkmodules.vtkCommonDataModel import vtkDataObject, vtkDataSetAttributes
    from vtkmodules.vtkFiltersCore import vtkThreshold
    from vtkmodules.vtkFiltersGeometry import vtkGeometryFilter

    chosen = vtkThreshold()
    chosen.SetInputData(mesh)
    chosen.SetInputArrayToProcess(0, 0, 0, vtkDataObject.FIELD_ASSOCIATION_CELLS, vtkDataSetAttributes.SCALARS)
    chosen.SetThresholdFunction(vtkThreshold.THRESHOLD_BETWEEN)
    chosen.SetLowerThreshold(label - 0.5)
    chosen.SetUpperThreshold(label + 0.5)
    surface = vtkGeometryFilter()
    surface.SetInputConnection(chosen.GetOutputPort())
    surface.Update()
    return surface.GetOutput()
