"""Parallel-beam projections of slices and filtered back-projection, as one sparse matrix for all slices."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft, sparse

# Windows of the ramp filter by frequency in cycles per pixel, 0 to 0.5.
WINDOWS = {
    "ramp": np.ones_like,
    "cosine": lambda frequency: np.cos(np.pi * frequency),
    "hann": lambda frequency: np.cos(np.pi * frequency) ** 2,
}


class ParallelBeam:
    """Projections of square slices over half a turn.

    Parameters
    ----------
    size : int
        Edge length of the slices, and columns of the detector.
    angles : int
        Projections over 180°.
    """

    def __init__(self, size: int, angles: int) -> None:
        self.size, self.angles = size, angles
        self._matrix = _ray_matrix(size, angles)

    def project(self, stack: np.ndarray) -> np.ndarray:
        """Line integrals in pixels, float32 (slices, angles, columns), of slices (slices, size, size).

        Rays are sampled once a pixel with linear interpolation between the four pixels around.
        """
        flat = np.ascontiguousarray(stack.reshape(len(stack), -1).T, dtype=np.float32)
        return (self._matrix @ flat).T.reshape(len(stack), self.angles, self.size)

    def reconstruct(self, sinograms: np.ndarray, window: str) -> np.ndarray:
        """Filtered back-projection, float32 (slices, size, size), of line integrals in pixels."""
        filtered = _ramp_filtered(sinograms, window)
        flat = np.ascontiguousarray(filtered.reshape(len(sinograms), -1).T, dtype=np.float32)
        image = (self._matrix.T @ flat).T.reshape(len(sinograms), self.size, self.size)
        return (image * np.float32(np.pi / self.angles)).astype(np.float32)


@lru_cache(maxsize=2)
def _ray_matrix(size: int, angles: int) -> sparse.csr_matrix:
    """(angles · size, size²): row by ray, column by pixel."""
    middle = (size - 1) / 2
    across, along = np.meshgrid(np.arange(size) - middle, np.arange(size) - middle, indexing="ij")
    parts = []
    for angle in np.arange(angles) * np.pi / angles:
        x = across * np.cos(angle) - along * np.sin(angle) + middle
        y = across * np.sin(angle) + along * np.cos(angle) + middle
        parts.append(_bilinear_rows(y, x, size))
    return sparse.vstack(parts, format="csr")


def _bilinear_rows(y: np.ndarray, x: np.ndarray, size: int) -> sparse.csr_matrix:
    """(rays, size²): the weights of the pixels around the sampled points (rays, samples) of every ray."""
    rays = np.broadcast_to(np.arange(size)[:, None], y.shape)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    rows, columns, weights = [], [], []
    for down in (0, 1):
        for right in (0, 1):
            row, column = top + down, left + right
            weight = (1 - np.abs(y - row)) * (1 - np.abs(x - column))
            inside = (row >= 0) & (row < size) & (column >= 0) & (column < size) & (weight > 0)
            rows.append(rays[inside])
            columns.append((row * size + column)[inside])
            weights.append(weight[inside].astype(np.float32))
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=(size, size * size))


def _ramp_filtered(sinograms: np.ndarray, window: str) -> np.ndarray:
    """Sinograms filtered along the columns with the ramp, band-limited in space so that the mean is right."""
    size = sinograms.shape[-1]
    length = fft.next_fast_len(2 * size, real=True)
    place = np.minimum(np.arange(length), length - np.arange(length))
    ramp = np.zeros(length)
    ramp[0] = 0.25
    ramp[place % 2 == 1] = -1 / (np.pi * place[place % 2 == 1]) ** 2
    response = fft.rfft(ramp).real * WINDOWS[window](fft.rfftfreq(length))
    spectrum = fft.rfft(sinograms, length, axis=-1) * response.astype(np.float32)
    return fft.irfft(spectrum, length, axis=-1)[..., :size].astype(np.float32)
