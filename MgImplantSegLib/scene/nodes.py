"""What all nodes of results have in common: where they came from, and their place in the subject hierarchy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from MgImplantSegLib.base.events import json_ready
from MgImplantSegLib.scene.standalone import require_slicer

PROVENANCE_ATTRIBUTE = "MgImplantSeg.Provenance"


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
    """Put a node into the folder of the subject hierarchy in which `reference_node` is.

    A scan that lies in no folder gets one of its own, so that all results of a scan stand together.
    """
    hierarchy = require_slicer().vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if hierarchy is None:
        return
    reference_item, item = (_hierarchy_item(hierarchy, entry) for entry in (reference_node, node))
    folder = hierarchy.GetItemParent(reference_item)
    if folder == hierarchy.GetSceneItemID() and reference_node.IsA("vtkMRMLScalarVolumeNode"):
        folder = hierarchy.CreateFolderItem(folder, reference_node.GetName())
        hierarchy.SetItemParent(reference_item, folder)
    hierarchy.SetItemParent(item, folder)


def _hierarchy_item(hierarchy: Any, node: Any) -> int:
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():
        item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    return item
