"""What of a label map counts as labelled: done slices, regions, painted voxels; all else is not known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.grids.regions import read_roi_markups
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.training.teach.settings import Pair
from MgImplantSegLib.training.teach.slices import SliceName, painted_slices, parse_slices, require_inside

ONE_CLASS_SHARE = 0.98
STRAY_SHARE = 1e-3  # of a slice: fewer painted voxels look like a slip of the brush


@dataclass(frozen=True)
class Labelled:
    """Where a scan is labelled, and the slices that are labelled wholly.

    Attributes
    ----------
    mask : array
        (z, y, x), bool.
    slices : tuple of SliceName
        In the order of axis and index, without those of which nothing is labelled; empty where labels are no slices.
    """

    mask: np.ndarray
    slices: tuple[SliceName, ...]


def labelled_part(label_map: LabelMap, pair: Pair, events: Events) -> Labelled:
    """Where somebody has labelled.

    1. What has the ignore value (`Pair.unlabelled`, a segment "not labelled") is never labelled.
    2. With done slices or a ROI, all in them is labelled; what is in no segment is background.
    3. Besides, `Pair.labelled` says what is: "slices": the slices on which something is painted, wholly; "painted":
       painted voxels alone (scribbles); "all": everything. "auto" is nothing besides done slices and ROI; without them
       "all" if the label map has its ignore value somewhere, else "slices".

    Parameters
    ----------
    label_map : LabelMap
        On the scan's grid.
    pair : Pair
        What is said of it.

    Raises
    ------
    InputError
        If a slice lies outside, a whole volume is painted and nothing says which slices are done, or nothing is
        labelled.
    """
    shape = label_map.array.shape
    done = parse_slices(pair.done_slices)
    require_inside(done, shape, pair.name)
    known, painted = ~label_map.ignore_mask(), painted_mask(label_map)
    mask = np.zeros(shape, dtype=bool)
    for box in read_roi_markups(pair.roi) if pair.roi else ():
        mask |= box.mask(label_map.geometry)
    rest = _kind_of_rest(pair, has_parts=bool(done) or pair.roi is not None, all_known=bool(known.all()))
    if rest == "slices":
        done = tuple(dict.fromkeys((*done, *_painted_slices(painted, pair, events))))
    elif rest == "painted":
        mask |= painted
    elif rest == "all":
        mask[:] = True
    for entry in done:
        mask[entry.place] = True
    mask &= known
    if not mask.any():
        raise InputError(
            f"Expected labels in {pair.name!r}, got none: {_where_nothing_is(pair)}",
            "Paint slices, name the done slices [[done_slices]], for example z:40, or check the ignore value and the "
            "ROI.",
        )
    for entry in done:
        what = f"The slice {entry} of {pair.name!r}"
        _check_slice(label_map.array[entry.place], known[entry.place], painted[entry.place], what, events)
    return Labelled(mask, tuple(entry for entry in done if known[entry.place].any()))


def painted_mask(label_map: LabelMap) -> np.ndarray:
    """Voxels (z, y, x) that somebody has painted: all but 0 where that is background, and but the ignore value."""
    painted = ~label_map.ignore_mask()
    zero = [label.role for label in label_map.scheme.labels if label.value == 0]
    return painted & (label_map.array != 0) if zero in ([], [Role.BACKGROUND]) else painted


def _kind_of_rest(pair: Pair, *, has_parts: bool, all_known: bool) -> str:
    if pair.labelled != "auto":
        return pair.labelled
    if has_parts:
        return "none"
    return "slices" if all_known else "all"


def _painted_slices(painted: np.ndarray, pair: Pair, events: Events) -> tuple[SliceName, ...]:
    if not painted.any():
        raise InputError(
            f"Expected painted voxels in {pair.labels}, got only background.",
            "Paint slices and save the segmentation again.",
        )
    found = painted_slices(painted)
    if found is None:
        raise InputError(
            f"Expected individually painted slices in {pair.labels}, got labels throughout the volume.",
            "Name the done slices [[done_slices]], for example z:40,y:12, or specify that everything is labelled "
            "[[labelled]].",
        )
    for entry in found:
        count, area = int(painted[entry.place].sum()), painted[entry.place].size
        if count < STRAY_SHARE * area:
            events.warning(
                f"The slice {entry} of {pair.name!r} counts as done, but only {count} voxels are painted on it: if "
                "this was a mistake, erase them, or name the done slices.",
                "labels",
            )
    return found


def _where_nothing_is(pair: Pair) -> str:
    if pair.done_slices or pair.roi:
        return "the done slices and the ROI contain only unlabelled voxels."
    return "every voxel is marked as not labelled." if pair.labelled != "painted" else "nothing is painted."


def _check_slice(values: np.ndarray, known: np.ndarray, painted: np.ndarray, what: str, events: Events) -> None:
    """Warn of a slice that holds nothing, or one class from edge to edge as after filling by mistake."""
    fault = ""
    if not known.any():
        fault = "nothing in it is labelled: it is left out"
    elif not painted.any():
        fault = "nothing is painted on it; it counts entirely as background: paint it, or do not name it as done"
    elif np.unique(values[painted], return_counts=True)[1].max() >= ONE_CLASS_SHARE * known.sum():
        fault = "one class covers it entirely: if it was filled by mistake, correct it and teach again"
    if fault:
        events.warning(f"{what} counts as done, but {fault}.", "labels")
