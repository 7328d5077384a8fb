"""Classes on a finer grid: scores interpolated linearly and the largest taken, but only where neighbours disagree.

Where all voxels around a cell of the coarse grid have the same largest class, so has everything between them: with
weights that are not negative the larger score stays the larger one. Such cells, most of a label map, are filled
without computing; what is computed in the others is the same as in `grids.resample`, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from scipy import sparse

from MgImplantSegLib.inference.accumulator import largest_class

UNDECIDED = 255
MARGIN = 1e-5  # part of the largest score; three interpolations in float32 change scores by less than a tenth of it
PIXELS_PER_CHUNK = 1 << 15

Matrices = tuple[sparse.csr_array, ...]
Read = Callable[[int], np.ndarray]


def is_finer(matrices: Matrices) -> bool:
    """Whether every new voxel lies on an old one or between two along each axis, see `interpolation_matrices`."""
    return all(int(np.diff(matrix.indptr).max()) <= 2 for matrix in matrices)


class FinerClasses:
    """The class of every voxel of a finer grid.

    Parameters
    ----------
    read : callable
        Scores of coarse slice z, (classes, y, x), float32, not negative; fewer than 255 classes.
    matrices : tuple
        For z, y and x, see `interpolation_matrices`; `is_finer` has to hold.
    """

    def __init__(self, read: Read, matrices: Matrices) -> None:
        self._read, self._along_y = read, matrices[1]
        self._z, self._y, self._x = (_Neighbours.of(matrix) for matrix in matrices)
        shape = (len(self._y.low), len(self._x.low))
        places = np.arange(shape[0], dtype=np.int32)[:, None] * matrices[2].shape[1] + self._x.low.astype(np.int32)
        self._shape, self._places = shape, places.reshape(-1)
        self._low_weights, self._high_weights = (
            np.broadcast_to(weights, shape).reshape(-1) for weights in (self._x.low_weight, self._x.high_weight)
        )

    def slices(self, rows: range) -> Iterator[np.ndarray]:
        """The classes (y, x), uint8, of these slices of the finer grid, in order."""
        layers: dict[int, _Layer] = {}
        for pair, group in groupby(rows, lambda row: (int(self._z.low[row]), int(self._z.high[row]))):
            layers = {z: layers.get(z) or _Layer.of(self._read(z), self._along_y) for z in sorted(set(pair))}
            yield from self._between(layers[pair[0]], layers[pair[1]], list(group))

    def _between(self, low: _Layer, high: _Layer, rows: list[int]) -> np.ndarray:
        """The classes (rows, y, x) of slices that lie between the same two coarse ones."""
        decided = _cells(low.classes, high.classes)[:, self._x.low][self._y.low]
        result = np.empty((len(rows), *self._shape), np.uint8)
        result[:] = decided
        flat, undecided = result.reshape(len(rows), -1), np.flatnonzero(decided == UNDECIDED)
        for start in range(0, len(undecided), PIXELS_PER_CHUNK):
            pixels = undecided[start : start + PIXELS_PER_CHUNK]
            before = self._in_plane(low, pixels)
            after = before if high is low else self._in_plane(high, pixels)
            for classes, row in zip(flat, rows, strict=True):
                classes[pixels] = largest_class(self._z.between(before, after, row))
        return result

    def _in_plane(self, layer: _Layer, pixels: np.ndarray) -> np.ndarray:
        """Scores (classes, pixels) of a coarse slice at pixels of the finer one."""
        places, low, high = (values.take(pixels) for values in (self._places, self._low_weights, self._high_weights))
        first = layer.rows.take(places, axis=0)
        places += 1
        second = layer.rows.take(places, axis=0, mode="clip")  # behind the last one the weight is 0
        result = np.empty(first.shape[::-1], np.float32)
        for target, one, other in zip(result, first.T, second.T, strict=True):
            np.multiply(one, low, out=target)
            target += other * high
        return result


@dataclass(frozen=True)
class _Neighbours:
    """For every new place along an axis the old ones before and behind it, which may be the same, and their weights."""

    low: np.ndarray
    high: np.ndarray
    low_weight: np.ndarray
    high_weight: np.ndarray

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> _Neighbours:
        """Those of a matrix with one or two entries in every row."""
        first, last = matrix.indptr[:-1], matrix.indptr[1:] - 1
        high_weight = np.where(last > first, matrix.data[last], np.float32(0))
        return cls(matrix.indices[first], matrix.indices[last], matrix.data[first], high_weight)

    def between(self, before: np.ndarray, after: np.ndarray, row: int) -> np.ndarray:
        """What lies at a new place between two layers."""
        if self.low[row] == self.high[row]:
            return before
        return self.low_weight[row] * before + self.high_weight[row] * after


@dataclass(frozen=True)
class _Layer:
    """A coarse slice: `classes` (y, x), undecided where another class comes close, and its scores along finer rows.

    `rows` has the scores of all classes side by side, (finer y · x, classes).
    """

    classes: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, along_y: sparse.csr_array) -> _Layer:
        """That of the scores (classes, y, x)."""
        close = np.count_nonzero(scores > scores.max(axis=0) * np.float32(1 - MARGIN), axis=0)
        classes = np.where(close == 1, largest_class(scores), np.uint8(UNDECIDED))
        side_by_side = np.ascontiguousarray(np.moveaxis(scores, 0, -1)).reshape(scores.shape[1], -1)
        return cls(classes, (along_y @ side_by_side).reshape(-1, len(scores)))


def _cells(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """For every voxel (y, x) the class that it, the next along each axis, and those of the other slice all have."""
    agreed = _agreed(low, high)
    agreed[:-1] = _agreed(agreed[:-1], agreed[1:])
    agreed[:, :-1] = _agreed(agreed[:, :-1], agreed[:, 1:])
    return agreed


def _agreed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.where(one == other, one, np.uint8(UNDECIDED))
