"""Cracks of the degradation layer and canals of bone: how much, how wide, how deep, and what they do to BIC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from MgImplantSegLib.base.typed import present
from MgImplantSegLib.grids.boxes import bounding_box, grown
from MgImplantSegLib.grids.labels import CANAL, CRACK
from MgImplantSegLib.quantification.codes import BACKGROUND, BONE, LAYER, METAL, UNKNOWN, implant_in
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.envelope import with_closed_cracks
from MgImplantSegLib.quantification.measures.contact_methods import CONTACT_METHODS
from MgImplantSegLib.quantification.measures.distance import distance_to_mm
from MgImplantSegLib.quantification.measures.local_thickness import local_thickness_mm
from MgImplantSegLib.quantification.results import NO_IMPLANT, UNDEFINED, Measure, Missing, notes
from MgImplantSegLib.quantification.surfaces.surface import SURFACE_METHODS, surface_area_mm2
from MgImplantSegLib.quantification.surfaces.voxel_faces import boundary_faces

MARGIN_VOXELS = 2
NANOMETRES = 6  # digits of a millimetre
NOT_MEASURED = "not measured"
SPHERES = "largest spheres (Hildebrand and Rüegsegger 1997)"
NO_BONE = "There is no bone in the segmentation."
NO_CRACK_CLASS = (
    "No cracks are labelled and no width of cracks was given: look for cracks in the scan, or say up to which width "
    "cracks are closed."
)
NO_METAL = "There is no residual material."
NO_CANAL_CLASS = "No canals are labelled: look for canals in the scan."
NOTHING = {CRACK.segment_id: "There are no cracks.", CANAL.segment_id: "There are no canals."}


@dataclass(frozen=True)
class _Cracks:
    """Cracks of an implant in a box with a margin.

    Parameters
    ----------
    mask : bool array (z, y, x)
        The cracks.
    codes : uint8 array (z, y, x)
        Codes with the cracks as background.
    closed : uint8 array (z, y, x)
        Codes with the cracks as degradation layer.
    method : str
        Where the cracks are known from.
    """

    mask: np.ndarray
    codes: np.ndarray
    closed: np.ndarray
    method: str


def cracks(context: MeasureContext) -> tuple[Measure, ...]:
    """Volume, surface, width and depth of the cracks, how many are open, what they reach, and BIC with and without."""
    if context.implant_box is None:
        return _undefined(NO_IMPLANT, None)
    found = _cracks_of(context)
    if found is None:
        return _undefined(NO_CRACK_CLASS, Missing.NOT_GIVEN)
    values = _crack_values(found, context)
    surface = SURFACE_METHODS.find(context.options.surface).name
    return (
        *_crack_measures(values, NOTHING["crack"], f"{found.method}; surface: {surface}", None),
        *_bic(found, context),
    )


def _cracks_of(context: MeasureContext) -> _Cracks | None:
    margin = MARGIN_VOXELS + int(np.ceil(context.options.close_cracks_mm / min(context.spacing_zyx_mm)))
    labelled = context.opening_mask(CRACK.segment_id)
    box = grown(present(context.implant_box), margin, context.codes.shape)
    codes = context.codes[box]
    if labelled is not None:
        mask, method = labelled[box] & (codes == BACKGROUND), "labelled cracks"
    elif context.options.close_cracks_mm > 0:
        width_mm = context.options.close_cracks_mm
        closed = with_closed_cracks(codes, context.spacing_zyx_mm, width_mm)
        mask = implant_in(closed) & (codes == BACKGROUND)
        method = f"gaps up to {width_mm:g} mm and cavities, by closing"
    else:
        return None
    return _Cracks(mask, codes, np.where(mask, np.uint8(LAYER), codes), method)


def _crack_values(found: _Cracks, context: MeasureContext) -> dict[str, float]:
    """Values by symbol; what cannot be is left out."""
    spacing, voxel_mm3 = context.spacing_zyx_mm, context.geometry.voxel_volume_mm3
    volume = int(found.mask.sum())
    layer = int(np.count_nonzero(found.codes == LAYER))
    values = {"Cr.V": volume * voxel_mm3, "Cr.S": surface_area_mm2(found.mask, spacing, context.options.surface)}
    if volume + layer:
        values["Cr.V/DL.V"] = 100 * volume / (volume + layer)
    reached, metal = _metal_faces_mm2(found, spacing)
    if metal:
        values["Cr.RM"] = 100 * reached / metal
    if volume == 0:
        return values
    width_mm = local_thickness_mm(found.mask, spacing, context.events, "width of cracks")[found.mask]
    width_mm = np.round(width_mm.astype(float), NANOMETRES)  # else equal widths would vary by their rounding
    outside = ~implant_in(found.closed)
    depth_mm = distance_to_mm(outside, spacing)[found.mask] - min(spacing) / 2
    values |= {
        "Cr.Wi": float(width_mm.mean()),
        "Cr.Wi.SD": float(width_mm.std()),
        "Cr.Wi.max": float(width_mm.max()),
    }
    if np.isfinite(depth_mm).all():
        values |= {"Cr.De": float(depth_mm.mean()), "Cr.De.max": float(depth_mm.max())}
        values["Cr.open"] = 100 * _open_voxels(found.mask, outside & (found.closed != UNKNOWN)) / volume
    return values


def _metal_faces_mm2(found: _Cracks, spacing_zyx_mm: tuple[float, float, float]) -> tuple[float, float]:
    """Area of the metal's faces on cracks, and of all its faces, in mm²."""
    faces = boundary_faces(found.codes, (METAL,), spacing_zyx_mm)
    on_crack = found.mask.ravel()[faces.outer]
    return float(faces.area_mm2[on_crack].sum(dtype=float)), float(faces.area_mm2.sum(dtype=float))


