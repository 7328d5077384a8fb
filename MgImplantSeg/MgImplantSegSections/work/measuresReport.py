"""The report of the engine as a table node of the scene, and back."""

from __future__ import annotations

import functools
import json
import math
from typing import TYPE_CHECKING, Any

import vtk
from slicer.i18n import tr as _

from MgImplantSegLib.quantification.results import Measure, QuantificationReport, Series
from MgImplantSegLib.scene.nodes import place_beside, provenance_of_node
from MgImplantSegLib.scene.tables import add_measures_table
from MgImplantSegSections.work.numberText import numberText

if TYPE_CHECKING:
    from slicer import vtkMRMLScene, vtkMRMLSegmentationNode, vtkMRMLTableNode

REPORT_ATTRIBUTE, WARNINGS_ATTRIBUTE = "MgImplantSeg.Report", "MgImplantSeg.Warnings"
RESULT_COLUMN = "Result"  # value and range with the digits that people read
TEXT_COLUMNS = ("Symbol", "Region", "Method", "Definition", "Note")  # named as the fields of a `Measure`
STATE_COLUMN, CURRENT, STALE = "State", "current", "stale"


def addTable(
    scene: vtkMRMLScene, report: Any, name: str, segmentationNode: vtkMRMLSegmentationNode, warnings: Any = ()
):
    """The table of a report beside its segmentation, with a column that says whether a row is current.

    :param warnings: sentences that the reader has to know; kept with the table.
    """
    model = provenance_of_node(segmentationNode).get("model", "")
    node = add_measures_table(scene, report, name, model if isinstance(model, str) else "")
    _addTexts(node, RESULT_COLUMN, [resultText(measure) for measure in report.measures])
    _addTexts(node, STATE_COLUMN, [CURRENT] * len(report.measures))
    node.SetAttribute(REPORT_ATTRIBUTE, json.dumps(report.to_dict()))
    node.SetAttribute(WARNINGS_ATTRIBUTE, json.dumps(list(warnings)))
    place_beside(scene, node, segmentationNode)
    return node


def restoreTexts(tableNode: vtkMRMLTableNode):
    """Put texts back that files of tables do not keep as they are, such as quotes in the name of a ROI."""
    report, table = reportOfTable(tableNode), tableNode.GetTable()
    for name in TEXT_COLUMNS if report else ():
        column, texts = table.GetColumnByName(name), [getattr(measure, name.lower()) for measure in report.measures]
        if column is None or [column.GetValue(row) for row in range(len(texts))] == texts:
            continue
        for row, text in enumerate(texts):
            column.SetValue(row, text)
        table.Modified()
        tableNode.Modified()


def _addTexts(tableNode: vtkMRMLTableNode, name: str, texts: Any):
    column = vtk.vtkStringArray()
    column.SetName(name)
    for text in texts:
        column.InsertNextValue(text)
    tableNode.AddColumn(column)


def resultText(measure: Any):
    """Value and range as people read them; empty where the value is not defined."""
    value, low, high = (numberText(number) for number in (measure.value, measure.low, measure.high))
    return _("{value} ({low} to {high})").format(value=value, low=low, high=high) if low and high else value


def warningsOfTable(tableNode: vtkMRMLTableNode):
    """What was warned of when a table was computed."""
    return json.loads((tableNode.GetAttribute(WARNINGS_ATTRIBUTE) if tableNode is not None else None) or "[]")


def reportOfTable(tableNode: vtkMRMLTableNode):
    """The report behind a table node, or None if it is another table."""
    text = tableNode.GetAttribute(REPORT_ATTRIBUTE) if tableNode is not None else None
    return _reportOfText(text) if text else None


@functools.lru_cache(maxsize=4)
def _reportOfText(text: str):
    """Kept, because it is looked at again and again while a ROI is dragged."""
    return reportFromDict(json.loads(text))


def reportFromDict(data: Any):
    """The `QuantificationReport` of what ``quantify --json`` writes."""
    measures = tuple(_measure(entry) for entry in data["measures"])
    series = tuple(
        Series(
            **{
                **entry,
                **{name: tuple(_number(value) for value in entry[name]) for name in ("x_low", "x_high", "values")},
            }
        )
        for entry in data.get("series", ())
    )
    return QuantificationReport(measures, data["inputs"], series)


def _measure(entry: Any):
    numbers = {name: _number(entry.get(name)) for name in ("value", "low", "high")}
    counts = {name: _number(count) for name, count in entry["counts"].items()}
    return Measure(**{**entry, **numbers, "counts": counts})


def _number(value: Any):
    return math.nan if value is None else float(value)
