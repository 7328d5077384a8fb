"""Slicing planes: which slices of a volume there are, how one is read, and how predictions come back.

The axes of a volume V(p, r, c) are called as in Baltruschat et al. 2021 (doi 10.1038/s41598-021-03542-y): p, r and c
are the array axes 0, 1 and 2 (z, y, x). A set of slices has the name of its in-plane axes, rows first:
``rc`` (slices along p), ``cp`` (along r), ``pr`` (along c).

The paper's nine planes add the slices of the volume rotated by 45° about each axis. A rotation about an axis of the
volume is a 2D rotation in the other two, so such a slice is read straight from V by linear interpolation, and no
rotated volume exists. ``cp@p45`` is set cp of the volume rotated about p. The rows of such a slice run along the
diagonal, its columns along the axis of rotation, and it ends where it leaves V. A point that lies less than one voxel
outside V has the value of the nearest voxel.

Predictions come back by the transpose rule: a voxel at slice coordinate u gets ``max(0, 1 - |u - n|)`` of slice n,
taken at its place in that slice by linear interpolation. Its weights sum to 1. `settle` does this for all voxels
between consecutive slices at once, so every voxel is finished once for each plane and only one slice is kept back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from MgImplantSegLib.errors import InputError

AXIS_NAMES = "prc"
Shape = tuple[int, int, int]


class SlicingPlane(Protocol):
    """A set of parallel slices that covers the volume."""

    name: str
    overlap: int
    """How many slices have to be handed to `settle` again with the next ones: 0 or 1."""

    def slice_count(self, shape_zyx: Shape) -> int:
        """How many slices cover a volume of that shape."""

    def slice_shape(self, shape_zyx: Shape, index: int) -> tuple[int, int]:
        """Rows and columns of slice `index`."""

    def read(self, array_zyx: np.ndarray, index: int) -> np.ndarray:
        """Slice `index` as a new float32 array (rows, columns)."""

    def view(self, array_zyx: np.ndarray) -> np.ndarray:
        """The C-contiguous volume in the arrangement that the indices of `settle` are meant for, without a copy."""

    def settle(self, shape_zyx: Shape, start: int, slices: Sequence[np.ndarray]) -> tuple[object, np.ndarray]:
        """What the slices from `start` on say about the voxels on and between them.

        Parameters
        ----------
        shape_zyx : tuple of int
            Shape of the volume.
        start : int
            Index of the first of the slices.
        slices : sequence of array
            Consecutive slices, each of shape (classes, rows, columns).

        Returns
        -------
        where : index
            An index into `view` of a volume; all blocks of slices together visit each voxel once.
        values : array
            Shape (classes, ...), matching ``view(volume)[where]``.
        """


@dataclass(frozen=True)
class AxisPlane:
    """Slices perpendicular to an axis of the array; rows and columns are the two axes in `name`."""

    name: str
    overlap = 0

    @property
    def axes(self) -> Shape:
        """Array axes along which slices, rows and columns follow each other."""
        rows, columns = (AXIS_NAMES.index(letter) for letter in self.name)
        return 3 - rows - columns, rows, columns

    def slice_count(self, shape_zyx: Shape) -> int:
        return shape_zyx[self.axes[0]]

    def slice_shape(self, shape_zyx: Shape, index: int) -> tuple[int, int]:
        return shape_zyx[self.axes[1]], shape_zyx[self.axes[2]]

    def read(self, array_zyx: np.ndarray, index: int) -> np.ndarray:
        return np.array(self.view(array_zyx)[index], dtype=np.float32, order="C")

    def view(self, array_zyx: np.ndarray) -> np.ndarray:
        return array_zyx.transpose(self.axes)

    def settle(self, shape_zyx: Shape, start: int, slices: Sequence[np.ndarray]) -> tuple[slice, np.ndarray]:
        return slice(start, start + len(slices)), np.stack(slices, axis=1)


@dataclass(frozen=True)
class DiagonalPlane:
    """Slices that hold axis `rotation_axis` and one diagonal of the other two axes, b < c.

    Slices lie one voxel apart along the normal (b − c)/√2 if `sign` is −1, or (b + c)/√2 if it is +1; rows follow the
    other of the two. Both are counted from the centre of the volume, on the grid that
    ``scipy.ndimage.rotate(volume, 45, axes=(b, c), reshape=True)`` has.
    """

    name: str
    rotation_axis: int
    sign: int
    overlap = 1

    def slice_count(self, shape_zyx: Shape) -> int:
        return self._grid(shape_zyx).count

    def slice_shape(self, shape_zyx: Shape, index: int) -> tuple[int, int]:
        first, last = self._grid(shape_zyx).row_range(index)
        return last - first + 1, shape_zyx[self.rotation_axis]

    def read(self, array_zyx: np.ndarray, index: int) -> np.ndarray:
        grid, shape = self._grid(array_zyx.shape), array_zyx.shape
        first, last = grid.row_range(index)
        b, c = grid.position(index, np.arange(first, last + 1), self.sign)
        b_low, b_part = _split(b, shape[self._diagonal_axes[0]])
        c_low, c_part = _split(c, shape[self._diagonal_axes[1]])
        flat = self.view(array_zyx)
        result = np.zeros((last - first + 1, shape[self.rotation_axis]), dtype=np.float32)
        for b_step, b_weight in ((0, 1 - b_part), (1, b_part)):
            for c_step, c_weight in ((0, 1 - c_part), (1, c_part)):
                offsets = self._offsets(shape, b_low + b_step, c_low + c_step)
                result += flat.take(offsets, mode="clip") * (b_weight * c_weight).astype(np.float32)[:, None]
        return result

    def view(self, array_zyx: np.ndarray) -> np.ndarray:
        if not array_zyx.flags.c_contiguous:
            raise InputError("Expected a volume in C order for diagonal slices.", "Call numpy.ascontiguousarray on it.")
        return array_zyx.reshape(-1)

    def settle(self, shape_zyx: Shape, start: int, slices: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        grid = self._grid(shape_zyx)
        b, c = grid.voxels_between(start, start + len(slices) - 1, self.sign)
        weights = grid.weights(start, [values.shape[1] for values in slices], b, c, self.sign)
        rows = np.concatenate(slices, axis=1)  # (classes, rows of all slices, columns)
        return self._offsets(shape_zyx, b, c), np.stack([weights @ values for values in rows])

    @property
    def _diagonal_axes(self) -> tuple[int, int]:
        b, c = (axis for axis in range(3) if axis != self.rotation_axis)
        return b, c

    def _grid(self, shape_zyx: Shape) -> _DiagonalGrid:
        b, c = self._diagonal_axes
        return _DiagonalGrid(shape_zyx[b], shape_zyx[c])

    def _offsets(self, shape_zyx: Shape, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Flat indices, shape (len(b), length of the rotation axis), of the lines of voxels at (b, c)."""
        strides = (shape_zyx[1] * shape_zyx[2], shape_zyx[2], 1)
        b_stride, c_stride = (strides[axis] for axis in self._diagonal_axes)
        along = np.arange(shape_zyx[self.rotation_axis]) * strides[self.rotation_axis]
        return (b * b_stride + c * c_stride)[:, None] + along


