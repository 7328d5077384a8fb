"""Trabecular thickness, separation and number of the bone in each region, by largest spheres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.boxes import Box, grown, relative_to, shape_of, whole
from MgImplantSegLib.quantification.codes import BACKGROUND, BONE, UNKNOWN
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.measures.distance import distance_to_mm
from MgImplantSegLib.quantification.measures.local_thickness import thickness_of
from MgImplantSegLib.quantification.region_masks import Region
from MgImplantSegLib.quantification.results import UNDEFINED, Measure, notes

METHOD = "largest spheres (Hildebrand and Rüegsegger 1997), diameter"
MARGIN_VOXELS, GROWTH = 16, 1.5
CUT_TOLERANCE = 0.05


def morphometry(context: MeasureContext) -> tuple[Measure, ...]:
    """Tb.Th, Tb.Sp and Tb.N in each ROI, or in the shell where there is no ROI."""
    regions = context.rois or ((context.shell,) if context.shell is not None else ())
    if not regions:
        note = "There is no implant in the segmentation and no ROI."
        return _measures("shell", UNDEFINED, UNDEFINED, {}, note, note)
    return tuple(measure for region in regions for measure in _in_region(context, region))


def _in_region(context: MeasureContext, region: Region) -> tuple[Measure, ...]:
    if min(shape_of(region.box)) < 1:
        note = "The ROI lies outside the volume."
        return _measures(region.name, UNDEFINED, UNDEFINED, {}, note, note)
    bone, space = (
        _diameters(context, region, code, symbol) for code, symbol in ((BONE, "Tb.Th"), (BACKGROUND, "Tb.Sp"))
    )
    counts = {**bone.counts("Tb.Th"), **space.counts("Tb.Sp")}
    thick_note = bone.note("bone", "There is no bone in the region.")
    gap_note = space.note("space", "There is no space between the bone in the region.")
    return _measures(region.name, bone.mean_mm, space.mean_mm, counts, thick_note, gap_note)


@dataclass(frozen=True, eq=False)
class _Diameters:
    """Diameters in mm of the largest spheres at the voxels of a class in a region, shape (n,), and voxels left out."""

    values_mm: np.ndarray
    cut_voxels: int

    @property
    def mean_mm(self) -> float:
        return float(self.values_mm.mean(dtype=float)) if self.values_mm.size else UNDEFINED

    def counts(self, symbol: str) -> dict[str, float]:
        spread = float(self.values_mm.std(dtype=float)) if self.values_mm.size else UNDEFINED
        return {
            f"{symbol}_SD_mm": spread,
            f"{symbol}_max_mm": float(self.values_mm.max(initial=0)),
            f"{symbol}_voxels": self.values_mm.size,
            f"{symbol}_cut_voxels": self.cut_voxels,
        }

    def note(self, what: str, none: str) -> str:
        total = self.values_mm.size + self.cut_voxels
        if total == 0:
            return none
        if self.values_mm.size == 0:
            return f"All of the {what} lies in spheres that reach the border of the volume, so none of it is bounded."
        if self.cut_voxels <= CUT_TOLERANCE * total:
            return ""
        percent = 100 * self.cut_voxels / total
        return f"{percent:.3g} % of the {what} lies in spheres that the border of the volume cuts, and is not counted."


def _diameters(context: MeasureContext, region: Region, code: int, symbol: str) -> _Diameters:
    box = _box_that_bounds(context, region, code)
    codes = context.codes[box]
    mask = codes == code
    bounds = ~mask & (codes != UNKNOWN)
    stage = f"{symbol} in {region.name}"
    found = thickness_of(mask, bounds, _end_mm(context, box), context.spacing_zyx_mm, context.events, stage)
    inside = mask & region.mask(box)
    return _Diameters(found.diameter_mm[inside & ~found.is_cut], int(np.count_nonzero(inside & found.is_cut)))


def _box_that_bounds(context: MeasureContext, region: Region, code: int) -> Box:
    """A box around a region that holds all spheres of a class that reach into the region, with what bounds them.

    A margin is wide enough if no sphere whose centre is at most half of it away has a radius of more than that.
    """
    margin_mm, shape = MARGIN_VOXELS * max(context.spacing_zyx_mm), context.codes.shape
    while True:
        box, inner = (grown(region.box, _voxels(part * margin_mm, context), shape) for part in (1, 0.5))
        if box == whole(shape):
            return box
        codes = context.codes[box]
        bounds_mm = distance_to_mm((codes != code) & (codes != UNKNOWN), context.spacing_zyx_mm)
        radius_mm = np.minimum(bounds_mm, _end_mm(context, box))[relative_to(inner, box)]
        largest_mm = float(radius_mm.max(initial=0, where=codes[relative_to(inner, box)] == code))
        if largest_mm <= margin_mm / 2:
            return box
        margin_mm = max(GROWTH * margin_mm, min(2.05 * largest_mm, 4 * margin_mm))


def _voxels(length_mm: float, context: MeasureContext) -> tuple[int, int, int]:
    return triple(int(np.ceil(length_mm / spacing)) for spacing in context.spacing_zyx_mm)


def _end_mm(context: MeasureContext, box: Box) -> np.ndarray:
    """Distance of the voxels of a box from unknown voxels, and from the border of the volume, float32 (z, y, x)."""
    sides = [(int(part.start == 0), int(part.stop == n)) for part, n in zip(box, context.codes.shape, strict=True)]
    unknown = np.pad(context.codes[box] == UNKNOWN, sides, constant_values=True)
    inner = tuple(slice(low, n - high) for (low, high), n in zip(sides, unknown.shape, strict=True))
    return distance_to_mm(unknown, context.spacing_zyx_mm)[inner]


def _measures(
    region: str, thickness_mm: float, separation_mm: float, counts: dict[str, float], thick_note: str, gap_note: str
) -> tuple[Measure, ...]:
    return (
        Measure(
            "Tb.Th",
            "trabecular thickness",
            thickness_mm,
            "mm",
            region,
            METHOD,
            "mean over the bone of the diameter of the largest sphere in the bone that contains the voxel",
            thick_note,
            counts,
        ),
        Measure(
            "Tb.Sp",
            "trabecular separation",
            separation_mm,
            "mm",
            region,
            METHOD,
            "the same over the background: spaces without bone and without implant",
            gap_note,
            counts,
        ),
        Measure(
            "Tb.N",
            "trabecular number",
            1 / (thickness_mm + separation_mm),
            "1/mm",
            region,
            METHOD,
            "1 / (Tb.Th + Tb.Sp)",
            notes(thick_note, gap_note),
        ),
    )
