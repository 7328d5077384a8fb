"""The values of label maps: as whole numbers, and which of them occur."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.slabs import slabs

MOST_COUNTED_VALUES = 16


def whole_numbers(array: np.ndarray, path: object) -> np.ndarray:
    """The same values in an integer type; floating-point arrays are accepted when they hold whole numbers.

    Raises InputError if a value has a fraction, is not finite or needs more than 32 bits.
    """
    if array.dtype == bool:
        return array.view(np.uint8)
    if array.dtype.kind in "iu":
        return array
    lowest = highest = 0.0
    for part in slabs(array.shape):
        slab = array[part]
        if not (np.isfinite(slab).all() and (slab == np.round(slab)).all()):
            raise InputError(
                f"Expected whole numbers as label values, got fractions, NaN or infinity in {path}.",
                "Give the label map, not the image or a probability map; resample labels by nearest neighbour.",
            )
        lowest, highest = min(lowest, float(slab.min())), max(highest, float(slab.max()))
    if lowest < -(2**31) or highest >= 2**32:
        raise InputError(f"Expected label values of at most 32 bits, got {lowest:g} to {highest:g} in {path}.")
    dtype = np.result_type(np.min_scalar_type(int(lowest)), np.min_scalar_type(int(highest)))
    return array.astype(dtype)


def values_in(array: np.ndarray) -> tuple[int, ...]:
    """The values that occur in an integer array, rising."""
    found: set[int] = set()
    for part in slabs(array.shape):
        slab = array[part]
        few = len(found) <= MOST_COUNTED_VALUES  # counting the known values is faster than listing all
        if not few or sum(np.count_nonzero(slab == value) for value in found) < slab.size:
            found.update(_distinct(slab))
    return tuple(sorted(found))


def _distinct(slab: np.ndarray) -> list[int]:
    if slab.dtype.kind == "u" and slab.dtype.itemsize <= 2:
        occurs = np.zeros(1 << (8 * slab.dtype.itemsize), dtype=bool)
        occurs[slab.ravel()] = True
        return np.flatnonzero(occurs).tolist()
    return np.unique(slab).tolist()
