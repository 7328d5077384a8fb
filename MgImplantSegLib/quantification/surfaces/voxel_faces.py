"""Faces between voxels: how many lie between which classes, and where the implant's surface lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.quantification.codes import BACKGROUND, BONE, UNKNOWN, implant_in

AXIS_OFFSETS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
IndexPair = tuple[tuple[slice, slice, slice], tuple[slice, slice, slice]]


def face_area_mm2(spacing_zyx_mm: tuple[float, float, float], axis: int) -> float:
    """Area of one voxel face perpendicular to an axis."""
    return float(np.prod(spacing_zyx_mm) / spacing_zyx_mm[axis])


def neighbour_pairs(shape_zyx: tuple[int, ...], offset_zyx: tuple[int, int, int]) -> Iterator[IndexPair]:
    """Slices, slab by slab, of all voxels and of their neighbours at `offset_zyx` within an array.

    ``array[first]`` and ``array[second]`` hold voxels and neighbours in the same order. The first component of
    the offset must not be negative.
    """
    low = [max(0, -o) for o in offset_zyx]
    high = [n - max(0, o) for n, o in zip(shape_zyx, offset_zyx, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return
    for part in slabs((high[0], *shape_zyx[1:])):
        first = (part, slice(low[1], high[1]), slice(low[2], high[2]))
        yield first, triple(slice(s.start + o, s.stop + o) for s, o in zip(first, offset_zyx, strict=True))


def implant_pairs(
    codes: np.ndarray, offset_zyx: tuple[int, int, int], region: np.ndarray | None = None
) -> tuple[int, int]:
    """Number of pairs of an implant voxel and a neighbour that is background, and of those whose neighbour is bone.

    Both directions count: neighbours at `offset_zyx` and at the opposite offset.

    Parameters
    ----------
    codes : uint8 array (z, y, x)
        Codes of `role_codes`.
    offset_zyx : tuple of int
        Where the neighbour lies.
    region : bool array (z, y, x), optional
        Only implant voxels where it is True count; their neighbours may lie outside.
    """
    free = contact = 0
    for first, second in neighbour_pairs(codes.shape, offset_zyx):
        for voxel, neighbour in ((first, second), (second, first)):
            implant, beside = implant_in(codes[voxel]), codes[neighbour]
            if region is not None:
                implant &= region[voxel]
            free += int(np.count_nonzero(implant & (beside == BACKGROUND)))
            contact += int(np.count_nonzero(implant & (beside == BONE)))
    return free, contact


@dataclass(frozen=True)
class Faces:
    """The voxel faces between an object and its surroundings.

    Parameters
    ----------
    inner, outer : int array (n,)
        Flat indices, into the array they were found in, of the voxels on both sides.
    area_mm2 : float array (n,)
        Area of each face.
    """

    inner: np.ndarray
    outer: np.ndarray
    area_mm2: np.ndarray

    def chosen(self, which: np.ndarray) -> Faces:
        """The faces where `which`, shape (n,), is True."""
        return Faces(self.inner[which], self.outer[which], self.area_mm2[which])

    def centres_zyx(self, shape_zyx: tuple[int, ...]) -> np.ndarray:
        """Centres of the faces as continuous indices (z, y, x), shape (n, 3)."""
        inner, outer = (np.stack(np.unravel_index(index, shape_zyx), axis=-1) for index in (self.inner, self.outer))
        return (inner + outer) / 2


def boundary_faces(
    codes: np.ndarray, inside_codes: tuple[int, ...], spacing_zyx_mm: tuple[float, float, float]
) -> Faces:
    """Faces between voxels of some classes and voxels of the others, where both are known."""
    strides = np.array([codes.shape[1] * codes.shape[2], codes.shape[2], 1])
    is_inside = np.isin(np.arange(256), inside_codes)
    parts = []
    for axis, offset in enumerate(AXIS_OFFSETS):
        area = face_area_mm2(spacing_zyx_mm, axis)
        for first, second in neighbour_pairs(codes.shape, offset):
            one, two = codes[first], codes[second]
            differs = is_inside[one] != is_inside[two]
            differs &= (one != UNKNOWN) & (two != UNKNOWN)
            where = np.nonzero(differs)
            low = sum((w + s.start) * stride for w, s, stride in zip(where, first, strides, strict=True))
            high = low + strides[axis]
            low_is_inside = is_inside[one[where]]
            inner, outer = np.where(low_is_inside, low, high), np.where(low_is_inside, high, low)
            parts.append((inner, outer, np.full(low.size, area, dtype=np.float32)))
    if not parts:
        return Faces(*(np.zeros(0, dtype=kind) for kind in (np.int64, np.int64, np.float32)))
    return Faces(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def voxel_face_area_mm2(mask: np.ndarray, counted: np.ndarray, spacing_zyx_mm: tuple[float, float, float]) -> float:
    """Area of all faces between a voxel inside and one outside, where both are counted."""
    total = 0.0
    for axis, offset in enumerate(AXIS_OFFSETS):
        for first, second in neighbour_pairs(mask.shape, offset):
            faces = np.count_nonzero((mask[first] != mask[second]) & counted[first] & counted[second])
            total += faces * face_area_mm2(spacing_zyx_mm, axis)
    return total
