"""Slices of a volume rotated by 45° about one of its axes, read from the volume itself; see `planes`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import sparse

Shape = tuple[int, int, int]
BAND_MARGIN = 5
Place = tuple[tuple[int | slice, ...], slice]


@dataclass(frozen=True)
class DiagonalPlane:
    """Slices that hold axis `rotation_axis` and one diagonal of the other two axes, b < c.

    Slices lie one voxel apart along the normal (b − c)/√2 if `sign` is −1, or (b + c)/√2 if it is +1; rows follow the
    other of the two, columns the axis of rotation. Slices and rows are counted from the centre of the volume, on the
    grid that ``scipy.ndimage.rotate(volume, 45, axes=(b, c), reshape=True)`` has.
    """

    name: str
    rotation_axis: int
    sign: int
    overlap = 1

    def slice_count(self, shape_zyx: Shape) -> int:
        """How many slices cover a volume of that shape."""
        return self.grid(shape_zyx).count

    def slice_shape(self, shape_zyx: Shape, index: int) -> tuple[int, int]:
        """Rows and columns of slice `index`."""
        first, last = self.grid(shape_zyx).row_range(index)
        return last - first + 1, shape_zyx[self.rotation_axis]

    def read(self, array_zyx: np.ndarray, index: int) -> np.ndarray:
        """Slice `index` as a new float32 array (rows, columns)."""
        return self.read_block(array_zyx, index, index + 1)[0]

    def read_block(self, array_zyx: np.ndarray, start: int, stop: int, context: int = 0) -> list[np.ndarray]:
        """The slices from `start` up to but not including `stop` as float32 arrays, see `planes.SlicingPlane`."""
        grid, lines = self.grid(array_zyx.shape), self.view(array_zyx)
        numbers = with_neighbours(start, stop, context, grid.count)
        band = grid.band_around(numbers[0], numbers[-1], BAND_MARGIN + 2 * context)
        voxels = np.empty((band.size, lines.shape[2]), dtype=np.float32)
        for place, part in band.places():
            voxels[part] = _copy(lines[place])
        rows = [np.arange(first, last + 1) for first, last in map(grid.row_range, range(start, stop))]
        width = 2 * context + 1
        places = [(number, rows[n]) for n in range(stop - start) for number in numbers[n : n + width]]
        pixels = grid.reading_weights(places, band) @ voxels
        slices = np.split(pixels, np.cumsum([len(along) for _, along in places[:-1]]))
        return [np.stack(slices[n : n + width]) for n in range(0, len(slices), width)] if context else slices

    def view(self, array: np.ndarray) -> np.ndarray:
        """The last three axes (z, y, x) of an array in the order b, c, axis of rotation, without a copy."""
        return np.moveaxis(array, self.rotation_axis - 3, -1)

    def settle(self, shape_zyx: Shape, start: int, slices: Sequence[np.ndarray]) -> tuple[list[Place], np.ndarray]:
        """What consecutive slices say about the voxels between them, see `planes.SlicingPlane`."""
        grid = self.grid(shape_zyx)
        band = grid.band_between(start, start + len(slices) - 1)
        weights = grid.settling_weights(start, [values.shape[1] for values in slices], band)
        classes, _, columns = slices[0].shape
        rows = np.empty((weights.shape[1], classes, columns), np.float32)  # rows of all slices, one after the other
        np.concatenate([values.swapaxes(0, 1) for values in slices], out=rows)
        settled = weights @ rows.reshape(-1, classes * columns)
        return list(band.places()), settled.reshape(-1, classes, columns).swapaxes(0, 1)

    def grid(self, shape_zyx: Shape) -> DiagonalGrid:
        """The rotated grid of the two axes that are not the axis of rotation."""
        b_size, c_size = (size for axis, size in enumerate(shape_zyx) if axis != self.rotation_axis)
        return _grid(b_size, c_size, self.sign)


@dataclass(frozen=True)
class Band:
    """Pixels of a rectangle that lie side by side along a diagonal: for every b those with begin <= c < end."""

    begin: np.ndarray
    end: np.ndarray

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of pixels for every b."""
        return np.maximum(self.end - self.begin, 0)

    @cached_property
    def stops(self) -> np.ndarray:
        """For every b, how many pixels there are up to and with it."""
        return np.cumsum(self.lengths)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(self.stops[-1])

    @cached_property
    def offsets(self) -> np.ndarray:
        """For every b, what has to be added to c for the number of a pixel."""
        return self.stops - self.lengths - self.begin

    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices b and c of all pixels."""
        b = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return b, np.arange(self.size) - self.offsets[b]

    def places(self) -> Iterator[Place]:
        """For every b, where its pixels are in the rectangle and which numbers they have."""
        ends = self.begin + self.lengths
        edges = zip(self.begin.tolist(), ends.tolist(), self.stops.tolist(), strict=True)
        for b, (begin, end, stop) in enumerate(edges):
            if end > begin:
                yield (b, slice(begin, end)), slice(stop - (end - begin), stop)


@dataclass(frozen=True)
class DiagonalGrid:
    """The rotated grid of a rectangle of `b_size` × `c_size` pixels: u across the slices, v along their rows.

    u and v are counted in pixels from the centre of the rectangle: u = (b + sign·c)/√2, v = (b − sign·c)/√2; slice or
    row n lies at ``n - middle``.
    """

    b_size: int
    c_size: int
    sign: int

    @cached_property
    def count(self) -> int:
        """How many slices, and rows at most: scipy's number, and one more at each end if a corner needs it."""
        count = int((self.b_size + self.c_size) / math.sqrt(2) + 0.5)
        corner = (self.b_size + self.c_size - 2) / math.sqrt(8)
        return count + 2 if (count - 1) / 2 < corner else count

    @cached_property
    def middle(self) -> float:
        """Index of the slice and of the row through the centre."""
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

    def position(self, index: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the `rows` of slice `index` lie in the rectangle: continuous indices b and c."""
        u, v = index - self.middle, rows - self.middle
        b = (u + v) / math.sqrt(2) + (self.b_size - 1) / 2
        c = self.sign * (u - v) / math.sqrt(2) + (self.c_size - 1) / 2
        return b, c

    def band_between(self, start: int, stop: int) -> Band:
        """The pixels with ``start <= slice < stop``; the last slice has its own too."""
        begin, end = self._first_c_from(start), self._first_c_from(stop)
        if stop == self.count - 1:
            end = np.full(self.b_size, self.c_size if self.sign > 0 else 0)
        return Band(begin, end) if self.sign > 0 else Band(end, begin)

    def band_around(self, first: int, last: int, margin: int) -> Band:
        """All pixels that reading the slices from `first` to `last` can need, and a few more."""
        edges = self._first_c_from(first), self._first_c_from(last)
        begin, end = edges if self.sign > 0 else edges[::-1]
        return Band(np.maximum(begin - margin, 0), np.minimum(end + margin, self.c_size))

    def _first_c_from(self, index: int) -> np.ndarray:
        """For every b, the c where u passes slice `index`; blocks share it, so no pixel is lost or doubled."""
        if index == 0:
            return np.full(self.b_size, 0 if self.sign > 0 else self.c_size)
        b = np.arange(self.b_size) - (self.b_size - 1) / 2
        c = self.sign * (math.sqrt(2) * (index - self.middle) - b) + (self.c_size - 1) / 2
        first = np.ceil(c) if self.sign > 0 else np.floor(c) + 1
        return np.minimum(np.maximum(first, 0), self.c_size).astype(np.int64)

    def reading_weights(self, places: list[tuple[int, np.ndarray]], band: Band) -> sparse.csr_array:
        """The matrix, (rows of all slices, pixels of the band), that reads rows of slices by linear interpolation."""
        positions = [self.position(number, rows) for number, rows in places]
        b, c = np.concatenate(positions, axis=1)
        entries = [
            (band.offsets[b_index] + c_index, b_weight * c_weight)
            for b_index, b_weight in _neighbours(b, self.b_size)
            for c_index, c_weight in _neighbours(c, self.c_size)
        ]
        return _matrix(entries, band.size)

    def settling_weights(self, start: int, row_counts: list[int], band: Band) -> sparse.csr_array:
        """The matrix, (pixels of the band, rows of all slices), that interpolates pixels from consecutive slices."""
        first_rows = np.array([self.row_range(start + n)[0] for n in range(len(row_counts))])
        bases = np.cumsum([0, *row_counts[:-1]]) - first_rows
        b, c = band.pixels()
        b_centred = (b - (self.b_size - 1) / 2) / math.sqrt(2)
        c_centred = self.sign * (c - (self.c_size - 1) / 2) / math.sqrt(2)
        row = b_centred - c_centred + self.middle
        low_row = np.floor(row).astype(np.int64)
        row_pair = (low_row, 1 - (row - low_row)), (low_row + 1, row - low_row)
        entries = [
            (bases[number] + row_index, weight * row_weight)
            for number, weight in _neighbours(b_centred + c_centred + self.middle - start, len(row_counts))
            for row_index, row_weight in row_pair
        ]
        return _matrix(entries, sum(row_counts))


def with_neighbours(start: int, stop: int, context: int, count: int) -> list[int]:
    """The slices from `start` to `stop` − 1 and `context` more at each end; beyond the last one it is repeated."""
    return [min(max(number, 0), count - 1) for number in range(start - context, stop + context)]


@lru_cache(maxsize=64)
def _grid(b_size: int, c_size: int, sign: int) -> DiagonalGrid:
    return DiagonalGrid(b_size, c_size, sign)


def _neighbours(position: np.ndarray, size: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The two indices around positions on a grid of `size`, held inside it, each with its linear weight."""
    position = np.minimum(np.maximum(position, 0), size - 1)
    low = np.floor(position).astype(np.int64)
    part = position - low
    return (low, 1 - part), (np.minimum(low + 1, size - 1), part)


def _copy(pixels: np.ndarray) -> np.ndarray:
    """A copy that reads along the memory of the pixels; NumPy would go along that of the target."""
    return pixels if pixels.strides[1] == pixels.itemsize else pixels.T.copy().T


def _matrix(entries: list[tuple[np.ndarray, np.ndarray]], width: int) -> sparse.csr_array:
    """A matrix with the same number of entries in every row, from pairs of columns and values of all rows.

    A column outside the matrix can only have the value 0 and is moved inside.
    """
    columns = np.stack([column for column, _ in entries], axis=1)
    values = np.stack([value for _, value in entries], axis=1).astype(np.float32)
    columns = np.minimum(np.maximum(columns, 0), width - 1).astype(np.int32)
    starts = np.arange(0, columns.size + 1, len(entries))
    return sparse.csr_array((values.ravel(), columns.ravel(), starts), shape=(len(columns), width))
