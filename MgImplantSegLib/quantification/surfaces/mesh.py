"""The surface of a mask as triangles, smoothed or raw, slab by slab, and how much area they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.quantification.surfaces.vtk_modules import vtk_module

PASS_BAND = 0.1
VOXELS_PER_SLAB = 1 << 24
STEP_TO_SIDES = 0.75
Spacing = tuple[float, float, float]


def smoothing_iterations(spacing_zyx_mm: Spacing) -> int:
    """Iterations of the smoothing filter: more where the steps between slices are higher than wide."""
    return round(16 + 10 * min(4.0, max(spacing_zyx_mm) / min(spacing_zyx_mm)) ** 2)


def smoothed_triangles(mask: np.ndarray, spacing_zyx_mm: Spacing) -> Iterator[np.ndarray]:
    """Triangles of the voxel faces' dual mesh, smoothed without shrinking.

    Surface nets (Gibson, "Constrained elastic surface nets", MICCAI 1998) keep edges that marching cubes cuts off;
    the windowed sinc filter (Taubin et al., "Optimal surface smoothing as filter design", ECCV 1996) removes the steps
    between voxels. It is linear, so the same mesh comes from index and from physical coordinates.

    Yields
    ------
    float array (n, 3, 3)
        Corners in continuous indices (z, y, x), in the order: triangle, corner, axis.
    """
    iterations = smoothing_iterations(spacing_zyx_mm)
    halo = iterations + 2
    for part in slabs(mask.shape, max(VOXELS_PER_SLAB, 2 * halo * mask[0].size)):
        low, high = max(0, part.start - halo), min(mask.shape[0], part.stop + halo)
        block = mask[low:high]
        if block.all() or not block.any():
            continue
        raw, smooth = _surface_nets(block, iterations)
        layer = raw[:, :, 0].min(axis=1) + 0.5 + low
        yield smooth[(layer >= part.start) & (layer < part.stop)] + np.array([low, 0, 0])


def raw_triangles(mask: np.ndarray, spacing_zyx_mm: Spacing) -> Iterator[np.ndarray]:
    """Triangles of marching cubes on the mask as it is; corners (n, 3, 3) in continuous indices (z, y, x)."""
    for part in slabs((max(0, mask.shape[0] - 1), *mask.shape[1:]), VOXELS_PER_SLAB):
        block = mask[part.start : part.stop + 1]
        if block.any() and not block.all():
            yield _marching_cubes(block) + np.array([part.start, 0, 0])


def area_of_triangles(
    triangles: Callable[[np.ndarray, Spacing], Iterator[np.ndarray]],
) -> Callable[[np.ndarray, np.ndarray, Spacing], float]:
    """A function that measures the area of those triangles which have counted voxels on both sides."""

    def area_mm2(mask: np.ndarray, counted: np.ndarray, spacing_zyx_mm: Spacing) -> float:
        everything_counts = bool(counted.all())
        total = 0.0
        for corners_zyx in triangles(mask, spacing_zyx_mm):
            normals = normals_mm2(corners_zyx, spacing_zyx_mm)
            areas = np.linalg.norm(normals, axis=1)
            if not everything_counts:
                areas = areas[_both_sides_counted(corners_zyx, normals * spacing_zyx_mm, counted)]
            total += float(areas.sum())
        return total

    return area_mm2


def normals_mm2(corners_zyx: np.ndarray, spacing_zyx_mm: Spacing) -> np.ndarray:
    """Normals (z, y, x) of triangles in physical space, as long as their area in mm²; shape (n, 3)."""
    edges_mm = (corners_zyx[:, 1:] - corners_zyx[:, :1]) * np.array(spacing_zyx_mm)
    return np.cross(edges_mm[:, 0], edges_mm[:, 1]) / 2


def values_at(values: np.ndarray, positions_zyx: np.ndarray) -> np.ndarray:
    """Values of the voxels nearest to continuous indices, shape (n, 3)."""
    index = np.clip(np.rint(positions_zyx).astype(np.int64), 0, np.array(values.shape) - 1)
    return values[index[:, 0], index[:, 1], index[:, 2]]


def _both_sides_counted(corners_zyx: np.ndarray, normals_zyx: np.ndarray, counted: np.ndarray) -> np.ndarray:
    longest = np.abs(normals_zyx).max(axis=1, keepdims=True)
    step = STEP_TO_SIDES * normals_zyx / np.where(longest > 0, longest, 1)
    centres = corners_zyx.mean(axis=1)
    return values_at(counted, centres - step) & values_at(counted, centres + step)


def _surface_nets(block: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners (n, 3, 3) of the raw and of the smoothed mesh, in the block's indices (z, y, x)."""
    core = vtk_module("vtkFiltersCore")
    nets = core.vtkSurfaceNets3D()
    nets.SetInputData(_image(block))
    nets.SetValue(0, 1)
    nets.SmoothingOff()
    nets.SetOutputMeshTypeToTriangles()
    smooth = core.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(nets.GetOutputPort())
    smooth.SetPassBand(PASS_BAND)
    smooth.SetNumberOfIterations(iterations)
    smooth.NormalizeCoordinatesOn()
    smooth.BoundarySmoothingOff()
    smooth.FeatureEdgeSmoothingOff()
    smooth.NonManifoldSmoothingOn()
    smooth.Update()
    return _corners(nets.GetOutput()), _corners(smooth.GetOutput())


def _marching_cubes(block: np.ndarray) -> np.ndarray:
    contour = vtk_module("vtkFiltersCore").vtkFlyingEdges3D()
    contour.SetInputData(_image(block))
    contour.SetValue(0, 0.5)
    contour.ComputeNormalsOff()
    contour.ComputeScalarsOff()
    contour.Update()
    return _corners(contour.GetOutput())


def _image(block: np.ndarray):
    numpy_support = vtk_module("util.numpy_support")
    image = vtk_module("vtkCommonDataModel").vtkImageData()
    image.SetDimensions(*block.shape[::-1])
    scalars = numpy_support.numpy_to_vtk(np.ascontiguousarray(block).view(np.uint8).ravel(), deep=True)
    image.GetPointData().SetScalars(scalars)
    return image


def _corners(mesh) -> np.ndarray:
    numpy_support = vtk_module("util.numpy_support")
    if mesh.GetNumberOfPolys() == 0:
        return np.zeros((0, 3, 3))
    points_zyx = numpy_support.vtk_to_numpy(mesh.GetPoints().GetData())[:, ::-1].astype(np.float64)
    return points_zyx[numpy_support.vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3)]