def _open_voxels(mask: np.ndarray, outside: np.ndarray) -> int:
    """Voxels of the cracks whose connected part (6 neighbours) has a face to what is outside the closed implant."""
    parts, _count = ndimage.label(mask)
    is_open = np.unique(parts[mask & ndimage.binary_dilation(outside)])
    return int(np.isin(parts[mask], is_open).sum())


CRACK_MEASURES = (
    ("Cr.V", "crack volume", "mm³", "number of crack voxels × voxel volume"),
    (
        "Cr.V/DL.V",
        "crack volume fraction",
        "%",
        "100 · crack volume / (crack volume + volume of the degradation layer)",
    ),
    ("Cr.S", "crack surface", "mm²", "area of the surface of all cracks, mouths included"),
    ("Cr.Wi", "mean crack width", "mm", "mean over the cracks of the diameter of the largest sphere in the crack"),
    ("Cr.Wi.SD", "variation of the crack width", "mm", "standard deviation of the same diameter"),
    ("Cr.Wi.max", "greatest crack width", "mm", "maximum of the same diameter"),
    (
        "Cr.De",
        "mean crack depth",
        "mm",
        "mean over the cracks of the distance to the implant's outer surface, cracks closed",
    ),
    ("Cr.De.max", "greatest crack depth", "mm", "maximum of the same distance"),
    ("Cr.open", "open cracks", "%", "share of the crack volume in connected parts that open to the outside"),
    ("Cr.RM", "metal surface on cracks", "%", "share of the residual material's voxel faces that border on cracks"),
)


def _crack_measures(values: dict[str, float], note: str, method: str, missing: Missing | None) -> list[Measure]:
    return [
        Measure(
            symbol,
            name,
            values.get(symbol, UNDEFINED),
            unit,
            "implant",
            f"{SPHERES}; {method}" if symbol.startswith("Cr.Wi") else method,
            definition,
            "" if symbol in values else NO_METAL if symbol == "Cr.RM" and note == NOTHING["crack"] else note,
            missing=None if symbol in values else missing,
        )
        for symbol, name, unit, definition in CRACK_MEASURES
    ]