@dataclass(frozen=True)
class _DiagonalGrid:
    """The rotated grid of a rectangle of `b_size` × `c_size` pixels: u across the slices, v along their rows.

    Positions are counted in pixels from the centre of the rectangle; index n of a slice or row lies at
    ``n - (count - 1) / 2``.
    """

    b_size: int
    c_size: int

    @property
    def count(self) -> int:
        """How many slices, and how many rows at most: scipy's number, and one more at each end if a corner needs it."""
        count = int((self.b_size + self.c_size) / math.sqrt(2) + 0.5)
        corner = (self.b_size + self.c_size - 2) / math.sqrt(8)
        return count + 2 if (count - 1) / 2 < corner else count

    @property
    def middle(self) -> float:
        return (self.count - 1) / 2

    def row_range(self, index: int) -> tuple[int, int]:
        """First and last row of slice `index` that a voxel less than one slice away needs."""
        half_b, half_c = (self.b_size - 1) / math.sqrt(2), (self.c_size - 1) / math.sqrt(2)
        u = index - self.middle
        nearest_to_top = min(max((half_b - half_c) / 2, u - 1), u + 1)
        top = min(half_b - nearest_to_top, half_c + nearest_to_top)
        nearest_to_bottom = min(max((half_c - half_b) / 2, u - 1), u + 1)
        bottom = max(-half_b - nearest_to_bottom, nearest_to_bottom - half_c)
        return max(0, math.floor(bottom + self.middle)), min(self.count - 1, math.ceil(top + self.middle))

    def position(self, index: int, rows: np.ndarray, sign: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the `rows` of slice `index` lie in the rectangle: continuous indices b and c."""
        u, v = index - self.middle, rows - self.middle
        b = (u + v) / math.sqrt(2) + (self.b_size - 1) / 2
        c = sign * (u - v) / math.sqrt(2) + (self.c_size - 1) / 2
        return b, c

    def voxels_between(self, start: int, stop: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices b and c of the pixels with ``start <= u < stop``; the last slice has its own pixels too."""
        begin, end = self._first_c_from(start, sign), self._first_c_from(stop, sign)
        if stop == self.count - 1:
            end = np.full(self.b_size, self.c_size if sign > 0 else 0)
        begin, end = (begin, end) if sign > 0 else (end, begin)
        lengths = np.maximum(end - begin, 0)
        b = np.repeat(np.arange(self.b_size), lengths)
        c = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths - begin, lengths)
        return b, c

    def _first_c_from(self, index: int, sign: int) -> np.ndarray:
        """For every b, the c where u passes slice `index`; blocks share it, so no pixel is lost or doubled."""
        if index == 0:
            return np.full(self.b_size, 0 if sign > 0 else self.c_size)
        b = np.arange(self.b_size) - (self.b_size - 1) / 2
        c = sign * (math.sqrt(2) * (index - self.middle) - b) + (self.c_size - 1) / 2
        first = np.ceil(c) if sign > 0 else np.floor(c) + 1
        return np.clip(first, 0, self.c_size).astype(np.int64)

    def weights(self, start: int, row_counts: list[int], b: np.ndarray, c: np.ndarray, sign: int) -> sparse.csr_array:
        """The matrix, (pixels, rows of all slices), that interpolates pixels from consecutive slices linearly."""
        first_rows = np.array([self.row_range(start + n)[0] for n in range(len(row_counts))])
        bases = np.cumsum([0, *row_counts[:-1]]) - first_rows
        b_centred = (b - (self.b_size - 1) / 2) / math.sqrt(2)
        c_centred = sign * (c - (self.c_size - 1) / 2) / math.sqrt(2)
        low_slice, slice_part = _split(b_centred + c_centred + self.middle - start, len(row_counts))
        row = b_centred - c_centred + self.middle
        low_row = np.floor(row)
        columns, values = [], []
        for step, weight in ((0, 1 - slice_part), (1, slice_part)):
            for row_step, row_weight in ((0, 1 - (row - low_row)), (1, row - low_row)):
                columns.append(bases[np.minimum(low_slice + step, len(bases) - 1)] + low_row + row_step)
                values.append(weight * row_weight)
        columns, values = np.stack(columns, axis=1), np.stack(values, axis=1)
        columns = np.clip(columns, 0, sum(row_counts) - 1).astype(np.int32)
        starts = np.arange(len(b) + 1) * 4
        return sparse.csr_array(
            (values.astype(np.float32).ravel(), columns.ravel(), starts), shape=(len(b), sum(row_counts))
        )


def _split(position: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower neighbour and part of the way to the next for positions on a grid of `size`, held inside it."""
    position = np.clip(position, 0, size - 1)
    low = np.clip(np.floor(position), 0, max(size - 2, 0)).astype(np.int64)
    return low, position - low


RC, CP, PR = AxisPlane("rc"), AxisPlane("cp"), AxisPlane("pr")
DIAGONALS = (
    DiagonalPlane("cp@p45", rotation_axis=0, sign=-1),
    DiagonalPlane("pr@p45", rotation_axis=0, sign=+1),
    DiagonalPlane("rc@r45", rotation_axis=1, sign=-1),
    DiagonalPlane("pr@r45", rotation_axis=1, sign=+1),
    DiagonalPlane("rc@c45", rotation_axis=2, sign=-1),
    DiagonalPlane("cp@c45", rotation_axis=2, sign=+1),
)
PLANE_SETS: dict[str, tuple[SlicingPlane, ...]] = {
    "1": (RC,),
    "3": (RC, CP, PR),
    "9": (RC, CP, PR, *DIAGONALS),
    "rc": (RC,),
    "cp": (CP,),
    "pr": (PR,),
}
