"""Intersection over union per class from a confusion matrix."""

from __future__ import annotations

import math

import torch

from MgImplantSegLib.training.loop.losses import IGNORE


def confusion_matrix(predicted: torch.Tensor, target: torch.Tensor, classes: int) -> torch.Tensor:
    """Counts, shape (classes, classes), of pixels by true (row) and predicted class; ignored pixels left out."""
    known = target != IGNORE
    joint = target[known].long() * classes + predicted[known].long()
    return torch.bincount(joint, minlength=classes * classes).reshape(classes, classes)


def iou_per_class(confusion: torch.Tensor) -> list[float]:
    """IoU of every class; NaN where a class is neither true nor predicted anywhere."""
    confusion = confusion.double()
    overlap = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - overlap
    return [float(o / u) if u > 0 else math.nan for o, u in zip(overlap, union, strict=True)]


def mean_defined(values: list[float]) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
