"""Bone volume fraction (BV/TV) in the shell around the implant, in ROI boxes, where both overlap, and over shells."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.base.typed import present
from MgImplantSegLib.grids.boxes import grown
from MgImplantSegLib.quantification.codes import BACKGROUND, BONE, IMPLANT, UNKNOWN
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.region_masks import Region, overlap
from MgImplantSegLib.quantification.results import NO_IMPLANT, UNDEFINED, Measure, Series, notes

DEFINITION = "100 · bone voxels / (bone + background voxels) of the region; implant and unknown voxels are not counted"
NO_VOXELS = "No voxel of the region lies outside the implant in the scanned field of view."


def bone_volume(context: MeasureContext) -> tuple[Measure, ...]:
    """BV/TV in the shell, in each ROI, in all ROIs together, and in the parts of these that lie in the shell."""
    measures = [_in_shell(context)] + [_in_region(context, region) for region in context.regions]
    if context.shell is not None:
        for region, counts in zip(context.regions, present(context.shell_counts).by_region, strict=True):
            name = overlap(region, context.shell).name
            measures.append(_measure(name, counts, "" if counts.sum() else "The region is empty."))
    return tuple(measures)


def _in_shell(context: MeasureContext) -> Measure:
    if context.shell is None:
        return _measure(f"shell 0–{context.options.distance_mm:g} mm", np.zeros(UNKNOWN + 1, int), NO_IMPLANT)
    shells = present(context.shell_counts)
    counts = shells.by_shell.sum(axis=0)
    is_cut = context.implant_touches_border or shells.touches_border
    note = "The shell is cut by the border of the volume." if is_cut else ""
    if counts[UNKNOWN]:
        part = 100 * counts[UNKNOWN] / counts.sum()
        note = notes(note, f"{part:.3g} % of the shell lies outside the field of view and is not counted.")
    return _measure(context.shell.name, counts, note)


def _in_region(context: MeasureContext, region: Region) -> Measure:
    counts = region.count(context.codes)
    if region.volume_mm3 is None:
        return _measure(region.name, counts, "" if counts.sum() else "The region is empty.")
    if counts.sum() == 0:
        return _measure(region.name, counts, "The ROI lies outside the volume, or between its voxels.", 0.0)
    fraction = _scanned_fraction(context, region, counts)
    note = f"{100 * fraction:.3g} % of the ROI lies in the scanned volume; the rest is not counted."
    return _measure(region.name, counts, note if fraction < 1 else "", fraction)


def _scanned_fraction(context: MeasureContext, region: Region, counts: np.ndarray) -> float:
    """The part of an ROI that lies in the volume and the field of view."""
    known = counts.sum() - counts[UNKNOWN]
    is_inside = grown(region.box, 1, context.codes.shape) == tuple(
        slice(part.start - 1, part.stop + 1) for part in region.box
    )
    voxels = counts.sum() if is_inside else present(region.volume_mm3) / context.geometry.voxel_volume_mm3
    return min(1.0, float(known / voxels))


def _measure(region: str, counts: np.ndarray, note: str = "", fraction: float | None = None) -> Measure:
    bone, total = int(counts[BONE]), int(counts[BONE] + counts[BACKGROUND])
    value = 100 * bone / total if total else UNDEFINED
    numbers: dict[str, float] = {
        "bone_voxels": bone,
        "region_voxels": total,
        "implant_voxels": int(counts[list(IMPLANT)].sum()),
        "unknown_voxels": int(counts[UNKNOWN]),
    }
    if fraction is not None:
        numbers["scanned_fraction"] = fraction
    note = notes(note, "" if total else NO_VOXELS)
    return Measure("BV/TV", "bone volume fraction", value, "%", region, "voxel count", DEFINITION, note, numbers)


def bone_volume_profile(context: MeasureContext) -> tuple[Measure | Series, ...]:
    """BV/TV over shells of equal thickness around the implant."""
    if context.shell is None:
        return (_measure("shells", np.zeros(UNKNOWN + 1, int), NO_IMPLANT),)
    options, shells = context.options, present(context.shell_counts)
    bone = shells.by_shell[:, BONE]
    total = bone + shells.by_shell[:, BACKGROUND]
    percent = np.divide(100.0 * bone, total, out=np.full(bone.shape, np.nan), where=total > 0)
    return (
        Series(
            "BV/TV",
            "bone volume fraction",
            "shells",
            "distance from the implant",
            "mm",
            tuple(shells.edges_mm[:-1].tolist()),
            tuple(shells.edges_mm[1:].tolist()),
            tuple(percent.tolist()),
            "%",
            f"voxel count in shells of {options.profile_step_mm:g} mm",
        ),
    )
