"""Which slices are worth labelling: spread over the implant in two or three orientations, where the planes disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.ndimage import convolve1d

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.disagreement import refusal, require_parts_of_planes
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.training.teach.slices import AXES, SliceName, require_inside

MARGIN_SHARE = 0.2  # of a part, at each of its ends: neighbours of two parts would show much the same
NEIGHBOURS = (0.25, 0.5, 0.25)  # weights of a slice and the two beside it
DIRECTION_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SuggestedSlice:
    """A slice to label.

    Attributes
    ----------
    name : SliceName
        Axis and index of the image.
    centre_lps_mm : tuple of float
        A point on it: the middle of the implant's box, moved onto the slice.
    disagreement : float
        Mean part of the planes, 0–1, that disagree on it within the implant's box.
    roles : tuple of str
        Classes that the segmentation shows on it.
    """

    name: SliceName
    centre_lps_mm: tuple[float, float, float]
    disagreement: float
    roles: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "slice": str(self.name),
            "axis": AXES[self.name.axis],
            "index": self.name.index,
            "centre_lps_mm": [round(float(value), 6) for value in self.centre_lps_mm],
            "disagreement": round(self.disagreement, 5),
            "classes": list(self.roles),
        }


def suggest_slices(
    segmentation: LabelMap, disagreement: Volume, count: int, done: Sequence[SliceName] = ()
) -> list[SuggestedSlice]:
    """Slices to label next, by axis and index.

    The box around the implant (around all classes where there is none, the whole scan where there is nothing) is
    divided along every orientation into as many equal parts as slices are due there, counting those that are done; in
    each part without a done slice the one is taken on which the planes disagree most.

    Parameters
    ----------
    segmentation : LabelMap
        On the image's grid.
    disagreement : Volume
        Part of the planes that disagree, on any grid whose axes run as the image's.
    count : int
        How many.
    done : sequence of SliceName
        Slices of the image that are labelled already.

    Raises
    ------
    InputError
        If a done slice lies outside, the disagreement is not one of this image, or the scan has fewer slices than
        wanted.
    """
    geometry = segmentation.geometry
    require_inside(done, geometry.shape_zyx)
    box = implant_box(segmentation)
    _require_disagreement(disagreement, geometry, box)
    chosen = []
    for axis, number in _per_axis(box, count).items():
        profile = _profile(disagreement, geometry, box, axis)
        busy = [entry.index for entry in done if entry.axis == axis]
        chosen += [(SliceName(axis, index), profile[index]) for index in _of_axis(profile, box[axis], number, busy)]
    if len(chosen) < count:
        raise InputError(
            f"Expected {count} slices to label, got space for {len(chosen)} on the implant.", "Request fewer [[count]]."
        )
    return [_described(name, value, segmentation, box) for name, value in sorted(chosen)]


def _require_disagreement(disagreement: Volume, geometry: Geometry, box: tuple[slice, ...]) -> None:
    """Raise InputError unless the map can be one of this image: its axes, its place, parts of the planes as values."""
    if not np.allclose(disagreement.geometry.direction_lps, geometry.direction_lps, atol=DIRECTION_TOLERANCE):
        raise refusal("other directions")
    if not all(part.start < part.stop for part in _box_on(disagreement.geometry, geometry, box)):
        raise refusal("a map of another place, which shows nothing of the implant")
    require_parts_of_planes(disagreement)


def implant_box(segmentation: LabelMap) -> tuple[slice, slice, slice]:
    """The box of voxels around the implant; around all classes, or the whole grid where there are none."""
    for roles in ((Role.DEGRADATION_LAYER, Role.RESIDUAL_MATERIAL), (Role.BONE,)):
        mask = segmentation.mask(*roles)
        if mask.any():
            lines = (np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
            return triple(slice(int(line[0]), int(line[-1]) + 1) for line in lines)
    return triple(slice(0, length) for length in segmentation.array.shape)


def _per_axis(box: tuple[slice, ...], count: int) -> dict[int, int]:
    """How many slices are due in each orientation: alike, those along which the implant is longest first."""
    order = sorted(range(3), key=lambda axis: box[axis].start - box[axis].stop)
    return {axis: len(range(place, count, 3)) for place, axis in enumerate(order)}


def _profile(disagreement: Volume, geometry: Geometry, box: tuple[slice, ...], axis: int) -> np.ndarray:
    """Mean disagreement within the box on every slice of the image along `axis`."""
    grid = disagreement.geometry
    inside = list(_box_on(grid, geometry, box))
    inside[axis] = slice(None)
    others = tuple(other for other in range(3) if other != axis)
    means = disagreement.array[tuple(inside)].mean(axis=others, dtype=np.float64)
    points = np.zeros((geometry.shape_zyx[axis], 3))
    points[:, axis] = np.arange(len(points))
    places = grid.index_zyx_from_lps(geometry.lps_from_index_zyx(points))[:, axis]
    return np.interp(places, np.arange(len(means)), convolve1d(means, NEIGHBOURS), left=0, right=0)


def _box_on(grid: Geometry, geometry: Geometry, box: tuple[slice, ...]) -> tuple[slice, slice, slice]:
    """The voxels of `grid` within a box of voxels of `geometry`, at least one where they meet; empty elsewhere."""
    corners = np.array([[part.start - 0.5, part.stop - 0.5] for part in box]).T
    places = np.sort(grid.index_zyx_from_lps(geometry.lps_from_index_zyx(corners)) + 0.5, axis=0)
    inside = []
    for first, last, length in zip(*places, grid.shape_zyx, strict=True):
        start = int(np.clip(np.round(first), 0, length - 1))
        meets = first < length and last > 0
        inside.append(slice(start, max(start + 1, int(np.clip(np.round(last), 0, length))) if meets else start))
    return triple(inside)


def _of_axis(profile: np.ndarray, part: slice, number: int, busy: Sequence[int]) -> list[int]:
    """Indices within `part`, one a free part of it, those that disagree most."""
    edges = np.linspace(part.start, part.stop, number + len(busy) + 1)
    found = []
    for first, last in pairwise(edges):
        if any(first <= index < last for index in busy):
            continue
        margin = MARGIN_SHARE * (last - first)
        start = int(np.ceil(first + margin - 0.5))
        stop = max(start + 1, int(np.floor(last - margin + 0.5)))
        if start < part.stop:
            candidates = profile[start:stop]
            middle = (len(candidates) - 1) / 2
            best = max(range(len(candidates)), key=lambda n: (candidates[n], -abs(n - middle)))
            found.append(start + best)
    found = sorted(dict.fromkeys(found), key=lambda index: -profile[index])
    return found[:number]


def _described(name: SliceName, value: float, segmentation: LabelMap, box: tuple[slice, ...]) -> SuggestedSlice:
    centre = np.array([(part.start + part.stop - 1) / 2 for part in box])
    centre[name.axis] = name.index
    plane = segmentation.array[name.place]
    roles = [label.role.value for label in segmentation.scheme.labels if (plane == label.value).any()]
    return SuggestedSlice(
        name, tuple(segmentation.geometry.lps_from_index_zyx(centre)), float(value), tuple(dict.fromkeys(roles))
    )
