"""How much a dark voxel looks like a part of a sheet or of a tube: eigenvalues of the Hessian at one scale."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SECOND_DERIVATIVES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
TRUNCATE = 3.0
SHEET_UNIT = float(np.sqrt(2 * np.pi * np.e) / 2)  # a sheet two sigma wide has the response 1 in its middle
TUBE_UNIT = float(np.e)  # a tube with a radius of sqrt(2) sigma has the response 1 in its middle


def halo_voxels(sigma_zyx: tuple[float, float, float]) -> int:
    """Layers along z that the filters at this scale need beyond a slab."""
    return int(TRUNCATE * sigma_zyx[0] + 0.5)


def smoothed(array: np.ndarray, sigma_zyx: tuple[float, float, float]) -> np.ndarray:
    """A float32 array (z, y, x) after a Gaussian."""
    return ndimage.gaussian_filter(array, sigma_zyx, truncate=TRUNCATE, mode="nearest")


def hessian_at(array: np.ndarray, sigma_zyx: tuple[float, float, float], where: tuple[np.ndarray, ...]) -> np.ndarray:
    """Second derivatives zz, zy, zx, yy, yx, xx in units of sigma, shape (6, n), at n voxels of a float32 array."""
    found = np.empty((len(SECOND_DERIVATIVES), where[0].size), dtype=np.float32)
    for row, axes in zip(found, SECOND_DERIVATIVES, strict=True):
        order = [axes.count(axis) for axis in range(3)]
        factor = np.prod([sigma_zyx[axis] for axis in axes])
        row[:] = ndimage.gaussian_filter(array, sigma_zyx, order, truncate=TRUNCATE, mode="nearest")[where] * factor
    return found


def eigenvalues(hessian: np.ndarray) -> np.ndarray:
    """Eigenvalues of symmetric 3×3 matrices, ascending, shape (3, n), by the trigonometric formula.

    O. K. Smith, "Eigenvalues of a symmetric 3 × 3 matrix", Communications of the ACM 4 (1961).

    Parameters
    ----------
    hessian : float array (6, n)
        Components zz, zy, zx, yy, yx, xx.
    """
    a, d, e, b, f, c = hessian.astype(np.float64)
    mean = (a + b + c) / 3
    spread = np.sqrt(((a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2 + 2 * (d**2 + e**2 + f**2)) / 6)
    scale = np.where(spread > 0, spread, 1)
    a, b, c, d, e, f = (a - mean) / scale, (b - mean) / scale, (c - mean) / scale, d / scale, e / scale, f / scale
    half_determinant = (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e)) / 2
    angle = np.arccos(np.clip(half_determinant, -1, 1)) / 3
    largest = mean + 2 * spread * np.cos(angle)
    least = mean + 2 * spread * np.cos(angle + 2 * np.pi / 3)
    return np.stack([least, 3 * mean - largest - least, largest])


def sheet_response(values: np.ndarray) -> np.ndarray:
    """1 in the middle of a dark sheet of depth 1 and a width of two sigma, less where it bends, 0 in a ball."""
    return SHEET_UNIT * (values[2] - np.maximum(np.abs(values[0]), np.abs(values[1])))


def tube_response(values: np.ndarray) -> np.ndarray:
    """1 in the middle of a straight tube of contrast 1 and a radius of sqrt(2) sigma; a ball counts as one."""
    return TUBE_UNIT * (values[1] - np.maximum(-values[0], 0))
