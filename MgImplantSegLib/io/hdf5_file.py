"""Volumes in HDF5 and NeXus files; they have no common place for origin and direction, only the spacing is read.

The dataset is the one that the user names, else `DEFAULT_DATASET`, else the largest 3D dataset of numbers.
Datasets that lie uncompressed in one piece are mapped from disk.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.io.hdf5_slices import hdf5_slices
from MgImplantSegLib.io.hdf5_voxels import HDF5_ERRORS, WHAT, filters_told, in_one_piece, voxel_type
from MgImplantSegLib.io.image_data import ImageData, ReadOptions, require_three_axes
from MgImplantSegLib.io.library_errors import damaged_as_input_error
from MgImplantSegLib.io.raw_data import allocate


def read_hdf5(path: Path, options: ReadOptions) -> ImageData:
    """One dataset of an HDF5 file as volume, axis order (z, y, x) as stored.

    Raises InputError if it is not an HDF5 file, the dataset is missing or is not a 3D array of real numbers, several
    fit equally, or parts of it are missing; DependencyError if h5py or a filter of HDF5 is missing.
    """
    _require_h5py()
    from MgImplantSegLib.io.hdf5_door import opened
    from MgImplantSegLib.io.hdf5_search import default, named
    from MgImplantSegLib.io.hdf5_spacing import hdf5_spacing_zyx_mm
    from MgImplantSegLib.io.hdf5_storage import require_whole, warn_of_blank_end

    with ExitStack() as until_read, damaged_as_input_error(path, WHAT, "h5py", HDF5_ERRORS):
        file = (options.open_files or until_read).enter_context(opened(path))
        found = named(file, options.dataset, path) if options.dataset else default(file, path)
        dataset = found.dataset
        shape = tuple(n for n in dataset.shape if n != 1) if dataset.ndim > 3 else dataset.shape
        require_three_axes(shape, f"{path}, dataset {found.name}")
        require_whole(dataset, found.name, path)
        if options.by_slices:
            array = hdf5_slices(dataset, triple(shape), path, options.block_bytes)
        else:
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
    raw = in_one_piece(dataset)
    if raw is not None:
        return raw.load()
    array = allocate(dataset.shape, voxel_type(dataset).newbyteorder("="), path)
    if dataset.size:
        with filters_told(dataset, path):
            dataset.read_direct(array)
    return array
