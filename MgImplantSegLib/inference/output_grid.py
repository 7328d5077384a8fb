"""From the model's grid back onto the grid of the input: scores interpolated linearly, then the largest wins.

Interpolating scores instead of labels gives boundaries that are smooth on a finer grid. Work goes slice by slice, so
besides the accumulator and the labels there are a few slices only. On the same grid the labels are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from MgImplantSegLib.events import Events
from MgImplantSegLib.inference.accumulator import largest_class
from MgImplantSegLib.inference.fused import FusedPrediction
from MgImplantSegLib.resample import interpolation_matrices, resampled_slices
from MgImplantSegLib.volume import Geometry


def classes_on_grid(
    prediction: FusedPrediction, classes_zyx: np.ndarray, source: Geometry, target: Geometry, events: Events
) -> np.ndarray:
    """Class indices on another grid.

    Parameters
    ----------
    prediction : FusedPrediction
        What the classes come from.
    classes_zyx : array of uint8
        Classes on the model's grid; post-processing may have changed some, and there only the new class counts.
    source, target : Geometry
        The model's grid and the wanted one; their axes have to be parallel.
    events : Events
        Progress.

    Returns
    -------
    array of uint8
        Shape of `target`.
    """
    if source.same_grid(target):
        return classes_zyx
    result = np.empty(target.shape_zyx, dtype=np.uint8)
    with events.task("labels on the input's grid", target.shape_zyx[0]) as task:
        for z, classes in enumerate(_slices(prediction, classes_zyx, source, target)):
            result[z] = classes
            task.advance()
    return result


def _slices(
    prediction: FusedPrediction, classes_zyx: np.ndarray, source: Geometry, target: Geometry
) -> Iterator[np.ndarray]:
    def read(z: int) -> np.ndarray:
        scores = prediction.scores(slice(z, z + 1))[:, 0]  # (classes, y, x)
        changed = largest_class(scores) != classes_zyx[z]
        is_class = np.arange(len(scores))[:, None] == classes_zyx[z][changed]
        scores[:, changed] = is_class * scores[:, changed].sum(axis=0)
        return scores.astype(np.float32)

    for scores in resampled_slices(read, interpolation_matrices(source, target)):
        yield largest_class(scores)
