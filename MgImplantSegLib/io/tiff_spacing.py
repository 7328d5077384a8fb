"""The voxel size of a TIFF stack: from OME, ImageJ or tifffile metadata, or from the resolution tags."""

from __future__ import annotations

import logging
import math
from typing import Any
from xml.etree import ElementTree

import numpy as np

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.base.units import mm_of_unit

logger = logging.getLogger(__name__)
INCH, CENTIMETRE = 2, 3
MM_OF_RESOLUTION_UNIT = {INCH: 25.4, CENTIMETRE: 10.0}
SCREEN_DPI = (72, 75, 90, 92, 96, 100, 110, 120, 144, 180, 192)
PRINTER_DPI = (
    150,
    200,
    204,
    220,
    240,
    250,
    266,
    288,
    300,
    350,
    360,
    400,
    450,
    600,
    720,
    800,
    1200,
    1440,
    2400,
    2880,
    4800,
)
PRINT_DPI = np.array((*SCREEN_DPI, *PRINTER_DPI))
SAME_DPI = 2e-4  # relative; 72.009 is written for 72
INCHES_PER_CM = 1 / 2.54
Spacing = tuple[float, float, float] | None


def tiff_spacing_zyx_mm(tiff: Any) -> tuple[Spacing, dict[str, str]]:
    """Voxel size (z, y, x) in mm of an open `tifffile.TiffFile`, None if it has none; and a note on where it is from.

    ImageJ leaves the distance of slices out when it is 1, and plain TIFF has no place for it: then the slices are
    taken to be as far apart as the pixels are wide. Resolutions that printers and screens use (72, 96, 300 dpi, …),
    also per centimetre and rounded, mean nothing unless ImageJ or tifffile names a unit beside them.
    """
    if tiff.is_ome:
        return _ome_spacing(tiff.ome_metadata), {"spacing_from": "OME metadata"}
    metadata = _metadata(tiff)
    pixel = _pixel_yx_mm(tiff.pages[0], metadata, is_imagej=tiff.is_imagej)
    if pixel is None:
        return None, {}
    size_y_mm, size_x_mm, named_mm = pixel
    unit_mm: float | None = named_mm
    distance = _positive(metadata.get("spacing"))
    if str(metadata.get("zunit", "")):
        unit_mm = mm_of_unit(str(metadata["zunit"]))
    if unit_mm is None:
        logger.warning("%s: the unit %r of the slice spacing is unknown.", tiff.filename, metadata["zunit"])
        return None, {}
    if distance is not None:
        return (distance * unit_mm, size_y_mm, size_x_mm), {"spacing_from": "resolution and stack metadata"}
    note = "The file does not state the slice spacing; the pixel size is used instead"
    logger.warning("%s: %s, %.4g µm.", tiff.filename, note, size_x_mm * 1e3)
    return (size_x_mm, size_y_mm, size_x_mm), {"spacing_from": "resolution tags", "spacing_note": note}


def _metadata(tiff: Any) -> dict[str, Any]:
    """What ImageJ or tifffile wrote about the stack."""
    if tiff.is_imagej:
        return dict(tiff.imagej_metadata or {})
    return dict((tiff.shaped_metadata or [{}])[0]) if tiff.is_shaped else {}


def _pixel_yx_mm(page: Any, metadata: dict[str, Any], *, is_imagej: bool) -> tuple[float, float, float] | None:
    """Height and width of a pixel in mm, and the length in mm of the unit of the distance of slices."""
    unit, unit_y = str(metadata.get("unit", "")), str(metadata.get("yunit", ""))
    named_mm = mm_of_unit(unit)
    resolution_unit = _resolution_unit(page)
    tag_mm = MM_OF_RESOLUTION_UNIT.get(resolution_unit)
    per_unit_x, per_unit_y = (_ratio(page, name) for name in ("XResolution", "YResolution"))
    if per_unit_x is None or per_unit_y is None or (unit and named_mm is None):
        return None
    unit_mm = named_mm if named_mm is not None and (is_imagej or tag_mm is None) else tag_mm
    unit_y_mm = mm_of_unit(unit_y) if unit_y and is_imagej else unit_mm
    if unit_mm is None or unit_y_mm is None:
        return None
    if named_mm is None and all(is_print_resolution(number, resolution_unit) for number in (per_unit_x, per_unit_y)):
        return None
    return unit_y_mm / per_unit_y, unit_mm / per_unit_x, named_mm or unit_mm


def is_print_resolution(per_unit: float, resolution_unit: int) -> bool:
    """Whether a number of pixels per inch (2) or centimetre (3) is one that printers and screens use.

    Programs that know no size write it so, rounded to whole numbers or to one or two decimals.
    """
    scale = INCHES_PER_CM if resolution_unit == CENTIMETRE else 1.0
    print_values = PRINT_DPI * scale
    is_close = (np.abs(per_unit - print_values) <= SAME_DPI * print_values).any()
    is_rounded = any((np.abs(per_unit - np.round(print_values, places)) < 1e-6).any() for places in (0, 1, 2))
    return bool(is_close or is_rounded or per_unit <= 1)


def _resolution_unit(page: Any) -> int:
    value = page.tags["ResolutionUnit"].value if "ResolutionUnit" in page.tags else INCH
    return int(value) if isinstance(value, int) else 0


def _ratio(page: Any, name: str) -> float | None:
    """A resolution in pixels per unit, or None where the tag is missing or holds no positive number."""
    if name not in page.tags:
        return None
    value = page.tags[name].value
    if not isinstance(value, tuple) or len(value) != 2:
        return None
    numerator, denominator = value
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
    known_mm = [size * unit for size, unit in sizes if size is not None and unit is not None]
    return triple(known_mm) if len(known_mm) == 3 else None


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _positive(value: Any) -> float | None:
    """A distance, whose sign ImageJ uses for the direction in which slices follow each other; None for 0."""
    number = _number(value)
    return abs(number) if number and math.isfinite(number) else None
