"""Faces between voxels: which lie on a surface, and how much area they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from MgImplantSegLib.quantification.codes import slabs


def face_area_mm2(spacing_zyx_mm: tuple[float, float, float], axis: int) -> float:
    """Area of one voxel face perpendicular to an axis."""
    return float(np.prod(spacing_zyx_mm) / spacing_zyx_mm[axis])


def neighbour_pairs(shape_zyx: tuple[int, int, int], offset_zyx: tuple[int, int, int]) -> Iterator[tuple]:
    """Index pairs, slab by slab, of all voxels and their neighbours at `offset_zyx` within the array.

    `array[first]` and `array[second]` hold the voxels and their neighbours in the same order.
    """
    if offset_zyx[0] < 0:
        raise ValueError("The first component of the offset must not be negative.")
    inner = [slice(max(0, -o), n - max(0, o)) for o, n in zip(offset_zyx, shape_zyx, strict=True)]
    moved = [slice(part.start + o, part.stop + o) for part, o in zip(inner, offset_zyx, strict=True)]
    length = inner[0].stop - inner[0].start
    for part in slabs((max(0, length), *shape_zyx[1:])):
        first = slice(part.start, part.stop)
        second = slice(part.start + offset_zyx[0], part.stop + offset_zyx[0])
        yield (first, *inner[1:]), (second, *moved[1:])


def count_pairs(
    shape_zyx: tuple[int, int, int],
    offset_zyx: tuple[int, int, int],
    counts: Callable[[tuple, tuple], int],
) -> int:
    """Sum over the slabs of `neighbour_pairs` of what `counts(first, second)` returns."""
    return sum(int(counts(first, second)) for first, second in neighbour_pairs(shape_zyx, offset_zyx))


AXIS_OFFSETS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def voxel_face_area_mm2(mask: np.ndarray, counted: np.ndarray, spacing_zyx_mm: tuple[float, float, float]) -> float:
    """Area of all faces between a voxel inside and one outside, where both are counted."""

    def faces(first: tuple, second: tuple) -> int:
        return np.count_nonzero((mask[first] != mask[second]) & counted[first] & counted[second])

    return sum(
        face_area_mm2(spacing_zyx_mm, axis) * count_pairs(mask.shape, offset, faces)
        for axis, offset in enumerate(AXIS_OFFSETS)
    )
