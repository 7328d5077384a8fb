"""Volumes in HDF5 and NeXus files; they have no common place for origin and direction, only the spacing is read.

The dataset is the one that the user names, else `DEFAULT_DATASET`, else the largest 3D dataset of numbers.
Datasets that lie uncompressed in one piece are mapped from disk.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.errors import DependencyError, InputError
from MgImplantSegLib.io.image_data import ImageData, ReadOptions, require_three_axes
from MgImplantSegLib.io.raw_data import RawData, allocate
from MgImplantSegLib.io.units import mm_of_unit

DEFAULT_DATASET = "entry/data/data"
SIZE_ATTRIBUTES = ("element_size_um", "voxel_size_um", "pixel_size_um", "spacing_um")
SIZE_ATTRIBUTES_WITH_UNIT = ("voxel_size", "element_size", "pixel_size", "spacing", "resolution")
UNIT_ATTRIBUTES = ("unit", "units", "{}_unit", "{}_units")
EQUAL_STEPS = 1e-3
MOST_LISTED = 8


def read_hdf5(path: Path, options: ReadOptions) -> ImageData:
    """One dataset of an HDF5 file as volume, axis order (z, y, x) as stored.

    Raises
    ------
    InputError
        If it is no HDF5 file, the dataset is missing or is no 3D array of real numbers, or several fit equally.
    """
    h5py = _import_h5py()
    try:
        with h5py.File(path, "r") as file:
            name = options.dataset
            chosen = _named(h5py, file, name, path) if name else _default(h5py, file, path)
            shape = tuple(n for n in chosen.shape if n != 1) if chosen.ndim > 3 else chosen.shape
            require_three_axes(shape, f"{path}, dataset {chosen.name}")
            array = _voxels(chosen, path).reshape(shape)
            spacing, source = _spacing_zyx_mm(h5py, chosen)
            notes = {"dataset": chosen.name, **({"spacing_from": source} if source else {})}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # what h5py raises on damaged files
        raise InputError(f"Expected an intact HDF5 file, got {path}: {error}.", "Copy or export it again.") from error
    return ImageData(array, spacing, notes=notes)


def _import_h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise DependencyError("Expected the package h5py for HDF5 files.", "pip install h5py") from error
    return h5py


def _named(h5py: Any, file: Any, name: str, path: Path) -> Any:
    try:
        found = file[name]
    except (KeyError, ValueError):
        found = None
    if not isinstance(found, h5py.Dataset):
        kind = "no such dataset" if found is None else "a group"
        raise InputError(f"Expected the dataset {name!r} in {path}, got {kind}.", _choice(h5py, file))
    if not _is_real(found):
        raise InputError(
            f"Expected real numbers in the dataset {name!r} of {path}, got {found.dtype}.", _choice(h5py, file)
        )
    return found


def _default(h5py: Any, file: Any, path: Path) -> Any:
    """`DEFAULT_DATASET` if it is a volume, else the largest volume."""
    volumes = _volumes(h5py, file)
    standard = file.get(DEFAULT_DATASET)
    if isinstance(standard, h5py.Dataset) and _is_volume(standard):
        return standard
    if not volumes:
        raise InputError(f"Expected a 3D dataset of numbers in {path}, got none.", _choice(h5py, file))
    largest = [entry for entry in volumes if entry.size == max(other.size for other in volumes)]
    if len(largest) > 1:
        raise InputError(
            f"Expected one largest 3D dataset in {path}, got {len(largest)} of the same size.", _choice(h5py, file)
        )
    return largest[0]


def _volumes(h5py: Any, file: Any) -> list[Any]:
    """Every dataset that is a volume, once however many names it has."""
    return [entry for entry in _datasets(h5py, file) if _is_volume(entry)]


def _datasets(h5py: Any, file: Any) -> list[Any]:
    found: list[Any] = []
    file.visititems(lambda name, entry: found.append(entry) if isinstance(entry, h5py.Dataset) else None)
    return found


def _is_volume(entry: Any) -> bool:
    return _is_real(entry) and sum(n > 1 for n in entry.shape) == 3


def _is_real(entry: Any) -> bool:
    return entry.shape is not None and entry.dtype.kind in "iufb"


def _choice(h5py: Any, file: Any) -> str:
    """What the user can choose from."""
    volumes = _volumes(h5py, file)
    if volumes:
        return f"Name one with --dataset: {_listed(volumes)}."
    return f"The file holds: {_listed(_datasets(h5py, file)) or 'no datasets'}."


def _listed(entries: list[Any]) -> str:
    texts = [f"{entry.name} {entry.shape} {entry.dtype}" for entry in entries[:MOST_LISTED]]
    return ", ".join(texts) + (f" and {len(entries) - MOST_LISTED} more" if len(entries) > MOST_LISTED else "")


def _voxels(dataset: Any, path: Path) -> np.ndarray:
    """The whole dataset in native byte order: mapped where it lies in one piece, else read into one array."""
    dtype = np.dtype(np.uint8) if dataset.dtype == bool else dataset.dtype
    offset = dataset.id.get_offset()
    if not dataset.is_virtual and not dataset.id.get_storage_size():
        raise InputError(f"Expected voxels in the dataset {dataset.name} of {path}, got one that was never written.")
    if offset is not None and dataset.external is None and not dataset.is_virtual and dataset.size:
        return RawData(path, offset, dtype, dataset.shape).load()
    array = allocate(dataset.shape, dtype.newbyteorder("="), path)
    if dataset.size:
        dataset.read_direct(array)
    return array


def _spacing_zyx_mm(h5py: Any, dataset: Any) -> tuple[tuple[float, ...] | None, str]:
    """Voxel size (z, y, x) in mm from attributes of the dataset or its group, or from NeXus axes; and where from.

    A NeXus detector's pixel size is not used: it is the size before magnification.
    """
    for owner in (dataset, dataset.parent):
        for read in (_from_attributes, _from_axes):
            spacing = read(h5py, owner, dataset)
            if spacing is not None:
                return spacing, f"{read.__name__.removeprefix('_from_')} of {owner.name}"
    return None, ""


def _from_attributes(h5py: Any, owner: Any, dataset: Any) -> tuple[float, ...] | None:
    for name in SIZE_ATTRIBUTES + SIZE_ATTRIBUTES_WITH_UNIT:
        sizes = _numbers(owner.attrs.get(name))
        unit_mm = 1e-3 if name in SIZE_ATTRIBUTES else _unit_mm(owner, name)
        if sizes is not None and unit_mm is not None and sizes.size in (1, 3):
            return tuple(float(size) * unit_mm for size in np.resize(sizes, 3))
    return None


def _unit_mm(owner: Any, name: str) -> float | None:
    units = (owner.attrs.get(pattern.format(name)) for pattern in UNIT_ATTRIBUTES)
    return next((mm_of_unit(_text(unit)) for unit in units if unit is not None), None)


def _from_axes(h5py: Any, owner: Any, dataset: Any) -> tuple[float, ...] | None:
    """The steps of the coordinates that NXdata's attribute `axes` names, if they are equal and have a unit."""
    names = [_text(name) for name in np.ravel(owner.attrs.get("axes", []))]
    if len(names) != 3 or not isinstance(owner, h5py.Group):
        return None
    steps = [_step_mm(h5py, owner.get(name), length) for name, length in zip(names, dataset.shape, strict=False)]
    return None if None in steps else tuple(steps)


def _step_mm(h5py: Any, axis: Any, length: int) -> float | None:
    if not isinstance(axis, h5py.Dataset) or axis.shape != (length,) or length < 2 or not _is_real(axis):
        return None
    unit_mm = mm_of_unit(_text(axis.attrs.get("units", "")))
    steps = np.diff(axis[()].astype(float))
    step = abs(float(steps.mean()))
    if unit_mm is None or not (math.isfinite(step) and np.allclose(np.abs(steps), step, rtol=EQUAL_STEPS, atol=0)):
        return None
    return step * unit_mm


def _numbers(value: Any) -> np.ndarray | None:
    try:
        return None if value is None else np.ravel(value).astype(float)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
