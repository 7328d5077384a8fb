"""Closed triangle meshes: volume, area, and the mask of the inside on a grid."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.quantification.surfaces.vtk_modules import vtk_module

LONGEST_EDGE_VOXELS = 1
ON_FACE_VOXELS = 2e-5  # more than the tolerance within which VTK counts a centre beside a face as inside


def mesh_volume_mm3(points_lps_mm: np.ndarray, triangles: np.ndarray) -> float:
    """Volume that a closed mesh encloses."""
    return abs(signed_volume_mm3(points_lps_mm, triangles))


def signed_volume_mm3(points_lps_mm: np.ndarray, triangles: np.ndarray) -> float:
    """Volume by the divergence theorem; negative if the triangles face inward."""
    a, b, c = np.moveaxis((points_lps_mm - points_lps_mm.mean(axis=0))[triangles], 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def mesh_covariance_mm2(points_lps_mm: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Covariance (3, 3) in mm² of the points inside a closed mesh, from the tetrahedra of its triangles."""
    corners = (points_lps_mm - points_lps_mm.mean(axis=0))[triangles]
    volumes = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    sums = corners.sum(axis=1)
    second = np.einsum("n,nki,nkj->ij", volumes, corners, corners) + np.einsum("n,ni,nj->ij", volumes, sums, sums)
    mean = volumes @ sums / 4 / volumes.sum()
    return second / 20 / volumes.sum() - np.outer(mean, mean)


def mesh_area_mm2(points_lps_mm: np.ndarray, triangles: np.ndarray) -> float:
    """Area of a mesh's triangles."""
    a, b, c = np.moveaxis(points_lps_mm[triangles], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def mesh_area_within_mm2(
    points_lps_mm: np.ndarray, triangles: np.ndarray, geometry: Geometry, counted: np.ndarray
) -> float:
    """Area of the part of the triangles in mm² that lies in counted voxels of a grid, a bool array (z, y, x).

    Triangles are halved at their longest edge until none is longer than a voxel; each piece lies where its centre
    lies.
    """
    longest_mm = LONGEST_EDGE_VOXELS * max(geometry.spacing_zyx_mm)
    total_mm2, corners = 0.0, points_lps_mm[triangles]
    while len(corners):
        edges_mm = np.linalg.norm(corners[:, [1, 2, 0]] - corners, axis=2)
        small = edges_mm.max(axis=1) <= longest_mm
        total_mm2 += _counted_area_mm2(corners[small], geometry, counted)
        corners = _halved(corners[~small], edges_mm[~small].argmax(axis=1))
    return total_mm2


def _counted_area_mm2(corners: np.ndarray, geometry: Geometry, counted: np.ndarray) -> float:
    index = np.rint(geometry.index_zyx_from_lps(corners.mean(axis=1))).astype(int)
    inside = ((index >= 0) & (index < counted.shape)).all(axis=1)
    inside[inside] = counted[tuple(index[inside].T)]
    normals = np.cross(corners[inside, 1] - corners[inside, 0], corners[inside, 2] - corners[inside, 0])
    return 0.5 * float(np.linalg.norm(normals, axis=1).sum())


def _halved(corners: np.ndarray, longest: np.ndarray) -> np.ndarray:
    """Triangles (n, 3, 3), each halved at its longest edge, which begins at corner `longest`."""
    row = np.arange(len(corners))
    first, second, third = (corners[row, (longest + k) % 3] for k in range(3))
    middle = (first + second) / 2
    return np.concatenate([np.stack([first, middle, third], axis=1), np.stack([middle, second, third], axis=1)])


def mesh_mask(points_lps_mm: np.ndarray, triangles: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Boolean array (z, y, x), True where a voxel's centre lies inside a closed mesh.

    Of two opposite faces that centres lie on, those on the one with the lower indices are outside, the others inside,
    so that a body along the axes is as many voxels long as it is long.
    """
    numpy_support = vtk_module("util.numpy_support")
    stencil = vtk_module("vtkImagingStencil").vtkPolyDataToImageStencil()
    index_xyz = geometry.index_zyx_from_lps(points_lps_mm)[:, ::-1] + ON_FACE_VOXELS
    stencil.SetInputData(poly_data(index_xyz, triangles))
    extent = [edge for n in geometry.shape_zyx[::-1] for edge in (0, n - 1)]
    stencil.SetOutputWholeExtent(extent)
    to_image = vtk_module("vtkImagingStencil").vtkImageStencilToImage()
    to_image.SetInputConnection(stencil.GetOutputPort())
    to_image.SetInsideValue(1)
    to_image.SetOutsideValue(0)
    to_image.SetOutputScalarTypeToUnsignedChar()
    to_image.Update()
    inside = numpy_support.vtk_to_numpy(to_image.GetOutput().GetPointData().GetScalars())
    return inside.reshape(geometry.shape_zyx).astype(bool)


def poly_data(points_xyz: np.ndarray, triangles: np.ndarray):
    """A `vtkPolyData` of points (n, 3) and triangles (m, 3)."""
    numpy_support = vtk_module("util.numpy_support")
    model = vtk_module("vtkCommonDataModel")
    points = vtk_module("vtkCommonCore").vtkPoints()
    points.SetData(numpy_support.numpy_to_vtk(np.ascontiguousarray(points_xyz, dtype=np.float64), deep=True))
    polys = model.vtkCellArray()
    offsets = np.arange(0, 3 * len(triangles) + 1, 3, dtype=np.int64)
    connectivity = np.ascontiguousarray(triangles, dtype=np.int64).ravel()
    polys.SetData(
        numpy_support.numpy_to_vtkIdTypeArray(offsets, deep=True),
        numpy_support.numpy_to_vtkIdTypeArray(connectivity, deep=True),
    )
    mesh = model.vtkPolyData()
    mesh.SetPoints(points)
    mesh.SetPolys(polys)
    return mesh
