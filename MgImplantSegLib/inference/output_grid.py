"""From the model's grid onto the grid of the input: scores interpolated linearly, then the largest wins.

Interpolating scores instead of labels gives boundaries that are smooth on a finer grid. Work proceeds slice by slice,
so only a few slices are needed in addition to the accumulator and the labels; on a finer grid several threads share it.
On the same grid the labels are taken as they are. A class that no voxel of the model's grid has is in no voxel of the
other grid either: between two voxels of different classes it could otherwise be the second choice of both, and win.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from scipy import sparse

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.machine import thread_count
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.resample import interpolation_matrices, resampled_slices
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.inference.accumulator import largest_class
from MgImplantSegLib.inference.finer_classes import FinerClasses, is_finer
from MgImplantSegLib.inference.fused import FusedPrediction

SLICES_PER_BLOCK = 16
MOST_THREADS = 4  # each has two coarse slices on finer rows, and the undecided pixels, in memory


def labels_on_grid(
    prediction: FusedPrediction,
    classes_zyx: np.ndarray,
    source: Geometry,
    target: Geometry,
    scheme: LabelScheme,
    roi: OrientedBox | None,
    events: Events,
) -> tuple[np.ndarray, LabelScheme]:
    """Label values on the grid of the input, and what they mean.

    Parameters
    ----------
    prediction : FusedPrediction
        What the classes come from.
    classes_zyx : array of uint8
        Class indices on the model's grid, (z, y, x); may be changed. Post-processing may have changed some, and there
        only the new class counts.
    source, target : Geometry
        The model's grid and the input's; their axes have to be parallel.
    scheme : LabelScheme
        Class n has the value of ``scheme.labels[n]``.
    roi : OrientedBox or None
        Outside it labels have the ignore value; the scheme gets one if it has none.
    """
    if roi is None:
        return _to_values(classes_on_grid(prediction, classes_zyx, source, target, events), scheme), scheme
    ignored = _ignore_value(scheme)
    scheme = replace(scheme, ignore_value=ignored)
    box = roi.index_bounds(target)
    part = target.cropped([bounds.start for bounds in box], [bounds.stop - bounds.start for bounds in box])
    values = _to_values(classes_on_grid(prediction, classes_zyx, source, part, events), scheme)
    result = np.full(target.shape_zyx, ignored, dtype=np.uint8)
    result[box] = np.where(roi.mask(part), values, ignored)
    return result, scheme


def ignoring_nan(values: np.ndarray, grid: Geometry, image: Volume, scheme: LabelScheme) -> LabelScheme:
    """Set labels (z, y, x) to the ignore value where the image is NaN, in place; the scheme that has such a value.

    On another grid than the image's the nearest voxel of the image counts.
    """
    scheme = replace(scheme, ignore_value=_ignore_value(scheme))
    along_z, along_y, along_x = _nearest(image.geometry, grid)
    for labels, z in zip(values, along_z, strict=True):
        labels[np.isnan(image.array[z])[along_y][:, along_x]] = scheme.ignore_value
    return scheme


def _nearest(source: Geometry, target: Geometry) -> Iterator[np.ndarray]:
    """For z, y and x the index of the voxel of `source` nearest to each of `target`; their axes run alike."""
    starts = source.index_zyx_from_lps(target.lps_from_index_zyx(np.zeros(3)))
    steps = np.array(target.spacing_zyx_mm) / np.array(source.spacing_zyx_mm)
    for start, step, count, size in zip(starts, steps, target.shape_zyx, source.shape_zyx, strict=True):
        places = np.round(start + step * np.arange(count), 6)
        yield np.clip(np.floor(places + 0.5), 0, size - 1).astype(np.int64)


def classes_on_grid(
    prediction: FusedPrediction, classes_zyx: np.ndarray, source: Geometry, target: Geometry, events: Events
) -> np.ndarray:
    """Class indices on another grid with parallel axes, uint8."""
    if source.same_grid(target):
        return classes_zyx
    result = np.empty(target.shape_zyx, dtype=np.uint8)
    read, matrices = _scores_of(prediction, classes_zyx), interpolation_matrices(source, target)
    with events.task("labels on the input's grid", target.shape_zyx[0]) as task:
        for slices in (_in_threads if is_finer(matrices) else _one_by_one)(read, matrices, result):
            task.advance(slices)
    return result


def _scores_of(prediction: FusedPrediction, classes_zyx: np.ndarray) -> Callable[[int], np.ndarray]:
    """Gives the scores (classes, y, x), float32, of a slice z of the model's grid."""
    counts = np.zeros(256, dtype=np.int64)
    for classes in classes_zyx:
        counts += np.bincount(classes.ravel(), minlength=256)
    present = counts > 0

    def read(z: int) -> np.ndarray:
        scores = prediction.scores(slice(z, z + 1))[:, 0]
        changed = largest_class(scores) != classes_zyx[z]
        is_class = np.arange(len(scores))[:, None] == classes_zyx[z][changed]
        scores[:, changed] = is_class * scores[:, changed].sum(axis=0)
        scores[~present[: len(scores)]] = 0
        return scores.astype(np.float32)

    return read


def _one_by_one(
    read: Callable[[int], np.ndarray], matrices: tuple[sparse.csr_array, ...], result: np.ndarray
) -> Iterator[int]:
    """Fill the result slice by slice; says how many are done."""
    for classes, scores in zip(result, resampled_slices(read, matrices), strict=True):
        classes[:] = largest_class(scores)
        yield 1


def _in_threads(
    read: Callable[[int], np.ndarray], matrices: tuple[sparse.csr_array, ...], result: np.ndarray
) -> Iterator[int]:
    """The same on a finer grid: blocks of slices by several threads."""
    finer = FinerClasses(read, matrices)

    def fill(block: slice) -> int:
        rows = range(block.start, block.stop)
        for row, classes in zip(rows, finer.slices(rows), strict=True):
            result[row] = classes
        return len(rows)

    with ThreadPoolExecutor(min(MOST_THREADS, thread_count())) as threads:
        running = [threads.submit(fill, block) for block in slabs((len(result),), SLICES_PER_BLOCK)]
        try:
            yield from (block.result() for block in running)
        finally:
            threads.shutdown(cancel_futures=True)


def _to_values(classes_zyx: np.ndarray, scheme: LabelScheme) -> np.ndarray:
    """Turn class indices into the values of the scheme, in place."""
    values = np.array(scheme.values, dtype=np.uint8)
    if not np.array_equal(values, np.arange(len(values))):
        for classes in classes_zyx:
            classes[:] = values[classes]
    return classes_zyx


def _ignore_value(scheme: LabelScheme) -> int:
    """The scheme's own if it fits into a byte, else the largest that no class has."""
    if scheme.ignore_value is not None and 0 <= scheme.ignore_value <= 255:
        return scheme.ignore_value
    return next(value for value in range(255, -1, -1) if value not in scheme.values)
