"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Any


def numberText(value: Any, digits: int = 4):
    """A number with so many significant digits, without exponent where that can be read; empty if not defined."""
    if not math.isfinite(value):
        return ""
    if value == 0 or not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits}g}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
