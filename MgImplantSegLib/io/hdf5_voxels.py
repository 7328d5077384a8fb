"""The voxels of an HDF5 dataset: how they are stored, whether they lie in one piece, which filter is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError
from MgImplantSegLib.io.library_errors import damaged
from MgImplantSegLib.io.raw_data import RawData

WHAT = "an intact HDF5 file"
HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
FILTERS = {
    305: "LZO",
    307: "bzip2",
    32000: "LZF",
    32001: "blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "zstd",
    32017: "SZ",
    32018: "FCIDECOMP",
    32019: "JPEG",
    32024: "SZ3",
    32026: "blosc2",
    32028: "SPERR",
}


def voxel_type(dataset: Any) -> np.dtype:
    """Type of the voxels with the byte order of the file; truth values are bytes."""
    return np.dtype(np.uint8) if dataset.dtype == bool else np.dtype(dataset.dtype.str)


def in_one_piece(dataset: Any) -> RawData | None:
    """Where the voxels lie, if they lie in the file as they are and one behind the other."""
    dtype, offset = voxel_type(dataset), dataset.id.get_offset()
    if offset is None or dataset.external or dataset.is_virtual or not dataset.size or not lies_as(dataset, dtype):
        return None
    return RawData(Path(os.fsdecode(dataset.file.filename)), offset, dtype, dataset.shape)


@contextmanager
def filters_told(dataset: Any, path: Path) -> Iterator[None]:
    """What fails while voxels are read: for want of a filter, or because the file is damaged."""
    try:
        yield
    except OSError as error:
        missing = filters_missing_for(dataset)
        raise (_filter_missing(missing, path) if missing else damaged(path, WHAT, str(error))) from error


def lies_as(dataset: Any, dtype: np.dtype) -> bool:
    """Whether the bytes on disk are those of `dtype`: no unused bits, no shifted ones, no unusual float."""
    import h5py

    stored = dataset.id.get_type()
    if stored.get_class() == h5py.h5t.ENUM:
        stored, dtype = stored.get_super(), np.dtype(np.int8) if dataset.dtype == bool else dtype
    return stored.equal(h5py.h5t.py_create(dtype))


def filters_missing_for(dataset: Any) -> list[str]:
    """The filters that the dataset, or what a virtual one is made of, was written with and that HDF5 lacks here."""
    import h5py

    properties = dataset.id.get_create_plist()
    codes = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    return [f"{FILTERS.get(code, 'number')} ({code})" for code in codes if not h5py.h5z.filter_avail(code)]


def _filter_missing(missing: list[str], path: Path) -> DependencyError:
    return DependencyError(
        f"Expected a filter that is available here, got {path}, compressed with the filter {', '.join(missing)}.",
        "pip install hdf5plugin, or save the dataset again with gzip or without compression.",
    )
