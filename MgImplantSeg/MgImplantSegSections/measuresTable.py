"""The table of measures as people see and copy it: which columns, in which order, and why values are missing."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from MgImplantSegSections.measureWork import STATE_COLUMN, reportOfTable

REGION_COLUMN = "Region"
SHOWN_COLUMNS = ("Symbol", "Value", "Unit", REGION_COLUMN, STATE_COLUMN)
COPIED_COLUMNS = ("Symbol", "Measure", "Value", "Unit", REGION_COLUMN, STATE_COLUMN)


def arrangeColumns(view: Any, tableNode: Any):
    """Hide what does not fit; whether a row is current stands before its region, the names of which are long."""
    count = tableNode.GetNumberOfColumns() if tableNode is not None else 0
    names = [tableNode.GetColumnName(index) for index in range(count)]
    for index, name in enumerate(names):
        view.setColumnHidden(index, name not in SHOWN_COLUMNS)
    view.resizeColumnsToContents()
    if STATE_COLUMN in names and REGION_COLUMN in names:
        header = view.horizontalHeader()
        state, region = (header.visualIndex(names.index(name)) for name in (STATE_COLUMN, REGION_COLUMN))
        if state > region:
            header.moveSection(state, region)


def undefinedTexts(tableNode: Any):
    """A line for each reason why measures of a table have no value."""
    report = reportOfTable(tableNode)
    undefined = [measure for measure in report.measures if measure.value != measure.value] if report else []
    symbols: dict[str, list[str]] = {measure.note: [] for measure in undefined}
    for measure in undefined:
        symbols[measure.note].append(measure.symbol)
    return [
        _("{symbols}: {note}").format(symbols=", ".join(dict.fromkeys(found)), note=note)
        for note, found in symbols.items()
    ]


def tableText(tableNode: Any):
    """The columns that are copied, with tabs between and names above."""
    table = tableNode.GetTable()
    columns = [table.GetColumnByName(name) for name in COPIED_COLUMNS]
    rows = [[str(column.GetValue(row)) for column in columns] for row in range(table.GetNumberOfRows())]
    return "\n".join("\t".join(row) for row in [list(COPIED_COLUMNS), *rows])
