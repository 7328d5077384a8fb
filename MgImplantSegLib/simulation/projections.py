"""Parallel-beam projections of slices and filtered back-projection, angle by angle for all slices at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from scipy import fft, sparse

# Windows of the ramp filter by frequency in cycles per pixel, 0 to 0.5.
WINDOWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ramp": np.ones_like,
    "cosine": lambda frequency: np.cos(np.pi * frequency),
    "hann": lambda frequency: np.cos(np.pi * frequency) ** 2,
}


WEIGHTS_TO_KEEP = 40_000_000  # of 8 bytes: small slices keep their matrices, larger ones make them again


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

    def project(self, stack: np.ndarray) -> np.ndarray:
        """Line integrals in pixels, float32 (slices, angles, columns), of slices (slices, size, size).

        Rays are sampled once a pixel with linear interpolation between the four pixels around.
        """
        flat = np.ascontiguousarray(stack.reshape(len(stack), -1).T, dtype=np.float32)
        lines = np.empty((len(stack), self.angles, self.size), np.float32)
        for angle in range(self.angles):
            lines[:, angle] = (self._rays(angle) @ flat).T
        return lines

    def reconstruct(self, sinograms: np.ndarray, window: str) -> np.ndarray:
        """Filtered back-projection, float32 (slices, size, size), of line integrals in pixels."""
        filtered = _ramp_filtered(sinograms, window)
        flat = np.zeros((self.size**2, len(sinograms)), np.float32)
        for angle in range(self.angles):
            flat += self._spread(angle) @ np.ascontiguousarray(filtered[:, angle].T)
        flat *= np.float32(np.pi / self.angles)
        return np.ascontiguousarray(flat.T).reshape(len(sinograms), self.size, self.size)

    def _rays(self, angle: int) -> sparse.csr_matrix:
        """(size, size²): row by ray, column by pixel."""
        return self._kept[angle] if self._kept else self._made(angle)

    def _spread(self, angle: int) -> sparse.csr_matrix:
        """(size², size): the linear weights of the two columns that the middle of each pixel falls between."""
        middle, turn = (self.size - 1) / 2, angle * np.pi / self.angles
        y, x = (np.indices((self.size, self.size)).reshape(2, -1) - middle).astype(np.float32)
        place = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn)) + np.float32(middle)
        lower = np.floor(place).astype(int)
        columns, weights = np.stack((lower, lower + 1), 1), np.stack((lower + 1 - place, place - lower), 1)
        weights = np.where((columns >= 0) & (columns < self.size), weights, 0)
        starts = np.arange(0, 2 * len(place) + 1, 2)
        entries = (weights.ravel(), columns.clip(0, self.size - 1).ravel(), starts)
        return sparse.csr_matrix(entries, shape=(self.size**2, self.size))

    @cached_property
    def _kept(self) -> Sequence[sparse.csr_matrix]:
        few = 4 * self.size**2 * self.angles <= WEIGHTS_TO_KEEP
        return [self._made(angle) for angle in range(self.angles)] if few else []

    def _made(self, angle: int) -> sparse.csr_matrix:
        middle = (self.size - 1) / 2
        turn = angle * np.pi / self.angles
        across, along = np.meshgrid(np.arange(self.size) - middle, np.arange(self.size) - middle, indexing="ij")
        x = across * np.cos(turn) - along * np.sin(turn) + middle
        y = across * np.sin(turn) + along * np.cos(turn) + middle
        return _bilinear_rows(y, x, self.size)


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
