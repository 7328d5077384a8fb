"""What a run shows of itself: how sure the network is, how far the planes agree, how the grey values lie.

All of it are sums over voxels, gathered while the planes come in and once more slab by slab at the end; nothing of the
size of a volume is kept. How far two planes agree follows without votes: the mean square of the planes' mean is the
mean over all pairs of planes of their product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.inference.accumulator import VOXELS_PER_SLAB
from MgImplantSegLib.inference.fused import FusedPrediction
from MgImplantSegLib.labels import LabelScheme
from MgImplantSegLib.slabs import slabs

FARTHEST = 4.0  # standard deviations from the reference that count, and of two classes from each other
LEAST_VOXELS = 50


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
    grey, grey_squares : array
        Grey value and its square where the class is the label.
    steps, step_count : array
        Absolute difference to the next voxel along x where both have the label, and how many there are.
    """

    planes: int
    plane_squares: np.ndarray
    squares: np.ndarray
    probability: np.ndarray
    voxels: np.ndarray
    inside: np.ndarray
    grey: np.ndarray
    grey_squares: np.ndarray
    steps: np.ndarray
    step_count: np.ndarray

    def certainty(self) -> np.ndarray:
        """IoU that the mean probabilities themselves let expect, (classes,)."""
        return self.inside / np.maximum(self.voxels + self.probability - self.inside, 1e-9)

    def agreement(self) -> np.ndarray:
        """Part that the probabilities of two planes have in common, mean over pairs, (classes,); 1 for one plane."""
        if self.planes < 2:
            return np.ones(len(self.squares))
        common = (self.planes * self.squares - self.plane_squares) / (self.planes - 1)
        return np.clip(common / np.maximum(2 * self.plane_squares - common, 1e-9), 0, 1)

    def grey_values(self, names: Iterable[str]) -> dict[str, float]:
        """Mean, spread and graininess of each class that is there, by ``mean bone`` and so on."""
        values = {}
        for index, name in enumerate(names):
            if self.voxels[index] >= LEAST_VOXELS:
                mean = self.grey[index] / self.voxels[index]
                values[f"mean {name}"] = mean
                values[f"spread {name}"] = max(self.grey_squares[index] / self.voxels[index] - mean**2, 0.0) ** 0.5
                values[f"grain {name}"] = self.steps[index] / max(self.step_count[index], 1)
        return {name: float(value) for name, value in values.items()}


def run_statistics(prediction: FusedPrediction, array_zyx: np.ndarray) -> RunStatistics:
    """The sums of a finished prediction of `array_zyx`, worked out slab by slab."""
    planes = prediction.accumulator.plane_count
    rows = np.zeros((8, prediction.accumulator.classes))
    for slab in slabs(array_zyx.shape, VOXELS_PER_SLAB):
        rows += _sums_of_slab(prediction, array_zyx[slab], slab)
    return RunStatistics(planes, prediction.plane_squares / planes, *rows)


def _sums_of_slab(prediction: FusedPrediction, grey: np.ndarray, slab: slice) -> np.ndarray:
    """The eight sums of `RunStatistics` from `squares` on, (8, classes)."""
    probabilities, labels = prediction.probabilities(slab), prediction.labels_of(slab)
    same, step = labels[..., 1:] == labels[..., :-1], np.abs(np.diff(grey, axis=-1))
    rows = np.zeros((8, len(probabilities)))
    for index, values in enumerate(probabilities):
        here = labels == index
        along = same & here[..., 1:]
        seen = grey[here].astype(np.float64)
        rows[:, index] = (
            np.vdot(values, values),
            values.sum(dtype=np.float64),
            len(seen),
            values[here].sum(dtype=np.float64),
            seen.sum(),
            seen @ seen,
            step[along].sum(dtype=np.float64),
            np.count_nonzero(along),
        )
    return rows


def features_of(
    statistics: RunStatistics, scheme: LabelScheme, reference: Mapping[str, tuple[float, float]]
) -> dict[str, dict[str, float]]:
    """The features of `expected_iou` for each role that has one class in the scheme and voxels in the prediction."""
    names = [label.role.value for label in scheme.labels]
    certainty, agreement = statistics.certainty(), statistics.agreement()
    present = [index for index in range(len(names)) if statistics.voxels[index] > 0]
    shared = {
        "mean_certainty": float(np.mean(certainty[present])),
        "mean_agreement": float(np.mean(agreement[present])),
        "likeness": _likeness(statistics.grey_values(names), reference),
    }
    return {
        names[index]: {
            "certainty": float(certainty[index]),
            "agreement": float(agreement[index]),
            "separation": _separation(statistics, index),
            **shared,
        }
        for index in present
        if names.count(names[index]) == 1
    }


def _likeness(values: Mapping[str, float], reference: Mapping[str, tuple[float, float]]) -> float:
    """1 where the grey values lie as in the reference, 0 where all are `FARTHEST` or more deviations away."""
    away = [
        min(abs(value - reference[name][0]) / max(reference[name][1], 1e-6), FARTHEST)
        for name, value in values.items()
        if name in reference
    ]
    return 1 - float(np.mean(away)) / FARTHEST if away else 0.0


def _separation(statistics: RunStatistics, index: int) -> float:
    """Distance of the class's mean grey value to the nearest other one, in units of the spread, 0 to 1."""
    count = np.maximum(statistics.voxels, 1)
    mean = statistics.grey / count
    variance = np.maximum(statistics.grey_squares / count - mean**2, 1e-9)
    others = (statistics.voxels >= LEAST_VOXELS) & (np.arange(len(mean)) != index)
    if not others.any():
        return 1.0
    apart = np.abs(mean[others] - mean[index]) / np.sqrt((variance[others] + variance[index]) / 2)
    return min(float(apart.min()), FARTHEST) / FARTHEST
