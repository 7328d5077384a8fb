"""3D Slicer's segmentation files (.seg.nrrd): segments in layers, cropped to what they cover.

On reading, the layers are merged into one label map and the cropped part is put back on the grid of the reference
image, whose other voxels belong to no segment. On writing, every class but the background becomes a segment with
ID, name, colour and terminology; no smoothing or other conversion parameter is saved.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.boxes import bounding_box
from MgImplantSegLib.errors import InputError
from MgImplantSegLib.io.grids import placement
from MgImplantSegLib.io.image_data import LPS_FROM_RAS, ImageData, Segment, require_three_axes
from MgImplantSegLib.io.label_values import values_in
from MgImplantSegLib.io.nrrd_file import write_nrrd
from MgImplantSegLib.io.nrrd_header import NrrdHeader
from MgImplantSegLib.io.raw_data import allocate
from MgImplantSegLib.io.terminology import IGNORE_ID, name_that_tells, terminology_entry, terminology_tag
from MgImplantSegLib.labels import BACKGROUND, Label, LabelScheme, Role
from MgImplantSegLib.volume import Geometry, LabelMap

logger = logging.getLogger(__name__)
SOURCE_KEY = "Segmentation_MasterRepresentation"
REFERENCE_GEOMETRY = "Reference image geometry"
LARGEST_WITHOUT_QUESTION = 1 << 30  # voxels
LARGEST_CROP_RATIO = 10_000


def read_segmentation(header: NrrdHeader) -> ImageData:
    """The segments of a .seg.nrrd file, merged into one label map on the reference image's grid.

    Where segments overlap, the later one in the file wins, as in 3D Slicer's export to a label map. The label
    values of the file are kept unless two segments share one; then segments are numbered 1, 2, 3, … as listed.

    Raises
    ------
    InputError
        If the file holds surfaces or fractions instead of voxels, or is damaged.
    """
    fields = header.fields
    representation = fields.get("Segmentation_SourceRepresentation", fields.get(SOURCE_KEY, "Binary labelmap"))
    if representation != "Binary labelmap":
        raise InputError(
            f"Expected a segmentation of kind 'Binary labelmap', got {representation!r} in {header.path}.",
            "Make 'Binary labelmap' the source representation in 3D Slicer's Segmentations module and save again.",
        )
    layers = _layers(header)
    listed = [_segment(header, index) for index in _segment_indices(fields)]
    values = _values([segment.value for segment, _ in listed])
    segments = tuple(replace(segment, value=value) for (segment, _), value in zip(listed, values, strict=True))
    sources = [(layer, segment.value) for segment, layer in listed]
    array = _merged(layers, sources, values, header.path)
    data = ImageData(array, **header.frame(), segments=segments)
    return _on_reference_grid(data, header)


def write_segmentation(path: Path, label_map: LabelMap) -> None:
    """Write the classes that occur as segments in one layer; background is 0, what is ignored a segment of its own.

    Raises
    ------
    InputError
        If a value has no class.
    """
    found = values_in(label_map.array)
    unknown = set(found) - {*label_map.scheme.values, label_map.scheme.ignore_value}
    if unknown:
        raise InputError(
            f"Expected label values of the scheme, got also {sorted(unknown)} for {path}.", "Give them a role."
        )
    value_in_file, segments = _segments_to_write(label_map.scheme, found)
    dtype = np.min_scalar_type(max(value_in_file.values(), default=0))
    array = _renumbered(label_map.array, value_in_file, dtype)
    write_nrrd(path, array, label_map.geometry, compress=True, keys=_keys(array, label_map.geometry, segments))


def _keys(array: np.ndarray, geometry: Geometry, segments: list[Label]) -> dict[str, str]:
    extents = extents_of_values(array, [label.value for label in segments])
    keys: dict[str, str] = {}
    for index, label in enumerate(segments):
        keys |= _segment_keys(f"Segment{index}_", label, extents[label.value])
    return keys | {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ConversionParameters": f"{REFERENCE_GEOMETRY}|{_geometry_text(geometry)}|&",
        SOURCE_KEY: "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }


def _segments_to_write(scheme: LabelScheme, found: tuple[int, ...]) -> tuple[dict[int, int], list[Label]]:
    """The value in the file for each value of the array, and the segments with the values of the file."""
    labels = [label for label in scheme.segments if label.value in found]
    if scheme.ignore_value in found:
        color = (0.5, 0.5, 0.5)
        labels.append(
            replace(BACKGROUND, value=scheme.ignore_value, segment_id=IGNORE_ID, name="ignore", color_rgb=color)
        )
    kept = {label.value for label in labels if 0 < label.value < 1 << 16}
    free = iter(value for value in range(1, 1 << 16) if value not in kept)
    new = {label.value: label.value if label.value in kept else next(free) for label in labels}
    zeros = {label.value: 0 for label in scheme.labels if label.role is Role.BACKGROUND}
    return zeros | new, [replace(label, value=new[label.value]) for label in labels]


def _renumbered(array: np.ndarray, new_values: dict[int, int], dtype: np.dtype) -> np.ndarray:
    """The array with other values; the very array when nothing changes."""
    if all(old == new for old, new in new_values.items()) and array.dtype == dtype:
        return array
    renumbered = np.zeros(array.shape, dtype)
    for old, new in new_values.items():
        if new:
            renumbered[array == old] = new
    return renumbered


def extents_of_values(array: np.ndarray, values: Iterable[int]) -> dict[int, str]:
    """For each value the box of voxels it covers as Slicer writes it, ``"x0 x1 y0 y1 z0 z1"``; ``"0 -1 …"`` if none."""
    boxes = {value: bounding_box(array, value) for value in values}
    return {
        value: " ".join(f"{part.start} {part.stop - 1}" for part in box[::-1]) if box else "0 -1 0 -1 0 -1"
        for value, box in boxes.items()
    }


def _segment_keys(prefix: str, label: Label, extent: str) -> dict[str, str]:
    return {
        f"{prefix}Color": " ".join(f"{component:.6g}" for component in label.color_rgb),
        f"{prefix}ColorAutoGenerated": "0",
        f"{prefix}Extent": extent,
        f"{prefix}ID": label.segment_id,
        f"{prefix}LabelValue": str(label.value),
        f"{prefix}Layer": "0",
        f"{prefix}Name": name_that_tells(label),
        f"{prefix}NameAutoGenerated": "0",
        f"{prefix}Tags": terminology_tag(label),
    }


def _layers(header: NrrdHeader) -> np.ndarray:
    """The voxels (z, y, x, layer)."""
    sizes, axes = header.fields["sizes"], header.spatial_axes
    if len(sizes) == 3 == len(axes):
        return header.load()[..., None]
    if len(sizes) < 3:
        require_three_axes(sizes, header.path, "segmentation")
    if len(sizes) != 4 or axes != (1, 2, 3):
        raise InputError(
            f"Expected a segmentation with layers along its first axis, got the sizes {sizes} of kinds "
            f"{header.fields.get('kinds')} in {header.path}.",
            "Save it again in 3D Slicer.",
        )
    return header.load()


def _segment_indices(fields: dict[str, Any]) -> list[int]:
    names = (key.removeprefix("Segment").removesuffix("_ID") for key in fields if key.startswith("Segment"))
    return sorted(int(name) for name in names if name.isdecimal())


def _segment(header: NrrdHeader, index: int) -> tuple[Segment, int]:
    """Segment number `index` of the header and its layer."""
    fields = header.fields

    def text(key: str, default: str) -> str:
        return str(fields.get(f"Segment{index}_{key}", default))

    try:
        color = tuple(float(part) for part in text("Color", "0.5 0.5 0.5").split())
        # files from before Slicer 4.11 have one layer per segment and no values
        value = int(text("LabelValue", "1"))
        layer = int(text("Layer", "0" if f"Segment{index}_LabelValue" in fields else str(index)))
    except ValueError as error:
        raise InputError(
            f"Expected the header of segment {index} in {header.path} as 3D Slicer writes it, got {error}.",
            "Save it again in 3D Slicer.",
        ) from error
    identity = text("ID", f"Segment_{index}")
    return Segment(
        value, identity, text("Name", "").strip() or identity, color, terminology_entry(text("Tags", ""))
    ), layer


def _values(values: list[int]) -> list[int]:
    usable = len(set(values)) == len(values) and min(values, default=1) > 0
    return values if usable else list(range(1, len(values) + 1))


def _merged(layers: np.ndarray, sources: list[tuple[int, int]], values: list[int], path: Path) -> np.ndarray:
    """One label map (z, y, x) of the layers (z, y, x, layer)."""
    if any(not 0 <= layer < layers.shape[-1] for layer, _ in sources):
        raise InputError(
            f"Expected segments in {layers.shape[-1]} layers, got layers up to "
            f"{max(layer for layer, _ in sources)} in {path}.",
            "Save it again in 3D Slicer.",
        )
    if layers.shape[-1] == 1 and [value for _, value in sources] == values:
        return layers[..., 0]
    merged = np.zeros(layers.shape[:3], np.min_scalar_type(max(values, default=1)))
    overlapping = 0
    for (layer, source_value), value in zip(sources, values, strict=True):
        mask = layers[..., layer] == source_value
        overlapping += int(np.count_nonzero(merged[mask]))
        merged[mask] = value
    if overlapping:
        logger.warning("%s: %d voxels lie in several segments; the later segment has them.", path, overlapping)
    return merged


def _on_reference_grid(data: ImageData, header: NrrdHeader) -> ImageData:
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
    return Geometry(tuple(shape_zyx), tuple(spacing_xyz[::-1]), tuple(origin[:3]), tuple(direction.ravel()))


def _geometry_text(geometry: Geometry) -> str:
    matrix = LPS_FROM_RAS @ geometry.index_xyz_to_lps_mm
    extent = [number for n in geometry.shape_zyx[::-1] for number in (0, n - 1)]
    return "".join(f"{value!r};" for value in [float(v) for v in matrix.ravel()] + extent)
