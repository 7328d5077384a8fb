"""Closed surfaces as meshes: their enclosed volume, facing outward, smooth shading, cut open by a plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from MgImplantSegLib.scene.frames import vtk_matrix

INSIDE, CUT = 0, 1


def points_and_triangles(mesh: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) and triangles (m, 3) of point numbers of a `vtkPolyData`; larger polygons are split."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter

    split = vtkTriangleFilter()
    split.SetInputData(mesh)
    split.PassVertsOff()
    split.PassLinesOff()
    split.Update()
    polygons = split.GetOutput().GetPolys()
    if not polygons.GetNumberOfCells():
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=int)
    points = vtk_to_numpy(split.GetOutput().GetPoints().GetData()).astype(float)
    return points, vtk_to_numpy(polygons.GetConnectivityArray()).reshape(-1, 3)


def enclosed_volume_mm3(mesh: Any) -> float:
    """Volume inside a closed surface by the divergence theorem; negative if its polygons face inward."""
    points, triangles = points_and_triangles(mesh)
    if not len(triangles):
        return 0.0
    a, b, c = (points[triangles[:, corner]] - points.mean(axis=0) for corner in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def facing_outward(mesh: Any) -> Any:
    """The closed surface, turned inside out if it faces inward, as Slicer's surfaces in left-handed grids do."""
    from vtkmodules.vtkFiltersCore import vtkReverseSense

    if enclosed_volume_mm3(mesh) >= 0:
        return mesh
    turned = vtkReverseSense()
    turned.SetInputData(mesh)
    turned.ReverseCellsOn()
    turned.SetReverseNormals(mesh.GetPointData().GetNormals() is not None)
    turned.Update()
    return turned.GetOutput()


def smoothed(mesh: Any, smoothing: float) -> Any:
    """The mesh smoothed as Slicer smooths closed surfaces, by a factor from 0 to 1."""
    from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter

    if not smoothing:
        return mesh
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputData(mesh)
    smooth.SetNumberOfIterations(round(20 + 40 * smoothing))
    smooth.SetPassBand(10 ** (-4 * smoothing))
    smooth.BoundarySmoothingOff()
    smooth.FeatureEdgeSmoothingOff()
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    smooth.Update()
    return smooth.GetOutput()


def transformed(mesh: Any, matrix: np.ndarray) -> Any:
    """The mesh moved by a 4×4 matrix; itself if the matrix moves nothing."""
    from vtkmodules.vtkCommonTransforms import vtkTransform
    from vtkmodules.vtkFiltersGeneral import vtkTransformPolyDataFilter

    if np.array_equal(matrix, np.eye(4)):
        return mesh
    transform = vtkTransform()
    transform.SetMatrix(vtk_matrix(matrix))
    moved = vtkTransformPolyDataFilter()
    moved.SetInputData(mesh)
    moved.SetTransform(transform)
    moved.Update()
    return moved.GetOutput()


def with_normals(mesh: Any) -> Any:
    """The mesh with normals at its points, which smooth shading needs; surface nets come without."""
    from vtkmodules.vtkFiltersCore import vtkPolyDataNormals

    if mesh.GetPointData().GetNormals() is not None:
        return mesh
    normals = vtkPolyDataNormals()
    normals.SetInputData(mesh)
    normals.SplittingOff()
    normals.ConsistencyOff()  # the polygons agree already; where surfaces touch along an edge it would turn some
    normals.Update()
    return normals.GetOutput()


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
    """The part of the mesh whose cells have the label."""
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
