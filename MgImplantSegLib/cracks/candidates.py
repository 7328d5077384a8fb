"""Dark voxels that may belong to an opening, and those that surely do: one slab at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.cracks.sheets import eigenvalues, halo_voxels, hessian_at, smoothed

SCALES = (0.5, 1.5)  # sigma of the filter in narrowest widths: sheets of one and of three widths
FINE, COARSE = 0.25, 0.35  # sigma of what is compared with the contrast, for the outline and for the seeds
SEED_CONTRAST, SEED_RESPONSE, SURELY_DARK = 0.1, 0.4, 0.75
NO, PERHAPS, SURELY = 0, 1, 2
Sigmas = tuple[float, float, float]


@dataclass(frozen=True)
class Filter:
    """What is looked for.

    Parameters
    ----------
    width_zyx : tuple of float
        Narrowest opening in voxels along each axis.
    contrast : float
        How dark it is at least.
    response : callable
        Of eigenvalues (3, n): how much it looks like one, about 1 in its middle.
    """

    width_zyx: tuple[float, float, float]
    contrast: float
    response: Callable[[np.ndarray], np.ndarray]

    def sigma(self, widths: float) -> Sigmas:
        """A scale in voxels along each axis."""
        return triple(widths * width for width in self.width_zyx)

    @property
    def halo(self) -> int:
        """Layers that are needed beyond a slab."""
        return halo_voxels(self.sigma(max(SCALES))) + 1

    def candidates(self, contrast_zyx: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """uint8 (z, y, x) of NO, PERHAPS and SURELY for the voxels of a slab with its halo."""
        found = np.zeros(contrast_zyx.shape, dtype=np.uint8)
        fine = smoothed(contrast_zyx, self.sigma(FINE))
        where = np.nonzero(allowed & (fine > self.contrast))
        if where[0].size == 0:
            return found
        coarse, dark = smoothed(contrast_zyx, self.sigma(COARSE))[where], -contrast_zyx
        scales = (eigenvalues(hessian_at(dark, self.sigma(scale), where)) for scale in SCALES)
        response = np.maximum.reduce([self.response(values) for values in scales])
        perhaps = (response > 0) | (coarse > SURELY_DARK)
        surely = perhaps & (coarse > self.contrast + SEED_CONTRAST) & (response > SEED_RESPONSE)
        found[where] = np.where(surely, SURELY, np.where(perhaps, PERHAPS, NO))
        return found
