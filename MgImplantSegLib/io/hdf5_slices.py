"""Slices of an HDF5 dataset that are read when they are asked for, in blocks as deep as its chunks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.io.hdf5_voxels import HDF5_ERRORS, WHAT, filters_told, in_one_piece, voxel_type
from MgImplantSegLib.io.library_errors import damaged_as_input_error
from MgImplantSegLib.io.raw_slices import raw_slices
from MgImplantSegLib.io.slices_on_disk import SlicesOnDisk, in_blocks


def hdf5_slices(dataset: Any, shape_zyx: tuple[int, int, int], path: Path, block_bytes: int) -> np.ndarray:
    """The voxels of a dataset of an open file: mapped where they lie in one piece, else `SlicesOnDisk`.

    Parameters
    ----------
    dataset : h5py.Dataset
        Three axes, and others of length 1.
    shape_zyx : tuple of int
        The lengths of the three.
    block_bytes : int
        So much is read at one time where chunks are several slices deep; of deeper ones each is unpacked repeatedly.
    """
    raw = in_one_piece(dataset)
    if raw is not None:
        return raw_slices([raw], shape_zyx, path)
    dtype = voxel_type(dataset).newbyteorder("=")
    axes = [axis for axis, length in enumerate(dataset.shape) if dataset.ndim == 3 or length != 1]

    def read(start: int, stop: int) -> np.ndarray:
        picked: list[Any] = [slice(None) if axis in axes else 0 for axis in range(dataset.ndim)]
        picked[axes[0]] = slice(start, stop)
        values = np.empty((stop - start, *shape_zyx[1:]), dtype)
        with damaged_as_input_error(path, WHAT, "h5py", HDF5_ERRORS), filters_told(dataset, path):
            dataset.read_direct(values, tuple(picked))
        return values

    depth = _depth(dataset, axes[0], math.prod(shape_zyx[1:]) * dtype.itemsize, block_bytes)
    return SlicesOnDisk(shape_zyx, dtype, in_blocks(read, shape_zyx[0], depth), depth).as_array()


def _depth(dataset: Any, axis: int, slice_bytes: int, block_bytes: int) -> int:
    """Slices of a block: as many as a chunk has, or the largest part of them that fits."""
    chunk = 1 if dataset.chunks is None else min(dataset.chunks[axis], dataset.shape[axis])
    most = max(1, block_bytes // slice_bytes)
    return next(depth for depth in range(min(chunk, most), 0, -1) if chunk % depth == 0)
