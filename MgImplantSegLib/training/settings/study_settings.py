"""What a configuration says of cross-validation and of the scaling study."""

from __future__ import annotations

from dataclasses import dataclass

from MgImplantSegLib.base.settings import require


@dataclass(frozen=True)
class CrossValidationSettings:
    """Cross-validation.

    Parameters
    ----------
    folds : int
        Parts that the groups of all samples but the test samples are divided into.
    """

    folds: int = 4

    def __post_init__(self) -> None:
        require(self.folds >= 2, "2 folds or more", self.folds)


@dataclass(frozen=True)
class ScalingSettings:
    """The grid of the scaling study; the default are the paper's 48 models.

    Parameters
    ----------
    depths, widths, input_sizes : tuple of int
        Number of encoder blocks, channels of the first one, edge length of the patches in pixels.
    """

    depths: tuple[int, ...] = (3, 4, 5, 6)
    widths: tuple[int, ...] = (32, 64, 96, 112)
    input_sizes: tuple[int, ...] = (384, 512, 640)

    def __post_init__(self) -> None:
        for key in ("depths", "widths", "input_sizes"):
            values = getattr(self, key)
            require(values and min(values) >= 1, f"positive numbers for {key!r}", values)
            require(len(set(values)) == len(values), f"different numbers for {key!r}", values)
