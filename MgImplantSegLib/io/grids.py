"""Label maps that cover a part of an image, or list its voxels in another order: `on_grid_of`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.labels import LabelScheme
from MgImplantSegLib.volume import Geometry, LabelMap

WHOLE_VOXEL = 1e-2
USUAL_IGNORE_VALUE = 255


def on_grid_of(label_map: LabelMap, geometry: Geometry) -> LabelMap:
    """The label map on the grid of an image whose voxels coincide with its own.

    The label map may cover only a part of the image, reach beyond it, and list its voxels along other axes or in
    the opposite direction. Voxels of the image that it does not cover get the scheme's ignore value; a scheme
    without one gets 255, or the lowest free value.

    Parameters
    ----------
    label_map : LabelMap
        The label map.
    geometry : Geometry
        The grid of the image.

    Returns
    -------
    LabelMap
        On `geometry`; the very same label map if it is on that grid already.

    Raises
    ------
    InputError
        If the voxels do not coincide (within a hundredth of a voxel) or the two have no voxel in common.
    """
    if label_map.geometry.same_grid(geometry):
        return label_map
    array, start_zyx = _along_axes_of(geometry, label_map)
    inside = [
        (max(0, start), min(length, start + count))
        for start, count, length in zip(start_zyx, array.shape, geometry.shape_zyx, strict=True)
    ]
    if any(first >= stop for first, stop in inside):
        raise InputError(
            f"Expected a label map within the image, got one that begins at voxel {start_zyx} (z, y, x) of an image "
            f"of {geometry.shape_zyx} voxels.",
            "Choose the label map of this image.",
        )
    here = tuple(slice(first, stop) for first, stop in inside)
    there = tuple(slice(first - at, stop - at) for (first, stop), at in zip(inside, start_zyx, strict=True))
    covers_all = array[there].shape == geometry.shape_zyx
    scheme = label_map.scheme if covers_all else _with_ignore_value(label_map)
    if covers_all:
        return replace(label_map, array=array[there], geometry=geometry)
    fill = scheme.ignore_value
    whole = np.full(geometry.shape_zyx, fill, np.promote_types(_integer_type(array), np.min_scalar_type(fill)))
    whole[here] = array[there]
    return LabelMap(whole, geometry, scheme, label_map.provenance)


def _along_axes_of(geometry: Geometry, label_map: LabelMap) -> tuple[np.ndarray, tuple[int, ...]]:
    """A view of the label map whose axes run as those of `geometry`, and the index there of its first voxel."""
    corner_a = geometry.index_zyx_from_lps(label_map.geometry.lps_from_index_zyx(np.zeros(3)))
    last_index = np.array(label_map.geometry.shape_zyx) - 1.0
    corner_b = geometry.index_zyx_from_lps(label_map.geometry.lps_from_index_zyx(last_index))
    ahead = label_map.geometry.lps_from_index_zyx(np.eye(3)) - label_map.geometry.lps_from_index_zyx(np.zeros(3))
    origin = geometry.lps_from_index_zyx(np.zeros(3))
    steps = geometry.index_zyx_from_lps(origin + ahead)  # row: step of one label axis along the image's axes
    whole_steps = np.round(steps)
    start = np.round(np.minimum(corner_a, corner_b))
    is_permutation = (np.abs(whole_steps).sum(axis=0) == 1).all() and (np.abs(whole_steps).sum(axis=1) == 1).all()
    off_grid = np.abs(np.stack([np.minimum(corner_a, corner_b), np.maximum(corner_a, corner_b)]))
    off_grid = np.abs(off_grid - np.round(off_grid)).max()
    if not is_permutation or off_grid > WHOLE_VOXEL:
        raise _not_coinciding(label_map.geometry, geometry)
    axes = np.abs(whole_steps).argmax(axis=0)  # the label axis along each axis of the image
    signs = whole_steps[axes, np.arange(3)]
    flips = tuple(slice(None, None, int(sign)) for sign in signs)
    return label_map.array.transpose(axes)[flips], tuple(int(n) for n in start)


def _with_ignore_value(label_map: LabelMap) -> LabelScheme:
    scheme = label_map.scheme
    if scheme.ignore_value is not None:
        return scheme
    candidates = (USUAL_IGNORE_VALUE, *range(1, USUAL_IGNORE_VALUE))
    return replace(scheme, ignore_value=next(value for value in candidates if value not in scheme.values))


def _integer_type(array: np.ndarray) -> np.dtype:
    return np.dtype(np.uint8) if array.dtype == bool else array.dtype


def _not_coinciding(labels: Geometry, image: Geometry) -> InputError:
    return InputError(
        "Expected a label map whose voxels coincide with those of the image, got spacing "
        f"{_rounded(labels.spacing_zyx_mm)} mm and origin {_rounded(labels.origin_lps_mm)} mm against "
        f"{_rounded(image.spacing_zyx_mm)} mm and {_rounded(image.origin_lps_mm)} mm.",
        "Resample the label map to the image's grid by nearest neighbour, or correct spacing and origin.",
    )


def _rounded(numbers: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(number, 6) for number in numbers)
