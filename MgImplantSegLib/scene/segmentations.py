"""Label maps of the engine as segmentation nodes: segment IDs, names, colours, terminology, reference geometry.

One segment is made for each class of the scheme that has voxels; an absent class (a scan without an implant, a screw
without a degradation layer) has no segment, unless `keep_absent` asks for empty ones to draw in. Voxels with the
scheme's ignore value become the hidden segment "ignore", so a limited field of labels survives saving.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import Label, Role
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io.label_values import values_in
from MgImplantSegLib.io.terminology import IGNORE_ID, terminology_entry, terminology_tag
from MgImplantSegLib.scene.frames import ijk_to_ras, local_to_world_ras, vtk_matrix
from MgImplantSegLib.scene.nodes import place_beside, set_provenance
from MgImplantSegLib.scene.segments import BINARY, segment_ids
from MgImplantSegLib.scene.standalone import require_slicer
from MgImplantSegLib.scene.volumes import image_data

OPACITY_3D = MappingProxyType(
    {Role.BONE: 0.18, Role.DEGRADATION_LAYER: 0.4, Role.RESIDUAL_MATERIAL: 1.0, Role.BACKGROUND: 0.0}
)
OPENING_OPACITY_3D = 1.0


def add_segmentation_node(
    scene: Any,
    label_map: LabelMap,
    name: str,
    reference_node: Any = None,
    keep_absent: bool = False,
    provenance: Mapping[str, Any] | None = None,
    present: Collection[int] | None = None,
) -> Any:
    """A `vtkMRMLSegmentationNode` with the classes of `label_map` as segments.

    The segments share one image, which shares the memory of `label_map.array` where Slicer can hold its values
    unchanged; so edits in Slicer change the array. Raises InputError if the array holds values that neither the scheme
    nor its ignore value explains.

    Parameters
    ----------
    reference_node : vtkMRMLScalarVolumeNode, optional
        The input: source of the reference geometry; the new node is placed beside it in the subject hierarchy and
        under the same transform.
    keep_absent : bool
        Whether classes without voxels get an empty segment.
    provenance : mapping, optional
        What the result was made with (model, version, options), kept as an attribute of the node.
    present : collection of int, optional
        The values that occur in the array, where they are known already; finding them looks at every voxel.
    """
    present = _known_values(label_map, set(values_in(label_map.array) if present is None else present))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    fill_segmentation_node(node, label_map, reference_node, keep_absent, provenance, present)
    if reference_node is not None:
        place_beside(scene, node, reference_node)
    return node


def fill_segmentation_node(
    node: Any,
    label_map: LabelMap,
    reference_node: Any = None,
    keep_absent: bool = False,
    provenance: Mapping[str, Any] | None = None,
    present: Collection[int] | None = None,
) -> None:
    """Put the classes of `label_map` as segments into a segmentation node, in place of those that it has.

    Parameters, shared memory and errors as in `add_segmentation_node`; a node that gets an error stays as it was.
    """
    present = _known_values(label_map, set(values_in(label_map.array) if present is None else present))
    to_world = np.eye(4) if reference_node is None else local_to_world_ras(reference_node)
    array, slicer_values = _slicer_array(label_map, present)
    image = _oriented_image(array, np.linalg.inv(to_world) @ ijk_to_ras(label_map.geometry))
    _remove_segments(node)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(None if reference_node is None else reference_node.GetTransformNodeID())
    for label in label_map.scheme.segments:
        if label.value in present or keep_absent:
            _add_segment(node, label, slicer_values[label.value], image)
    if label_map.scheme.ignore_value in present:
        _add_ignored(node, slicer_values[label_map.scheme.ignore_value], image)
    _set_reference_geometry(node, reference_node, image)
    set_provenance(node, {**label_map.provenance, **(provenance or {})})


def _remove_segments(node: Any) -> None:
    """Remove all segments one after the other, so that whatever shows them, as the subject hierarchy, follows.

    A segment gets an image without voxels first: Slicer would copy its voxels out of the image that segments share.
    """
    segmentation = node.GetSegmentation()
    node.RemoveClosedSurfaceRepresentation()
    for segment_id in segment_ids(segmentation):
        if segmentation.GetSegment(segment_id).GetRepresentation(BINARY) is not None:
            empty = require_slicer().vtkOrientedImageData()
            segmentation.GetSegment(segment_id).AddRepresentation(BINARY, empty)
        segmentation.RemoveSegment(segment_id)
    segmentation.SetSourceRepresentationName(BINARY)


def _known_values(label_map: LabelMap, present: set[int]) -> set[int]:
    """The values in the array; all must be known."""
    ignored = label_map.scheme.ignore_value
    known = {*label_map.scheme.values, *([] if ignored is None else [ignored])}
    if present <= known:
        return present
    raise InputError(
        f"Expected label values of {sorted(known)}, got also {sorted(present - known)[:10]}.",
        "State what the values mean [[roles]], for example 1=bone,2=degradation_layer,3=residual_material.",
    )


def _slicer_array(label_map: LabelMap, present: set[int]) -> tuple[np.ndarray, dict[int, int]]:
    """The array with values that Slicer can hold (0 is no segment), and the scheme's value → that value."""
    scheme = label_map.scheme
    wanted = [label.value for label in scheme.segments]
    wanted += [scheme.ignore_value] if scheme.ignore_value in present else []
    background = {label.value for label in scheme.labels if label not in scheme.segments}
    usable = all(0 < value <= 255 for value in wanted) and background & present <= {0}
    if usable and label_map.array.dtype in (np.uint8, np.int16, np.uint16, np.int32):
        return label_map.array, {value: value for value in wanted}
    values = {value: value if usable else number for number, value in enumerate(wanted, start=1)}
    array = np.zeros(label_map.array.shape, dtype=np.uint8 if len(wanted) < 256 else np.int16)
    for value, slicer_value in values.items():
        array[label_map.array == value] = slicer_value
    return array, values


def _oriented_image(array: np.ndarray, image_to_local_ras: np.ndarray) -> Any:
    image = image_data(array, require_slicer().vtkOrientedImageData())
    image.SetGeometryFromImageToWorldMatrix(vtk_matrix(image_to_local_ras))
    return image


def _add_segment(node: Any, label: Label, slicer_value: int, image: Any) -> None:
    segment = require_slicer().vtkSegment()
    segment.SetName(label.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*label.color_rgb)
    segment.SetColorAutoGenerated(False)
    segment.SetTerminology(terminology_entry(terminology_tag(label)))
    segment.SetLabelValue(slicer_value)
    segment.AddRepresentation(BINARY, image)
    node.GetSegmentation().AddSegment(segment, label.segment_id)
    opacity = OPENING_OPACITY_3D if label.is_opening else OPACITY_3D[label.role]
    node.GetDisplayNode().SetSegmentOpacity3D(label.segment_id, opacity)


def _add_ignored(node: Any, slicer_value: int, image: Any) -> None:
    label = Label(0, IGNORE_ID, "not labelled", Role.BACKGROUND, (0.5, 0.5, 0.5))
    _add_segment(node, label, slicer_value, image)
    node.GetDisplayNode().SetSegmentVisibility(IGNORE_ID, False)


def _set_reference_geometry(node: Any, reference_node: Any, image: Any) -> None:
    """Remember the grid on which the segmentation is drawn, exported and measured."""
    if reference_node is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference_node)
        return
    converter = require_slicer().vtkSegmentationConverter
    text = converter.SerializeImageGeometry(image)
    node.GetSegmentation().SetConversionParameter(converter.GetReferenceImageGeometryParameterName(), text)
