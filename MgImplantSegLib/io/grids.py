"""Whether the voxels of two grids are the same, a part of them or listed along other axes; one placed on the other.

A label map of nnU-Net (NIfTI) and one of 3D Slicer (NRRD) often list the same voxels in opposite directions. Here it
is decided, for every command, what counts as the same place: `SAME_PLACE_VOXELS` of a voxel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.boxes import Box, shape_of, start_of
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.volume import SAME_PLACE_VOXELS, Geometry, LabelMap, Volume

USUAL_IGNORE_VALUE = 255
Item = TypeVar("Item", Volume, LabelMap)


@dataclass(frozen=True)
class Placement:
    """How the voxels of a part coincide with those of a whole.

    Parameters
    ----------
    axes : tuple of int
        The part's axis (z, y, x = 0, 1, 2) that runs along each axis of the whole.
    signs : tuple of int
        1 where it runs in the same direction, -1 where it runs in the opposite one.
    start_zyx : tuple of int
        Index in the whole of the part's first voxel, once its axes run as those of the whole; may be outside.
    shape_zyx : tuple of int
        The part's shape along the axes of the whole.
    """

    axes: tuple[int, int, int]
    signs: tuple[int, int, int]
    start_zyx: tuple[int, int, int]
    shape_zyx: tuple[int, int, int]

    @property
    def keeps_axes(self) -> bool:
        """Whether the part lists its voxels along the same axes in the same directions."""
        return self.axes == (0, 1, 2) and self.signs == (1, 1, 1)

    def along(self, array: np.ndarray) -> np.ndarray:
        """A view of the part's array whose axes run as those of the whole."""
        return array.transpose(self.axes)[tuple(slice(None, None, sign) for sign in self.signs)]

    def is_inside(self, shape_zyx: tuple[int, ...]) -> bool:
        """Whether all voxels are voxels of a whole of that shape."""
        ends = zip(self.start_zyx, self.shape_zyx, shape_zyx, strict=True)
        return all(start >= 0 and start + count <= length for start, count, length in ends)

    def common(self, shape_zyx: tuple[int, ...]) -> tuple[Box, Box] | None:
        """The voxels in common with a whole of that shape: in the whole, and in `along`; None without any."""
        ends = list(zip(self.start_zyx, self.shape_zyx, shape_zyx, strict=True))
        bounds = [(max(0, start), min(length, start + count)) for start, count, length in ends]
        if any(first >= stop for first, stop in bounds):
            return None
        here = triple(slice(first, stop) for first, stop in bounds)
        there = triple(slice(a - start, b - start) for (a, b), start in zip(bounds, self.start_zyx, strict=True))
        return here, there


def placement(part: Geometry, whole: Geometry) -> Placement | None:
    """How the voxels of `part` coincide with those of `whole`; None where they do not."""
    return coincidence(np.linalg.inv(whole.index_xyz_to_lps_mm) @ part.index_xyz_to_lps_mm, part.shape_zyx)


def coincidence(part_to_whole_xyz: np.ndarray, shape_zyx: tuple[int, int, int]) -> Placement | None:
    """The placement of a part of that shape whose voxel indices (x, y, z, 1) a 4×4 matrix takes to the whole's.

    Every voxel has to lie within `SAME_PLACE_VOXELS` of a voxel of the whole, or of where one would be beyond it.
    """
    linear, shape_xyz = part_to_whole_xyz[:3, :3], np.array(shape_zyx[::-1])
    steps = np.round(linear)
    is_one_to_one = all((np.abs(steps).sum(axis=axis) == 1).all() for axis in (0, 1))
    first = part_to_whole_xyz[:3, 3]
    apart = np.abs(first - np.round(first)) + np.abs(linear - steps) @ np.maximum(shape_xyz - 1, 1)
    if not is_one_to_one or not apart.max() <= SAME_PLACE_VOXELS:
        return None
    last = np.round(first) + steps @ (shape_xyz - 1)
    axes_xyz = np.abs(steps).argmax(axis=1)  # the part's axis along each axis of the whole
    signs_xyz = steps[np.arange(3), axes_xyz]
    start = np.minimum(np.round(first), last)
    return Placement(
        triple(int(2 - axis) for axis in axes_xyz[::-1]),
        triple(int(sign) for sign in signs_xyz[::-1]),
        triple(int(n) for n in start[::-1]),
        triple(int(n) for n in shape_xyz[axes_xyz][::-1]),
    )


