"""Boxes of voxels as slices (z, y, x): around a class, grown, intersected, relative to another box."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.slabs import slabs

Box = tuple[slice, slice, slice]


def whole(shape_zyx: tuple[int, ...]) -> Box:
    """The box of a whole array."""
    return triple(slice(0, n) for n in shape_zyx)


def bounding_box(array: np.ndarray, *values: int) -> Box | None:
    """The smallest box that holds all voxels with one of the `values` (True by default); None without any."""
    hits = [np.zeros(n, dtype=bool) for n in array.shape]
    for part in slabs(array.shape):
        inside = array[part] == (values[0] if values else True)
        for value in values[1:]:
            inside |= array[part] == value
        hits[0][part] = inside.any(axis=(1, 2))
        in_plane = inside.any(axis=0)
        hits[1] |= in_plane.any(axis=1)
        hits[2] |= in_plane.any(axis=0)
    if not hits[0].any():
        return None
    return triple(slice(int(hit.argmax()), int(hit.size - hit[::-1].argmax())) for hit in hits)


def grown(box: Box, voxels: int | tuple[int, int, int], shape_zyx: tuple[int, ...]) -> Box:
    """The box grown by `voxels` on every side, as far as an array of that shape goes."""
    margins = (voxels, voxels, voxels) if isinstance(voxels, int) else voxels
    return triple(
        slice(max(0, part.start - margin), min(n, part.stop + margin))
        for part, margin, n in zip(box, margins, shape_zyx, strict=True)
    )


def shape_of(box: Box) -> tuple[int, int, int]:
    """Number of voxels of a box along z, y, x; 0 where it is empty."""
    return triple(max(0, part.stop - part.start) for part in box)


def start_of(box: Box) -> tuple[int, int, int]:
    """Index (z, y, x) of a box's first voxel."""
    return triple(part.start for part in box)


def intersection(box: Box, other: Box) -> Box:
    """The voxels of both boxes; may be empty."""
    return triple(
        slice(max(a.start, b.start), max(max(a.start, b.start), min(a.stop, b.stop)))
        for a, b in zip(box, other, strict=True)
    )


def hull(boxes: list[Box]) -> Box:
    """The smallest box that holds all the boxes."""
    return triple(
        slice(min(part.start for part in parts), max(part.stop for part in parts)) for parts in zip(*boxes, strict=True)
    )


def relative_to(box: Box, outer: Box) -> Box:
    """The box in the indices of an array that holds only `outer`."""
    return triple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, outer, strict=True))
