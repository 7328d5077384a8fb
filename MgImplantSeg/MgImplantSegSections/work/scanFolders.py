"""A folder of the subject hierarchy for each scan: scan, segmentations, tables, ROIs and transforms stand together."""

from __future__ import annotations

from typing import Any

import slicer

from MgImplantSegLib.scene.nodes import place_beside


def gather(volumeNode: Any):
    """Give a scan a folder of its name, unless it stands in a folder or study already."""
    place_beside(volumeNode.GetScene(), volumeNode, volumeNode)


def placeWith(node: Any, referenceNode: Any):
    """Put a node into the folder of another one, unless people have put it into one already."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    if hierarchy is None:
        return
    item = hierarchy.GetItemByDataNode(node)
    if item in (0, hierarchy.GetInvalidItemID()) or hierarchy.GetItemParent(item) == hierarchy.GetSceneItemID():
        place_beside(node.GetScene(), node, referenceNode)
