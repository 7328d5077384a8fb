"""Bodies of known volume and surface on turned, left-handed, anisotropic, shifted grids, for the tests of measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MgImplantSegLib.grids.volume import Geometry, LabelMap

# columns: perpendicular unit vectors of the axes x, y, z; determinant -1
TURNED_LEFT_HANDED = (0.8, 0.0, -0.6, 0.36, 0.8, 0.48, -0.48, 0.6, -0.64)
ORIGIN_LPS_MM = (15.0, -22.5, 31.25)
BACKGROUND, BONE, LAYER, METAL = range(4)
IGNORED = 255
OFF_GRID_MM = np.array([0.0123, -0.0234, 0.0345])


def turned_grid(extent_mm: float, spacing_zyx_mm: tuple[float, float, float]) -> Geometry:
    """A turned, left-handed, shifted grid of about the extent along every axis."""
    shape = tuple(round(extent_mm / spacing) for spacing in spacing_zyx_mm)
    return Geometry(shape, spacing_zyx_mm, ORIGIN_LPS_MM, TURNED_LEFT_HANDED)


def plain_grid(*shape_zyx: int, spacing_zyx_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Geometry:
    """A grid along the axes of space with its first voxel at the origin."""
    return Geometry(shape_zyx, spacing_zyx_mm)


def positions_mm(geometry: Geometry) -> np.ndarray:
    """Position of every voxel relative to the middle of the grid, along x, y, z of space; shape (z, y, x, 3)."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape_zyx], indexing="ij"), axis=-1)
    middle = geometry.lps_from_index_zyx((np.array(geometry.shape_zyx) - 1) / 2)
    return geometry.lps_from_index_zyx(index) - middle - OFF_GRID_MM


def ball(geometry: Geometry, radius_mm: float) -> np.ndarray:
    """A ball about the middle of a grid."""
    return np.linalg.norm(positions_mm(geometry), axis=-1) <= radius_mm


def cylinder(
    geometry: Geometry, radius_mm: float, length_mm: float, direction_lps: tuple[float, float, float] = (0, 0, 1)
) -> np.ndarray:
    """A cylinder about the middle of a grid, along a direction of space."""
    position = positions_mm(geometry)
    direction = np.array(direction_lps) / np.linalg.norm(direction_lps)
    along = position @ direction
    across = np.linalg.norm(position - along[..., None] * direction, axis=-1)
    return (across <= radius_mm) & (np.abs(along) <= length_mm / 2)


def labelled(geometry: Geometry, *bodies: tuple[np.ndarray, int]) -> LabelMap:
    """A label map in which later bodies lie over earlier ones."""
    labels = np.zeros(geometry.shape_zyx, dtype=np.uint8)
    for mask, value in bodies:
        labels[mask] = value
    return LabelMap(labels, geometry)


def reordered(label_map: LabelMap, order_zyx: tuple[int, int, int], flipped: tuple[int, ...] = ()) -> LabelMap:
    """The same voxels at the same places in an array whose axes are permuted and, some of them, reversed."""
    geometry, array = label_map.geometry, label_map.array
    start = [geometry.shape_zyx[axis] - 1 if axis in flipped else 0 for axis in range(3)]
    columns_zyx = geometry.direction_matrix.T[::-1].copy()  # one row per array axis
    for axis in flipped:
        columns_zyx[axis] *= -1
        array = np.flip(array, axis)
    array = np.ascontiguousarray(array.transpose(order_zyx))
    columns_zyx = columns_zyx[list(order_zyx)]
    return replace(
        label_map,
        array=array,
        geometry=Geometry(
            array.shape,
            tuple(geometry.spacing_zyx_mm[axis] for axis in order_zyx),
            tuple(geometry.lps_from_index_zyx(np.array(start))),
            tuple(columns_zyx[::-1].T.ravel()),
        ),
    )
