"""Segmentation nodes as label maps of the engine, with the roles of their segments.

A segmentation edited in Slicer comes in layers, cropped to what they cover, perhaps on another grid than the image;
here it is put back onto the grid of the reference image, in world coordinates.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.io.label_maps import values_in
from MgImplantSegLib.io.terminology import is_ignored
from MgImplantSegLib.labels import BACKGROUND, CLASS_OF_ROLE, Label, LabelScheme, Role
from MgImplantSegLib.scene.frames import (
    geometry_from_ijk_to_ras,
    ijk_to_ras,
    local_to_world_ras,
    numpy_matrix,
    vtk_matrix,
)
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.segments import BINARY, binary_image, description, role_of_segment, segment_ids
from MgImplantSegLib.scene.standalone import require_slicer
from MgImplantSegLib.scene.volumes import array_of_image, geometry_of_node
from MgImplantSegLib.volume import LabelMap

logger = logging.getLogger(__name__)
REFERENCE_GEOMETRY = "Reference image geometry"
WHOLE_VOXEL = 1e-2


@dataclass(frozen=True)
class Lattice:
    """The grid of voxels that a node is read onto: 4×4 matrix from index (x, y, z) to local RAS, first index, size."""

    ijk_to_ras: np.ndarray
    first_xyz: np.ndarray
    size_xyz: np.ndarray


def label_map_of_node(node: Any, roles: Mapping[str, Role] | None = None, reference_node: Any = None) -> LabelMap:
    """The label map of a segmentation node on the grid of its reference image, in the world.

    Where segments overlap, the later one wins, as in Slicer's export to a label map. The array shares the node's
    memory where the node holds it in this form.

    Parameters
    ----------
    roles : mapping of segment ID to Role, optional
        What the segments are, where ID, terminology and name do not tell; `Role.BACKGROUND` leaves a segment out.
    reference_node : vtkMRMLScalarVolumeNode, optional
        Gives the grid in place of the segmentation's own reference; what lies beyond it is left out.

    Raises
    ------
    InputError
        If there is no segment, a segment's role is unknown, or the node is under a transform that is not linear or
        shears.
    """
    segmentation = node.GetSegmentation()
    if not segment_ids(segmentation):
        raise InputError(f"Expected segments in {node.GetName()!r}, got none.", "Choose another segmentation.")
    _require_binary(node, reference_node)
    labels, ignored_id = _labels(segmentation, roles or {})
    lattice = _lattice(node) if reference_node is None else _lattice_of_volume(node, reference_node)
    values = {label.segment_id: label.value for label in labels}
    if ignored_id:
        values[ignored_id] = max([*values.values(), 0]) + 1
    array = _shared_array(segmentation, lattice, values)
    if array is None:
        array = _merged_array(segmentation, lattice, values)
    corner = np.eye(4)
    corner[:3, 3] = lattice.first_xyz
    geometry = geometry_from_ijk_to_ras(local_to_world_ras(node) @ lattice.ijk_to_ras @ corner, array.shape)
    scheme = LabelScheme((BACKGROUND, *labels), values.get(ignored_id))
    return LabelMap(array, geometry, scheme, provenance_of_node(node))


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
        raise InputError(f"Expected surfaces in {node.GetName()!r} that can be made voxels, got open or empty ones.")


def _labels(segmentation: Any, roles: Mapping[str, Role]) -> tuple[list[Label], str | None]:
    """The classes of the segments in order, and the ID of the segment of voxels of which nothing is known."""
    labels, unknown, ignored_id = [], [], None
    for segment_id in segment_ids(segmentation):
        segment = description(segmentation, segment_id)
        role = roles.get(segment_id) or role_of_segment(segmentation, segment_id)
        if segment_id not in roles and is_ignored(segment):
            ignored_id = segment_id
        elif role is None:
            unknown.append(segment.name or segment_id)
        elif role is not Role.BACKGROUND:
            facts = {"segment_id": segment_id, "name": segment.name, "color_rgb": segment.color_rgb}
            labels.append(replace(CLASS_OF_ROLE[role], value=segment.value, **facts))
    if unknown:
        raise InputError(
            f"Expected segments that are bone, degradation layer or residual material, got {', '.join(unknown)}.",
            "Say in the class mapping what each segment is, or rename the segments.",
        )
    values = [label.value for label in labels]
    if len(set(values)) < len(values) or min(values, default=1) < 1:
        labels = [replace(label, value=number) for number, label in enumerate(labels, start=1)]
    return labels, ignored_id


def _lattice(node: Any) -> Lattice:
    """The reference grid, grown by whole voxels where segments reach beyond it."""
    segmentation = node.GetSegmentation()
    images = [binary_image(segmentation, segment_id) for segment_id in segment_ids(segmentation)]
    images = list({id(image): image for image in images if image is not None}.values())
    reference = _reference_image(segmentation) or next(iter(images), None)
    if reference is None:
        raise InputError(f"Expected voxels or a reference image in {node.GetName()!r}, got neither.")
    ijk_to_ras, extent = _image_to_ras(reference), np.array(reference.GetExtent()).reshape(3, 2)
    first, last = extent[:, 0], extent[:, 1]
    for image in images:
        low, high = _reach(image, np.linalg.inv(ijk_to_ras))
        if (low < first).any() or (high > last).any():
            logger.warning("%s reaches beyond its reference image; the grid is grown.", node.GetName())
        first, last = np.minimum(first, low), np.maximum(last, high)
    return Lattice(ijk_to_ras, first, last - first + 1)


def _lattice_of_volume(node: Any, volume_node: Any) -> Lattice:
    """The grid of a volume node, in the coordinates of the segmentation node."""
    geometry = geometry_of_node(volume_node)
    ijk_to_local = np.linalg.inv(local_to_world_ras(node)) @ ijk_to_ras(geometry)
    return Lattice(ijk_to_local, np.zeros(3, dtype=int), np.array(geometry.shape_zyx[::-1]))


def _reference_image(segmentation: Any) -> Any:
    """The grid that the segmentation names as its reference, as image without voxels; None if it names none."""
    slicer, text = require_slicer(), segmentation.GetConversionParameter(REFERENCE_GEOMETRY)
    image = slicer.vtkOrientedImageData()
    if not text or not slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image, False):
        return None
    return image


def _image_to_ras(image: Any) -> np.ndarray:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return numpy_matrix(matrix)


def _reach(image: Any, ras_to_lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last index on the lattice, x y z, of what is not 0 in an image; the image's voxels need not fit it."""
    extent = [0, -1, 0, -1, 0, -1]
    require_slicer().vtkOrientedImageDataResample.CalculateEffectiveExtent(image, extent)
    low_high = np.array(extent).reshape(3, 2)
    if (low_high[:, 1] < low_high[:, 0]).any():
        return np.full(3, np.iinfo(np.int32).max), np.full(3, np.iinfo(np.int32).min)
    corners = np.array(np.meshgrid(*low_high, [1], indexing="ij")).reshape(4, -1)
    on_lattice = (ras_to_lattice @ _image_to_ras(image) @ corners)[:3]
    low, high = on_lattice.min(axis=1), on_lattice.max(axis=1)
    return np.floor(low + WHOLE_VOXEL).astype(int), np.ceil(high - WHOLE_VOXEL).astype(int)


