"""Where the accumulator lives, and whether the work fits into memory at all: decided before it starts."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from MgImplantSegLib.errors import InputError, ResourceError
from MgImplantSegLib.inference.estimate import FIXED_BYTES, Estimate, tile_edge_for
from MgImplantSegLib.machine import available_memory_bytes
from MgImplantSegLib.model_card import ModelCard

PART_OF_AVAILABLE = 0.9
REMEDY = (
    "Check the voxel size; choose a region with --roi, give more memory with --memory-gb, or use a machine with more."
)


@dataclass(frozen=True)
class MemoryPlan:
    """How a segmentation keeps within its memory.

    Parameters
    ----------
    limit_bytes : float
        What may be used besides the input.
    accumulator_on_disk : bool
        Whether the accumulator is a file in the folder for temporary files, mapped into memory.
    tile_edge : int
        Largest edge of what the network sees at one time on a CPU.
    """

    limit_bytes: float
    accumulator_on_disk: bool
    tile_edge: int

    def allocate(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """An array of zeros, in memory or on disk as planned; a file on disk ends with the array.

        Raises
        ------
        ResourceError
            If the disk is full.
        """
        return zeros_on_disk(shape, dtype) if self.accumulator_on_disk else np.zeros(shape, dtype)


def plan_memory(estimate: Estimate, card: ModelCard, memory_gb: float | None, network_on_gpu: bool) -> MemoryPlan:
    """How to keep within `memory_gb` (1e9 bytes each) or, if that is None, within what the machine has free.

    Larger slices than fit are predicted in tiles; if that is not enough, the accumulator goes to disk.

    Raises
    ------
    InputError
        If `memory_gb` is not a positive number.
    ResourceError
        If the work does not fit, with what it needs.
    """
    limit, whole = _limit_bytes(memory_gb), max(estimate.largest_slice)
    for on_disk in (False, True):
        room = limit - FIXED_BYTES - (0 if on_disk else estimate.accumulator_bytes)
        for_network = room - estimate.volume_bytes - estimate.block_bytes
        if network_on_gpu or estimate.network_bytes <= for_network:
            tile_edge = whole
        else:
            tile_edge = tile_edge_for(card, for_network)
        if min(for_network, room - estimate.finishing_bytes) >= 0 and tile_edge > 0:
            return MemoryPlan(limit, on_disk, tile_edge)
    needed = FIXED_BYTES + max(estimate.volume_bytes + estimate.block_bytes, estimate.finishing_bytes)
    raise ResourceError(
        f"Expected more than {needed / 1e9:.2f} GB of memory for this volume, got {limit / 1e9:.2f} GB.", REMEDY
    )


def zeros_on_disk(shape: tuple[int, ...], dtype: type) -> np.memmap:
    """An array of zeros in an unnamed file of the folder for temporary files.

    Raises
    ------
    ResourceError
        If the disk has no room for it.
    """
    folder, size = Path(tempfile.gettempdir()), math.prod(shape) * np.dtype(dtype).itemsize
    free = shutil.disk_usage(folder).free
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            if free < size:
                raise OSError("the disk is too full")
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, size)
            return np.memmap(stream, dtype, "r+" if hasattr(os, "posix_fallocate") else "w+", shape=shape)
    except OSError as error:
        raise ResourceError(
            f"Expected {size / 1e9:.2f} GB of disk space in {folder}, got {free / 1e9:.2f} GB ({error}).",
            "Free disk space, or set TMPDIR to a folder on a larger disk.",
        ) from error


def _limit_bytes(memory_gb: float | None) -> float:
    if memory_gb is None:
        available = available_memory_bytes()
        return math.inf if available is None else PART_OF_AVAILABLE * available
    if not memory_gb > 0:
        raise InputError(f"Expected a positive amount of memory in GB, got {memory_gb!r}.")
    return memory_gb * 1e9
