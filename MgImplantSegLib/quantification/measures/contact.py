"""Bone-to-implant contact (BIC) of the whole implant, per ROI and per slice along the screw axis."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.base.typed import present
from MgImplantSegLib.grids.boxes import shape_of, start_of
from MgImplantSegLib.quantification.codes import BONE
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.measures.contact_methods import CONTACT_METHODS
from MgImplantSegLib.quantification.region_masks import Region
from MgImplantSegLib.quantification.results import NO_IMPLANT, UNDEFINED, Measure, Series, notes

DEFINITION = "100 · b / a; a: surface of the implant (DL ∪ RM), b: the part of it that touches bone"
BORDER_NOTE = "The implant touches the border of the volume, which is not counted as surface."
ROUNDING = 1e-6


def contact(context: MeasureContext) -> tuple[Measure, ...]:
    """BIC of the whole implant and of its part in each ROI."""
    return (_in_region(context, None), *(_in_region(context, roi) for roi in context.rois))


def _in_region(context: MeasureContext, region: Region | None) -> Measure:
    where = "implant" if region is None else region.name
    if context.implant_box is None:
        return _measure(context, where, UNDEFINED, NO_IMPLANT, {})
    method = CONTACT_METHODS.find(context.options.contact)
    surface, touching = method.measure(
        context.surface_codes,
        None if region is None else region.mask(context.surface_box),
        context.spacing_zyx_mm,
        context.options.contact_distance_mm,
    )
    counts = {f"surface_{method.unit}": surface, f"contact_{method.unit}": touching}
    if surface == 0:
        none = (
            "There is no surface of the implant in the region."
            if region
            else "The implant has no surface in the volume."
        )
        return _measure(context, where, UNDEFINED, none, counts)
    note = BORDER_NOTE if context.implant_touches_border and region is None else ""
    return _measure(context, where, 100 * (touching / surface), note, counts)


def _measure(context: MeasureContext, region: str, value: float, note: str, counts: dict[str, float]) -> Measure:
    options = context.options
    method = CONTACT_METHODS.find(options.contact).name
    if options.contact == "distance":
        method += f" ({options.contact_distance_mm:g} mm)"
    if options.close_cracks_mm > 0:
        method += f", cracks up to {options.close_cracks_mm:g} mm closed"
    return Measure("BIC", "bone-to-implant contact", value, "%", region, method, DEFINITION, notes(note), counts)


def contact_along_axis(context: MeasureContext) -> tuple[Measure | Series, ...]:
    """BIC by faces of each slice perpendicular to the screw axis, and its mean over the slices."""
    name, symbol = "mean of the BIC of slices along the screw axis", "BIC_slices"
    definition = "mean over slices perpendicular to the screw axis of 100 · b / a, by voxel faces"
    if context.implant_box is None:
        return (Measure(symbol, name, UNDEFINED, "%", "implant", "face pairs", definition, NO_IMPLANT),)
    low_mm, step_mm, percent = _percent_of_slices(context)
    series = Series(
        "BIC",
        "bone-to-implant contact",
        "implant",
        "position on the screw axis",
        "mm",
        tuple(low_mm.tolist()),
        tuple((low_mm + step_mm).tolist()),
        tuple(percent.tolist()),
        "%",
        f"face pairs in slices of {step_mm:.3g} mm, shared between neighbouring slices",
    )
    defined = percent[np.isfinite(percent)]
    value = float(defined.mean()) if defined.size else UNDEFINED
    note = "" if defined.size else "The implant has no surface in the volume."
    spread = float(defined.std(ddof=1)) if defined.size > 1 else UNDEFINED
    counts = {"slices": defined.size, "standard_deviation_percent": spread}
    return Measure(symbol, name, value, "%", "implant", series.method, definition, note, counts), series


def _percent_of_slices(context: MeasureContext) -> tuple[np.ndarray, float, np.ndarray]:
    """Lower ends of the slices on the axis in mm, from the implant's lower end, their width, and BIC in % of each.

    The slices are equally wide from end to end, at most as wide as asked for, and a face is shared by the two slices
    whose middles it lies between: so it matters neither which end is the first nor how positions are rounded.
    """
    faces, shape, width_mm = context.implant_faces, shape_of(context.surface_box), context.options.slice_mm
    if faces.inner.size == 0:
        return np.zeros(0), width_mm, np.zeros(0)
    centres_zyx = faces.centres_zyx(shape) + start_of(context.surface_box)
    along_mm = present(context.axis).position_mm(context.geometry.lps_from_index_zyx(centres_zyx))
    low_mm, length_mm = along_mm.min(), np.ptp(along_mm)
    count = max(1, int(np.ceil(length_mm / width_mm - ROUNDING)))
    width_mm = length_mm / count if length_mm > 0 else width_mm
    position = np.clip((along_mm - low_mm) / width_mm - 0.5, 0, count - 1)
    bone = context.surface_codes.ravel()[faces.outer] == BONE
    surface, touching = (_shared(position, area, count) for area in (faces.area_mm2, faces.area_mm2 * bone))
    is_filled = surface > ROUNDING * surface.mean()
    percent = 100 * np.divide(touching, surface, out=np.full(surface.shape, np.nan), where=is_filled)
    return np.arange(count) * width_mm, float(width_mm), percent


def _shared(position: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Sums of weights in `count` bins, each shared by the two bins that its position, in bins, lies between."""
    low = np.minimum(position.astype(np.int64), max(0, count - 2))
    part = position - low
    return np.bincount(low, weights * (1 - part), count) + np.bincount(low + 1, weights * part, count + 1)[:count]
