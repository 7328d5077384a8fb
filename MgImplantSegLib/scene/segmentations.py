"""Label maps of the engine as segmentation nodes: segment IDs, names, colours, terminology, reference geometry.

One segment is made for each class of the scheme that has voxels; an absent class (a scan without an implant, a screw
without a degradation layer) has no segment, unless `keep_absent` asks for empty ones to draw in. Voxels with the
scheme's ignore value become the hidden segment "unlabelled", so a limited field of labels survives saving.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import json_ready
from MgImplantSegLib.labels import Code, Label, Role
from MgImplantSegLib.scene.frames import ijk_to_ras, vtk_matrix
from MgImplantSegLib.scene.standalone import require_slicer
from MgImplantSegLib.scene.volumes import image_data
from MgImplantSegLib.volume import LabelMap

BINARY = "Binary labelmap"
TERMINOLOGY_TAG = "TerminologyEntry"
TERMINOLOGY_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
ANATOMIC_CONTEXT = "Anatomic codes - DICOM master list"
PROVENANCE_ATTRIBUTE = "MgImplantSeg.Provenance"
UNLABELLED_ID = "unlabelled"
OPACITY_3D = MappingProxyType(
    {Role.BONE: 0.25, Role.DEGRADATION_LAYER: 0.45, Role.RESIDUAL_MATERIAL: 1.0, Role.BACKGROUND: 0.0}
)


def add_segmentation_node(
    scene: Any,
    label_map: LabelMap,
    name: str,
    reference_node: Any = None,
    keep_absent: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> Any:
    """A `vtkMRMLSegmentationNode` with the classes of `label_map` as segments.

    The segments share one image, which shares the memory of `label_map.array` where its values can stand in Slicer as
    they are; so edits in Slicer change the array.

    Parameters
    ----------
    reference_node : vtkMRMLScalarVolumeNode, optional
        The input: source of the reference geometry, and the new node is placed beside it in the subject hierarchy.
    keep_absent : bool
        Whether classes without voxels get an empty segment.
    provenance : mapping, optional
        What the result was made with (model, version, options), kept as an attribute of the node.

    Raises
    ------
    InputError
        If the array holds values that neither the scheme nor its ignore value explains.
    """
    present = _present_values(label_map)
    array, slicer_values = _slicer_array(label_map, present)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    image = _oriented_image(array, label_map)
    for label in label_map.scheme.segments:
        if label.value in present or keep_absent:
            _add_segment(node, label, slicer_values[label.value], image)
    if label_map.scheme.ignore_value in present:
        _add_unlabelled(node, slicer_values[label_map.scheme.ignore_value], image)
    _set_reference_geometry(node, label_map, reference_node)
    set_provenance(node, {**label_map.provenance, **(provenance or {})})
    if reference_node is not None:
        place_beside(scene, node, reference_node)
    return node


def terminology_entry(label: Label) -> str:
    """The terminology of a class in the form in which Slicer stores it in a segment's tag."""
    return "~".join((TERMINOLOGY_CONTEXT, _code(label.category), _code(label.type), "^^", ANATOMIC_CONTEXT, "^^", "^^"))


def set_provenance(node: Any, provenance: Mapping[str, Any]) -> None:
    """Keep what a node was made with in the node, as one attribute of JSON that scene files carry along."""
    if provenance:
        text = json.dumps(json_ready(dict(provenance)), ensure_ascii=True, sort_keys=True)
        node.SetAttribute(PROVENANCE_ATTRIBUTE, text)


def provenance_of_node(node: Any) -> dict[str, Any]:
    """What a node was made with; empty if nothing is kept."""
    text = node.GetAttribute(PROVENANCE_ATTRIBUTE)
    return json.loads(text) if text else {}


def place_beside(scene: Any, node: Any, reference_node: Any) -> None:
    """Put a node into the folder of the subject hierarchy in which `reference_node` is."""
    hierarchy = require_slicer().vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if hierarchy is None:
        return
    reference_item, item = (_hierarchy_item(hierarchy, entry) for entry in (reference_node, node))
    hierarchy.SetItemParent(item, hierarchy.GetItemParent(reference_item))


