"""The voxel size of an HDF5 dataset: from attributes of it or its group, or from the axes of NeXus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.base.units import mm_of_unit

SIZE_ATTRIBUTES = ("element_size_um", "voxel_size_um", "pixel_size_um", "spacing_um")
SIZE_ATTRIBUTES_WITH_UNIT = ("voxel_size", "element_size", "pixel_size", "spacing", "resolution")
UNIT_ATTRIBUTES = ("unit", "units", "{}_unit", "{}_units")
EQUAL_STEPS = 1e-3


def hdf5_spacing_zyx_mm(dataset: Any, groups: Sequence[Any]) -> tuple[tuple[float, float, float] | None, str]:
    """Voxel size (z, y, x) in mm from attributes of the dataset or its groups, or from NeXus axes; and where from.

    A NeXus detector's pixel size is not used: it is the size before magnification.
    """
    for owner in (dataset, *groups):
        for read in (_from_attributes, _from_axes):
            spacing = read(owner, dataset)
            if spacing is not None:
                return spacing, f"{read.__name__.removeprefix('_from_')} of {owner.name}"
    return None, ""


def _from_attributes(owner: Any, dataset: Any) -> tuple[float, float, float] | None:
    for name in SIZE_ATTRIBUTES + SIZE_ATTRIBUTES_WITH_UNIT:
        sizes = _numbers(owner.attrs.get(name))
        unit_mm = 1e-3 if name in SIZE_ATTRIBUTES else _unit_mm(owner, name)
        if sizes is not None and unit_mm is not None and sizes.size in (1, 3):
            return triple(float(size) * unit_mm for size in np.resize(sizes, 3))
    return None


def _unit_mm(owner: Any, name: str) -> float | None:
    units = (owner.attrs.get(pattern.format(name)) for pattern in UNIT_ATTRIBUTES)
    return next((mm_of_unit(text_of(unit)) for unit in units if unit is not None), None)


def _from_axes(owner: Any, dataset: Any) -> tuple[float, float, float] | None:
    """The steps of the coordinates that NXdata's attribute `axes` names, if they are equal and have a unit."""
    if hasattr(owner, "shape"):
        return None
    names = [text_of(name) for name in np.ravel(owner.attrs.get("axes", []))]
    if len(names) != 3:
        return None
    steps = [_step_mm(owner.get(name), length) for name, length in zip(names, dataset.shape, strict=False)]
    known = [step for step in steps if step is not None]
    return triple(known) if len(known) == 3 else None


def _step_mm(axis: Any, length: int) -> float | None:
    if getattr(axis, "shape", None) != (length,) or length < 2 or axis.dtype.kind not in "iuf":
        return None
    unit_mm = mm_of_unit(text_of(axis.attrs.get("units", "")))
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


def text_of(value: Any) -> str:
    """The text of an attribute or a dataset of one string, whatever kind of string it is."""
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
