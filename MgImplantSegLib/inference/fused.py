"""Fused prediction: slices of one or several planes through a predictor, and back into one accumulator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events, Task
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.inference.accumulator import VOXELS_PER_SLAB, Accumulator, Allocate, largest_class
from MgImplantSegLib.inference.fusion import FUSIONS, FusionRule
from MgImplantSegLib.planes.diagonal_plane import Place, Shape
from MgImplantSegLib.planes.plane_sets import SlicingPlane, plane_set

Predict = Callable[[np.ndarray], np.ndarray]
SUM_TOLERANCE = 1e-2
SLICES_PER_BLOCK = 16
SLICES_INTERPOLATED = 8
VALUES_PER_PIECE = 1 << 16


@dataclass(frozen=True)
class FusedPrediction:
    """What all planes together say; everything is worked out slab by slab when it is asked for."""

    accumulator: Accumulator
    rule: FusionRule
    plane_squares: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Sum over planes and voxels of the squared probability of each class, float64 (classes,)."""

    def scores(self, slab: slice) -> np.ndarray:
        """What the fusion rule decides by in a slab of z, shape (classes, z, y, x), int32; the largest wins."""
        return self.rule.scores(self.accumulator, slab)

    def labels_of(self, slab: slice) -> np.ndarray:
        """Class of every voxel in a slab of z, uint8."""
        return largest_class(self.scores(slab))

    def labels(self, allocate: Allocate = np.zeros) -> np.ndarray:
        """Class of every voxel, (z, y, x), uint8."""
        result = allocate(self.accumulator.shape_zyx, np.uint8)
        for slab in slabs(self.accumulator.shape_zyx, VALUES_PER_PIECE):
            result[slab] = self.labels_of(slab)
        return result

    def probabilities(self, slab: slice = slice(None)) -> np.ndarray:
        """Mean probabilities of the planes in a slab of z, shape (classes, z, y, x), float32."""
        sums = self.accumulator.sums(slab)
        return (sums / sums.sum(axis=0)).astype(np.float32)

    def disagreement(self) -> np.ndarray:
        """Part of the planes, 0–1, whose own label is not the fused one, (z, y, x), float32; needs votes."""
        result = np.zeros(self.accumulator.shape_zyx, np.float32)
        for slab in slabs(self.accumulator.shape_zyx, VOXELS_PER_SLAB):
            labels = self.labels_of(slab).astype(np.int64)
            agreeing = np.take_along_axis(self.accumulator.votes(slab), labels[None], axis=0)[0]
            result[slab] = 1 - agreeing / self.accumulator.plane_count
        return result


@dataclass(frozen=True)
class FusedPlan:
    """How a volume is predicted from the slices of several planes.

    Parameters
    ----------
    planes : str or sequence of SlicingPlane
        A key of `PLANE_SETS` or the planes themselves.
    fusion : str
        A key of `FUSIONS`.
    classes : int
        Number of classes.
    batch_size : int
        Largest number of slices in a batch. The result does not depend on it.
    size_multiple : int
        Slices are padded with zeros behind the last row and column to multiples of this.
    context : int
        How many neighbouring slices on either side the predictor gets besides.
    sum_bits, allocate
        See `Accumulator`.
    with_votes : bool
        Count votes also where the fusion rule does not need them, for `FusedPrediction.disagreement`.
    side_by_side : bool
        Predict in a thread of its own while other slices are read and settled. Pays where `predict` waits for a GPU;
        where it keeps all cores busy itself, they would get into each other's way.
    """

    planes: str | Sequence[SlicingPlane] = "3"
    fusion: str = "soft"
    classes: int = 4
    batch_size: int = 1
    size_multiple: int = 1
    context: int = 0
    sum_bits: int = 32
    with_votes: bool = False
    allocate: Allocate = np.zeros
    side_by_side: bool = False

    def accumulator(self, shape_zyx: Shape) -> Accumulator:
        """An accumulator of zeros for a volume of that shape."""
        with_votes = self.with_votes or FUSIONS.find(self.fusion).needs_votes
        count = len(plane_set(self.planes))
        return Accumulator(
            shape_zyx, self.classes, count, sum_bits=self.sum_bits, with_votes=with_votes, allocate=self.allocate
        )


