"""Trabecular thickness, separation and number of the bone in each region, by largest spheres."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.quantification.boxes import grown, shape_of
from MgImplantSegLib.quantification.codes import BACKGROUND, BONE
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.local_thickness import local_thickness_mm
from MgImplantSegLib.quantification.region_masks import Region
from MgImplantSegLib.quantification.results import UNDEFINED, Measure

METHOD = "largest spheres (Hildebrand and Rüegsegger 1997), diameter"
MARGIN_MM = 0.25


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
    margin = tuple(int(np.ceil(MARGIN_MM / spacing)) for spacing in context.spacing_zyx_mm)
    box = grown(region.box, margin, context.codes.shape)
    codes, inside = context.codes[box], region.mask(box)
    values, counts = [], {}
    for symbol, code in (("Tb.Th", BONE), ("Tb.Sp", BACKGROUND)):
        mask = codes == code
        if mask.all():
            note = "The region and its surroundings are of one class, so that no sphere is bounded."
            return _measures(region.name, UNDEFINED, UNDEFINED, {}, note, note)
        found = local_thickness_mm(mask, context.spacing_zyx_mm, context.events, f"{symbol} in {region.name}")
        found = found[mask & inside]
        values.append(float(found.mean(dtype=float)) if found.size else UNDEFINED)
        counts |= {
            f"{symbol}_SD_mm": float(found.std(dtype=float)) if found.size else UNDEFINED,
            f"{symbol}_max_mm": float(found.max(initial=0)),
            f"{symbol}_voxels": found.size,
        }
    thick_note = "" if np.isfinite(values[0]) else "There is no bone in the region."
    gap_note = "" if np.isfinite(values[1]) else "There is no space between the bone in the region."
    return _measures(region.name, *values, counts, thick_note, gap_note)


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
            "mean over the bone of the diameter of the largest sphere in the bone that holds the voxel",
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
            thick_note or gap_note,
        ),
    )
