"""The disagreement of the planes, kept with a segmentation in the scene so that its measures have ranges.

It is a hidden volume of bytes: `LEVELS` stands for all planes. 252 can be divided by 2, 3, 4, 6, 7 and 9, so parts of
planes come back exactly.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.io.volumes import read_volume
from MgImplantSegLib.scene.volumes import geometry_of_node, image_data, place, volume_of_node
from MgImplantSegSections.engine.exchange import writeImage
from MgImplantSegSections.work.inputStates import InputStates

if TYPE_CHECKING:
    from MgImplantSegSections.engine.engineRun import CancelToken

REFERENCE = "MgImplantSeg.Disagreement"
VOXELS_ATTRIBUTE = "MgImplantSeg.VoxelsOfDisagreement"
FILE_NAME = "disagreement.mha"
LEVELS, SLAB_ROWS = 252, 16


def readSteps(path: Path, token: CancelToken):
    """Generator of events; returns the disagreement (z, y, x) that the engine has written, as bytes."""
    found = read_volume(path).array
    array = np.empty(found.shape, np.uint8)
    for first in range(0, len(array), SLAB_ROWS):
        token.check()
        part = slice(first, first + SLAB_ROWS)
        array[part] = np.round(LEVELS * np.asarray(found[part], dtype=np.float32))
        yield {"event": "progress", "stage": _("reading the result"), "done": first, "total": len(array)}
    return array


def keep(segmentationNode: Any, array: np.ndarray | None, geometry: Geometry):
    """Keep the disagreement with a segmentation, in place of a former one; None keeps none.

    :param geometry: its grid in the world.
    """
    drop(segmentationNode)
    if array is None:
        return
    name = _("{segmentation} disagreement").format(segmentation=segmentationNode.GetName())
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetHideFromEditors(True)  # before it comes into the scene, where selectors would take it
    node.SetName(name)
    segmentationNode.GetScene().AddNode(node)
    node.SetAndObserveImageData(image_data(array))
    place(node, geometry)
    node.SetAttribute(VOXELS_ATTRIBUTE, json.dumps(InputStates().voxelsOf(segmentationNode)))
    segmentationNode.SetNodeReferenceID(REFERENCE, node.GetID())


def nodeOf(segmentationNode: Any):
    """The volume with the disagreement of a segmentation; None if nothing is kept."""
    return segmentationNode.GetNodeReference(REFERENCE) if segmentationNode is not None else None


def usableOf(segmentationNode: Any, states: Any = None):
    """The volume with the disagreement if it is that of the voxels as they are now; and in words why it is not.

    What people have changed since then, the planes have not voted on: ranges would be those of other numbers.

    :param states: `InputStates` that remember what they have seen.
    """
    node = nodeOf(segmentationNode)
    if node is None:
        return None, ""
    now = json.loads(json.dumps((states or InputStates()).voxelsOf(segmentationNode)))
    if json.loads(node.GetAttribute(VOXELS_ATTRIBUTE) or "null") == now:
        return node, ""
    return None, _(
        "No ranges are given: the segmentation was changed after it was made, and what the slicing planes disagreed on "
        "is known of the unchanged one only. Segment again to get ranges."
    )


def share(segmentationNode: Any, other: Any):
    """Another segmentation, made from this one, has its disagreement too; `usableOf` says whether it holds."""
    node = nodeOf(segmentationNode)
    if node is not None:
        other.SetNodeReferenceID(REFERENCE, node.GetID())


def drop(segmentationNode: Any):
    """Keep nothing any more; the hidden volume leaves the scene, unless a copy of the segmentation has it too."""
    node = nodeOf(segmentationNode)
    if node is None:
        return
    segmentationNode.RemoveNodeReferenceIDs(REFERENCE)
    scene = node.GetScene()
    if not any(nodeOf(other) is node for other in slicer.util.getNodesByClass("vtkMRMLSegmentationNode", scene)):
        scene.RemoveNode(node)


def gridProblem(node: Any, geometry: Geometry):
    """Why the disagreement cannot be used on the grid on which a segmentation is measured, in words; empty if it can.

    It moves with its segmentation, voxel by voxel.
    """
    if geometry_of_node(node).shape_zyx == geometry.shape_zyx:
        return ""
    return _(
        "No ranges are given: the segmentation is measured on another voxel grid than that on which it was made. "
        "Segment again to get ranges."
    )


def writeSteps(node: Any, geometry: Geometry, path: Path, token: CancelToken):
    """Write the disagreement as the engine takes it, 0 to 1; yields events.

    :param geometry: the grid of the segmentation, which has the same voxels.
    """
    yield from writeImage(_Parts(volume_of_node(node).array), geometry, path, token)


class _Parts:
    """Bytes as parts of the planes, of which only the rows asked for are made."""

    dtype = np.dtype(np.float32)

    def __init__(self, array: Any):
        self._array, self.shape = array, array.shape

    def __getitem__(self, rows: Any):
        return self._array[rows].astype(np.float32) / LEVELS