def _shared_array(segmentation: Any, lattice: Lattice, values: Mapping[str, int]) -> np.ndarray | None:
    """The array of the one image that all segments share, if its grid and values are the wanted ones."""
    images = [binary_image(segmentation, segment_id) for segment_id in values]
    image = next((image for image in images if image is not None), None)
    if image is None or not all(other is image for other in images):
        return None
    array, own_values = array_of_image(image), {i: segmentation.GetSegment(i).GetLabelValue() for i in values}
    same_grid = np.array_equal(_first_xyz(image, lattice), lattice.first_xyz)
    same_grid = same_grid and array.shape == tuple(lattice.size_xyz[::-1])
    if same_grid and own_values == dict(values) and set(values_in(array)) <= {0, *values.values()}:
        return array
    return None


def _merged_array(segmentation: Any, lattice: Lattice, values: Mapping[str, int]) -> np.ndarray:
    """A new array on the lattice, with one segment laid over the other in their order."""
    merged = np.zeros(lattice.size_xyz[::-1], dtype=np.min_scalar_type(max(values.values(), default=1)))
    overlapping = 0
    for segment_id, value in values.items():
        image = binary_image(segmentation, segment_id)
        if image is None:
            continue
        if _first_xyz(image, lattice) is None:
            image = _resampled(image, lattice)
        array, region = _inside(array_of_image(image), _first_xyz(image, lattice) - lattice.first_xyz, merged)
        mask = array == segmentation.GetSegment(segment_id).GetLabelValue()
        overlapping += int(np.count_nonzero(region[mask]))
        region[mask] = value
    if overlapping:
        logger.warning("%d voxels lie in several segments; the later segment has them.", overlapping)
    return merged


def _first_xyz(image: Any, lattice: Lattice) -> np.ndarray | None:
    """Where on the lattice the first voxel of an image lies, x y z; None if its voxels do not coincide with it."""
    relative = np.linalg.inv(lattice.ijk_to_ras) @ _image_to_ras(image)
    extent = np.array(image.GetExtent()).reshape(3, 2)
    corners = np.array(np.meshgrid(*extent, [1], indexing="ij")).reshape(4, -1)
    on_lattice = (relative @ corners)[:3]
    first = np.round(on_lattice[:, 0])
    expected = corners[:3] - corners[:3, :1] + first[:, None]
    return first.astype(int) if np.allclose(on_lattice, expected, rtol=0, atol=WHOLE_VOXEL) else None


def _inside(array: np.ndarray, start_xyz: np.ndarray, merged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of an array that starts at `start_xyz` of `merged` and lies inside, and the part of `merged` there."""
    start = np.asarray(start_xyz[::-1])
    low, high = np.maximum(start, 0), np.minimum(start + array.shape, merged.shape)
    high = np.maximum(low, high)
    here = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
    there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return array[here], merged[there]


def _resampled(image: Any, lattice: Lattice) -> Any:
    """An image of segments on the lattice, every voxel with the value of the nearest."""
    slicer = require_slicer()
    grid, result = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    grid.SetGeometryFromImageToWorldMatrix(vtk_matrix(lattice.ijk_to_ras))
    bounds = zip(lattice.first_xyz, lattice.first_xyz + lattice.size_xyz - 1, strict=True)
    grid.SetExtent(*(int(bound) for pair in bounds for bound in pair))
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(image, grid, result)
    return result
