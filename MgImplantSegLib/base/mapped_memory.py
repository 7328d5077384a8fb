"""Pages of files that are mapped into memory: they count as resident until they are given back."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np

PAGE_OUT = 21  # MADV_PAGEOUT of Linux 5.4, which Python does not name


def is_mapped(array: np.ndarray) -> bool:
    """Whether the array's memory is a file's, mapped."""
    return _owner(array) is not None


def give_back_pages(array: np.ndarray) -> None:
    """Take the pages of a mapped array out of this process's memory; what they hold stays, in the file or the array.

    Where the system cannot do that, nothing happens.
    """
    owner = _owner(array)
    if owner is None or not isinstance(owner.base, mmap.mmap) or not hasattr(owner.base, "madvise"):
        return
    is_shared = isinstance(owner, np.memmap) and owner.mode in ("r", "r+", "w+")
    with suppress(OSError, ValueError):
        # pages of a private map may hold what was written into the array: these must not be dropped
        owner.base.madvise(mmap.MADV_DONTNEED if is_shared else PAGE_OUT)


def _owner(array: object) -> np.ndarray | None:
    """The array at the end of the views whose memory is a map; None if it is none."""
    while isinstance(array, np.ndarray):
        if isinstance(array.base, mmap.mmap):
            return array
        array = array.base
    return None
