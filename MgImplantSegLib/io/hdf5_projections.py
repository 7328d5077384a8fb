"""Whether a dataset of an HDF5 file is a series of raw projections and no volume: NXtomo, DXchange and their like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from MgImplantSegLib.io.hdf5_spacing import text_of

ANGLES = ("theta", "rotation_angle", "angles", "angle")
IMAGE_KEY = "image_key"
FLAT_AND_DARK_FIELDS = ("data_white", "data_dark", "flats", "darks", "flat", "dark")
PROJECTION_DEFINITION = "NXtomo"
RESULT_CLASS = "NXprocess"
RESULT_NAMES = ("reconstruction", "processed", "process", "recon")
HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError)


def why_projections(dataset: Any, groups: Sequence[Any]) -> str:
    """What shows that these are projections, in words; empty if nothing does."""
    if _last_name(dataset) in FLAT_AND_DARK_FIELDS:
        return "its name is that of flat or dark fields"
    for group in groups:
        if reason := _reason_beside(dataset, group):
            return reason
    for group in groups:
        for place in _upwards(group):
            if _is_result(place):
                break
            definition = _definition(place)
            if definition:
                if definition == PROJECTION_DEFINITION:
                    return f"definition {definition}"
                break
    return ""


def _reason_beside(dataset: Any, group: Any) -> str:
    """Rotation angles or image keys, one for each image, or flat and dark fields beside the dataset."""
    for name in (IMAGE_KEY, *ANGLES):
        entry = _member(group, name)
        if getattr(entry, "shape", None) == (dataset.shape[0],):
            return f"{name} beside it"
    if _last_name(dataset) == "data":
        for name in FLAT_AND_DARK_FIELDS:
            shape = getattr(_member(group, name), "shape", None)
            if shape and shape != dataset.shape and shape[-2:] == dataset.shape[-2:]:
                return f"{name} beside it"
    axes = [text_of(name) for name in np.ravel(group.attrs.get("axes", []))]
    return f"its first axis is {axes[0]}" if axes and axes[0] in ANGLES else ""


def _upwards(group: Any) -> Iterator[Any]:
    while True:
        yield group
        if text_of(group.name or "/") == "/":
            return
        group = group.parent


def _is_result(group: Any) -> bool:
    is_process = text_of(group.attrs.get("NX_class", "")) == RESULT_CLASS
    return is_process or _last_name(group).lower() in RESULT_NAMES


def _last_name(entry: Any) -> str:
    """The last part of an object's name; h5py gives bytes for names that are not UTF-8."""
    return text_of(entry.name or "").rpartition("/")[2]


def _definition(group: Any) -> str:
    entry = _member(group, "definition")
    if getattr(entry, "shape", None) not in ((), (1,)):
        return ""
    return text_of(np.asarray(entry[()]).item()).strip()


def _member(group: Any, name: str) -> Any:
    try:
        return group.get(name)
    except HDF5_ERRORS:
        return None
