"""`SlicesOnDisk`: voxels that are read slice by slice when they are asked for, where an array would be too large."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import cast

import numpy as np

ReadSlice = Callable[[int], np.ndarray]
ReadSlices = Callable[[int, int], np.ndarray]


class SlicesOnDisk:
    """Stands for an array (z, y, x) in work that goes along z: it has its shape and type, and indices along z.

    Reading forwards is quick for every file; going back may read a compressed file again from its start. A slice that
    was read must not be changed.

    Parameters
    ----------
    dtype : np.dtype
        Type of the voxels, native byte order.
    read : callable
        ``read(z)`` gives a slice (y, x) of that type.
    depth : int
        How many slices are in memory at one time.
    read_along : int
        How many slices are read for one that is far from the one before; `depth` if None.
    """

    ndim = 3

    def __init__(
        self,
        shape_zyx: tuple[int, int, int],
        dtype: np.dtype,
        read: ReadSlice,
        depth: int = 1,
        read_along: int | None = None,
    ) -> None:
        self.shape, self.dtype, self._read = shape_zyx, np.dtype(dtype), read
        self.read_along = read_along or depth
        self.held_bytes = (depth + 1) * math.prod(shape_zyx[1:]) * self.dtype.itemsize
        """About what reading takes in memory."""

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the voxels would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[z] for z in range(len(self)))

    def __getitem__(self, index: int | slice) -> np.ndarray:
        """The slice (y, x) of a number, or the slices (z, y, x) of a range."""
        if isinstance(index, slice):
            return self._several(range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(f"slice {index} of {len(self)}")
        return self._read(index % len(self))

    def whole(self, done: Callable[[], None] = lambda: None) -> np.ndarray:
        """All voxels as an array; `done` is called after each slice."""
        return self._several(range(len(self)), done)

    def _several(self, numbers: range, done: Callable[[], None] = lambda: None) -> np.ndarray:
        result = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        for target, z in zip(result, numbers, strict=True):
            target[...] = self._read(z)
            done()
        return result

    def as_array(self) -> np.ndarray:
        """This object where the type of an array is declared; only what this class has may be used of it."""
        return cast(np.ndarray, self)


def in_blocks(read: ReadSlices, count: int, depth: int) -> ReadSlice:
    """Slices of a file that is read in blocks of `depth` slices; one block is kept.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` gives slices (z, y, x).
    depth : int
        Slices in a block; blocks begin at multiples of it.
    """
    kept: dict[int, np.ndarray] = {}

    def read_slice(z: int) -> np.ndarray:
        start = z // depth * depth
        if start not in kept:
            kept.clear()  # before the next one is made
            kept[start] = read(start, min(start + depth, count))
        one = kept[start][z - start]
        return one.copy() if depth > 1 else one  # whoever keeps a slice must not keep its block beside the next one

    return read_slice
