"""The disagreement of the planes, kept with a segmentation in the scene so that its measures have ranges.

It is a hidden volume of bytes: `LEVELS` stands for all planes. 252 can be divided by 2, 3, 4, 6, 7 and 9, so parts of
planes come back exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.io.volumes import read_volume
from MgImplantSegLib.scene.volumes import geometry_of_node, image_data, place, volume_of_node
from MgImplantSegSections.engine.exchange import writeImage

if TYPE_CHECKING:
    from MgImplantSegSections.engine.engineRun import CancelToken

REFERENCE = "MgImplantSeg.Disagreement"
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
    segmentationNode.SetNodeReferenceID(REFERENCE, node.GetID())


def nodeOf(segmentationNode: Any):
    """The volume with the disagreement of a segmentation; None if nothing is kept."""
    return segmentationNode.GetNodeReference(REFERENCE) if segmentationNode is not None else None


def drop(segmentationNode: Any):
    """Keep nothing any more; the hidden volume leaves the scene."""
    node = nodeOf(segmentationNode)
    if node is not None:
        segmentationNode.RemoveNodeReferenceIDs(REFERENCE)
        node.GetScene().RemoveNode(node)


def writeSteps(node: Any, geometry: Geometry, path: Path, token: CancelToken):
    """Write the disagreement as the engine takes it, 0 to 1; yields events.

    :param geometry: the grid of the segmentation, with which the disagreement moves where it has the same voxels.
    """
    volume = volume_of_node(node)
    grid = geometry if geometry.shape_zyx == volume.geometry.shape_zyx else geometry_of_node(node)
    yield from writeImage(_Parts(volume.array), grid, path, token)


class _Parts:
    """Bytes as parts of the planes, of which only the rows asked for are made."""

    dtype = np.dtype(np.float32)

    def __init__(self, array: Any):
        self._array, self.shape = array, array.shape

    def __getitem__(self, rows: Any):
        return self._array[rows].astype(np.float32) / LEVELS
