"""How deep the implant has degraded, and how thick the degradation layer is."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.quantification.codes import LAYER, METAL
from MgImplantSegLib.quantification.common_part import codes_in
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.measures.distance import distance_to_mm
from MgImplantSegLib.quantification.results import NO_IMPLANT, UNDEFINED, Measure, Missing
from MgImplantSegLib.quantification.surfaces.voxel_faces import boundary_faces

DEPTH = "distance of the surface of the residual material from the initial surface, inside the initial screw"
THICKNESS = "distance of the outer surface of the degradation layer from the residual material"
NO_SHAPE = "No shape of the initial screw was given."
NO_METAL = "There is no residual material."
NO_LAYER = "There is no degradation layer on the implant's surface."


def degradation_depth(context: MeasureContext) -> tuple[Measure, ...]:
    """Mean, 95th percentile and maximum of the degradation depth, and the pitting factor."""
    depth_mm, area_mm2, note = _depths_mm(context)
    mean, p95, deepest = _mean(depth_mm, area_mm2), _percentile(depth_mm, area_mm2, 95), _largest(depth_mm)
    counts = {"surface_mm2": float(area_mm2.sum(dtype=float)), "faces": depth_mm.size}
    method = "Euclidean distance at the voxel faces of the residual material"
    factor = deepest / mean if mean > 0 else UNDEFINED
    factor_note = note or ("" if mean > 0 else "The mean depth is 0.")
    missing = Missing.NOT_GIVEN if note == NO_SHAPE else None
    ratio = {"depth_max_mm": deepest, "depth_mean_mm": mean}
    rows: tuple[tuple[str, str, float, str, str, str, dict[str, float]], ...] = (
        ("depth_mean", "mean degradation depth", mean, "mm", f"mean of the {DEPTH}", note, counts),
        (
            "depth_P95",
            "95th percentile of the degradation depth",
            p95,
            "mm",
            f"95th percentile, by area, of the {DEPTH}",
            note,
            counts,
        ),
        ("depth_max", "greatest degradation depth", deepest, "mm", f"maximum of the {DEPTH}", note, counts),
        ("PF", "pitting factor", factor, "1", "greatest / mean degradation depth", factor_note, ratio),
    )
    return tuple(
        Measure(symbol, name, value, unit, "implant", method, definition, said, numbers, missing=missing)
        for symbol, name, value, unit, definition, said, numbers in rows
    )


def _depths_mm(context: MeasureContext) -> tuple[np.ndarray, np.ndarray, str]:
    """Depth and area of each face of the residual material that counts, and a reason if there is none."""
    common, nothing = context.common, np.zeros(0, dtype=np.float32)
    if common is None:
        return nothing, nothing, NO_SHAPE if context.implant_box is not None else NO_METAL
    codes = codes_in(common.box, context.codes)
    faces = boundary_faces(codes, (METAL,), context.spacing_zyx_mm)
    faces = faces.chosen(common.counted.ravel()[faces.outer])
    if faces.inner.size == 0:
        return nothing, nothing, f"{NO_METAL} in the common part." if (codes == METAL).any() else NO_METAL
    shape = context.initial_shape
    outside = ~common.initial & shape.known_on(common.geometry)
    if not outside.any():
        return nothing, nothing, "The initial screw fills its scan, so that its surface is not visible."
    depth_mm = distance_to_mm(outside, context.spacing_zyx_mm).ravel()[faces.outer]
    return depth_mm, faces.area_mm2, ""


def layer_thickness(context: MeasureContext) -> tuple[Measure, ...]:
    """Mean, standard deviation and maximum of the thickness of the degradation layer."""
    thickness_mm, area_mm2, covered_percent, note = _thicknesses_mm(context)
    mean = _mean(thickness_mm, area_mm2)
    deviation = float(np.sqrt(_mean((thickness_mm - mean) ** 2, area_mm2)))
    counts = {"covered_percent_of_surface": covered_percent, "faces": thickness_mm.size}
    method = "Euclidean distance at the voxel faces of the implant"
    values = (
        ("DL_mean", "mean thickness of the degradation layer", mean, "mean"),
        ("DL_SD", "variation of the thickness of the degradation layer", deviation, "standard deviation"),
        ("DL_max", "greatest thickness of the degradation layer", _largest(thickness_mm), "maximum"),
    )
    return tuple(
        Measure(symbol, name, value, "mm", "implant", method, f"{what}, by area, of the {THICKNESS}", note, counts)
        for symbol, name, value, what in values
    )


def _thicknesses_mm(context: MeasureContext) -> tuple[np.ndarray, np.ndarray, float, str]:
    """Thickness and area of each outer face of the layer, the part of the surface it covers, a reason if none."""
    nothing = np.zeros(0, dtype=np.float32)
    if context.implant_box is None:
        return nothing, nothing, UNDEFINED, NO_IMPLANT
    codes, faces = context.surface_codes, context.implant_faces
    is_layer = codes.ravel()[faces.inner] == LAYER
    layer = faces.chosen(is_layer)
    if layer.inner.size == 0:
        return nothing, nothing, 0.0, NO_LAYER
    covered = 100 * float(layer.area_mm2.sum(dtype=float) / faces.area_mm2.sum(dtype=float))
    metal = codes == METAL
    if not metal.any():
        return nothing, nothing, covered, NO_METAL
    return distance_to_mm(metal, context.spacing_zyx_mm).ravel()[layer.inner], layer.area_mm2, covered, ""


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(values, weights=weights)) if values.size else UNDEFINED


def _largest(values: np.ndarray) -> float:
    return float(values.max()) if values.size else UNDEFINED


def _percentile(values: np.ndarray, weights: np.ndarray, percent: float) -> float:
    """The smallest value below or at which `percent` of the weight lies."""
    if values.size == 0:
        return UNDEFINED
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order], dtype=float)
    return float(values[order][np.searchsorted(cumulated, percent / 100 * cumulated[-1])])