def _hierarchy_item(hierarchy: Any, node: Any) -> int:
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():
        item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    return item


def _present_values(label_map: LabelMap) -> set[int]:
    """The values in the array, looked up slice by slice to stay small; all must be known."""
    present: set[int] = set()
    for plane_yx in label_map.array:
        present.update(_values_of(plane_yx))
    known = {*label_map.scheme.values, label_map.scheme.ignore_value}
    unknown = sorted(present - known)
    if unknown:
        raise InputError(
            f"Expected label values of {sorted(known - {None})}, got also {unknown[:10]}.",
            "Say what the values mean, for example with --roles 1=bone,2=degradation_layer,3=residual_material.",
        )
    return {int(value) for value in present}


def _values_of(plane_yx: np.ndarray) -> list[int]:
    if plane_yx.dtype == np.uint8:  # counting is many times faster than sorting
        return np.flatnonzero(np.bincount(plane_yx.ravel())).tolist()
    return np.unique(plane_yx).tolist()


def _slicer_array(label_map: LabelMap, present: set[int]) -> tuple[np.ndarray, dict[int, int]]:
    """The array with values that Slicer can hold (0 is no segment), and the scheme's value → that value."""
    scheme = label_map.scheme
    wanted = [label.value for label in scheme.segments]
    wanted += [scheme.ignore_value] if scheme.ignore_value in present else []
    background = {label.value for label in scheme.labels if label.role is Role.BACKGROUND}
    usable = all(0 < value <= 255 for value in wanted) and background & present <= {0}
    if usable and label_map.array.dtype in (np.uint8, np.int16, np.uint16, np.int32):
        return label_map.array, {value: value for value in wanted}
    values = {value: value if usable else number for number, value in enumerate(wanted, start=1)}
    array = np.zeros(label_map.array.shape, dtype=np.uint8 if len(wanted) < 256 else np.int16)
    for value, slicer_value in values.items():
        array[label_map.array == value] = slicer_value
    return array, values


def _oriented_image(array: np.ndarray, label_map: LabelMap) -> Any:
    image = image_data(array, require_slicer().vtkOrientedImageData())
    image.SetGeometryFromImageToWorldMatrix(vtk_matrix(ijk_to_ras(label_map.geometry)))
    return image


def _add_segment(node: Any, label: Label, slicer_value: int, image: Any) -> None:
    segment = require_slicer().vtkSegment()
    segment.SetName(label.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*label.color_rgb)
    segment.SetColorAutoGenerated(False)
    segment.SetTag(TERMINOLOGY_TAG, terminology_entry(label))
    segment.SetLabelValue(slicer_value)
    segment.AddRepresentation(BINARY, image)
    node.GetSegmentation().AddSegment(segment, label.segment_id)
    node.GetDisplayNode().SetSegmentOpacity3D(label.segment_id, OPACITY_3D[label.role])


def _add_unlabelled(node: Any, slicer_value: int, image: Any) -> None:
    label = Label(0, UNLABELLED_ID, "not labelled", Role.BACKGROUND, (0.5, 0.5, 0.5))
    _add_segment(node, label, slicer_value, image)
    node.GetDisplayNode().SetSegmentVisibility(UNLABELLED_ID, False)


def _set_reference_geometry(node: Any, label_map: LabelMap, reference_node: Any) -> None:
    """Remember the grid on which the segmentation is drawn, exported and measured."""
    if reference_node is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference_node)
        return
    converter = require_slicer().vtkSegmentationConverter
    extent = [bound for count in label_map.geometry.shape_zyx[::-1] for bound in (0, count - 1)]
    text = converter.SerializeImageGeometry(vtk_matrix(ijk_to_ras(label_map.geometry)), extent)
    node.GetSegmentation().SetConversionParameter(converter.GetReferenceImageGeometryParameterName(), text)


def _code(code: Code) -> str:
    return f"{code.scheme}^{code.value}^{code.meaning}"
