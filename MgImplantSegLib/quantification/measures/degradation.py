"""Volumes, volume loss and degradation rate of the implant."""

from __future__ import annotations

import math

import numpy as np

from MgImplantSegLib.base.typed import present
from MgImplantSegLib.grids.boxes import intersection, relative_to, shape_of, whole
from MgImplantSegLib.quantification.codes import LAYER, METAL, UNKNOWN
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.measures.rate_forms import RATE_FORMS
from MgImplantSegLib.quantification.results import NO_IMPLANT, UNDEFINED, Measure, Missing, notes
from MgImplantSegLib.quantification.surfaces.surface import surface_area_mm2
from MgImplantSegLib.quantification.typed_values import typed_area_note, typed_volume_note

DAYS_PER_YEAR = 365.25
OUTSIDE_TOLERANCE = 0.05
LEAST_PERCENT_TOLD = 0.1
LONGEST_DAYS = 100 * DAYS_PER_YEAR
NO_INITIAL = "No initial screw was given."
NO_TIME = "No time between implantation and explantation was given."
GROWN = "The residual volume is larger than the initial one: check the registration and the voxel size, and that "
"both show the same part."
TYPED = "typed in"
CUT = "The implant touches the border of the volume: the part beyond it is missing."


def volumes(context: MeasureContext) -> tuple[Measure, ...]:
    """V_r and V_DL: voxels of each part times the voxel volume."""
    note = CUT if context.implant_touches_border else ""
    parts = (("V_r", "residual volume", METAL), ("V_DL", "volume of the degradation layer", LAYER))
    return tuple(
        _volume(symbol, name, int(context.voxels_of_code[code]), context, note) for symbol, name, code in parts
    )


def _volume(symbol: str, name: str, voxels: int, context: MeasureContext, note: str) -> Measure:
    return Measure(
        symbol,
        name,
        voxels * context.geometry.voxel_volume_mm3,
        "mm³",
        "implant",
        "voxel count",
        "number of voxels × voxel volume",
        note,
        {"voxels": voxels},
    )


def degradation(context: MeasureContext) -> tuple[Measure, ...]:
    """V_i, A_i, VL and DR; on the common length of the screw if its shape is known."""
    initial_volume, initial_area, residual_mm3 = _initial_and_residual(context)
    loss = _volume_loss(context, initial_volume, residual_mm3)
    return initial_volume, initial_area, loss, _degradation_rate(context, initial_volume, initial_area, residual_mm3)


def _initial_and_residual(context: MeasureContext) -> tuple[Measure, Measure, float]:
    """V_i, A_i, and V_r in mm³ of the same part."""
    initial, common = context.options.initial, context.common
    residual_mm3 = int(context.voxels_of_code[METAL]) * context.geometry.voxel_volume_mm3
    note, counts = "", {}
    volume_mm3, volume_method = UNDEFINED, "not measured"
    area_mm2, area_method = UNDEFINED, "not measured"
    if initial is None:
        note = NO_INITIAL
    elif common is not None and common.is_cropped:
        residual_mm3 = common.residual_voxels * context.geometry.voxel_volume_mm3
        volume_mm3, area_mm2, area_method = _of_common_part(context)
        volume_method = "voxel count"
        note, counts = _common_note(context, volume_mm3), {"common_length_mm": common.length_mm}
    elif initial.shape is not None:
        volume_mm3, volume_method = initial.shape.volume_mm3, initial.shape.volume_method
        area_mm2, area_method = initial.shape.area_mm2(context.options.surface)
        note = notes(initial.shape.note, _outside_note(context))
    if initial is not None and initial.volume_mm3 is not None:
        volume_mm3, volume_method = initial.volume_mm3, TYPED
    if initial is not None and initial.area_mm2 is not None:
        area_mm2, area_method = initial.area_mm2, TYPED
    volume_note = notes(note, typed_volume_note(volume_mm3, residual_mm3) if volume_method == TYPED else "")
    area_note = notes(note, typed_area_note(area_mm2, volume_mm3) if area_method == TYPED else "")
    return (
        _of_initial("V_i", "volume", "mm³", volume_mm3, volume_method, volume_note, counts),
        _of_initial("A_i", "surface area", "mm²", area_mm2, area_method, area_note, counts),
        residual_mm3,
    )


def _of_initial(
    symbol: str, what: str, unit: str, value: float, method: str, note: str, counts: dict[str, float]
) -> Measure:
    not_given = not math.isfinite(value) and note in ("", NO_INITIAL)
    return Measure(
        symbol,
        f"initial {what}",
        value,
        unit,
        "implant",
        method,
        f"{what} of the new screw",
        note or (f"No initial {what} was given." if not_given else ""),
        counts,
        missing=Missing.NOT_GIVEN if not_given else None,
    )


