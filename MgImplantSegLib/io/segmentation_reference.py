"""The reference grid that a .seg.nrrd file names: segments are cropped to what they cover, and put back onto it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.io.grids import placement
from MgImplantSegLib.io.image_data import LPS_FROM_RAS, ImageData
from MgImplantSegLib.io.nrrd_header import NrrdHeader
from MgImplantSegLib.io.raw_data import allocate

REFERENCE_GEOMETRY = "Reference image geometry"
LARGEST_WITHOUT_QUESTION = 1 << 30  # voxels
LARGEST_CROP_RATIO = 10_000


def on_reference_grid(data: ImageData, header: NrrdHeader) -> ImageData:
    """The label map on the whole grid of the reference image, when the file names it and its voxels coincide."""
    reference = _reference_geometry(str(header.fields.get("Segmentation_ConversionParameters", "")))
    if reference is None or data.spacing_zyx_mm is None:
        return data
    place = placement(data.geometry(), reference)
    if place is None:
        return data
    part = place.along(data.array)
    lower = np.minimum(place.start_zyx, 0)
    shape = tuple(int(n) for n in np.maximum(np.add(place.start_zyx, part.shape), reference.shape_zyx) - lower)
    _require_plausible_crop(part.shape, shape, header.path)
    geometry = reference.cropped(lower, shape)
    if shape != part.shape:
        array = allocate(shape, part.dtype, header.path)
        array.fill(0)
        start = np.subtract(place.start_zyx, lower)
        array[tuple(slice(a, a + n) for a, n in zip(start, part.shape, strict=True))] = part
        part = array
    elif place.keeps_axes:
        return data
    data = replace(data, array=part, origin_lps_mm=geometry.origin_lps_mm)
    if place.keeps_axes:
        return data
    return replace(data, direction_lps=geometry.direction_lps, spacing_zyx_mm=geometry.spacing_zyx_mm)


def _require_plausible_crop(part: tuple[int, ...], whole: tuple[int, ...], path: Path) -> None:
    """A few bytes that name a huge reference image must not take the memory of one."""
    if math.prod(whole) > max(LARGEST_WITHOUT_QUESTION, LARGEST_CROP_RATIO * math.prod(part)):
        raise InputError(
            f"Expected a reference image that fits the segments, got one of {' × '.join(map(str, whole[::-1]))} voxels "
            f"for segments in {' × '.join(map(str, part[::-1]))} voxels in {path}.",
            "Choose the scan as source geometry in 3D Slicer's Segment Editor and save the segmentation again.",
        )


def _reference_geometry(parameters: str) -> Geometry | None:
    """The geometry in Slicer's text ``"name|16 matrix elements in RAS; 6 extent numbers;|description&…"``."""
    for parameter in parameters.split("&"):
        name, _, rest = parameter.partition("|")
        if name == REFERENCE_GEOMETRY:
            try:
                numbers = np.array([float(n) for n in rest.split("|")[0].strip(";").split(";")])
                matrix, extent = numbers[:16].reshape(4, 4), [int(n) for n in numbers[16:22]]
                return _geometry_of_extent(LPS_FROM_RAS @ matrix, extent)
            except (ValueError, OverflowError, InputError):
                return None
    return None


def _geometry_of_extent(index_xyz_to_lps_mm: np.ndarray, extent: list[int]) -> Geometry | None:
    spacing_xyz = np.linalg.norm(index_xyz_to_lps_mm[:3, :3], axis=0)
    if len(extent) != 6 or not (spacing_xyz > 0).all():
        return None
    origin = index_xyz_to_lps_mm @ np.append(extent[::2], 1)
    shape_zyx = [stop - start + 1 for start, stop in zip(extent[::2], extent[1::2], strict=True)][::-1]
    direction = index_xyz_to_lps_mm[:3, :3] / spacing_xyz
    return Geometry(triple(shape_zyx), tuple(spacing_xyz[::-1]), tuple(origin[:3]), tuple(direction.ravel()))


def geometry_text(geometry: Geometry) -> str:
    """The grid as 3D Slicer writes it: the matrix from index to RAS, then the first and last index of each axis."""
    matrix = LPS_FROM_RAS @ geometry.index_xyz_to_lps_mm
    extent = [number for n in geometry.shape_zyx[::-1] for number in (0, n - 1)]
    return "".join(f"{value!r};" for value in [float(v) for v in matrix.ravel()] + extent)
