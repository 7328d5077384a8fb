"""Bone-to-implant contact (BIC)."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.quantification.codes import BONE, LAYER, METAL, UNKNOWN
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.results import UNDEFINED, Measure
from MgImplantSegLib.quantification.surface import grown
from MgImplantSegLib.quantification.voxel_faces import AXIS_OFFSETS, count_pairs, face_area_mm2

DEFINITION = "100 · b / a, a = area of the implant's surface (DL ∪ RM), b = the part of it that touches bone"


def contact(context: MeasureContext) -> tuple[Measure, ...]:
    """BIC of the whole implant by face pairs."""
    if context.implant_bounds is None:
        return (_measure(UNDEFINED, "There is no implant in the segmentation.", {}),)
    codes = context.codes[grown(context.implant_bounds, 1, context.codes.shape)]
    surface_mm2, contact_mm2 = face_contact_mm2(codes, context.spacing_zyx_mm)
    counts = {"surface_mm2": surface_mm2, "contact_mm2": contact_mm2}
    if surface_mm2 == 0:
        return (_measure(UNDEFINED, "The implant has no surface inside the volume.", counts),)
    return (_measure(100 * contact_mm2 / surface_mm2, "", counts),)


def _measure(value: float, note: str, counts: dict[str, float]) -> Measure:
    return Measure("BIC", "bone-to-implant contact", value, "%", "implant", "face pairs (6 neighbours)", DEFINITION,
                   note, counts)  # fmt: skip


def face_contact_mm2(codes: np.ndarray, spacing_zyx_mm: tuple[float, float, float]) -> tuple[float, float]:
    """Area of the faces between implant and anything known, and of those between implant and bone."""
    surface_mm2 = contact_mm2 = 0.0
    implant, bone, unknown = (codes == LAYER) | (codes == METAL), codes == BONE, codes == UNKNOWN

    def surface_faces(first: tuple, second: tuple) -> int:
        return np.count_nonzero((implant[first] != implant[second]) & ~unknown[first] & ~unknown[second])

    def contact_faces(first: tuple, second: tuple) -> int:
        return np.count_nonzero((implant[first] & bone[second]) | (bone[first] & implant[second]))

    for axis, offset in enumerate(AXIS_OFFSETS):
        area = face_area_mm2(spacing_zyx_mm, axis)
        surface_mm2 += area * count_pairs(codes.shape, offset, surface_faces)
        contact_mm2 += area * count_pairs(codes.shape, offset, contact_faces)
    return surface_mm2, contact_mm2
