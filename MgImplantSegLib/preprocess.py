"""Preprocessing of Baltruschat et al. 2021 (doi 10.1038/s41598-021-03542-y): resample, clip, scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from MgImplantSegLib.errors import InputError


@dataclass(frozen=True)
class Preprocessing:
    """How grey values become a network's input; a model's card holds the numbers it was trained with.

    Parameters
    ----------
    spacing_um : float
        Edge length of the isotropic voxels in micrometres.
    lower_percentile, upper_percentile : float
        Grey values are clipped to these percentiles of the resampled volume and scaled linearly to [0, 1].

    Raises
    ------
    InputError
        If the spacing is not positive or the percentiles do not lie in order in 0–100.
    """

    spacing_um: float
    lower_percentile: float = 0.5
    upper_percentile: float = 99.9

    def __post_init__(self) -> None:
        for name in ("spacing_um", "lower_percentile", "upper_percentile"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise InputError(f"Expected {name} of the preprocessing as a number, got {value!r}.")
        if self.spacing_um <= 0:
            raise InputError(f"Expected a positive spacing in µm, got {self.spacing_um}.")
        if not 0 <= self.lower_percentile < self.upper_percentile <= 100:
            raise InputError(
                f"Expected percentiles in order within 0–100, got {self.lower_percentile} and {self.upper_percentile}."
            )
