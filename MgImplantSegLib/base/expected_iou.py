"""How good a segmentation is likely to be where no truth is known: `Calibration` and `ExpectedIoU`.

A model's card may hold a calibration: logistic regressions from what a run shows of itself (`FEATURES`) to the
intersection over union (IoU) that simulated scans of other kinds had. Every weight is 0 or more, and more of each
feature is better: a scan on which the network is less sure, or the planes agree less, never gets a higher number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from MgImplantSegLib.base.errors import InputError

KEY = "expected_iou"  # in provenance, results and events
MEAN = "mean"
FEATURES_OF_MEAN = ("mean_certainty", "mean_agreement")
FEATURES = ("certainty", "agreement", *FEATURES_OF_MEAN)
NAMES = {"background": "background", "bone": "bone", "degradation_layer": "layer", "residual_material": "metal"}
Features = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Expected:
    """An expected value and its standard error, both 0 to 1."""

    value: float
    error: float

    def text(self) -> str:
        """``0.45 ± 0.12``."""
        return f"{self.value:.2f} ± {self.error:.2f}"


@dataclass(frozen=True)
class ExpectedIoU:
    """Expected IoU of a segmentation by role and on average, background included.

    `is_low` where it warns. `voxels` of each role show whether a segmentation is still the one that was made.
    """

    of_role: Mapping[str, Expected]
    mean: Expected
    is_low: bool
    voxels: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: for the mean and each role value and error, whether it is low, and the voxels."""
        parts = {MEAN: self.mean, **self.of_role}
        return {
            name: {"value": round(part.value, 3), "error": round(part.error, 3)} for name, part in parts.items()
        } | {"is_low": self.is_low, "voxels": dict(self.voxels)}

    @classmethod
    def from_dict(cls, data: Any) -> ExpectedIoU:
        """The object of `to_dict`'s data. Raises ValueError if it is something else."""
        try:
            parts = {
                str(name): Expected(_number(part["value"]), _number(part["error"]))
                for name, part in data.items()
                if name not in ("is_low", "voxels")
            }
            mean, is_low = parts.pop(MEAN), bool(data["is_low"])
            return cls(parts, mean, is_low, {str(name): int(count) for name, count in data.get("voxels", {}).items()})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"no expected IoU: {error}") from error

    def line(self) -> str:
        """``Expected IoU: mean 0.86 ± 0.05 (bone 0.93 ± 0.04, layer 0.68 ± 0.09)``; without the background."""
        parts = [
            f"{NAMES.get(role, role)} {part.text()}" for role, part in self.of_role.items() if role != "background"
        ]
        return f"Expected IoU: mean {self.mean.text()}" + (f" ({', '.join(parts)})" if parts else "")

    def warning(self) -> str:
        """What to do about a low one; empty where there is nothing to warn of."""
        if not self.is_low:
            return ""
        return f"{self.line()}: the model is unsure of this scan; teach it before you use DR and BIC."


@dataclass(frozen=True)
class Regression:
    """``1 / (1 + exp(-intercept - Σ weight · feature))``; the standard error grows from 1 towards 0."""

    intercept: float
    weights: Mapping[str, float]
    error: float
    error_growth: float

    def __post_init__(self) -> None:
        numbers = (self.intercept, self.error, self.error_growth, *self.weights.values())
        if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
            raise InputError(f"Expected finite numbers in the calibration, got {numbers}.")
        if min((*self.weights.values(), self.error, self.error_growth)) < 0:
            raise InputError("Expected weights and errors of 0 or more in the calibration, got negative ones.")
        if unknown := set(self.weights) - set(FEATURES):
            raise InputError(f"Expected features {', '.join(FEATURES)} in the calibration, got also {sorted(unknown)}.")

    def expected(self, features: Mapping[str, float]) -> Expected:
        """The expected IoU of a class with these features."""
        total = self.intercept + sum(weight * features[name] for name, weight in self.weights.items())
        value = 1 / (1 + math.exp(-min(max(total, -50.0), 50.0)))
        return Expected(value, min(0.5, self.error + self.error_growth * (1 - value)))


@dataclass(frozen=True)
class Calibration:
    """What a model's card says of `ExpectedIoU`.

    Parameters
    ----------
    several_planes, one_plane : mapping
        A regression for each role and one for the mean, by segmentations of three planes and more, and of one.
    warn_below : float
        Mean expected IoU below which the user is warned.
    """

    several_planes: Mapping[str, Regression]
    one_plane: Mapping[str, Regression]
    warn_below: float

    @classmethod
    def from_dict(cls, data: Any) -> Calibration | None:
        """The calibration in a card; None if the card has none. Raises InputError if it is damaged."""
        if not data:
            return None
        try:
            several, one = (
                {str(role): _regression(part) for role, part in data[name].items()}
                for name in ("several_planes", "one_plane")
            )
            return cls(several, one, _number(data["warn_below"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"Expected a calibration of the expected IoU in the card, got: {error}.") from error

    def expected(self, features: Features, planes: int, found: frozenset[str]) -> ExpectedIoU | None:
        """The expected IoU; None if nothing was found, or the calibration does not know the roles.

        Parameters
        ----------
        features : mapping
            `FEATURES` of each role that the network predicted, and those of the mean (`MEAN`).
        found : frozenset of str
            Roles in the segmentation after post-processing; only these are reported.
        """
        regressions = self.several_planes if planes > 1 else self.one_plane
        of_role = {
            role: regressions[role].expected(features[role])
            for role in NAMES
            if role in found and role in features and role in regressions
        }
        if not set(of_role) - {"background"} or MEAN not in regressions:
            return None
        mean = regressions[MEAN].expected(features[MEAN])
        return ExpectedIoU(of_role, mean, mean.value < self.warn_below)


def expected_of(provenance: Mapping[str, Any]) -> ExpectedIoU | None:
    """What a segmentation's provenance says; None where it says nothing that can be read."""
    try:
        return ExpectedIoU.from_dict(provenance.get(KEY))
    except ValueError:
        return None


def _regression(data: Mapping[str, Any]) -> Regression:
    weights = {str(name): _number(value) for name, value in data["weights"].items()}
    return Regression(_number(data["intercept"]), weights, _number(data["error"]), _number(data["error_growth"]))


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"no finite number: {value!r}")
    return number
