"""Exact percentiles of a large float32 array in two streamed passes, without sorting or copying it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

VALUES_PER_PIECE = 1 << 18
HALF = 1 << 16


def percentiles(array: np.ndarray, percents: Sequence[float], *, count: int | None = None) -> list[float]:
    """Percentiles with linear interpolation, as ``numpy.percentile`` gives them.

    A float32 has an integer key with the same order. The first pass counts the upper 16 bits of all keys, the second
    the lower 16 bits of those keys whose upper half is wanted.

    Parameters
    ----------
    array : array of float32
        C-contiguous, of any shape, not empty; NaN, which has to be ``numpy.nan``, comes after all numbers.
    percents : sequence of float
        Which percentiles, 0–100.
    count : int, optional
        How many values are numbers, if some are NaN: percentiles are of these alone.
    """
    numbers = array.size if count is None else count
    positions = [percent / 100 * (numbers - 1) for percent in percents]
    ranks = sorted({rank for position in positions for rank in (math.floor(position), math.ceil(position))})
    values = dict(zip(ranks, _order_statistics(array.reshape(-1), ranks), strict=True))
    return [
        values[math.floor(p)] + (values[math.ceil(p)] - values[math.floor(p)]) * (p - math.floor(p)) for p in positions
    ]


def _order_statistics(flat: np.ndarray, ranks: Sequence[int]) -> list[float]:
    """The values that would stand at the sorted `ranks` (from 0) in the sorted array."""
    upper_counts = np.zeros(HALF, dtype=np.int64)
    for keys in _keys(flat):
        upper_counts += np.bincount(keys >> 16, minlength=HALF)
    upper_ends = np.cumsum(upper_counts)
    uppers = [int(np.searchsorted(upper_ends, rank, side="right")) for rank in ranks]
    lower_counts = {upper: np.zeros(HALF, dtype=np.int64) for upper in uppers}
    for keys in _keys(flat):
        for upper, counts in lower_counts.items():
            counts += np.bincount(keys[keys >> 16 == upper] & (HALF - 1), minlength=HALF)
    result = []
    for rank, upper in zip(ranks, uppers, strict=True):
        rank_inside = rank - (upper_ends[upper] - upper_counts[upper])
        lower = int(np.searchsorted(np.cumsum(lower_counts[upper]), rank_inside, side="right"))
        result.append(_value(upper << 16 | lower))
    return result


def _keys(flat: np.ndarray) -> Iterator[np.ndarray]:
    """Integer keys of the values, piece by piece, in the order of the values; −0 counts as 0."""
    for start in range(0, flat.size, VALUES_PER_PIECE):
        bits = (flat[start : start + VALUES_PER_PIECE] + np.float32(0)).view(np.uint32)
        negative = bits >> 31 == 1
        yield np.where(negative, ~bits, bits | np.uint32(1 << 31))


def _value(key: int) -> float:
    bits = key & ~(1 << 31) if key >> 31 else ~key & 0xFFFFFFFF
    return float(np.array(bits, dtype=np.uint32).view(np.float32))
