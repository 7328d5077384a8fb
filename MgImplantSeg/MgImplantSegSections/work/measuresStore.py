"""The table of measures that belongs to a segmentation: one each, kept as a node reference that scene files carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slicer import vtkMRMLSegmentationNode

MEASURES_REFERENCE = "MgImplantSeg.Measures"
MEASURED_REFERENCE = "MgImplantSeg.Measured"


def tableOf(segmentationNode: vtkMRMLSegmentationNode):
    """The table of a segmentation, or None; that of the original does not belong to a copy of the segmentation."""
    table = segmentationNode.GetNodeReference(MEASURES_REFERENCE) if segmentationNode is not None else None
    return table if table is not None and table.GetNodeReference(MEASURED_REFERENCE) is segmentationNode else None


def keepTable(segmentationNode: vtkMRMLSegmentationNode, newTable: Any):
    """Make a new table that of its segmentation; a former one takes over its contents and keeps its name.

    :returns: the table node that has the contents now.
    """
    table = tableOf(segmentationNode)
    if table is None:
        segmentationNode.SetNodeReferenceID(MEASURES_REFERENCE, newTable.GetID())
        newTable.SetNodeReferenceID(MEASURED_REFERENCE, segmentationNode.GetID())
        return newTable
    return table if table is newTable else refilled(table, newTable)


def refilled(table: Any, newTable: Any):
    """A table node with the contents of a new one, which leaves the scene; name and views stay."""
    wasModifying = table.StartModify()
    table.SetAndObserveTable(newTable.GetTable())
    for name in newTable.GetAttributeNames():
        table.SetAttribute(name, newTable.GetAttribute(name))
    table.EndModify(wasModifying)
    newTable.GetScene().RemoveNode(newTable)
    return table