def along_axes_of(item: Item, geometry: Geometry, what: str = "segmentation") -> Item:
    """A volume or label map that lists its voxels as a grid does with which they coincide; the same voxels.

    Raises InputError if its voxels do not coincide with those of the grid.
    """
    place = require_placement(item.geometry, geometry, what)
    if place.keeps_axes:
        return item
    turned = geometry.cropped(place.start_zyx, place.shape_zyx)
    return replace(item, array=place.along(item.array), geometry=turned)


def on_common_grid(first: LabelMap, second: LabelMap) -> tuple[LabelMap, LabelMap]:
    """Both along the axes of the second, cropped to the box of voxels that both show.

    Raises InputError if the voxels of the two do not lie at the same places, or they have none in common.
    """
    if first.geometry.same_grid(second.geometry):
        return first, second
    place = require_placement(first.geometry, second.geometry, "segmentation")
    boxes = place.common(second.geometry.shape_zyx)
    if boxes is None:
        raise InputError(
            f"Expected overlapping segmentations, got {grid_text(first.geometry)} and {grid_text(second.geometry)}.",
            "Give segmentations of the same scan.",
        )
    here, there = boxes
    geometry = second.geometry.cropped(start_of(here), shape_of(here))
    turned = place.along(first.array)[there]
    return replace(first, array=turned, geometry=geometry), replace(second, array=second.array[here], geometry=geometry)


def on_grid_of(label_map: LabelMap, geometry: Geometry) -> LabelMap:
    """The label map on the grid of an image whose voxels coincide with its own.

    The label map may cover only a part of the image, reach beyond it, and list its voxels along other axes or in the
    opposite direction. Voxels of the image that it does not cover get the scheme's ignore value; a scheme without one
    gets 255, or the lowest free value. Raises InputError if the voxels do not coincide or the two have no voxel in
    common.

    Returns
    -------
    LabelMap
        On `geometry`; the very same label map if it is on that grid already.
    """
    if label_map.geometry.same_grid(geometry):
        return label_map
    place = require_placement(label_map.geometry, geometry, "label map")
    boxes = place.common(geometry.shape_zyx)
    if boxes is None:
        raise InputError(
            f"Expected a label map within the image, got one that begins at voxel {place.start_zyx} (z, y, x) of an "
            f"image of {geometry.shape_zyx} voxels.",
            "Choose the label map of this image.",
        )
    here, there = boxes
    return _filled(label_map, np.ascontiguousarray(place.along(label_map.array)[there]), here, geometry)


def require_placement(part: Geometry, whole: Geometry, what: str) -> Placement:
    """The placement of `part` on `whole`. Raises InputError if their voxels do not coincide."""
    place = placement(part, whole)
    if place is None:
        raise InputError(
            f"Expected a {what} whose voxels coincide with those of the other grid, got {grid_text(part)} and "
            f"{grid_text(whole)}.",
            "Resample one to the other's grid (labels by nearest neighbour), or correct spacing, origin or direction.",
        )
    return place


def grid_text(geometry: Geometry) -> str:
    """``40 × 40 × 40 voxels of 20 × 20 × 20 µm from (0, 0, 0) mm along (1, 0, 0), (0, 1, 0), (0, 0, 1)``."""
    size = " × ".join(str(n) for n in geometry.shape_zyx[::-1])
    spacing = " × ".join(f"{1000 * s:g}" for s in geometry.spacing_zyx_mm[::-1])
    origin = ", ".join(f"{x:g}" for x in geometry.origin_lps_mm)
    axes = ", ".join(f"({', '.join(f'{round(x, 4) + 0.0:g}' for x in axis)})" for axis in geometry.direction_matrix.T)
    return f"{size} voxels of {spacing} µm from ({origin}) mm along {axes}"


def _filled(label_map: LabelMap, part: np.ndarray, here: Box, geometry: Geometry) -> LabelMap:
    """`part` in its place on the grid, the ignore value around it."""
    if part.shape == geometry.shape_zyx:
        return replace(label_map, array=part, geometry=geometry)
    scheme = label_map.scheme
    value = _free_value(scheme) if scheme.ignore_value is None else scheme.ignore_value
    dtype = np.promote_types(np.promote_types(part.dtype, np.uint8), np.min_scalar_type(value))
    whole = np.full(geometry.shape_zyx, value, dtype)
    whole[here] = part
    return LabelMap(whole, geometry, replace(scheme, ignore_value=value), label_map.provenance)


def _free_value(scheme: LabelScheme) -> int:
    """A value for ignored voxels that no class has."""
    candidates = (USUAL_IGNORE_VALUE, *range(1, USUAL_IGNORE_VALUE))
    return next(value for value in candidates if value not in scheme.values)
