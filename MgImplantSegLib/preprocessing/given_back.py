"""Slices of an array that may be mapped from a file, whose pages are given back while it is read."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.base.mapped_memory import give_back_pages

MAPPED_BYTES = 1 << 24


class GivenBack:
    """Reads slices of an array (z, y, x); of a mapped file no more than about `MAPPED_BYTES` stay in memory."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self._read_bytes = array, 0

    def __getitem__(self, z: int) -> np.ndarray:
        if self._read_bytes >= MAPPED_BYTES:
            give_back_pages(self._array)
            self._read_bytes = 0
        image = np.asarray(self._array[z])
        self._read_bytes += image.nbytes
        return image
