"""Label map volumes as segmentations: classes are guessed from colour names, or from the usual numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import Cancelled, InputError
from MgImplantSegLib.grids.labels import BONE, CLASS_OF_ROLE, CLASSES, Label, LabelScheme, Role
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io import terminology
from MgImplantSegLib.io.image_data import Segment
from MgImplantSegLib.io.label_values import values_in
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.volumes import volume_of_node
from MgImplantSegSections.engine.engineRun import sceneOf
from MgImplantSegSections.engine.exchange import IGNORED_VALUE

if TYPE_CHECKING:
    from slicer import vtkMRMLLabelMapVolumeNode

    from MgImplantSegSections.engine.engineRun import CancelToken

REFERENCE = "MgImplantSeg.LabelMap"
MOST_CLASSES, SLAB_ROWS = 30, 16
MADE_BY_PEOPLE = re.compile(r"vtkMRML\w+Node\d+")  # Slicer's own colour tables are named after their files
USUAL = {label.value: label for label in CLASSES}


def importSteps(labelMapNode: Any, token: CancelToken):
    """Generator of events; returns the new segmentation node beside the label map.

    :raises InputError: if the values are no whole numbers, all 0, or too many to be classes.
    :raises Cancelled: if the user has asked to stop, or the label map has left the scene.
    """
    scene, volume = sceneOf(labelMapNode), volume_of_node(labelMapNode)
    array, present = np.zeros(volume.array.shape, np.int32), set()
    for first in range(0, len(array), SLAB_ROWS):
        token.check()
        if not scene.IsNodePresent(labelMapNode):
            raise Cancelled
        present |= _copy(volume.array[first : first + SLAB_ROWS], array[first : first + SLAB_ROWS])
        _requireClasses(present)
        yield {"event": "progress", "stage": _("reading the label map"), "done": first, "total": len(array)}
    if present <= {0}:
        raise InputError(_("Expected a label map with values other than 0, got none."), _("Choose another label map."))
    scheme, unknown = _schemeOf(present, _namesIn(labelMapNode, present))
    scheme = replace(scheme, labels=tuple(_coloured(label, labelMapNode, unknown) for label in scheme.labels))
    small = array.astype(np.uint8) if min(present) >= 0 and max(present) <= np.iinfo(np.uint8).max else array
    name = _("{name} segmentation").format(name=labelMapNode.GetName())
    node = add_segmentation_node(scene, LabelMap(small, volume.geometry, scheme), name, labelMapNode, present=present)
    for segmentId in unknown:
        node.GetSegmentation().GetSegment(segmentId).SetTerminology("")
    node.SetNodeReferenceID(REFERENCE, labelMapNode.GetID())
    return node


def isImported(labelMapNode: Any):
    """Whether a segmentation of the scene was made from a label map."""
    scene = labelMapNode.GetScene()
    nodes = [
        scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode")
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"))
    ]
    return any(node.GetNodeReference(REFERENCE) is labelMapNode for node in nodes)


def _copy(source: Any, target: Any):
    """Copy a slab; returns the values in it."""
    if source.dtype.kind == "f" and not np.array_equal(source, np.round(source)):
        raise InputError(_("Expected a label map of whole numbers, got fractions."), _("Choose another label map."))
    target[:] = source
    return {int(value) for value in values_in(target)}


def _requireClasses(present: Any):
    if len(present) > MOST_CLASSES:
        raise InputError(
            _("Expected a label map with up to {most} classes, got more.").format(most=MOST_CLASSES),
            _("Choose a label map whose values are classes rather than single objects."),
        )


def _namesIn(labelMapNode: vtkMRMLLabelMapVolumeNode, present: Any):
    """The names that people gave to values in a colour table of their own."""
    display = labelMapNode.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    if colors is None or not MADE_BY_PEOPLE.fullmatch(colors.GetID() or ""):
        return {}
    names = {value: colors.GetColorName(value) for value in present if 0 <= value < colors.GetNumberOfColors()}
    return {value: name for value, name in names.items() if name}


def _coloured(label: Any, labelMapNode: vtkMRMLLabelMapVolumeNode, unknown: Any):
    """A class of which nothing is known with the colour that it has in the views."""
    display = labelMapNode.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    if label.segment_id not in unknown or colors is None:
        return label
    rgba = [0.5, 0.5, 0.5, 1.0]
    colors.GetColor(label.value, rgba)
    return replace(label, color_rgb=tuple(rgba[:3]))


def _schemeOf(present: Any, names: Any):
    """A class for each value, and the segment IDs of those whose meaning is not known."""
    ignored = next((value for value, name in names.items() if terminology.is_ignored(_segment(value, name))), None)
    present = present - {ignored}
    roles = {value: terminology.role_of_segment(_segment(value, name)) for value, name in names.items()}
    isUsual = not any(roles.values()) and present <= {*USUAL, IGNORED_VALUE}
    labels, unknown = [USUAL[0]], []
    for value in sorted(present - {0}):
        if isUsual and value != IGNORED_VALUE:
            labels.append(USUAL[value])
        elif not isUsual:
            labels.append(_labelOf(value, names.get(value, ""), roles.get(value), labels))
            unknown += [] if roles.get(value) else [labels[-1].segment_id]
    if isUsual and ignored is None and IGNORED_VALUE in present:
        ignored = IGNORED_VALUE
    return LabelScheme(tuple(labels), ignored), unknown


def _segment(value: Any, name: str):
    return Segment(value, f"label_{value}", name, (0.5, 0.5, 0.5))


def _labelOf(value: Any, name: str, role: Role | None, others: Any) -> Label:
    """A class under its own name; the segment ID tells classes of one role apart."""
    template = CLASS_OF_ROLE[role] if role else BONE
    isFree = role and template.segment_id not in [label.segment_id for label in others]
    segmentId = template.segment_id if isFree else f"label_{value}"
    shown = name or _("label {value}").format(value=value)
    if role is Role.BACKGROUND:
        return replace(template, value=value, segment_id=f"label_{value}", name=shown)
    return replace(template, value=value, segment_id=segmentId, name=shown)
