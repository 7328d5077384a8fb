"""Segmentation nodes as label maps of the engine, with the roles of their segments.

A segmentation edited in Slicer comes in layers, cropped to what they cover, perhaps on another grid than the image;
here it is put back onto the grid of the reference image, in world coordinates: at once, or row by row, so that two
gigabytes do not stop the GUI.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import BACKGROUND, Label, LabelScheme, Role, class_of_word, template_of
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.io.image_data import Segment
from MgImplantSegLib.io.label_values import values_in
from MgImplantSegLib.io.terminology import contradiction, is_ignored, role_of_segment
from MgImplantSegLib.scene.frames import geometry_from_ijk_to_ras, local_to_world_ras
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.segmentation_grid import (
    REFERENCE_GEOMETRY,
    Lattice,
    first_xyz,
    lattice_of_node,
    lattice_of_volume,
    resampled,
)
from MgImplantSegLib.scene.segments import BINARY, binary_image, description, segment_ids
from MgImplantSegLib.scene.volumes import array_of_image

logger = logging.getLogger(__name__)
VOXELS_PER_SLAB = 1 << 25


class LabelsOfSegments:
    """The labels of a segmentation node as an array (z, y, x) of which only the rows asked for are made.

    Where segments overlap, the later one wins, as in Slicer's export to a label map.
    """

    def __init__(self, segmentation: Any, lattice: Lattice, value_of_id: Mapping[str, int]) -> None:
        self._segmentation, self._lattice, self._values = segmentation, lattice, dict(value_of_id)
        self.shape = lattice.shape_zyx
        self.dtype = np.min_scalar_type(max(self._values.values(), default=1))
        self._shared = self._shared_array()
        self.overlapping = 0  # voxels in several segments, of the rows that were read

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows along the first axis; a view into the node where the node holds them in this form."""
        start, stop, _step = rows.indices(len(self))
        if self._shared is not None and self._explains(self._shared[start:stop]):
            return self._shared[start:stop]
        return self._merged(start, stop)

    def whole(self) -> np.ndarray:
        """All rows; the node's own array where it holds them in this form."""
        if self._shared is not None and self._explains(self._shared):
            return self._shared
        array = np.empty(self.shape, self.dtype)
        for slab in slabs(self.shape, VOXELS_PER_SLAB):
            array[slab] = self._merged(slab.start, slab.stop)
        return array

    def _explains(self, array: np.ndarray) -> bool:
        return set(values_in(array)) <= {0, *self._values.values()}

    def _shared_array(self) -> np.ndarray | None:
        """The array of the one image that all segments share, if it has the wanted grid and values."""
        images = [binary_image(self._segmentation, segment_id) for segment_id in self._values]
        image = next((image for image in images if image is not None), None)
        if image is None or not all(other is image for other in images):
            return None
        array = array_of_image(image)
        first = first_xyz(image, self._lattice)
        if first is None or not np.array_equal(first, self._lattice.first_xyz) or array.shape != self.shape:
            return None
        own = {entry: self._segmentation.GetSegment(entry).GetLabelValue() for entry in self._values}
        return array if own == self._values else None

    def _merged(self, start: int, stop: int) -> np.ndarray:
        """Rows of a new array, with one segment laid over the other in their order."""
        lattice = self._lattice.rows(start, stop)
        merged = np.zeros(lattice.shape_zyx, self.dtype)
        for segment_id, value in self._values.items():
            if self._segmentation.GetSegment(segment_id) is None:
                raise InputError(
                    f"Expected unchanged segments, but there is no segment {segment_id!r} any more.",
                    "Start again.",
                )
            image = binary_image(self._segmentation, segment_id)
            if image is None:
                continue
            if first_xyz(image, lattice) is None:
                image = resampled(image, lattice)
            array, region = _inside(array_of_image(image), first_xyz(image, lattice) - lattice.first_xyz, merged)
            mask = array == self._segmentation.GetSegment(segment_id).GetLabelValue()
            self.overlapping += int(np.count_nonzero(region[mask]))
            region[mask] = value
        return merged


@dataclass(frozen=True)
class SegmentationReading:
    """A segmentation node as label map of which the voxels are read row by row: see `LabelMap`."""

    array: LabelsOfSegments
    geometry: Geometry
    scheme: LabelScheme
    provenance: Mapping[str, Any]

    def slabs(self) -> Iterator[LabelMap]:
        """The label map in pieces along its first axis, in order, each read when it is asked for."""
        for slab in slabs(self.array.shape, VOXELS_PER_SLAB):
            part = self.array[slab]
            yield LabelMap(part, self.geometry.cropped((slab.start, 0, 0), part.shape), self.scheme)


def label_map_of_node(node: Any, roles: Mapping[str, Role | str] | None = None, reference_node: Any = None) -> LabelMap:
    """The label map of a segmentation node on the grid of its reference image, in the world.

    The array shares the node's memory where the node holds it in this form. Parameters and errors as in
    `reading_of_node`.
    """
    reading = reading_of_node(node, roles, reference_node)
    array = reading.array.whole()
    if reading.array.overlapping:
        logger.warning(
            "%d voxels belong to several segments; they are assigned to the last of these.", reading.array.overlapping
        )
    return LabelMap(array, reading.geometry, reading.scheme, dict(reading.provenance))