def _of_common_part(context: MeasureContext) -> tuple[float, float, str]:
    """V_i in mm³ and A_i in mm² of the part that both scans show, and the method of A_i; NaN if there is none."""
    common = present(context.common)
    shape = context.initial_shape
    if common.initial_voxels == 0:
        return UNDEFINED, UNDEFINED, "not measured"
    area_mm2, method = shape.area_within_mm2(common.initial, common.counted, common.geometry, context.options.surface)
    return common.initial_voxels * context.geometry.voxel_volume_mm3, area_mm2, method


def _common_note(context: MeasureContext, volume_mm3: float) -> str:
    if not math.isfinite(volume_mm3):
        return "The initial screw and the implant do not overlap: register the screw to the explant first."
    common, part, beyond = present(context.common), "", ""
    shape = context.initial_shape
    if common.left_out_voxels:
        percent = 100 * common.initial_voxels / (common.initial_voxels + common.left_out_voxels)
        part = f"V_i, A_i and V_r refer to the part that both scans show, {percent:.3g} % of the initial screw."
    if common.residual_left_out_voxels:
        percent = 100 * common.residual_left_out_voxels / (common.residual_voxels + common.residual_left_out_voxels)
        beyond = (
            f"{percent:.3g} % of the residual material lies beyond the ends of the initial screw and is not counted."
            if percent >= LEAST_PERCENT_TOLD
            else ""
        )
    return notes(part, beyond, shape.note, _outside_note(context))


def _outside_note(context: MeasureContext) -> str:
    common = context.common
    if common is None or common.residual_outside_voxels <= OUTSIDE_TOLERANCE * common.residual_voxels:
        return ""
    part = 100 * common.residual_outside_voxels / common.residual_voxels
    return f"{part:.3g} % of the residual material lies outside the initial screw: check the registration."


def _volume_loss(context: MeasureContext, initial: Measure, residual_mm3: float) -> Measure:
    value = 100 * _ratio(initial.value - residual_mm3, initial.value)
    note = initial.note if context.implant_box is not None else NO_IMPLANT
    return Measure(
        "VL",
        "volume loss",
        value if context.implant_box is not None else UNDEFINED,
        "%",
        "implant",
        "from V_i and V_r",
        "100 · (V_i − V_r) / V_i",
        notes(GROWN if value < 0 and initial.method != TYPED else "", note),
        {"V_i_mm3": initial.value, "V_r_mm3": residual_mm3},
        missing=initial.missing if context.implant_box is not None else None,
    )


def _degradation_rate(context: MeasureContext, volume: Measure, area: Measure, residual_mm3: float) -> Measure:
    form = RATE_FORMS.find(context.options.rate_form)
    years, time_note = _years(context.options.time_days)
    residual_area_mm2 = _residual_area_mm2(context) if form.needs_residual_area else UNDEFINED
    area_mm2 = form.area_mm2(area.value, residual_area_mm2)
    rate = _ratio(volume.value - residual_mm3, area_mm2 * years)
    no_surface = "The initial screw has no surface in its scan." if area_mm2 == 0 else ""
    note = notes(time_note, no_surface, volume.note, area.note, GROWN if rate < 0 and volume.method != TYPED else "")
    not_given = context.options.time_days is None or Missing.NOT_GIVEN in (volume.missing, area.missing)
    if context.implant_box is None:
        rate, note, not_given = UNDEFINED, NO_IMPLANT, False
    elif residual_mm3 == 0 and rate > 0:
        note = notes("No residual material is left: the rate is a lower bound.", note)
    counts = {"V_i_mm3": volume.value, "A_i_mm2": area.value, "V_r_mm3": residual_mm3, "time_years": years}
    if form.needs_residual_area:
        counts["A_r_mm2"] = residual_area_mm2
    return Measure(
        "DR",
        "degradation rate",
        rate,
        "mm/year",
        "implant",
        f"{form.name} ({area.method})",
        form.definition,
        note,
        counts,
        missing=Missing.NOT_GIVEN if not_given else None,
    )


def _ratio(value: float, by: float) -> float:
    return value / by if by != 0 else UNDEFINED


def _years(time_days: float | None) -> tuple[float, str]:
    if time_days is None:
        return UNDEFINED, NO_TIME
    if not (math.isfinite(time_days) and time_days > 0):
        return UNDEFINED, f"The time between implantation and explantation must be positive, got {time_days:g} days."
    too_long = f"{time_days:.4g} days are more than 100 years: check the time, in days."
    return time_days / DAYS_PER_YEAR, too_long if time_days > LONGEST_DAYS else ""


def _residual_area_mm2(context: MeasureContext) -> float:
    """Surface of the residual material that counts."""
    counted = context.codes != UNKNOWN
    common = context.common
    if common is not None and common.is_cropped:
        inside = np.zeros(counted.shape, dtype=bool)
        box = intersection(common.box, whole(counted.shape))
        if min(shape_of(box)) > 0:
            inside[box] = common.counted[relative_to(box, common.box)]
        counted = inside
    return surface_area_mm2(context.codes == METAL, context.spacing_zyx_mm, context.options.surface, counted=counted)
