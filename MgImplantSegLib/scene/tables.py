"""Measures as a table node, one row for each measure and region, with units, method and what they were made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import MgImplantSegLib
from MgImplantSegLib.base.plain_text import ten_digits, write_csv
from MgImplantSegLib.quantification.results import Measure, QuantificationReport, counts_text
from MgImplantSegLib.scene.nodes import set_provenance

COLUMNS = {
    "Symbol": "short symbol of the measure",
    "Measure": "name of the measure",
    "Value": "value in the unit of its row; empty if undefined; the note then gives the reason",
    "Unit": "unit of value, low and high",
    "Low": "lower end of the range from the disagreement of the slicing planes",
    "High": "upper end of the range from the disagreement of the slicing planes",
    "Region": "part of the volume that was measured",
    "Method": "how it was computed",
    "Definition": "formula",
    "Note": "reason for a missing value, or a remark that readers need",
    "Counts": "numbers behind the value",
    "Voxel size": "voxel size along z, y and x in µm",
    "Model": "model that made the segmentation",
    "Version": "version of MgImplantSeg",
}
NUMBERS = ("Value", "Low", "High")


def add_measures_table(scene: Any, report: QuantificationReport, name: str, model: str = "") -> Any:
    """A `vtkMRMLTableNode` with the measures of a report; the report's inputs are kept as the node's provenance.

    Parameters
    ----------
    model : str
        Name of the model that made the segmentation, where one did.
    """
    rows = [_row(measure, _voxel_size(report), model) for measure in report.measures]
    node = add_table(scene, name, {column: [row[column] for row in rows] for column in COLUMNS}, COLUMNS)
    set_provenance(node, report.inputs)
    return node


def add_table(
    scene: Any, name: str, columns: Mapping[str, Sequence[float | str]], descriptions: dict[str, str] | None = None
) -> Any:
    """A `vtkMRMLTableNode` with named columns, of numbers where the first value is one, else of text."""
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
    was_modifying = node.StartModify()
    for column, values in columns.items():
        node.AddColumn(_column(column, values))
        if descriptions:
            node.SetColumnDescription(column, descriptions[column])
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    node.EndModify(was_modifying)
    return node


def save_table(table_node: Any, path: str | Path, without: Sequence[str] = ()) -> Path:
    """Write a table node as CSV, some columns left out on demand; undefined numbers are empty."""
    table = table_node.GetTable()
    columns = [table.GetColumn(index) for index in range(table.GetNumberOfColumns())]
    columns = [column for column in columns if column.GetName() not in without]
    rows = ([ten_digits(column.GetValue(row)) for column in columns] for row in range(table.GetNumberOfRows()))
    write_csv(path, [column.GetName() for column in columns], rows)
    return Path(path)


def _row(measure: Measure, voxel_size: str, model: str) -> dict[str, float | str]:
    return {
        "Symbol": measure.symbol,
        "Measure": measure.name,
        "Value": measure.value,
        "Unit": measure.unit,
        "Low": measure.low,
        "High": measure.high,
        "Region": measure.region,
        "Method": measure.method,
        "Definition": measure.definition,
        "Note": measure.note,
        "Counts": counts_text(measure.counts),
        "Voxel size": voxel_size,
        "Model": model,
        "Version": MgImplantSegLib.__version__,
    }


def _voxel_size(report: QuantificationReport) -> str:
    """For example ``5 × 5 × 5 µm``."""
    return " × ".join(f"{spacing_um:.6g}" for spacing_um in _spacing_um(report.inputs)) + " µm"


def _spacing_um(inputs: Any) -> Iterable[float]:
    return inputs.get("spacing_zyx_um", ())


def _column(name: str, values: Sequence[float | str]) -> Any:
    from vtkmodules.vtkCommonCore import vtkDoubleArray, vtkStringArray

    is_number = name in NUMBERS or (values and not isinstance(values[0], str))
    array: Any = vtkDoubleArray() if is_number else vtkStringArray()
    array.SetName(name)
    for value in values:
        array.InsertNextValue(value)
    return array
