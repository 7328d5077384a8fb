"""What a run shows of itself: how sure the network is, and how far the planes agree.

All are sums over voxels, gathered while the planes come in and once more slab by slab at the end; nothing of the size
of a volume is kept. How far two planes agree follows without votes: the mean square of the planes' mean is the mean
over all pairs of planes of their product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.expected_iou import MEAN
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.inference.accumulator import VOXELS_PER_SLAB
from MgImplantSegLib.inference.fused import FusedPrediction


@dataclass(frozen=True)
class RunStatistics:
    """Sums over the voxels of the model's grid for each class, float64 (classes,), and `planes`.

    Parameters
    ----------
    plane_squares : array
        Squared probability, mean over the planes.
    squares, probability : array
        Of the mean probability: its square and itself.
    voxels, inside : array
        Voxels with the class as label, and the mean probability of it there.
    """

    planes: int
    plane_squares: np.ndarray
    squares: np.ndarray
    probability: np.ndarray
    voxels: np.ndarray
    inside: np.ndarray

    def certainty(self) -> np.ndarray:
        """IoU to be expected from the mean probabilities themselves, (classes,)."""
        return self.inside / np.maximum(self.voxels + self.probability - self.inside, 1e-9)

    def agreement(self) -> np.ndarray:
        """Part that the probabilities of two planes have in common, mean over pairs, (classes,); 1 for one plane."""
        if self.planes < 2:
            return np.ones(len(self.squares))
        common = (self.planes * self.squares - self.plane_squares) / (self.planes - 1)
        return np.clip(common / np.maximum(2 * self.plane_squares - common, 1e-9), 0, 1)


def run_statistics(prediction: FusedPrediction) -> RunStatistics:
    """The sums of a finished prediction, worked out slab by slab."""
    accumulator = prediction.accumulator
    rows = np.zeros((4, accumulator.classes))
    for slab in slabs(accumulator.shape_zyx, VOXELS_PER_SLAB):
        rows += _sums_of_slab(prediction, slab)
    return RunStatistics(accumulator.plane_count, prediction.plane_squares / accumulator.plane_count, *rows)


def _sums_of_slab(prediction: FusedPrediction, slab: slice) -> np.ndarray:
    """The four sums of `RunStatistics` from `squares` on, (4, classes)."""
    probabilities, labels = prediction.probabilities(slab), prediction.labels_of(slab)
    rows = np.zeros((4, len(probabilities)))
    for index, values in enumerate(probabilities):
        inside = values[labels == index]
        rows[:, index] = np.vdot(values, values), values.sum(dtype=float), len(inside), inside.sum(dtype=float)
    return rows


def features_of(statistics: RunStatistics, scheme: LabelScheme) -> dict[str, dict[str, float]]:
    """The features of `expected_iou`: of the mean, and of each role that has one class in the scheme and voxels."""
    names = [label.role.value for label in scheme.labels]
    certainty, agreement = statistics.certainty(), statistics.agreement()
    present = [index for index in range(len(names)) if statistics.voxels[index] > 0]
    shared = {
        "mean_certainty": float(np.mean(certainty[present])),
        "mean_agreement": float(np.mean(agreement[present])),
    }
    return {MEAN: shared} | {
        names[index]: {"certainty": float(certainty[index]), "agreement": float(agreement[index]), **shared}
        for index in present
        if names.count(names[index]) == 1
    }
