"""Resampling between parallel grids, slice by slice.

Linear interpolation where the new grid is as fine as the old one or finer. Where it is coarser, the triangle of linear
interpolation is widened to the new spacing, so every old voxel counts and details finer than the new grid are averaged
instead of aliasing: for new spacing s the weight of a voxel at distance x is ``max(0, 1 - |x| / s)``, normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy import sparse

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.volume import Geometry

SNAP_VOXELS = 1e-6
InPlane = Callable[[np.ndarray, sparse.csr_array, sparse.csr_array], np.ndarray]


def interpolation_matrices(
    source: Geometry, target: Geometry, *, keep_ramps: bool = False
) -> tuple[sparse.csr_array, ...]:
    """For z, y and x the matrix, (target size, source size), that turns values on `source` into values on `target`.

    Beyond the outermost voxel centres of `source` the outermost values are repeated. For `keep_ramps` see
    `triangle_matrix`. Raises InputError if the axes of the grids are not parallel.
    """
    if not np.allclose(source.direction_lps, target.direction_lps, atol=1e-4):
        raise InputError(
            f"Expected grids with parallel axes, got {source.direction_lps} and {target.direction_lps}.",
            "Resample one of the two to the other's grid first.",
        )
    starts = source.index_zyx_from_lps(target.lps_from_index_zyx(np.zeros(3)))
    axes = zip(starts, source.spacing_zyx_mm, target.spacing_zyx_mm, source.shape_zyx, target.shape_zyx, strict=True)
    return tuple(
        triangle_matrix(
            start + np.arange(target_size) * target_mm / source_mm,
            target_mm / source_mm,
            source_size,
            keep_ramps=keep_ramps,
        )
        for start, source_mm, target_mm, source_size, target_size in axes
    )


def corner_aligned(
    geometry: Geometry, spacing_zyx_mm: tuple[float, float, float], shape_zyx: tuple[int, int, int] | None = None
) -> Geometry:
    """A grid of another spacing whose first corner is that of `geometry`.

    Without a shape it is as long as `geometry` to half a voxel.
    """
    shape = shape_zyx or triple(
        max(1, round(edge / size)) for edge, size in zip(geometry.extent_zyx_mm, spacing_zyx_mm, strict=True)
    )
    corner_lps = geometry.lps_from_index_zyx(np.full(3, -0.5))
    origin = corner_lps + geometry.direction_matrix @ np.array(spacing_zyx_mm[::-1]) / 2
    return Geometry(shape, spacing_zyx_mm, triple(origin), geometry.direction_lps)


def triangle_matrix(
    positions: np.ndarray, step: float, source_size: int, *, keep_ramps: bool = False
) -> sparse.csr_array:
    """Weights of the source voxels for every target voxel; rows sum to 1.

    Parameters
    ----------
    positions : array
        Where the target voxels lie, in indices of the source.
    step : float
        Distance of the target voxels in source voxels.
    keep_ramps : bool
        Weigh so that the centre of the weights is the place of the target voxel. Where `step` is no whole number it is
        else up to some hundredths of a voxel beside it, and more at the ends.
    """
    positions = np.where(abs(positions - np.round(positions)) < SNAP_VOXELS, np.round(positions), positions)
    positions = np.clip(positions, 0, source_size - 1)
    half_width = max(1.0, step)
    reach = int(np.ceil(half_width))
    columns = np.floor(positions).astype(np.int64)[:, None] + np.arange(-reach, reach + 2)
    weights = np.maximum(0, 1 - abs(columns - positions[:, None]) / half_width)
    weights[(columns < 0) | (columns >= source_size)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    if keep_ramps:
        weights = _centred(weights, columns - positions[:, None])
    rows = np.repeat(np.arange(len(positions)), columns.shape[1])
    used = weights.ravel() > 0
    entries = (weights.ravel()[used].astype(np.float32), (rows[used], columns.ravel()[used]))
    return sparse.csr_array(entries, shape=(len(positions), source_size))


def _centred(weights: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Weights, rows with the sum 1, times a straight line in the distance that moves their centre to distance 0.

    Rows in which a weight would become negative, at the ends of the source, stay as they are.
    """
    first = (weights * distances).sum(axis=1, keepdims=True)
    spread = (weights * distances**2).sum(axis=1, keepdims=True) - first**2
    usable = spread > SNAP_VOXELS
    slope = np.where(usable, -first / np.where(usable, spread, 1), 0)
    moved = weights * (1 + slope * (distances - first))
    return np.where((moved < 0).any(axis=1, keepdims=True), weights, moved)


def resampled_slices(
    read: Callable[[int], np.ndarray],
    matrices: tuple[sparse.csr_array, ...],
    in_plane: InPlane | None = None,
) -> Iterator[np.ndarray]:
    """The slices of the target grid along z, in order; every source slice is read once, in order, and kept shortly.

    Parameters
    ----------
    read : callable
        Source slice z as float32, (..., y, x).
    in_plane : callable, optional
        ``in_plane(values, along_y, along_x)`` in place of `resampled_in_plane`; may give several channels of one slice.
    """
    along_z, along_y, along_x = matrices
    in_plane = in_plane or resampled_in_plane
    kept: dict[int, np.ndarray] = {}
    for row in range(along_z.shape[0]):
        entries = slice(along_z.indptr[row], along_z.indptr[row + 1])
        needed = dict(zip(along_z.indices[entries].tolist(), along_z.data[entries], strict=True))
        kept = {z: values for z, values in kept.items() if z in needed}
        for z in sorted(needed.keys() - kept.keys()):
            kept[z] = in_plane(read(z), along_y, along_x)
        yield _weighted_sum(kept, needed)


def _weighted_sum(slices: dict[int, np.ndarray], weights: dict[int, np.float32]) -> np.ndarray:
    if len(weights) == 1:
        return slices[next(iter(weights))].copy()
    result = np.zeros_like(next(iter(slices.values())))
    for z, weight in weights.items():
        result += weight * slices[z]
    return result


def resampled_in_plane(values: np.ndarray, along_y: sparse.csr_array, along_x: sparse.csr_array) -> np.ndarray:
    """Values (..., y, x) resampled along y and x."""
    planes = values.reshape(-1, *values.shape[-2:])
    resampled = [_times_transposed(along_x, _times(along_y, plane)) for plane in planes]
    return np.stack(resampled).reshape(*values.shape[:-2], along_y.shape[0], along_x.shape[0])


def _times(matrix: sparse.csr_array, plane: np.ndarray) -> np.ndarray:
    return plane if _is_identity(matrix) else matrix @ plane


def _times_transposed(matrix: sparse.csr_array, plane: np.ndarray) -> np.ndarray:
    return plane if _is_identity(matrix) else np.ascontiguousarray((matrix @ np.ascontiguousarray(plane.T)).T)


def _is_identity(matrix: sparse.csr_array) -> bool:
    size = matrix.shape[0]
    return matrix.shape == (size, size) and matrix.nnz == size and bool((matrix.indices == np.arange(size)).all())
