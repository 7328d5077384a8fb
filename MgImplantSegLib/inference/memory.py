"""Where the accumulator lives, and whether the work fits into memory at all: decided before it starts."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.base.machine import available_memory_bytes
from MgImplantSegLib.inference.estimate import FIXED_BYTES, WORKING_BYTES, Estimate, tile_bytes, tile_edge_for
from MgImplantSegLib.model.card import ModelCard

PART_OF_AVAILABLE = 0.9
REMEDY = "Check the voxel size; choose a region [[roi]], give more memory [[memory_gb]], or use a machine with more."


@dataclass(frozen=True)
class MemoryPlan:
    """How a segmentation keeps within its memory.

    Parameters
    ----------
    limit_bytes : float
        What the process may have resident.
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

        Raises ResourceError if the disk is full.
        """
        return zeros_on_disk(shape, dtype) if self.accumulator_on_disk else np.zeros(shape, dtype)


def plan_memory(
    estimate: Estimate,
    card: ModelCard,
    memory_gb: float | None,
    network_on_gpu: bool,
    *,
    resident: int = FIXED_BYTES - WORKING_BYTES,
    network_factor: float = 1.0,
) -> MemoryPlan:
    """How to keep within `memory_gb` (1e9 bytes each) or, if that is None, within what the machine has free.

    Larger slices than fit are predicted in tiles; if that is not enough, the accumulator goes to disk. The limit is of
    the whole process, as the system counts it: with the program itself and all pages of mapped files. Raises InputError
    if `memory_gb` is not a positive number; ResourceError if the work does not fit, with what it needs.

    Parameters
    ----------
    network_on_gpu : bool
        Whether the network has memory of its own.
    resident : int
        What the process has already: the program, torch, the model, an input that was read into memory.
    network_factor : float
        Memory that the network takes, as a multiple of the estimate.
    """
    limit, whole, fixed = _limit_bytes(memory_gb, resident), max(estimate.largest_slice), resident + WORKING_BYTES
    for on_disk in (False, True):
        on_the_way = estimate.mapped_bytes if on_disk else estimate.accumulator_bytes
        room = limit - fixed - on_the_way
        for_network = room - estimate.volume_bytes - estimate.block_bytes
        if network_on_gpu or network_factor * estimate.network_bytes <= for_network:
            tile_edge = whole
        else:
            tile_edge = tile_edge_for(card, for_network / network_factor)
        if min(for_network, room - estimate.finishing_bytes) >= 0 and tile_edge > 0:
            return MemoryPlan(limit, on_disk, tile_edge)
    smallest_tile = 0 if network_on_gpu else network_factor * min(estimate.network_bytes, tile_bytes(card))
    predicting = estimate.volume_bytes + estimate.block_bytes + smallest_tile
    needed = fixed + estimate.mapped_bytes + max(predicting, estimate.finishing_bytes)
    raise ResourceError(
        f"Expected at least {math.ceil(needed / 1e7) / 100:.2f} GB of memory for this volume, "
        f"got {limit / 1e9:.2f} GB.",
        REMEDY,
    )


def zeros_on_disk(shape: tuple[int, ...], dtype: type) -> np.memmap:
    """An array of zeros in an unnamed file of the folder for temporary files.

    Raises ResourceError if the disk has no room for it.
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


def _limit_bytes(memory_gb: float | None, resident: int) -> float:
    if memory_gb is None:
        available = available_memory_bytes()
        return math.inf if available is None else resident + PART_OF_AVAILABLE * available
    if not memory_gb > 0:
        raise InputError(f"Expected a positive amount of memory in GB, got {memory_gb!r}.")
    return memory_gb * 1e9