def predict_fused(
    array_zyx: np.ndarray, predict: Predict, plan: FusedPlan | None = None, events: Events | None = None
) -> FusedPrediction:
    """Predict a volume from the slices of several planes.

    Parameters
    ----------
    array_zyx : array
        The preprocessed volume, any real dtype.
    predict : callable
        Gets slices, float32 of shape (batch, 2 · context + 1, rows, columns); gives the probabilities of the classes,
        which sum to 1, float32 of shape (batch, classes, rows, columns).
    plan : FusedPlan
        Planes, fusion rule and how the work is divided.
    events : Events
        Progress by slices.

    Raises
    ------
    InputError
        If the fusion or plane set is unknown, or `predict` does not give probabilities of the expected shape.
    Cancelled
        If the user asks to stop.
    """
    plan = plan or FusedPlan()
    accumulator = plan.accumulator(array_zyx.shape)
    squares = predict_stretches(array_zyx, predict, plan, accumulator, all_stretches(plan, array_zyx.shape), events)
    return FusedPrediction(accumulator, FUSIONS.find(plan.fusion), squares.sum(axis=0))


@dataclass(frozen=True)
class Stretch:
    """Consecutive blocks of `SLICES_PER_BLOCK` slices of one plane of a set; `plane` is its number from 0 on."""

    plane: int
    blocks: range


def all_stretches(plan: FusedPlan, shape_zyx: Shape) -> list[Stretch]:
    """All blocks of all planes."""
    counts = [plane.slice_count(shape_zyx) for plane in plane_set(plan.planes)]
    return [Stretch(number, range(math.ceil(count / SLICES_PER_BLOCK))) for number, count in enumerate(counts)]


def predict_stretches(
    array_zyx: np.ndarray,
    predict: Predict,
    plan: FusedPlan,
    accumulator: Accumulator,
    stretches: Sequence[Stretch],
    events: Events | None = None,
) -> np.ndarray:
    """Predict some blocks of slices and add them to the accumulator; how they are divided changes nothing.

    Returns
    -------
    array
        Sum over the voxels of each block of the squared probability of each class, float64 (blocks, classes).
    """
    planes, shape, squares = plane_set(plan.planes), array_zyx.shape, []
    read = [(planes[one.plane], _with_block_before(planes[one.plane], one.blocks)) for one in stretches]
    total = sum(_slice_count(plane, shape, blocks) for plane, blocks in read)
    with (events or Events()).task("slices", total) as task:
        predict_slices = _SlicePredictor(predict, plan, task)
        for stretch in stretches:
            plane = planes[stretch.plane]
            task.advance(0, f"plane {stretch.plane + 1}/{len(planes)} ({plane.name})")
            for settled in _settled(array_zyx, plane, predict_slices, stretch.blocks):
                squares.append(np.zeros(plan.classes))
                for places, values in settled:
                    squares[-1] += _squares_of(values)
                    accumulator.add(plane, places, values)
                    del values  # before the next slices are predicted or settled
    return np.array(squares).reshape(-1, plan.classes)


