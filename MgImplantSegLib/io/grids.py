"""Label maps that cover a part of an image, or list its voxels in another order: `on_grid_of`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.io.volumes import writable_array
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
    return _filled(label_map, np.ascontiguousarray(array[there]), here, geometry)


def _filled(label_map: LabelMap, part: np.ndarray, here: tuple[slice, ...], geometry: Geometry) -> LabelMap:
    """`part` in its place on the grid, the ignore value around it."""
    if part.shape == geometry.shape_zyx:
        return replace(label_map, array=part, geometry=geometry)
    scheme = _with_ignore_value(label_map.scheme)
    dtype = np.promote_types(writable_array(part).dtype, np.min_scalar_type(scheme.ignore_value))
    whole = np.full(geometry.shape_zyx, scheme.ignore_value, dtype)
    whole[here] = part
    return LabelMap(whole, geometry, scheme, label_map.provenance)


def _along_axes_of(geometry: Geometry, label_map: LabelMap) -> tuple[np.ndarray, tuple[int, ...]]:
    """A view of the label map whose axes run as those of `geometry`, and the index there of its first voxel."""
    first, last, steps = _corners_and_steps(geometry, label_map.geometry)
    corners, whole_steps = np.sort([first, last], axis=0), np.round(steps)
    one_to_one = all((np.abs(whole_steps).sum(axis=axis) == 1).all() for axis in (0, 1))
    apart = max(np.abs(corners - np.round(corners)).max(), np.abs(steps - whole_steps).max())
    if not one_to_one or apart > WHOLE_VOXEL:
        raise _not_coinciding(label_map.geometry, geometry)
    axes = np.abs(whole_steps).argmax(axis=0)  # the label map's axis along each axis of the image
    flips = tuple(slice(None, None, int(sign)) for sign in whole_steps[axes, np.arange(3)])
    return label_map.array.transpose(axes)[flips], tuple(int(n) for n in np.round(corners[0]))


def _corners_and_steps(geometry: Geometry, labels: Geometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices (z, y, x) in `geometry` of the first and the last voxel of `labels`, and in rows its steps per axis."""
    first, last = (labels.lps_from_index_zyx(np.array(index)) for index in ((0, 0, 0), np.array(labels.shape_zyx) - 1))
    ahead = labels.lps_from_index_zyx(np.eye(3))
    first_index = geometry.index_zyx_from_lps(first)
    return first_index, geometry.index_zyx_from_lps(last), geometry.index_zyx_from_lps(ahead) - first_index


def _with_ignore_value(scheme: LabelScheme) -> LabelScheme:
    if scheme.ignore_value is not None:
        return scheme
    candidates = (USUAL_IGNORE_VALUE, *range(1, USUAL_IGNORE_VALUE))
    return replace(scheme, ignore_value=next(value for value in candidates if value not in scheme.values))


def _not_coinciding(labels: Geometry, image: Geometry) -> InputError:
    return InputError(
        "Expected a label map whose voxels coincide with those of the image, got spacing "
        f"{_rounded(labels.spacing_zyx_mm)} mm and origin {_rounded(labels.origin_lps_mm)} mm against "
        f"{_rounded(image.spacing_zyx_mm)} mm and {_rounded(image.origin_lps_mm)} mm.",
        "Resample the label map to the image's grid by nearest neighbour, or correct spacing and origin.",
    )


def _rounded(numbers: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(number, 6) for number in numbers)
