"""Labels of a few slices on the model's grid: no labelled voxel gets lost between coarser ones."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.training.data.samples import nearest_on_grid
from MgImplantSegLib.training.loop.losses import IGNORE

SAME = 1e-6


def labelled_on_grid(channels: np.ndarray, grid: Geometry, target: Geometry) -> np.ndarray:
    """`channels` on a grid whose axes run alike.

    A voxel of `target` has the channel of the nearest voxel of `grid`, as in `nearest_on_grid`. Where that one is not
    labelled, the voxel takes the labelled one within itself that is nearest to its middle, so that a labelled slice of
    fine voxels is one labelled slice of coarse ones.

    Parameters
    ----------
    channels : array
        (z, y, x), uint8, `IGNORE` where nothing is labelled.
    grid, target : Geometry
        Of `channels` and of the result.
    """
    result = nearest_on_grid(channels, grid, target)
    steps = np.array(target.spacing_zyx_mm) / np.array(grid.spacing_zyx_mm)
    if (steps <= 1 + SAME).all() or not (channels != IGNORE).any():
        return result
    first = target.index_zyx_from_lps(grid.lps_from_index_zyx(np.zeros(3)))
    cells, away = zip(
        *(_cells(first[a], steps[a], channels.shape[a], target.shape_zyx[a]) for a in range(3)), strict=True
    )
    nearest = np.full(target.shape_zyx, np.inf, dtype=np.float32)
    nearest[result != IGNORE] = -1
    for z, slab in enumerate(channels):
        if cells[0][z] >= 0 and (slab != IGNORE).any():
            _take_slab(slab, away[0][z], cells[1:], away[1:], nearest[cells[0][z]], result[cells[0][z]])
    return result


def _cells(first: float, step: float, count: int, target_count: int) -> tuple[np.ndarray, np.ndarray]:
    """For `count` fine indices the coarse index that holds each, −1 outside, and the squared distance to its middle."""
    place = first + np.arange(count) / step
    cell = np.floor(place + 0.5).astype(int)
    away = ((place - cell) * step).astype(np.float32) ** 2
    return np.where((cell >= 0) & (cell < target_count), cell, -1), away


def _take_slab(
    slab: np.ndarray,
    away_z: np.float32,
    cells: tuple[np.ndarray, np.ndarray],
    away: tuple[np.ndarray, np.ndarray],
    nearest: np.ndarray,
    result: np.ndarray,
) -> None:
    """Note the labelled voxels of one fine slab in the coarse slab `result` where none nearer is noted."""
    rows, columns = np.nonzero((slab != IGNORE) & (cells[0] >= 0)[:, None] & (cells[1] >= 0)[None])
    distance = away_z + away[0][rows] + away[1][columns]
    order = np.argsort(-distance, kind="stable")  # of several in one cell the last assignment, the nearest, stays
    rows, columns, distance = rows[order], columns[order], distance[order]
    there = cells[0][rows], cells[1][columns]
    nearer = distance < nearest[there]
    there = there[0][nearer], there[1][nearer]
    nearest[there] = distance[nearer]
    result[there] = slab[rows[nearer], columns[nearer]]
