"""Building blocks of simulated explants: random fields, signed distances, the part of a voxel that a body fills.

Bodies are described by level sets: float32 arrays (z, y, x), negative inside, in voxels, with a slope of about one
near the surface. All lengths in this file are in voxels.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage


def smooth_field(rng: np.random.Generator, shape_zyx: tuple[int, ...], correlation: float) -> np.ndarray:
    """Gaussian random field with zero mean and unit variance.

    Parameters
    ----------
    shape_zyx : tuple of int
        Shape of the field; periodic along every axis.
    correlation : float
        Standard deviation of the Gaussian that smooths white noise, in voxels.

    Returns
    -------
    numpy.ndarray
        float32, shape `shape_zyx`.
    """
    return _shaped_noise(rng, shape_zyx, lambda k: np.exp(-2 * (np.pi * k * correlation) ** 2))


def band_field(rng: np.random.Generator, shape_zyx: tuple[int, ...], wavelength: float, width: float) -> np.ndarray:
    """Gaussian random field around one wavelength; its zero surface is like trabecular plates.

    `width` is the relative width of the band of spatial frequencies (0.15 regular, 0.5 irregular).
    """
    centre = 1 / wavelength
    return _shaped_noise(rng, shape_zyx, lambda k: np.exp(-0.5 * ((k - centre) / (width * centre)) ** 2))


def _shaped_noise(rng: np.random.Generator, shape: tuple[int, ...], amplitude_of_frequency) -> np.ndarray:
    white = rng.standard_normal(shape, dtype=np.float32)
    spectrum = fft.rfftn(white)
    spectrum *= amplitude_of_frequency(radial_frequency(shape)).astype(np.float32)
    spectrum[(0,) * len(shape)] = 0
    field = fft.irfftn(spectrum, s=shape).astype(np.float32)
    return field / max(float(field.std()), 1e-12)


def radial_frequency(shape: tuple[int, ...]) -> np.ndarray:
    """Length of the frequency vector in cycles per voxel on the grid of `scipy.fft.rfftn`."""
    axes = [fft.fftfreq(n).astype(np.float32) for n in shape[:-1]] + [fft.rfftfreq(shape[-1]).astype(np.float32)]
    return np.sqrt(sum(k**2 for k in np.meshgrid(*axes, indexing="ij", sparse=True)))


def signed_distance(level_set: np.ndarray) -> np.ndarray:
    """Distance to the surface of a body in voxels, negative inside, from its level set.

    Near the surface the level set itself is kept. Away from it the way to the nearest voxel on the other side is
    shortened by how far that voxel lies beyond the surface, so that the surface is known to a part of a voxel.
    """
    inside = level_set < 0
    if not inside.any() or inside.all():
        return np.abs(level_set) * (-1 if inside.all() else 1)
    distance = np.where(inside, -_distance_beyond(inside, level_set), _distance_beyond(~inside, -level_set))
    distance = ndimage.gaussian_filter(distance, 0.5)
    near = np.clip(2 - np.abs(distance), 0, 1)
    return near * np.clip(level_set, -3, 3) + (1 - near) * distance


def _distance_beyond(mask: np.ndarray, level_set: np.ndarray) -> np.ndarray:
    """Distance from voxels in the mask to its surface; `level_set` is positive outside the mask."""
    distance, nearest = ndimage.distance_transform_edt(mask, return_indices=True)
    return np.maximum(distance - np.minimum(level_set[tuple(nearest)], 1), 0).astype(np.float32)


def filled_part(level_set: np.ndarray) -> np.ndarray:
    """The part of each voxel, 0 to 1, that lies inside the body (exact for a flat face along an axis)."""
    return np.clip(0.5 - level_set, 0, 1)


def slope_normalised(field: np.ndarray) -> np.ndarray:
    """The field divided by its slope, so that it measures distance in voxels near its zero surface."""
    squared = np.full(field.shape, 1e-6, np.float32)
    for axis in range(field.ndim):
        squared += np.gradient(field, axis=axis) ** 2
    return field / np.sqrt(squared)
