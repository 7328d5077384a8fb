"""Several segmentations against a reference: IoU for each class, and measures with their deviation."""

import json
import math
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from MgImplantSegLib.scene.nodes import place_beside, set_provenance
from MgImplantSegLib.scene.tables import add_table
from MgImplantSegSections.engineRun import runEngine, whileWanted
from MgImplantSegSections.exchange import taskFolder
from MgImplantSegSections.measureWork import measureArguments, reportFromDict, writeSegmentation

SYMBOLS = ("DR", "BIC", "BV/TV")
COMPARISON_ATTRIBUTE = "MgImplantSeg.Comparison"


@dataclass(frozen=True)
class Compared:
    """One segmentation: its overlap with the reference (None for the reference itself) and its measures."""

    name: str
    overlap: dict | None
    report: Any


def compareSteps(referenceNode, otherNodes, request, python, temporaryFolder, token):
    """Generator of events; returns the table node.

    :raises InputError: if the segmentations do not lie on one grid.
    :raises EngineError: if the engine fails.
    """
    scene, nodes = referenceNode.GetScene(), [referenceNode, *otherNodes]
    found = []
    with taskFolder(temporaryFolder) as folder:
        reference = folder / "0.nrrd"
        for number, node in enumerate(nodes):
            path = folder / f"{number}.nrrd"
            yield {"event": "progress", "stage": node.GetName(), "done": number, "total": len(nodes)}
            yield from writeSegmentation(node, path, token)
            work = _measure(path, None if number == 0 else reference, node, request, python, folder, token)
            found.append((yield from whileWanted(work, lambda node=node: scene.IsNodePresent(node), token)))
    return _addTable(scene, found, referenceNode)


def _measure(path, reference, node, request, python, folder, token):
    log, overlap = folder / "log.txt", None
    if reference is not None:
        overlap = yield from runEngine(python, ["evaluate", path, reference], log, token)
    measured = yield from runEngine(python, ["quantify", path, *measureArguments(request, folder)], log, token)
    return Compared(node.GetName(), overlap, reportFromDict(measured))


def _addTable(scene, found, referenceNode):
    rows = [_row(entry, found[0]) for entry in found]
    name = _("Comparison with {reference}").format(reference=referenceNode.GetName())
    table = add_table(scene, name, {column: [row[column] for row in rows] for column in rows[0]})
    table.SetAttribute(COMPARISON_ATTRIBUTE, json.dumps([row["Segmentation"] for row in rows]))
    set_provenance(table, {"reference": referenceNode.GetName(), "segmentations": [entry.name for entry in found]})
    place_beside(scene, table, referenceNode)
    return table


def _row(entry, reference):
    """Texts of one row: name, IoU, then each measure with its deviation from the reference in per cent."""
    classes = (entry.overlap or {}).get("classes", {})
    row = {"Segmentation": entry.name}
    for role, title in (("bone", "IoU bone"), ("degradation_layer", "IoU DL"), ("residual_material", "IoU RM")):
        row[title] = _text(classes.get(role, {}).get("iou"))
    row["Mean IoU"] = _text((entry.overlap or {}).get("mean_iou"))
    for symbol in SYMBOLS:
        value, truth = _value(entry.report, symbol), _value(reference.report, symbol)
        unit = next((measure.unit for measure in entry.report.measures if measure.symbol == symbol), "")
        row[f"{symbol} [{unit}]"] = _text(value)
        row[f"{symbol} deviation [%]"] = _text(
            100 * (value - truth) / truth if truth and entry is not reference else None
        )
    return row


def _value(report, symbol):
    return next((measure.value for measure in report.measures if measure.symbol == symbol), math.nan)


def _text(value):
    return "" if value is None or value != value else f"{value:.4g}"
