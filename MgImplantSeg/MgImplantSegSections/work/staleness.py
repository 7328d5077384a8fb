"""Whether measures are still those of their inputs: each row of the table is current or stale."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.options import record
from MgImplantSegLib.scene.segments import segment_ids
from MgImplantSegSections.work.measuresReport import CURRENT, REPORT_ATTRIBUTE, STALE, STATE_COLUMN, reportOfTable
from MgImplantSegSections.work.measureWork import classOf

if TYPE_CHECKING:
    from slicer import vtkMRMLSegmentationNode, vtkMRMLTableNode

FINGERPRINT_ATTRIBUTE = "MgImplantSeg.Fingerprint"
ALL_ROIS = "all ROIs"
DIGITS = 6


def fingerprint(segmentationNode: vtkMRMLSegmentationNode, request: Any, states: Any):
    """What the measures depend on, as plain data that outlive the scene.

    :param states: `InputStates`, which tells voxels, surfaces and places from what they were.
    :raises InputError: if a ROI cannot be used.
    """
    whole = {
        "segmentation": states.of(segmentationNode),
        "roles": _rolesOf(segmentationNode),
        "initial": states.of(request.initialNode),
        "initialRoles": _rolesOf(request.initialNode),
        "initialModel": states.of(request.initialModelNode),
        "typed": [request.initialVolumeMm3, request.initialAreaMm2],
        "options": record(request.options),
    }
    if request.disagreementNode is not None:
        whole["ranges"] = True
    return {"whole": whole, "rois": {box.name: _boxNumbers(box) for box in request.boxes()}}


def keep(tableNode: vtkMRMLTableNode, values: Any):
    """Remember with the table what it was computed from."""
    tableNode.SetAttribute(FINGERPRINT_ATTRIBUTE, json.dumps(values))


def mark(tableNode: vtkMRMLTableNode, values: Any):
    """Mark the rows of the table against today's fingerprint; returns the number of stale rows, or None for no table.

    :param values: `fingerprint`, or None when it cannot be made.
    """
    kept = tableNode.GetAttribute(FINGERPRINT_ATTRIBUTE) if tableNode is not None else None
    if not kept or not tableNode.GetAttribute(REPORT_ATTRIBUTE):
        return None
    then = json.loads(kept)
    measures = reportOfTable(tableNode).measures
    states = [STALE if _isStale(then, values, measure.region) else CURRENT for measure in measures]
    _writeStates(tableNode, states)
    return states.count(STALE)


def lacksRegions(tableNode: vtkMRMLTableNode, values: Any):
    """Names of ROIs that are listed today but were not when the table was computed."""
    then = json.loads(tableNode.GetAttribute(FINGERPRINT_ATTRIBUTE) or '{"rois": {}}')
    return [name for name in values["rois"] if name not in then["rois"]]


def _isStale(then: Any, now: Any, region: Any):
    if now is None or json.loads(json.dumps(now["whole"])) != then["whole"]:
        return True
    changed = {name for name in {*then["rois"], *now["rois"]} if then["rois"].get(name) != now["rois"].get(name)}
    return bool(changed) and any(name in region for name in (*changed, ALL_ROIS))


def _writeStates(tableNode: vtkMRMLTableNode, states: Any):
    column = tableNode.GetTable().GetColumnByName(STATE_COLUMN)
    if column is None or [column.GetValue(row) for row in range(len(states))] == states:
        return
    for row, state in enumerate(states):
        column.SetValue(row, state)
    tableNode.GetTable().Modified()
    tableNode.Modified()


def _boxNumbers(box: Any):
    numbers = [*box.centre_lps_mm, *[value for row in box.axes_lps for value in row], *box.size_mm]
    return [round(number, DIGITS) for number in numbers]


def _rolesOf(segmentationNode: vtkMRMLSegmentationNode):
    """What each segment is, whether the user has said it or its name and terminology do."""
    if segmentationNode is None:
        return {}
    classes = {key: classOf(segmentationNode, key) for key in segment_ids(segmentationNode.GetSegmentation())}
    return {key: None if found is None else found.word for key, found in classes.items()}
