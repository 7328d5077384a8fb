"""How dark a voxel is between the grey value of the matter around it (0) and of the background (1): `Contrast`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.boxes import Box, shape_of
from MgImplantSegLib.grids.slabs import slabs

LARGEST, LEAST = 1.5, -0.5
DARK = 0.25  # darker voxels do not count for the grey value of the matter
ROUNDS = 3
SIGMA_CELLS = 4.0
MOST_PLANES = 48
Mask = Callable[[Box], np.ndarray]


@dataclass(frozen=True)
class Contrast:
    """Contrast of a scan inside a region.

    Parameters
    ----------
    grey : array (z, y, x)
        The whole scan.
    region : tuple of slice
        Where contrast is asked for.
    local : float32 array (cells z, y, x)
        Grey value of the matter, smoothed, in cells of `cell_zyx` voxels of the region.
    cell_zyx : tuple of int
        Voxels of a cell.
    dark : float
        Grey value of the background.
    """

    grey: np.ndarray
    region: Box
    local: np.ndarray
    cell_zyx: tuple[int, int, int]
    dark: float

    def of(self, layers: slice) -> np.ndarray:
        """float32 (z, y, x): contrast of some layers of the region, −0.5 to 1.5."""
        local = self.local
        for axis, part in enumerate((layers, *(slice(0, n) for n in shape_of(self.region)[1:]))):
            local = _between_cells(local, axis, part, self.cell_zyx[axis])
        depth = local - np.float32(self.dark)
        values = np.where(depth > 0, (local - self._grey(layers)) / np.where(depth > 0, depth, 1), np.float32(0))
        return np.clip(values, LEAST, LARGEST).astype(np.float32)

    def _grey(self, layers: slice) -> np.ndarray:
        start = self.region[0].start
        values = self.grey[start + layers.start : start + layers.stop, self.region[1], self.region[2]]
        return np.nan_to_num(values.astype(np.float32), nan=self.dark)


def contrast_of(
    grey: np.ndarray,
    region: Box,
    cell_zyx: tuple[int, int, int],
    matter: Mask,
    background: Mask,
    voxels_per_slab: int,
) -> Contrast | None:
    """The contrast of a scan to the matter around each voxel.

    The local grey value is the mean of the matter, by a Gaussian of four cells, without the voxels that are darker than
    a quarter of the way to the background; that is repeated three times.

    Parameters
    ----------
    grey : array (z, y, x)
        The whole scan.
    region : tuple of slice
        Where contrast is wanted.
    cell_zyx : tuple of int
        Voxels of a cell of the smoothed grey values.
    matter, background : callable
        The masks of a box of the scan.
    voxels_per_slab : int
        How much is worked on at once; the result does not depend on it.

    Returns
    -------
    Contrast or None
        None if there is no background in the region, or the matter is not brighter than it.
    """
    dark = _median_of(grey, region, background)
    if dark is None:
        return None
    found = None
    for _ in range(ROUNDS):
        found = Contrast(
            grey, region, _local(grey, region, cell_zyx, matter, found, dark, voxels_per_slab), cell_zyx, dark
        )
    return found if found is not None and (found.local > dark).any() else None


def layers_of(region: Box, cells: int, voxels_per_slab: int) -> list[slice]:
    """Layers of a region, in parts that begin at whole cells."""
    shape = shape_of(region)
    thick = [
        range(part.start * cells, min(part.stop * cells, shape[0]))
        for part in _cell_slabs(shape, cells, voxels_per_slab)
    ]
    return [slice(part.start, part.stop) for part in thick]


def _cell_slabs(shape: tuple[int, int, int], cells: int, voxels_per_slab: int) -> list[slice]:
    return list(slabs((-(-shape[0] // cells), cells * shape[1], shape[2]), voxels_per_slab))


def _local(
    grey: np.ndarray,
    region: Box,
    cell_zyx: tuple[int, int, int],
    matter: Mask,
    before: Contrast | None,
    dark: float,
    voxels_per_slab: int,
) -> np.ndarray:
    count = triple(-(-n // cell) for n, cell in zip(shape_of(region), cell_zyx, strict=True))
    sums, weights = np.zeros((2, *count), dtype=np.float64)
    for layers in layers_of(region, cell_zyx[0], voxels_per_slab):
        start = region[0].start
        box = (slice(start + layers.start, start + layers.stop), region[1], region[2])
        values = grey[box].astype(np.float32)
        used = matter(box) & np.isfinite(values)
        if before is not None:
            used &= before.of(layers) < DARK
        place = slice(layers.start // cell_zyx[0], -(-layers.stop // cell_zyx[0]))
        sums[place] = _cell_sums(np.where(used, values, 0), cell_zyx)
        weights[place] = _cell_sums(used, cell_zyx)
    mean = sums.sum() / max(1.0, weights.sum())
    tiny = 1e-6
    smooth_sums = ndimage.gaussian_filter(sums, SIGMA_CELLS) + tiny * mean
    return (smooth_sums / (ndimage.gaussian_filter(weights, SIGMA_CELLS) + tiny)).astype(np.float32)


def _cell_sums(values: np.ndarray, cell_zyx: tuple[int, int, int]) -> np.ndarray:
    """Sums over cells, the last of which may be cut; float64."""
    total = values.astype(np.float64)
    for axis, cell in enumerate(cell_zyx):
        total = np.add.reduceat(total, np.arange(0, total.shape[axis], cell), axis=axis)
    return total


def _between_cells(cells: np.ndarray, axis: int, part: slice, cell: int) -> np.ndarray:
    """Values at the voxels `part` along an axis, linear between the middles of the cells."""
    position = np.clip((np.arange(part.start, part.stop) + 0.5) / cell - 0.5, 0, cells.shape[axis] - 1)
    low = np.minimum(position.astype(int), max(0, cells.shape[axis] - 2))
    high = np.minimum(low + 1, cells.shape[axis] - 1)
    along = tuple(slice(None) if a == axis else None for a in range(3))
    weight = (position - low).astype(np.float32)[along]
    return cells.take(low, axis=axis) * (1 - weight) + cells.take(high, axis=axis) * weight


def _median_of(grey: np.ndarray, region: Box, mask: Mask) -> float | None:
    """Median grey value of a mask on planes that are evenly spread over the region; None without a voxel."""
    layers = range(region[0].start, region[0].stop)
    found = []
    for z in layers[:: max(1, len(layers) // MOST_PLANES)]:
        box = (slice(z, z + 1), region[1], region[2])
        values = grey[box][mask(box)]
        found.append(values[np.isfinite(values)])
    values = np.concatenate(found)
    return float(np.median(values)) if values.size else None
