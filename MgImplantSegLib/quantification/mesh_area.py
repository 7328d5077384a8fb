"""Area of the isosurface of a mask, smoothed or not, slab by slab."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from MgImplantSegLib.errors import DependencyError
from MgImplantSegLib.quantification.codes import slabs

SMOOTHING_VOXELS = 0.7
TRUNCATE = 4.0
HALO = int(np.ceil(TRUNCATE * SMOOTHING_VOXELS)) + 1
VOXELS_PER_SLAB = 1 << 22


def smoothed_mesh_area_mm2(mask: np.ndarray, counted: np.ndarray, spacing_zyx_mm: tuple[float, float, float]) -> float:
    """Area of the ½ isosurface of the mask smoothed by a Gaussian, where both sides are counted."""
    return sum(
        _counted_area_mm2(corners_zyx, counted, spacing_zyx_mm)
        for corners_zyx in mesh_triangles(mask, SMOOTHING_VOXELS)
    )


def mesh_triangles(mask: np.ndarray, sigma_voxels: float) -> Iterator[np.ndarray]:
    """Corners, shape (n, 3, 3), in index units (z, y, x) of the isosurface's triangles, slab by slab."""
    for part in slabs((max(0, mask.shape[0] - 1), *mask.shape[1:]), VOXELS_PER_SLAB):
        low, high = max(0, part.start - HALO), min(mask.shape[0], part.stop + 1 + HALO)
        block = mask[low:high]
        if block.all() or not block.any():
            continue
        field = ndimage.gaussian_filter(block.astype(np.float32), sigma_voxels, mode="nearest", truncate=TRUNCATE)
        field = field[part.start - low : part.stop + 1 - low]
        corners = _isosurface(field)
        corners[..., 0] += part.start
        yield corners


def _isosurface(field: np.ndarray) -> np.ndarray:
    vtk, numpy_support = _vtk()
    image = vtk.vtkImageData()
    image.SetDimensions(*field.shape[::-1])
    field = np.ascontiguousarray(field)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(field.ravel()))
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 0.5)
    contour.ComputeNormalsOff()
    contour.ComputeScalarsOff()
    contour.Update()
    mesh = contour.GetOutput()
    if mesh.GetNumberOfPolys() == 0:
        return np.zeros((0, 3, 3))
    points_xyz = numpy_support.vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64)
    triangles = numpy_support.vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return points_xyz[triangles][..., ::-1].copy()


def _counted_area_mm2(corners_zyx: np.ndarray, counted: np.ndarray, spacing_zyx_mm: tuple[float, ...]) -> float:
    spacing = np.array(spacing_zyx_mm)
    edges_mm = (corners_zyx[:, 1:] - corners_zyx[:, :1]) * spacing
    normals_mm2 = np.cross(edges_mm[:, 0], edges_mm[:, 1]) / 2
    areas_mm2 = np.linalg.norm(normals_mm2, axis=1)
    return float(areas_mm2[both_sides_counted(corners_zyx, normals_mm2 * spacing, counted)].sum())


def both_sides_counted(corners_zyx: np.ndarray, normals_zyx: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Boolean per triangle: whether the voxels half a voxel to both sides of its centre are counted.

    `normals_zyx` are normals in index space, of any length.
    """
    longest = np.abs(normals_zyx).max(axis=1, keepdims=True)
    step = 0.5 * normals_zyx / np.where(longest > 0, longest, 1)
    centres = corners_zyx.mean(axis=1)
    sides = [_at(counted, np.rint(centres + sign * step).astype(int)) for sign in (-1, 1)]
    return sides[0] & sides[1]


def _at(values: np.ndarray, index_zyx: np.ndarray) -> np.ndarray:
    index = np.clip(index_zyx, 0, np.array(values.shape) - 1)
    return values[index[:, 0], index[:, 1], index[:, 2]]


def _vtk():
    try:
        import vtk
        from vtk.util import numpy_support
    except ImportError as error:
        raise DependencyError("Expected the package vtk for meshes, it is missing.", "pip install vtk") from error
    return vtk, numpy_support
