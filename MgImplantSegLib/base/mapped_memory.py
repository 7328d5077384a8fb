"""Pages of files that are mapped into memory: they count as resident until they are given back."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np

PAGE_OUT = 21  # MADV_PAGEOUT of Linux 5.4, which Python does not name


def is_mapped(array: np.ndarray) -> bool:
    """Whether the array's memory is a file's, mapped."""
    return _map_of(array) is not None


def give_back_pages(array: np.ndarray) -> None:
    """Take the pages of a mapped array out of this process's memory; what they hold stays, in the file or the array.

    Where the system cannot do that, nothing happens.
    """
    mapped = _map_of(array)
    if mapped is None or not hasattr(mapped, "madvise"):
        return
    is_shared = isinstance(array, np.memmap) and array.mode in ("r", "r+", "w+")
    with suppress(OSError, ValueError):
        # pages of a private map may hold what was written into the array: these must not be dropped
        mapped.madvise(mmap.MADV_DONTNEED if is_shared else PAGE_OUT)


def _map_of(array: object) -> mmap.mmap | None:
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, mmap.mmap) else None
