"""Volumes, volume loss and degradation rate of the implant."""

from __future__ import annotations

import math

from MgImplantSegLib.quantification.codes import LAYER, METAL
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.initial import InitialScrew
from MgImplantSegLib.quantification.results import UNDEFINED, Measure
from MgImplantSegLib.quantification.surface import bounding_box, surface_area_mm2, surface_method

DAYS_PER_YEAR = 365.25
NO_INITIAL = "No initial screw was given."


def volumes(context: MeasureContext) -> tuple[Measure, ...]:
    """V_r and V_DL: voxels of each part times the voxel volume."""
    voxel_mm3 = context.geometry.voxel_volume_mm3
    note = "The implant touches the border of the volume; what lies beyond is missing." * context.implant_touches_border
    parts = (("V_r", "residual volume", METAL), ("V_DL", "volume of the degradation layer", LAYER))
    return tuple(
        Measure(symbol, name, int(context.voxels_of_code[code]) * voxel_mm3, "mm³", "implant", "voxel count",
                "number of voxels × voxel volume", note, {"voxels": int(context.voxels_of_code[code])})
        for symbol, name, code in parts
    )  # fmt: skip


def degradation(context: MeasureContext) -> tuple[Measure, ...]:
    """V_i, A_i, VL and DR."""
    initial_volume, initial_area = _initial_measures(context)
    residual_mm3 = int(context.voxels_of_code[METAL]) * context.geometry.voxel_volume_mm3
    loss = _volume_loss(initial_volume, residual_mm3)
    rate = _degradation_rate(initial_volume, initial_area, residual_mm3, context.options.time_days)
    return initial_volume, initial_area, loss, rate


def _initial_measures(context: MeasureContext) -> tuple[Measure, Measure]:
    initial = context.options.initial
    volume_mm3, area_mm2 = UNDEFINED, UNDEFINED
    method, area_method = "not given", "not given"
    if initial is not None and initial.label_map is not None:
        volume_mm3, area_mm2 = _measured(initial, context.options.surface)
        method, area_method = "voxel count", surface_method(context.options.surface).name
    if initial is not None and initial.volume_mm3 is not None:
        volume_mm3, method = initial.volume_mm3, "typed in"
    if initial is not None and initial.area_mm2 is not None:
        area_mm2, area_method = initial.area_mm2, "typed in"
    return (
        Measure("V_i", "initial volume", volume_mm3, "mm³", "implant", method, "volume of the new screw",
                "" if math.isfinite(volume_mm3) else NO_INITIAL),
        Measure("A_i", "initial surface area", area_mm2, "mm²", "implant", area_method,
                "surface area of the new screw", "" if math.isfinite(area_mm2) else NO_INITIAL),
    )  # fmt: skip


def _measured(initial: InitialScrew, method: str) -> tuple[float, float]:
    mask = initial.label_map.implant_mask()
    geometry = initial.label_map.geometry
    bounds = bounding_box(mask)
    if bounds is None:
        return UNDEFINED, UNDEFINED
    area_mm2 = surface_area_mm2(mask[bounds], geometry.spacing_zyx_mm, method, closed=True)
    return int(mask[bounds].sum()) * geometry.voxel_volume_mm3, area_mm2


def _volume_loss(initial_volume: Measure, residual_mm3: float) -> Measure:
    value = 100 * (initial_volume.value - residual_mm3) / initial_volume.value
    note = initial_volume.note
    if value < 0:
        note = "The residual volume is larger than the initial one: check registration, voxel size and common length."
    return Measure("VL", "volume loss", value, "%", "implant", "from V_i and V_r", "100 · (V_i − V_r) / V_i", note,
                   {"V_i_mm3": initial_volume.value, "V_r_mm3": residual_mm3})  # fmt: skip


def _degradation_rate(volume: Measure, area: Measure, residual_mm3: float, time_days: float | None) -> Measure:
    note = volume.note or area.note
    years = UNDEFINED
    if time_days is None:
        note = note or "No time between implantation and explantation was given."
    elif not (math.isfinite(time_days) and time_days > 0):
        note = f"The time between implantation and explantation must be positive, got {time_days} days."
    else:
        years = time_days / DAYS_PER_YEAR
    rate = (volume.value - residual_mm3) / (area.value * years)
    if rate < 0:
        note = "The residual volume is larger than the initial one: check registration, voxel size and common length."
    counts = {"V_i_mm3": volume.value, "A_i_mm2": area.value, "V_r_mm3": residual_mm3, "time_years": years}
    return Measure("DR", "degradation rate", rate, "mm/year", "implant", f"initial area ({area.method})",
                   "(V_i − V_r) / (A_i · t), t in years of 365.25 days", note, counts)  # fmt: skip
