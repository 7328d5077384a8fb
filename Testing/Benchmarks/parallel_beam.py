"""Parallel-beam tomography of stacks of slices for benchmarks: projections and filtered back-projection.

One sparse matrix holds the linear weights with which every pixel falls on the two nearest detector columns at every
angle; its transpose projects back. Needs scipy only.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft, sparse

WINDOWS = {
    "ramp": lambda f: np.ones_like(f),
    "cosine": lambda f: np.cos(np.pi * f),
    "hann": lambda f: np.cos(np.pi * f) ** 2,
}  # by frequency in cycles per pixel, up to 0.5


@lru_cache(maxsize=2)
def _weights(size: int, angles: int) -> sparse.csr_matrix:
    """(angles · size, size²), float32; the detector has as many columns as the slice."""
    y, x = (np.indices((size, size)).reshape(2, -1) - (size - 1) / 2).astype(np.float32)
    rows, columns, values = [], [], []
    pixels = np.arange(size * size, dtype=np.int32)
    for number, angle in enumerate(np.arange(angles) * np.pi / angles):
        place = x * np.cos(angle) + y * np.sin(angle) + (size - 1) / 2
        lower = np.floor(place).astype(np.int32)
        for column, weight in ((lower, lower + 1 - place), (lower + 1, place - lower)):
            seen = (column >= 0) & (column < size)
            rows.append(column[seen] + number * size)
            columns.append(pixels[seen])
            values.append(weight[seen].astype(np.float32))
    shape = (angles * size, size * size)
    return sparse.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape)


def project(stack: np.ndarray, angles: int) -> np.ndarray:
    """Line integrals in pixels, float32 (z, angles, columns), of a stack (z, n, n) over half a turn."""
    slices, size = len(stack), stack.shape[1]
    flat = np.ascontiguousarray(stack.reshape(slices, -1).T, dtype=np.float32)
    return (_weights(size, angles) @ flat).T.reshape(slices, angles, size)


def reconstruct(sinograms: np.ndarray, window: str = "cosine") -> np.ndarray:
    """Filtered back-projection of sinograms (z, angles, columns) in pixels: float32 (z, n, n)."""
    slices, angles, size = sinograms.shape
    padded = fft.next_fast_len(2 * size, real=True)
    offsets = np.minimum(np.arange(padded), padded - np.arange(padded))
    kernel = np.zeros(padded)
    kernel[0] = 0.25
    odd = offsets % 2 == 1
    kernel[odd] = -1 / (np.pi * offsets[odd]) ** 2
    response = fft.rfft(kernel).real * WINDOWS[window](fft.rfftfreq(padded))
    extended = np.pad(sinograms, ((0, 0), (0, 0), (0, padded - size)))
    filtered = fft.irfft(fft.rfft(extended, axis=2) * response.astype(np.float32), padded, axis=2)[:, :, :size]
    back = _weights(size, angles).T @ np.ascontiguousarray(filtered.reshape(slices, -1).T, dtype=np.float32)
    return (back.T * (np.pi / angles)).reshape(slices, size, size).astype(np.float32)
