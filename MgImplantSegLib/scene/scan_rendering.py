"""The scan behind the surfaces by volume rendering: a veil that shows where bone and implant lie and hides neither."""

from __future__ import annotations

from typing import Any

# (part of the range of grey values, opacity over a tenth of the scan's length, brightness)
VEIL = ((0.0, 0.0, 0.2), (0.6, 0.0, 0.4), (0.8, 0.012, 0.7), (1.0, 0.04, 1.0))
TENTH = 0.1


def set_veil(volume_property: Any, grey_range: tuple[float, float], length_mm: float) -> None:
    """Give a `vtkVolumeProperty` opacities and greys over a range of grey values, so thin that surfaces stay seen.

    Parameters
    ----------
    grey_range : tuple of float
        Grey values of which the first is not seen and the last is seen most.
    length_mm : float
        Length of the scan in mm: what lies behind it is seen as well through a small scan as through a large one.
    """
    low, high = grey_range
    opacity, color = volume_property.GetScalarOpacity(), volume_property.GetRGBTransferFunction()
    opacity.RemoveAllPoints()
    color.RemoveAllPoints()
    for part, opaque, bright in VEIL:
        grey = low + part * ((high - low) or 1.0)
        opacity.AddPoint(grey, opaque)
        color.AddRGBPoint(grey, bright, bright, bright)
    gradient = volume_property.GetGradientOpacity()
    gradient.RemoveAllPoints()
    gradient.AddPoint(0.0, 1.0)
    gradient.AddPoint((high - low) or 1.0, 1.0)
    volume_property.SetScalarOpacityUnitDistance(TENTH * length_mm)
    volume_property.SetInterpolationTypeToLinear()
    volume_property.ShadeOff()
