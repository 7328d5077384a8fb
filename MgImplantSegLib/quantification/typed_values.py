"""Warnings about typed numbers of the new screw that cannot be right."""

from __future__ import annotations

import math

AREA_TOLERANCE = 0.01


def typed_volume_note(volume_mm3: float, residual_mm3: float) -> str:
    """A warning where more is left than there was; else empty."""
    if volume_mm3 >= residual_mm3:
        return ""
    return (
        f"The initial volume of {volume_mm3:.4g} mm³ that was typed in is smaller than the residual volume of "
        f"{residual_mm3:.4g} mm³: check the value, its unit (mm³) and the voxel size."
    )


def typed_area_note(area_mm2: float, volume_mm3: float) -> str:
    """A warning where no body of the volume has so small a surface, as a ball has the smallest; else empty."""
    least_mm2 = math.cbrt(36 * math.pi * volume_mm3**2)
    if not area_mm2 < (1 - AREA_TOLERANCE) * least_mm2:
        return ""
    return (
        f"The initial surface area of {area_mm2:.4g} mm² that was typed in is too small: a body of {volume_mm3:.4g} "
        f"mm³ has at least {least_mm2:.4g} mm². Check both values and their units (mm², mm³)."
    )