def _squares_of(values: np.ndarray) -> np.ndarray:
    """Sum of the squared probabilities of all classes, (classes,), given those of the classes 1 and up.

    Piece by piece, so that nothing of the size of the block is made.
    """
    total = np.zeros(len(values) + 1)
    step = max(1, VALUES_PER_PIECE // max(1, math.prod(values.shape[2:])))
    for start in range(0, values.shape[1], step):
        others = values[:, start : start + step]
        first = np.subtract(1, others.sum(axis=0))
        total += [np.vdot(first, first), *(np.vdot(one, one) for one in others)]
    return total


def _settled(
    array_zyx: np.ndarray, plane: SlicingPlane, predict: _SlicePredictor, blocks: range
) -> Iterator[Iterator[tuple[list[Place], np.ndarray]]]:
    """By blocks, voxels and their probabilities of the classes 1 and up, in the order that a plane finishes them."""
    read = _with_block_before(plane, blocks)
    kept: list[np.ndarray] = []
    start = read.start * SLICES_PER_BLOCK
    predicted_blocks = _predicted_blocks(_blocks(array_zyx, plane, predict.plan.context, read), predict)
    for number in read:  # zip would hold what was predicted while the next is
        predicted = next(predicted_blocks)
        block = kept + predicted
        if number in blocks:
            yield _settled_block(plane, array_zyx.shape, start - len(kept), block)
        kept = [values.copy() for values in block[-plane.overlap :]] if plane.overlap else []
        start += len(predicted)
        del block, predicted  # before the next one is predicted


def _settled_block(
    plane: SlicingPlane, shape_zyx: Shape, start: int, block: list[np.ndarray]
) -> Iterator[tuple[list[Place], np.ndarray]]:
    """What a block settles, of planes that interpolate some slices at a time: that takes several times their memory."""
    step = SLICES_INTERPOLATED if plane.overlap else len(block)
    for first in range(0, max(1, len(block) - plane.overlap), step):
        yield plane.settle(shape_zyx, start + first, block[first : first + step + plane.overlap])


def _with_block_before(plane: SlicingPlane, blocks: range) -> range:
    """The blocks that have to be predicted for these: a plane that settles between slices needs the one before too."""
    return range(max(0, blocks.start - 1), blocks.stop) if plane.overlap else blocks


def _slice_count(plane: SlicingPlane, shape_zyx: Shape, blocks: range) -> int:
    """How many slices there are in blocks."""
    count = plane.slice_count(shape_zyx)
    return min(count, blocks.stop * SLICES_PER_BLOCK) - min(count, blocks.start * SLICES_PER_BLOCK)


def _blocks(array_zyx: np.ndarray, plane: SlicingPlane, context: int, blocks: range) -> Iterator[list[np.ndarray]]:
    count = plane.slice_count(array_zyx.shape)
    for start in range(blocks.start * SLICES_PER_BLOCK, min(count, blocks.stop * SLICES_PER_BLOCK), SLICES_PER_BLOCK):
        yield plane.read_block(array_zyx, start, min(start + SLICES_PER_BLOCK, count), context)


def _predicted_blocks(blocks: Iterator[list[np.ndarray]], predict: _SlicePredictor) -> Iterator[list[np.ndarray]]:
    """The predictions of all blocks; side by side, a block is predicted while its neighbours are read and settled."""
    if not predict.plan.side_by_side:
        yield from map(predict, blocks)
        return
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(predict, next(blocks))
        for block in blocks:
            predicted = running.result()
            running = thread.submit(predict, block)
            yield predicted
            del predicted
        yield running.result()


@dataclass(frozen=True)
class _SlicePredictor:
    """Predicts slices of different shapes: pads them, puts neighbours of one shape in batches, and crops the results.

    The padded shape depends on the slice alone, so predictions do not depend on the batches.
    """

    predict: Predict
    plan: FusedPlan
    task: Task

    def __call__(self, slices: list[np.ndarray]) -> list[np.ndarray]:
        """Probabilities of the classes 1 and up, (classes − 1, rows, columns), of every slice."""
        results: list[np.ndarray] = []
        while len(results) < len(slices):
            batch = self._next_batch(slices[len(results) :])
            probabilities = _checked(self.predict(batch), batch, self.plan.classes)
            for values in probabilities:
                rows, columns = slices[len(results)].shape[-2:]
                results.append(values[1:, :rows, :columns])
            self.task.advance(len(batch))
        return results

    def _next_batch(self, slices: list[np.ndarray]) -> np.ndarray:
        """As many of the first slices as have the same padded shape, (batch, channels, rows, columns)."""
        shape = self._padded(slices[0].shape[-2:])
        same = list(takewhile(lambda values: self._padded(values.shape[-2:]) == shape, slices[: self.plan.batch_size]))
        batch = np.zeros((len(same), 2 * self.plan.context + 1, *shape), np.float32)
        for target, values in zip(batch, same, strict=True):
            target[:, : values.shape[-2], : values.shape[-1]] = values
        return batch

    def _padded(self, shape: tuple[int, int]) -> tuple[int, ...]:
        multiple = self.plan.size_multiple
        return tuple(-(-edge // multiple) * multiple for edge in shape)


def _checked(probabilities: np.ndarray, slices: np.ndarray, classes: int) -> np.ndarray:
    expected = (len(slices), classes, *slices.shape[2:])
    if not isinstance(probabilities, np.ndarray) or probabilities.shape != expected:
        got = getattr(probabilities, "shape", type(probabilities).__name__)
        raise InputError(f"Expected predictions of shape {expected}, got {got}.")
    require_sum_of_one(float(probabilities.sum()) * classes / probabilities.size)
    return probabilities


def require_sum_of_one(mean_sum: float) -> None:
    """Raise InputError if the sum over the classes, mean over pixels, is not that of probabilities; NaN is not."""
    if not abs(mean_sum - 1) < SUM_TOLERANCE:
        raise InputError(
            f"Expected probabilities that sum to 1 in every pixel, got {mean_sum:.4g} on average.",
            "Choose another precision (fp32); if that does not help, the model file is unusable.",
        )
