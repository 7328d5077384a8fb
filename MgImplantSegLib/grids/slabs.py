"""Cut large arrays along their first axis, so that work on them needs little memory beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator

VOXELS_PER_SLAB = 1 << 23


def slabs(shape_zyx: tuple[int, ...], voxels: int = VOXELS_PER_SLAB) -> Iterator[slice]:
    """Slices along the first axis, in order, of at most about `voxels` voxels each, at least one layer."""
    layers = max(1, voxels // max(1, math.prod(shape_zyx[1:])))
    for start in range(0, shape_zyx[0], layers):
        yield slice(start, min(start + layers, shape_zyx[0]))
