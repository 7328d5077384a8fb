"""The implant with its cracks closed: they raise the surface that bone could touch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from MgImplantSegLib.quantification.codes import LAYER, UNKNOWN, implant_in
from MgImplantSegLib.quantification.measures.distance import distance_to_mm

ROUNDING_VOXELS = 1e-3


def with_closed_cracks(codes: np.ndarray, spacing_zyx_mm: tuple[float, float, float], width_mm: float) -> np.ndarray:
    """Codes with all gaps of the implant up to a width, and all enclosed cavities, filled with degradation layer.

    A closing with a ball of half the width: dilate, then erode by the same distance. Unknown voxels stay unknown.

    Parameters
    ----------
    codes : uint8 array (z, y, x)
        Codes of `role_codes`.
    spacing_zyx_mm : tuple of float
        Distance of the voxel centres.
    width_mm : float
        Widest gap that is closed, to about one voxel; 0 returns the codes as they are.
    """
    if width_mm == 0 or not implant_in(codes).any():
        return codes
    radius_mm = width_mm / 2 + (0.5 + ROUNDING_VOXELS) * max(spacing_zyx_mm)
    margins = [(int(np.ceil(radius_mm / spacing)) + 1,) * 2 for spacing in spacing_zyx_mm]
    implant = np.pad(implant_in(codes), margins)
    dilated = distance_to_mm(implant, spacing_zyx_mm) <= radius_mm
    closed = distance_to_mm(~dilated, spacing_zyx_mm) > radius_mm
    filled = ndimage.binary_fill_holes(closed | implant)
    filled = filled[tuple(slice(low, -high) for low, high in margins)]
    return np.where(filled & ~implant_in(codes) & (codes != UNKNOWN), np.uint8(LAYER), codes)
