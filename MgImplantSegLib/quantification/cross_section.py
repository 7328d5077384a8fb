"""The cross-section of the residual material along the screw axis; its least value governs the strength."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.quantification.boxes import shape_of, start_of
from MgImplantSegLib.quantification.codes import METAL, implant_in
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.results import UNDEFINED, Measure, Series

END_PART = 0.1
DEFINITION = (
    "least area of residual material perpendicular to the screw axis, "
    f"without the outer {100 * END_PART:g} % of the implant's length at both ends"
)


def cross_section(context: MeasureContext) -> tuple[Measure | Series, ...]:
    """The least cross-section with its position, and the cross-section along the axis."""
    if context.implant_box is None:
        note = "There is no implant in the segmentation."
        return (_measure(UNDEFINED, "", note, {}), _position(UNDEFINED, "", note))
    low_mm, step_mm, area_mm2 = _areas_mm2(context)
    method = f"voxels in slices of {step_mm:.3g} mm, shared between neighbouring slices"
    series = Series(
        "A_RM",
        "cross-section of the residual material",
        "implant",
        "position on the screw axis",
        "mm",
        tuple(low_mm.tolist()),
        tuple((low_mm + step_mm).tolist()),
        tuple(area_mm2.tolist()),
        "mm²",
        method,
    )
    end = int(np.ceil(END_PART * area_mm2.size))
    inner = slice(end, area_mm2.size - end)
    if area_mm2[inner].size == 0:
        note = "The implant is too short along its axis."
        return _measure(UNDEFINED, method, note, {}), _position(UNDEFINED, method, note), series
    least = end + int(np.argmin(area_mm2[inner]))
    counts = {"mean_mm2": float(area_mm2[inner].mean()), "slices": area_mm2[inner].size}
    position_mm = float(low_mm[least] + step_mm / 2)
    return _measure(float(area_mm2[least]), method, "", counts), _position(position_mm, method, ""), series


def _measure(value: float, method: str, note: str, counts: dict[str, float]) -> Measure:
    name = "least cross-section of the residual material"
    return Measure("A_RM_min", name, value, "mm²", "implant", method, DEFINITION, note, counts)


def _position(value: float, method: str, note: str) -> Measure:
    return Measure(
        "A_RM_min_position",
        "position of the least cross-section",
        value,
        "mm",
        "implant",
        method,
        "distance on the screw axis from the implant's lower end",
        note,
    )


def _areas_mm2(context: MeasureContext) -> tuple[np.ndarray, float, np.ndarray]:
    """Lower ends of the slices in mm from the implant's lower end, their width, and the metal's area in each."""
    box = context.implant_box
    geometry = context.geometry.cropped(start_of(box), shape_of(box))
    step_mm = max(context.options.slice_mm, max(context.spacing_zyx_mm))
    codes = context.codes[box]
    _, implant = context.axis.profile(implant_in(codes), geometry, step_mm)
    _, metal = context.axis.profile(codes == METAL, geometry, step_mm)
    filled = np.flatnonzero(implant > 0)
    inside = slice(filled[0], filled[-1] + 1)
    area_mm2 = metal[inside] * geometry.voxel_volume_mm3 / step_mm
    return np.arange(area_mm2.size) * step_mm, step_mm, area_mm2
