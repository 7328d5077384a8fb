"""How well two segmentations agree: intersection over union and Dice per class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import json_ready
from MgImplantSegLib.evaluation.surface_distance import SurfaceDistance, surface_distance
from MgImplantSegLib.grids.labels import CLASS_OF_ROLE, Role
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.io.grids import along_axes_of, grid_text
from MgImplantSegLib.quantification.codes import CODE_OF_ROLE, UNKNOWN, role_codes


@dataclass(frozen=True)
class ClassScore:
    """Agreement in one class; `iou` and `dice` are NaN where neither segmentation has the class."""

    role: Role
    name: str
    iou: float
    dice: float
    prediction_voxels: int
    reference_voxels: int
    common_voxels: int
    note: str = ""
    surface_distance: SurfaceDistance | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scores of a prediction against a reference.

    `mean_iou` is over all classes that occur in one of both, background included, as the paper has it;
    `mean_iou_foreground` leaves the background out.
    """

    classes: tuple[ClassScore, ...]
    mean_iou: float
    mean_iou_foreground: float
    compared_voxels: int
    ignored_voxels: int

    def score(self, role: Role | str) -> ClassScore:
        """The score of one class."""
        return {score.role: score for score in self.classes}[Role(role)]

    @property
    def iou_by_role(self) -> dict[str, float]:
        """IoU of every class by the value of its role."""
        return {score.role.value: score.iou for score in self.classes}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; NaN becomes None."""
        classes = {score.role.value: _class_dict(score) for score in self.classes}
        return {
            "mean_iou": json_ready(self.mean_iou),
            "mean_iou_foreground": json_ready(self.mean_iou_foreground),
            "classes": classes,
            "compared_voxels": self.compared_voxels,
            "ignored_voxels": self.ignored_voxels,
        }


def _class_dict(score: ClassScore) -> dict[str, Any]:
    distance = score.surface_distance
    data = {**vars(score), "role": score.role.value}
    data["surface_distance"] = None if distance is None else vars(distance)
    return json_ready(data)


def evaluate(prediction: LabelMap, reference: LabelMap, *, surface_distances: bool = False) -> Evaluation:
    """IoU = |P ∩ R| / |P ∪ R| and Dice = 2 |P ∩ R| / (|P| + |R|) per class, over voxels known in both.

    Raises InputError if the two lie on different grids, or a value has no role.

    Parameters
    ----------
    prediction, reference : LabelMap
        On one grid, listed along any axes; their schemes may differ.
    surface_distances : bool
        Also measure how far the surfaces of each class, background excepted, lie apart.
    """
    prediction = along_axes_of(prediction, reference.geometry)
    if not prediction.geometry.same_grid(reference.geometry):
        raise InputError(
            f"Expected both segmentations on one grid, got {grid_text(prediction.geometry)} and "
            f"{grid_text(reference.geometry)}.",
            "Crop both to their common part.",
        )
    predicted, referenced = role_codes(prediction), role_codes(reference)
    confusion = voxels_of_codes(referenced, predicted)
    known = confusion[:UNKNOWN, :UNKNOWN]
    scores = tuple(_class_score(role, code, known) for role, code in CODE_OF_ROLE.items())
    if surface_distances:
        _share_unknown(predicted, referenced)
        scores = tuple(_with_distance(score, predicted, referenced, reference.geometry) for score in scores)
    return Evaluation(
        scores,
        _mean([score.iou for score in scores]),
        _mean([score.iou for score in scores if score.role is not Role.BACKGROUND]),
        compared_voxels=int(known.sum()),
        ignored_voxels=int(confusion.sum() - known.sum()),
    )


def voxels_of_codes(reference_codes: np.ndarray, prediction_codes: np.ndarray) -> np.ndarray:
    """5×5 numbers of voxels; rows are the reference's codes, columns the prediction's, as in training."""
    size = UNKNOWN + 1
    pairs = np.zeros(size * size, dtype=np.int64)
    for part in slabs(reference_codes.shape):
        pair = reference_codes[part] * np.uint8(size) + prediction_codes[part]
        pairs += np.bincount(pair.ravel(), minlength=size * size)
    return pairs.reshape(size, size)


def _class_score(role: Role, code: int, confusion: np.ndarray) -> ClassScore:
    common = int(confusion[code, code])
    predicted, referenced = int(confusion[:, code].sum()), int(confusion[code].sum())
    union = predicted + referenced - common
    name = CLASS_OF_ROLE[role].name
    if union == 0:
        nan = float("nan")
        return ClassScore(role, name, nan, nan, 0, 0, 0, "Neither segmentation has this class.")
    return ClassScore(role, name, common / union, 2 * common / (predicted + referenced), predicted, referenced, common)


def _share_unknown(predicted: np.ndarray, referenced: np.ndarray) -> None:
    """Make what is unknown in one unknown in both, in place, so that their surfaces end at the same faces."""
    for part in slabs(predicted.shape):
        unknown = (predicted[part] == UNKNOWN) | (referenced[part] == UNKNOWN)
        predicted[part][unknown] = referenced[part][unknown] = UNKNOWN


def _with_distance(score: ClassScore, predicted: np.ndarray, referenced: np.ndarray, geometry: Geometry) -> ClassScore:
    if score.role is Role.BACKGROUND:
        return score
    code = CODE_OF_ROLE[score.role]
    return replace(score, surface_distance=surface_distance(predicted, referenced, geometry, code))


def _mean(values: list[float]) -> float:
    defined = [value for value in values if np.isfinite(value)]
    return float(np.mean(defined)) if defined else float("nan")
