"""Reading 3D Slicer's segmentation files (.seg.nrrd): segments in layers, cropped to what they cover.

On reading, the layers are merged into one label map and the cropped part is put back on the grid of the reference
image, whose other voxels belong to no segment.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.io.header_keys import said_in_keys
from MgImplantSegLib.io.image_data import ImageData, Segment, require_three_axes
from MgImplantSegLib.io.nrrd_header import NrrdHeader
from MgImplantSegLib.io.segmentation_reference import on_reference_grid
from MgImplantSegLib.io.terminology import terminology_entry

logger = logging.getLogger(__name__)
SOURCE_KEY = "Segmentation_MasterRepresentation"


def read_segmentation(header: NrrdHeader) -> ImageData:
    """The segments of a .seg.nrrd file, merged into one label map on the reference image's grid.

    Where segments overlap, the later one in the file wins, as in 3D Slicer's export to a label map. The label values of
    the file are kept unless two segments share one; then segments are numbered 1, 2, 3, … as listed. Raises InputError
    if the file holds surfaces or fractions instead of voxels, or is damaged.
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
    data = ImageData(array, **header.frame(), segments=segments, **said_in_keys(fields, header.path))
    return on_reference_grid(data, header)


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
        color = triple(float(part) for part in text("Color", "0.5 0.5 0.5").split()[:3])
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
        logger.warning(
            "%s: %d voxels belong to several segments; they are assigned to the last of these.", path, overlapping
        )
    return merged
