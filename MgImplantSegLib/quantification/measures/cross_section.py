"""The cross-section of the residual material along the screw axis; its least value governs the strength."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.typed import present
from MgImplantSegLib.grids.boxes import shape_of, start_of
from MgImplantSegLib.quantification.codes import METAL, implant_in
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.results import NO_IMPLANT, UNDEFINED, Measure, Series

END_PART, ROUNDING = 0.1, 1e-6
STEPS_PER_SLICE = 4
DEFINITION = (
    "smallest area of residual material perpendicular to the screw axis, "
    f"without the outer {100 * END_PART:g} % of the implant's length at both ends"
)


def cross_section(context: MeasureContext) -> tuple[Measure | Series, ...]:
    """The least cross-section with its position, and the cross-section along the axis."""
    if context.implant_box is None:
        note = NO_IMPLANT
        return (_measure(UNDEFINED, "", note, {}), _position(UNDEFINED, "", note, {}))
    sections = _sections(context)
    step_mm, area_mm2 = sections.step_mm, sections.area_mm2
    method = f"voxels in slices of {sections.width_mm:.3g} mm every {step_mm:.3g} mm, those near its middle most"
    low_mm = sections.middle_mm - step_mm / 2
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
    end_mm = END_PART * sections.length_mm - ROUNDING * step_mm
    inner = np.minimum(sections.middle_mm, sections.length_mm - sections.middle_mm) >= end_mm
    if not inner.any():
        note = "The implant is too short along its axis."
        return _measure(UNDEFINED, method, note, {}), _position(UNDEFINED, method, note, {}), series
    least_mm2 = float(area_mm2[inner].min())
    counts = {"mean_mm2": float(area_mm2[inner].mean()), "slices": int(inner.sum())}
    nearer_mm = _nearer_end_mm(sections, inner & (area_mm2 <= least_mm2 + ROUNDING * area_mm2.max()))
    ends = {"from_nearer_end_mm": nearer_mm, "from_farther_end_mm": sections.length_mm - nearer_mm}
    return _measure(least_mm2, method, "", counts), _position(nearer_mm, method, "", ends), series


def _measure(value: float, method: str, note: str, counts: dict[str, float]) -> Measure:
    name = "smallest cross-section of the residual material"
    return Measure("A_RM_min", name, value, "mm²", "implant", method, DEFINITION, note, counts)


def _position(value: float, method: str, note: str, counts: dict[str, float]) -> Measure:
    return Measure(
        "A_RM_min_position",
        "position of the smallest cross-section",
        value,
        "mm",
        "implant",
        method,
        "distance on the screw axis from the nearer end of the implant",
        note,
        counts,
    )


@dataclass(frozen=True, eq=False)
class _Sections:
    """Overlapping slices along the axis.

    Parameters
    ----------
    middle_mm : float array (n,)
        Their middles, from the implant's lower end.
    area_mm2 : float array (n,)
        Area of residual material in each.
    width_mm, step_mm : float
        How wide they are, and how far apart: so close that it does not matter where the first one lies.
    length_mm : float
        The implant's length.
    """

    middle_mm: np.ndarray
    area_mm2: np.ndarray
    width_mm: float
    step_mm: float
    length_mm: float


def _nearer_end_mm(sections: _Sections, least: np.ndarray) -> float:
    """Distance from the nearer end of those slices; of several, as of a rod of one thickness, the smallest."""
    from_low_mm = sections.middle_mm[least]
    return float(np.minimum(from_low_mm, sections.length_mm - from_low_mm).min())


def _sections(context: MeasureContext) -> _Sections:
    box, axis = present(context.implant_box), present(context.axis)
    geometry = context.geometry.cropped(start_of(box), shape_of(box))
    width_mm = max(context.options.slice_mm, max(context.spacing_zyx_mm))
    step_mm = width_mm / STEPS_PER_SLICE
    codes = context.codes[box]
    low_mm, high_mm = axis.ends_mm(implant_in(codes), geometry)
    start_mm, metal_voxels = axis.profile(codes == METAL, geometry, step_mm)
    middle_mm = start_mm + (np.arange(metal_voxels.size) + 0.5) * step_mm - low_mm
    weights = 1 - np.abs(np.arange(1 - STEPS_PER_SLICE, STEPS_PER_SLICE)) / STEPS_PER_SLICE
    area_mm2 = np.convolve(metal_voxels, weights, mode="full")[STEPS_PER_SLICE - 1 : 1 - STEPS_PER_SLICE]
    area_mm2 *= geometry.voxel_volume_mm3 / width_mm
    inside = (middle_mm >= 0) & (middle_mm <= high_mm - low_mm)
    return _Sections(middle_mm[inside], area_mm2[inside], width_mm, step_mm, high_mm - low_mm)
