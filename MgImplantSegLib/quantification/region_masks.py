"""Regions that measures are taken in: shell around the implant, ROI boxes, where both overlap, all ROIs together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.grids.boxes import Box, hull, intersection, shape_of, start_of
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.quantification.codes import UNKNOWN


@dataclass(frozen=True)
class Region:
    """A part of the volume.

    Parameters
    ----------
    box : Box
        Slices (z, y, x) of the volume that hold it; may be empty.
    mask_of : callable
        From a box inside `box` to the boolean array of the region in it.
    volume_mm3 : float, optional
        True volume, of which a part may lie outside the volume.
    """

    name: str
    box: Box
    mask_of: Callable[[Box], np.ndarray]
    volume_mm3: float | None = None

    def parts(self) -> Iterator[tuple[Box, np.ndarray]]:
        """Boxes that make up the region's box, slab by slab, with the region's mask in each."""
        if min(shape_of(self.box)) < 1:
            return
        for part in slabs(shape_of(self.box)):
            first = self.box[0].start
            box = (slice(part.start + first, part.stop + first), *self.box[1:])
            yield box, self.mask_of(box)

    def count(self, codes: np.ndarray) -> np.ndarray:
        """Number of voxels of each code in the region, shape (5,)."""
        counts = np.zeros(UNKNOWN + 1, dtype=np.int64)
        for box, mask in self.parts():
            counts += np.bincount(codes[box][mask], minlength=UNKNOWN + 1)
        return counts

    def mask(self, box: Box) -> np.ndarray:
        """Boolean array of the region in any box of the volume."""
        inside = np.zeros(shape_of(box), dtype=bool)
        common = intersection(box, self.box)
        if min(shape_of(common)) > 0:
            where = tuple(slice(c.start - b.start, c.stop - b.start) for c, b in zip(common, box, strict=True))
            inside[where] = self.mask_of(common)
        return inside


def roi_region(roi: OrientedBox, geometry: Geometry) -> Region:
    """An ROI box on a grid."""

    def mask_of(box: Box) -> np.ndarray:
        return roi.mask(geometry.cropped(start_of(box), shape_of(box)))

    return Region(roi.name, roi.index_bounds(geometry), mask_of, roi.volume_mm3)


def overlap(one: Region, other: Region) -> Region:
    """Where two regions overlap."""
    return Region(
        f"{one.name} ∩ {other.name}",
        intersection(one.box, other.box),
        lambda box: one.mask_of(box) & other.mask_of(box),
    )


def union(regions: tuple[Region, ...], name: str) -> Region:
    """Where at least one of the regions is."""

    def mask_of(box: Box) -> np.ndarray:
        inside = regions[0].mask(box)
        for region in regions[1:]:
            inside |= region.mask(box)
        return inside

    boxes = [region.box for region in regions if min(shape_of(region.box)) > 0]
    return Region(name, hull(boxes) if boxes else regions[0].box, mask_of)
