"""The one accumulator of fused prediction: what all slicing planes together say about every voxel.

Probabilities are summed as whole numbers of 16 or 32 bits, so the result does not depend on the order of the planes.
A probability of 1 counts ``scale``: with 16 bits and 9 planes 7281, so the mean is exact to 0.00007; with 32 bits it
is as exact as float32. Class 0 is not held: probabilities sum to 1, so it is what the other classes leave. Four classes
take 6 bytes a voxel with 16 bits. What is left for class 0 carries the rounding of all others, so class 0, which wins
ties, also wins within `rounding`.

Votes (how many planes give a voxel each label) are also kept where they are asked for, one byte each, again without
class 0. No plane needs memory of its own: a plane settles every voxel once, with all its probabilities, so its label is
known at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from MgImplantSegLib.base.mapped_memory import give_back_pages, is_mapped
from MgImplantSegLib.base.typed import present
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.planes.diagonal_plane import Place
from MgImplantSegLib.planes.plane_sets import SlicingPlane

Allocate = Callable[[tuple[int, ...], type], np.ndarray]
SUM_TYPES = {16: np.uint16, 32: np.uint32}
VOXELS_PER_SLAB = 1 << 18
MAPPED_BYTES = 1 << 24
PROBABILITY_ROUNDING = np.float32(1e-6)


def bytes_per_voxel(classes: int, sum_bits: int, with_votes: bool) -> int:
    """What an accumulator takes for one voxel."""
    return (classes - 1) * (sum_bits // 8 + int(with_votes))


class Accumulator:
    """Sums of probabilities and, if wanted, votes of all planes.

    Parameters
    ----------
    classes : int
        Number of classes, at least 2.
    sum_bits : int
        16 or 32, see above.
    allocate : callable
        Makes an array of zeros of a shape and dtype, in memory or on disk.
    """

    def __init__(
        self,
        shape_zyx: tuple[int, int, int],
        classes: int,
        plane_count: int,
        *,
        sum_bits: int = 32,
        with_votes: bool = False,
        allocate: Allocate = np.zeros,
    ) -> None:
        self.shape_zyx, self.classes, self.plane_count = shape_zyx, classes, plane_count
        self.scale = {16: (2**16 - 1) // plane_count, 32: min(2**23, 2**29 // plane_count**2)}[sum_bits]
        self.rounding = plane_count * (classes - 1)
        self._sums = allocate((classes - 1, *shape_zyx), SUM_TYPES[sum_bits])
        self._votes = allocate((classes - 1, *shape_zyx), np.uint8) if with_votes else None

    def add(self, plane: SlicingPlane, places: Iterable[Place], probabilities: np.ndarray) -> None:
        """Count what a plane has settled, see `SlicingPlane.settle`.

        Parameters
        ----------
        plane : SlicingPlane
            The plane whose view the places are in.
        places : iterable of (index, part)
            Which voxels, and which part of the probabilities is theirs.
        probabilities : array of float32
            Of the classes 1 and up, shape (classes − 1, ...), in 0–1; the array holds other numbers afterwards.
        """
        places = list(places)
        if self._votes is not None:
            others = np.arange(1, self.classes, dtype=np.uint8).reshape(-1, *[1] * (probabilities.ndim - 1))
            _add(plane.view(self._votes), places, (_labels(probabilities) == others).view(np.uint8), self._votes)
        probabilities *= np.float32(self.scale)
        probabilities += np.float32(0.5)
        _add(plane.view(self._sums), places, probabilities.astype(self._sums.dtype), self._sums)

    @property
    def held(self) -> dict[str, np.ndarray]:
        """Sums and, where they are counted, votes of the classes 1 and up, (classes − 1, z, y, x), by name."""
        return {"sums": self._sums} | ({} if self._votes is None else {"votes": self._votes})

    def add_held(self, box: tuple[slice, slice, slice], held: Mapping[str, np.ndarray]) -> None:
        """Add what another accumulator of the same kind holds of a box, see `held`; slab by slab."""
        first = box[0].start
        for slab in slabs(next(iter(held.values())).shape[1:], VOXELS_PER_SLAB):
            own = slice(first + slab.start, first + slab.stop)
            for name, values in held.items():
                self.held[name][:, own, box[1], box[2]] += values[:, slab]
                give_back_pages(self.held[name])

    def sums(self, slab: slice) -> np.ndarray:
        """Sums of all classes in a slab of z, shape (classes, z, y, x), int32; each voxel has ``scale · planes``."""
        sums = _with_first_class(self._sums[:, slab], self.scale * self.plane_count)
        give_back_pages(self._sums)
        return sums

    def votes(self, slab: slice) -> np.ndarray:
        """Votes for all classes in a slab of z, shape (classes, z, y, x), int32; each voxel has one a plane."""
        votes = _with_first_class(present(self._votes)[:, slab], self.plane_count)
        give_back_pages(present(self._votes))
        return votes


def largest_class(scores: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """The same as ``scores.argmax(axis=0)``, as uint8 and much faster for few classes."""
    largest = scores[0].copy()
    classes = np.zeros(largest.shape, dtype=np.uint8)
    for index, values in enumerate(scores[1:], start=1):
        is_larger = (values > largest).view(np.uint8)
        is_larger *= np.uint8(index)
        np.maximum(classes, is_larger, out=classes)  # a later class has the larger number
        np.maximum(largest, values, out=largest)
    return classes


def _add(view: np.ndarray, places: list[Place], counts: np.ndarray, array: np.ndarray) -> None:
    """Add counts at their places, along the memory of the view: NumPy would go along that of the counts.

    Of an array that is mapped from disk a piece after the other comes into memory and goes again: the slices of a
    plane across the rows lie on all of its pages.
    """
    if not places:
        return
    along_memory = sorted(range(counts.ndim), key=lambda axis: -_strides(view, places[0])[axis])
    mapped = is_mapped(array)
    for index, part in places:
        target = view[(slice(None), *index)].transpose(along_memory)
        values = counts[:, part].transpose(along_memory)
        for piece in _pieces(target) if mapped else [()]:
            np.add(target[piece], values[piece], out=target[piece])
            if mapped:
                give_back_pages(array)


def _pieces(target: np.ndarray) -> Iterator[tuple[slice, ...]]:
    """Parts of an array, slowest axes first, whose memory spans about `MAPPED_BYTES`."""
    steps = max(1, MAPPED_BYTES // max(1, abs(target.strides[1]))) if target.ndim > 1 else 1
    for first in range(target.shape[0]):
        for start in range(0, target.shape[1], steps):
            yield slice(first, first + 1), slice(start, start + steps)


def _strides(view: np.ndarray, place: Place) -> tuple[int, ...]:
    return view[(slice(None), *place[0])].strides


def _with_first_class(others: np.ndarray, total: int) -> np.ndarray:
    result = np.empty((len(others) + 1, *others.shape[1:]), dtype=np.int32)
    result[1:] = others
    np.subtract(total, result[1:].sum(axis=0, dtype=np.int32), out=result[0])
    np.maximum(result[0], 0, out=result[0])
    return result


def _labels(probabilities: np.ndarray) -> np.ndarray:
    """Class of the largest probability, the lower class if two are the same; class 0 is what the others leave."""
    first = (1 + PROBABILITY_ROUNDING) - probabilities.sum(axis=0)
    return largest_class([first, *probabilities])
