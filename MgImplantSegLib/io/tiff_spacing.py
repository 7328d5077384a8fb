"""The voxel size of a TIFF stack: from OME, ImageJ or tifffile metadata, or from the resolution tags."""

from __future__ import annotations

import logging
from typing import Any
from xml.etree import ElementTree

from MgImplantSegLib.io.units import mm_of_unit

logger = logging.getLogger(__name__)
INCH, CENTIMETRE = 2, 3
MM_OF_RESOLUTION_UNIT = {INCH: 25.4, CENTIMETRE: 10.0}
PRINT_DPI = (1, 72, 75, 90, 92, 96, 100, 120, 144, 150, 192, 200, 300, 400, 600, 720, 1200, 1440, 2400)
Spacing = tuple[float, float, float] | None


def tiff_spacing_zyx_mm(tiff: Any) -> tuple[Spacing, dict[str, str]]:
    """Voxel size (z, y, x) in mm of an open `tifffile.TiffFile`, None if it has none; and a note on where it is from.

    ImageJ leaves the distance of slices out when it is 1, and plain TIFF has no place for it: then the slices are
    taken to be as far apart as the pixels are wide. Resolutions that printers use (72, 96, 300 dpi, …) mean nothing.
    """
    if tiff.is_ome:
        return _ome_spacing(tiff.ome_metadata), {"spacing_from": "OME metadata"}
    metadata = _metadata(tiff)
    pixel = _pixel_zyx_mm(tiff.pages[0], str(metadata.get("unit", "")), is_imagej=tiff.is_imagej)
    if pixel is None:
        return None, {}
    size_y_mm, size_x_mm, unit_mm = pixel
    distance = _number(metadata.get("spacing"))
    if distance is not None:
        return (distance * unit_mm, size_y_mm, size_x_mm), {"spacing_from": "resolution and stack metadata"}
    note = "The file does not say how far apart the slices are; taken as the pixel size"
    logger.warning("%s: %s, %.4g µm.", tiff.filename, note, size_x_mm * 1e3)
    return (size_x_mm, size_y_mm, size_x_mm), {"spacing_from": "resolution tags", "spacing_note": note}


def _metadata(tiff: Any) -> dict[str, Any]:
    """What ImageJ or tifffile wrote about the stack."""
    if tiff.is_imagej:
        return dict(tiff.imagej_metadata or {})
    return dict((tiff.shaped_metadata or [{}])[0]) if tiff.is_shaped else {}


def _pixel_zyx_mm(page: Any, unit: str, *, is_imagej: bool) -> tuple[float, float, float] | None:
    """Height and width of a pixel in mm, and the length in mm of the unit of the distance of slices."""
    named_mm = mm_of_unit(unit)
    resolution_unit = int(page.tags["ResolutionUnit"].value) if "ResolutionUnit" in page.tags else INCH
    tag_mm = MM_OF_RESOLUTION_UNIT.get(resolution_unit)
    per_unit_x, per_unit_y = (_ratio(page, name) for name in ("XResolution", "YResolution"))
    if per_unit_x is None or per_unit_y is None:
        return None
    unit_mm = named_mm if named_mm is not None and (is_imagej or tag_mm is None) else tag_mm
    is_print = resolution_unit == INCH and named_mm is None and round(per_unit_x, 2) in PRINT_DPI
    if unit_mm is None or is_print or (unit and named_mm is None):
        return None
    return unit_mm / per_unit_y, unit_mm / per_unit_x, named_mm or unit_mm


def _ratio(page: Any, name: str) -> float | None:
    """A resolution in pixels per unit, or None where the tag is missing or holds no positive number."""
    if name not in page.tags:
        return None
    numerator, denominator = page.tags[name].value
    return numerator / denominator if numerator > 0 and denominator > 0 else None


def _ome_spacing(xml: str) -> Spacing:
    """PhysicalSizeZ, Y, X of the first image; µm where no unit is named."""
    try:
        pixels = next(node for node in ElementTree.fromstring(xml).iter() if node.tag.endswith("Pixels"))
    except (ElementTree.ParseError, StopIteration):
        return None
    sizes = [
        (_number(pixels.get(f"PhysicalSize{axis}")), mm_of_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm")))
        for axis in "ZYX"
    ]
    if any(size is None or unit is None for size, unit in sizes):
        return None
    return tuple(size * unit for size, unit in sizes)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