def _undefined(note: str, missing: Missing | None) -> tuple[Measure, ...]:
    bic = (_bic_measure(state, UNDEFINED, NOT_MEASURED, note, {}, missing) for state in BIC_STATES)
    return (*_crack_measures({}, note, NOT_MEASURED, missing), *bic)


BIC_STATES = {"open": "background", "closed": "part of the implant"}


def _bic(found: _Cracks, context: MeasureContext) -> Iterator[Measure]:
    """BIC with the cracks open, as background, and closed, as layer."""
    method, options = CONTACT_METHODS.find(context.options.contact), context.options
    for state, codes in (("open", found.codes), ("closed", found.closed)):
        surface, touching = method.measure(codes, None, context.spacing_zyx_mm, options.contact_distance_mm)
        value = 100 * (touching / surface) if surface else UNDEFINED
        counts = {f"surface_{method.unit}": surface, f"contact_{method.unit}": touching}
        note = "" if surface else "The implant has no surface in the volume."
        yield _bic_measure(state, value, f"{method.name}; {found.method}", note, counts, None)


def _bic_measure(
    state: str, value: float, method: str, note: str, counts: dict[str, float], missing: Missing | None
) -> Measure:
    return Measure(
        f"BIC_{state}",
        f"bone-to-implant contact, cracks {state}",
        value,
        "%",
        "implant",
        method,
        f"100 · b / a, cracks as {BIC_STATES[state]}; a: surface of the implant, b: the part of it that touches bone",
        note,
        counts,
        missing=missing,
    )


def canals(context: MeasureContext) -> tuple[Measure, ...]:
    """Porosity of the bone by canals, and the mean canal diameter.

    Names as in D. W. Dempster et al., "Standardized nomenclature, symbols, and units for bone histomorphometry: a 2012
    update", Journal of Bone and Mineral Research 28 (2013), and M. L. Bouxsein et al., "Guidelines for assessment of
    bone microstructure in rodents using micro-computed tomography", ibid. 25 (2010); the canal diameter as in D. M. L.
    Cooper et al., "Quantitative 3D analysis of the canal network in cortical bone by micro-computed tomography",
    Anatomical Record 274B (2003).
    """
    bone, mask = int(context.voxels_of_code[BONE]), context.opening_mask(CANAL.segment_id)
    note, missing = ("", None) if bone else (NO_BONE, None)
    if bone and mask is None:
        note, missing = NO_CANAL_CLASS, Missing.NOT_GIVEN
    volume = 0 if mask is None else int(np.count_nonzero(mask))
    counts = {"canal_voxels": volume, "bone_voxels": bone}
    porosity = 100 * volume / (volume + bone) if not note else UNDEFINED
    diameter_mm = _canal_diameter_mm(mask, context) if mask is not None and volume and not note else UNDEFINED
    return (
        Measure(
            "Ct.Po",
            "cortical porosity",
            porosity,
            "%",
            "volume",
            "labelled canals, voxel count",
            "100 · Ca.V / Ct.TV: canals / (canals + bone)",
            note,
            counts,
            missing=missing,
        ),
        Measure(
            "Ca.Dm",
            "mean canal diameter",
            diameter_mm,
            "mm",
            "volume",
            f"{SPHERES}; labelled canals",
            "mean over the canals of the diameter of the largest sphere in the canal that holds the voxel",
            notes(note, "" if volume or note else NOTHING["canal"]),
            counts,
            missing=missing,
        ),
    )


def _canal_diameter_mm(mask: np.ndarray, context: MeasureContext) -> float:
    found = bounding_box(mask)
    if found is None:
        return UNDEFINED
    inside = mask[grown(found, MARGIN_VOXELS, mask.shape)]
    return float(local_thickness_mm(inside, context.spacing_zyx_mm, context.events, "width of canals")[inside].mean())
