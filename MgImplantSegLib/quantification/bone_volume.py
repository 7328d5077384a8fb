"""Bone volume fraction (BV/TV) in a shell around the implant, in ROI boxes and where both overlap."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.quantification.codes import BACKGROUND, BONE
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.results import UNDEFINED, Measure
from MgImplantSegLib.regions import OrientedBox

DEFINITION = "100 · bone voxels / (bone and background voxels) of the region; implant and unknown voxels do not count"


def bone_volume(context: MeasureContext) -> tuple[Measure, ...]:
    """BV/TV in the shell and in each ROI."""
    return (_in_shell(context), *(_in_roi(context, roi) for roi in context.options.rois))


def _in_shell(context: MeasureContext) -> Measure:
    region = f"shell 0–{context.options.distance_mm:g} mm"
    if context.shell_box is None:
        return _measure(region, 0, 0, "There is no implant in the segmentation.")
    shell = context.within(context.distance_mm, context.options.distance_mm)
    return _measure(region, *_bone_and_total(context.codes[context.shell_box][shell]))


def _in_roi(context: MeasureContext, roi: OrientedBox) -> Measure:
    bounds = roi.index_bounds(context.geometry)
    start = tuple(part.start for part in bounds)
    shape = tuple(part.stop - part.start for part in bounds)
    if min(shape) < 1:
        return _measure(roi.name, 0, 0, "The ROI lies outside the volume.")
    inside = roi.mask(context.geometry.cropped(start, shape))
    return _measure(roi.name, *_bone_and_total(context.codes[bounds][inside]))


def _bone_and_total(codes: np.ndarray) -> tuple[int, int]:
    bone = int(np.count_nonzero(codes == BONE))
    return bone, bone + int(np.count_nonzero(codes == BACKGROUND))


def _measure(region: str, bone: int, total: int, note: str = "") -> Measure:
    value = 100 * bone / total if total else UNDEFINED
    note = note or ("" if total else "No voxel of the region lies in the scanned field of view outside the implant.")
    return Measure("BV/TV", "bone volume fraction", value, "%", region, "voxel count", DEFINITION, note,
                   {"bone_voxels": bone, "region_voxels": total})  # fmt: skip
