"""Slices of a volume by axis and index, ``z:40``, and which slices of a label map somebody has painted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.errors import InputError

AXES = "zyx"
NOTATION = re.compile(r"([zyx]):(\d+)")
LARGEST_SPARSE_SHARE = 0.25  # of the slices along an axis: beyond, a label map is not one of single slices


@dataclass(frozen=True, order=True)
class SliceName:
    """One slice: axis of the array (z, y, x) that it is perpendicular to, and index from 0."""

    axis: int
    index: int

    def __str__(self) -> str:
        return f"{AXES[self.axis]}:{self.index}"

    @property
    def place(self) -> tuple[slice | int, ...]:
        """The index of the slice in an array (z, y, x)."""
        return tuple(self.index if axis == self.axis else slice(None) for axis in range(3))


def parse_slices(text: str) -> tuple[SliceName, ...]:
    """The slices of a text like ``z:40,y:12``.

    Raises
    ------
    InputError
        If a part is not AXIS:INDEX.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = NOTATION.fullmatch(part.lower())
        if match is None:
            raise InputError(
                f"Expected slices like z:40,y:12 (axis z, y or x of the image and index from 0), got {part!r}.",
                "Slicer's I, J, K are x, y, z here.",
            )
        found.append(SliceName(AXES.index(match.group(1)), int(match.group(2))))
    return tuple(dict.fromkeys(found))


def slices_text(slices: Iterable[SliceName]) -> str:
    """``z:40,y:12``."""
    return ",".join(map(str, slices))


def require_inside(slices: Iterable[SliceName], shape_zyx: tuple[int, int, int], name: str = "") -> None:
    """Raise InputError unless all slices are slices of a scan, perhaps with a name, of that shape."""
    scan = f"the scan {name!r}" if name else "the scan"
    for entry in slices:
        if entry.index >= shape_zyx[entry.axis]:
            raise InputError(
                f"Expected done slices within {scan} of {shape_zyx} voxels (z, y, x), got {entry}.",
                f"Indices along {AXES[entry.axis]} go from 0 to {shape_zyx[entry.axis] - 1}.",
            )


def painted_slices(painted: np.ndarray) -> tuple[SliceName, ...] | None:
    """The fewest slices that hold all painted voxels, found one by one; None where that takes too many.

    The slice with most painted voxels that no slice before it has is taken, until no painted voxel is left. Labels of
    single slices, in any orientation, need as many slices as were painted; those of a whole volume far more.

    Parameters
    ----------
    painted : array
        (z, y, x), bool.
    """
    left = [_counts(painted, axis) for axis in range(3)]
    rest = painted.copy()
    found: list[SliceName] = []
    most = max(1, int(LARGEST_SPARSE_SHARE * max(painted.shape)))
    while left[0].any():
        if len(found) == most:
            return None
        axis = int(np.argmax([counts.max() for counts in left]))
        chosen = SliceName(axis, int(left[axis].argmax()))
        found.append(chosen)
        taken = rest[chosen.place].copy()  # (rows, columns) of the two other axes in order
        rest[chosen.place] = False
        left[axis][chosen.index] = 0
        first, second = (other for other in range(3) if other != axis)
        left[first] -= taken.sum(axis=1)
        left[second] -= taken.sum(axis=0)
    return tuple(sorted(found))


def _counts(mask: np.ndarray, axis: int) -> np.ndarray:
    return mask.sum(axis=tuple(other for other in range(3) if other != axis), dtype=np.int64)