def reading_of_node(
    node: Any,
    roles: Mapping[str, Role | str] | None = None,
    reference_node: Any = None,
    *,
    with_openings: bool = False,
) -> SegmentationReading:
    """The grid and the meaning of a segmentation node at once, its voxels when they are asked for.

    Raises InputError if there is no segment, a segment's role is unknown, or the node is under a transform that is
    not linear or shears.

    Parameters
    ----------
    roles : mapping of segment ID to Role, optional
        What the segments are, where their names do not say; `Role.BACKGROUND` leaves a segment out, ``"crack"`` and
        ``"canal"`` are openings.
    reference_node : vtkMRMLScalarVolumeNode, optional
        Gives the grid in place of the segmentation's own reference; what lies beyond it is left out.
    with_openings : bool
        Whether cracks and canals are classes of their own; they are left out as background otherwise.
    """
    segmentation = node.GetSegmentation()
    if not segment_ids(segmentation):
        raise InputError(f"Expected segments in {node.GetName()!r}, got none.", "Choose another segmentation.")
    _require_binary(node, reference_node)
    labels, ignored_id = _labels(segmentation, roles or {}, with_openings)
    lattice = lattice_of_node(node) if reference_node is None else lattice_of_volume(node, reference_node)
    values = {label.segment_id: label.value for label in labels}
    if ignored_id:
        values[ignored_id] = max([*values.values(), 0]) + 1
    corner = np.eye(4)
    corner[:3, 3] = lattice.first_xyz
    geometry = geometry_from_ijk_to_ras(local_to_world_ras(node) @ lattice.ijk_to_ras @ corner, lattice.shape_zyx)
    classes = [_named_as_opening(label) for label in labels]
    scheme = LabelScheme((BACKGROUND, *classes), values.get(ignored_id) if ignored_id else None)
    return SegmentationReading(
        LabelsOfSegments(segmentation, lattice, values), geometry, scheme, provenance_of_node(node)
    )


def _require_binary(node: Any, reference_node: Any) -> None:
    """Make voxels of a segmentation that has surfaces only; that needs a grid."""
    segmentation = node.GetSegmentation()
    if reference_node is not None and not segmentation.GetConversionParameter(REFERENCE_GEOMETRY):
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference_node)
    if segmentation.ContainsRepresentation(BINARY):
        return
    if not segmentation.GetConversionParameter(REFERENCE_GEOMETRY):
        raise InputError(
            f"Expected a voxel grid for the surfaces in {node.GetName()!r}, got none.",
            "Choose the image that the segmentation belongs to as its reference.",
        )
    if not node.CreateBinaryLabelmapRepresentation():
        raise InputError(
            f"Expected surfaces in {node.GetName()!r} that can be converted to voxels, got open or empty ones."
        )


def _labels(segmentation: Any, roles: Mapping[str, Role | str], with_openings: bool) -> tuple[list[Label], str | None]:
    """The classes of the segments in order, and the ID of the segment of voxels of which nothing is known."""
    labels, unknown, ignored_id = [], [], None
    for segment_id in segment_ids(segmentation):
        segment = description(segmentation, segment_id)
        template = _template(segment, roles.get(segment_id))
        role = None if template is None else template.role
        if segment_id not in roles and (sentence := contradiction(segment, role)):
            logger.warning("%s", sentence)
        if segment_id not in roles and is_ignored(segment):
            ignored_id = segment_id
        elif template is None:
            unknown.append(segment.name or segment_id)
        elif role is not Role.BACKGROUND or (with_openings and template.is_opening):
            facts: dict[str, Any] = {"segment_id": segment_id, "name": segment.name, "color_rgb": segment.color_rgb}
            labels.append(replace(template, value=segment.value, **facts))
    if unknown:
        raise InputError(
            f"Expected segments that are bone, degradation layer or residual material, got {', '.join(unknown)}.",
            "Assign each segment to a class in the class mapping, or rename the segments.",
        )
    values = [label.value for label in labels]
    if len(set(values)) < len(values) or min(values, default=1) < 1:
        labels = [replace(label, value=number) for number, label in enumerate(labels, start=1)]
    return labels, ignored_id


def _template(segment: Segment, given: Role | str | None) -> Label | None:
    """The usual class of a segment: what was said, else what its name means; None if that is not known."""
    if given is not None:
        return class_of_word(given)
    role = role_of_segment(segment)
    return None if role is None else template_of(role, segment.name)


def _named_as_opening(label: Label) -> Label:
    """An opening under an ID that tells which one it is; segments that people have added are called otherwise."""
    if label.role is not Role.BACKGROUND or (label.is_opening and label.word == label.short_name):
        return label
    return replace(label, segment_id=f"{label.short_name}_{label.value}")


def _inside(array: np.ndarray, start_xyz: np.ndarray, merged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of an array that starts at `start_xyz` of `merged` and lies inside, and the part of `merged` there."""
    start = np.asarray(start_xyz[::-1])
    low, high = np.maximum(start, 0), np.minimum(start + array.shape, merged.shape)
    high = np.maximum(low, high)
    here = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return array[here], merged[there]
