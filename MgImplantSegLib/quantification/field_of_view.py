"""The round field of view of a reconstruction, from the constant grey value outside it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from MgImplantSegLib.grids.volume import Volume

LEAST_OUTSIDE = 0.02
DISC_TOLERANCE = 0.95


def field_of_view_of(scan: Volume) -> np.ndarray:
    """Boolean array (z, y, x), True where the scanner has seen something.

    What is NaN was not seen. Else a reconstruction is a cylinder; outside it, in the corners of all slices, one value
    stands, mostly 0. The field of view is taken as such a cylinder along one array axis if all four of its corners hold
    one value throughout, and if that region leaves the disc that fits the slice free. Otherwise, as for a cropped scan,
    it is the whole volume.
    """
    if scan.array.dtype.kind == "f":
        seen = np.empty(scan.array.shape, dtype=bool)
        for layer, image in zip(seen, scan.array, strict=True):
            np.logical_not(np.isnan(image), out=layer)
        if not seen.all():
            return seen
    for axis in range(3):
        inside = _seen_in_projection(scan.array, axis)
        if inside is not None:
            return np.broadcast_to(np.expand_dims(inside, axis), scan.array.shape)
    return np.broadcast_to(np.True_, scan.array.shape)


def _seen_in_projection(array: np.ndarray, axis: int) -> np.ndarray | None:
    """The field of view seen along an axis; None if there is no round one."""
    corner = array[0, 0, 0]
    seen = np.zeros([n for a, n in enumerate(array.shape) if a != axis], dtype=bool)
    for layer in range(array.shape[axis]):
        values = np.take(array, layer, axis=axis)
        seen |= values != corner
    if seen[np.ix_((0, -1), (0, -1))].any():
        return None
    filled = ndimage.binary_fill_holes(seen)
    outside = ~filled
    ends = [np.linspace(-1, 1, n) for n in filled.shape]
    disc = ends[0][:, None] ** 2 + ends[1] ** 2 <= DISC_TOLERANCE**2
    is_round = outside.mean() >= LEAST_OUTSIDE and not (outside & disc).any()
    return filled if is_round else None
