"""`GreyWindow`: which grey values the 16-bit numbers of a prepared scan stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

KEY = "grey_window"
LARGEST = 65535


@dataclass(frozen=True)
class GreyWindow:
    """Grey value = intercept + slope × stored number; numbers go from 0 to 65535.

    Raises ValueError if the numbers are not finite or the slope is not positive.

    Parameters
    ----------
    slope, intercept : float
        In grey values of the scan; the slope is positive.
    percentiles : tuple of float or None
        The percentiles of the scan's grey values that became 0 and 65535; None if no grey value was changed.
    """

    slope: float = 1.0
    intercept: float = 0.0
    percentiles: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise ValueError(f"slope {self.slope}, intercept {self.intercept}")

    @classmethod
    def of_range(cls, low: float, high: float, percentiles: tuple[float, float]) -> GreyWindow:
        """The window whose ends are two different grey values."""
        return cls((high - low) / LARGEST, low, percentiles)

    @classmethod
    def of_type(cls, dtype: np.dtype) -> GreyWindow | None:
        """The window that keeps every value of a type as it is; None if it has too many."""
        if dtype.kind in "bu" and dtype.itemsize <= 2:
            return cls()
        return cls(1.0, -32768.0) if dtype.kind == "i" and dtype.itemsize <= 2 else None

    @property
    def ends(self) -> tuple[float, float]:
        """The grey values of 0 and 65535."""
        return self.intercept, self.intercept + LARGEST * self.slope

    def stored(self, grey: np.ndarray) -> tuple[np.ndarray, int, int]:
        """Nearest stored numbers, uint16, of finite grey values; how many lie below the window, and above it."""
        numbers = np.rint((grey - np.float32(self.intercept)) / np.float32(self.slope))
        below, above = int(np.count_nonzero(numbers < 0)), int(np.count_nonzero(numbers > LARGEST))
        return np.clip(numbers, 0, LARGEST).astype(np.uint16), below, above

    def grey(self, stored: np.ndarray) -> np.ndarray:
        """The grey values, float32, of stored numbers."""
        return np.float32(self.intercept) + np.float32(self.slope) * stored.astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "slope": self.slope,
            "intercept": self.intercept,
            "percentiles": None if self.percentiles is None else list(self.percentiles),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GreyWindow:
        """The window of `to_dict`'s data; ValueError if it is not one."""
        try:
            given = data.get("percentiles")
            percentiles = None if given is None else (float(given[0]), float(given[1]))
            return cls(float(data["slope"]), float(data["intercept"]), percentiles)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"no grey window: {error}") from error
