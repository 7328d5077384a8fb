"""Volumes in HDF5 and NeXus files; they have no common place for origin and direction, only the spacing is read.

The dataset is the one that the user names, else `DEFAULT_DATASET`, else the largest 3D dataset of numbers.
Datasets that lie uncompressed in one piece are mapped from disk.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError
from MgImplantSegLib.io.image_data import ImageData, ReadOptions, require_three_axes
from MgImplantSegLib.io.library_errors import damaged, damaged_as_input_error
from MgImplantSegLib.io.raw_data import RawData, allocate

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


def read_hdf5(path: Path, options: ReadOptions) -> ImageData:
    """One dataset of an HDF5 file as volume, axis order (z, y, x) as stored.

    Raises
    ------
    InputError
        If it is no HDF5 file, the dataset is missing or is no 3D array of real numbers, several fit equally, or parts
        of it are missing.
    DependencyError
        If h5py or a filter of HDF5 is missing.
    """
    _require_h5py()
    from MgImplantSegLib.io.hdf5_door import opened
    from MgImplantSegLib.io.hdf5_search import default, named
    from MgImplantSegLib.io.hdf5_spacing import hdf5_spacing_zyx_mm
    from MgImplantSegLib.io.hdf5_storage import require_whole, warn_of_blank_end

    with damaged_as_input_error(path, "an intact HDF5 file", "h5py", HDF5_ERRORS), opened(path) as file:
        found = named(file, options.dataset, path) if options.dataset else default(file, path)
        dataset = found.dataset
        shape = tuple(n for n in dataset.shape if n != 1) if dataset.ndim > 3 else dataset.shape
        require_three_axes(shape, f"{path}, dataset {found.name}")
        require_whole(dataset, found.name, path)
        array = _voxels(dataset, path).reshape(shape)
        if not dataset.is_virtual:
            warn_of_blank_end(array, dataset.fillvalue, found.name, path)
        spacing, source = hdf5_spacing_zyx_mm(dataset, found.groups)
    return ImageData(array, spacing, notes={"dataset": found.name, **({"spacing_from": source} if source else {})})


def _require_h5py() -> None:
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise DependencyError("Expected the package h5py for HDF5 files.", "pip install h5py") from error
    with suppress(ImportError):  # brings further filters, where it is installed
        import hdf5plugin  # noqa: F401


def _voxels(dataset: Any, path: Path) -> np.ndarray:
    """The whole dataset in native byte order: mapped where it lies in one piece, else read into one array."""
    dtype = np.dtype(np.uint8) if dataset.dtype == bool else np.dtype(dataset.dtype.str)
    offset = dataset.id.get_offset()
    in_one_piece = offset is not None and not dataset.external and not dataset.is_virtual and dataset.size
    if in_one_piece and lies_as(dataset, dtype):
        return RawData(Path(os.fsdecode(dataset.file.filename)), offset, dtype, dataset.shape).load()
    array = allocate(dataset.shape, dtype.newbyteorder("="), path)
    if dataset.size:
        try:
            dataset.read_direct(array)
        except OSError as error:
            missing = filters_missing_for(dataset)
            raise (
                _filter_missing(missing, path) if missing else damaged(path, "an intact HDF5 file", str(error))
            ) from error
    return array


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
        f"Expected a filter that HDF5 has here, got {path}, compressed with the filter {', '.join(missing)}.",
        "pip install hdf5plugin, or save the dataset again with gzip or without compression.",
    )
