"""The table of measures as people see and copy it: columns, digits, what was warned of, and the numbers in one line."""

import math

from slicer.i18n import tr as _

from MgImplantSegLib.quantification.results import Measure
from MgImplantSegSections.measuresReport import RESULT_COLUMN, STATE_COLUMN, reportOfTable, warningsOfTable
from MgImplantSegSections.numberText import numberText
from MgImplantSegSections.panelWords import inPanelWords

REGION_COLUMN = "Region"
SHOWN_COLUMNS = ("Measure", RESULT_COLUMN, "Unit", REGION_COLUMN, STATE_COLUMN)
COPIED_COLUMNS = ("Symbol", "Measure", "Value", "Unit", REGION_COLUMN, STATE_COLUMN)
HEADLINE_SYMBOLS = ("DR", "BIC", "BV/TV")
WARNING_SIGN = "⚠"


def arrangeColumns(view, tableNode):
    """Hide what does not fit; whether a row is current stands before its region, the names of which are long."""
    count = tableNode.GetNumberOfColumns() if tableNode is not None else 0
    names = [tableNode.GetColumnName(index) for index in range(count)]
    for index, name in enumerate(names):
        view.setColumnHidden(index, name not in SHOWN_COLUMNS)
    view.resizeColumnsToContents()
    order = [name for name in ("Measure", RESULT_COLUMN, "Unit", STATE_COLUMN, REGION_COLUMN) if name in names]
    header = view.horizontalHeader()
    for place, name in enumerate(order):
        header.moveSection(header.visualIndex(names.index(name)), place)


def noteTexts(tableNode):
    """A line for each thing a reader has to know: warnings first, then why values are missing and other notes."""
    report = reportOfTable(tableNode)
    symbols: dict[str, list[str]] = {}
    for measure in sorted(report.measures if report else (), key=lambda measure: math.isfinite(measure.value)):
        if measure.note and measure.symbol not in symbols.setdefault(measure.note, []):
            symbols[measure.note].append(measure.symbol)
    warnings = warningsOfTable(tableNode)
    notes = [
        _("{symbols}: {note}").format(symbols=", ".join(found), note=note)
        for note, found in symbols.items()
        if not any(note in warning for warning in warnings)
    ]
    return [inPanelWords(text) for text in (*(f"{WARNING_SIGN} {warning}" for warning in warnings), *notes)]


def headline(tableNode):
    """The numbers that a paper reports, for example ``DR 0.22 mm/year · BIC 13.9 % · BV/TV 19.6 %``."""
    report = reportOfTable(tableNode)
    found: dict[str, Measure] = {}
    for measure in report.measures if report else ():
        found.setdefault(measure.symbol, measure)
    measures = [found[symbol] for symbol in HEADLINE_SYMBOLS if symbol in found]
    return " · ".join(_inOneLine(measure) for measure in measures if math.isfinite(measure.value))


def headlineTooltip(tableNode):
    """Definition and note of each number of the headline."""
    report = reportOfTable(tableNode)
    shown = [measure for measure in (report.measures if report else ()) if measure.symbol in HEADLINE_SYMBOLS]
    lines = [f"{measure.symbol} ({measure.region}): {measure.definition}. {measure.note}".strip() for measure in shown]
    return "\n".join(lines)


def _inOneLine(measure):
    low, high = measure.low, measure.high
    span = f" ({numberText(low, 3)}–{numberText(high, 3)})" if math.isfinite(low) and math.isfinite(high) else ""
    sign = f" {WARNING_SIGN}" if measure.note else ""
    return f"{measure.symbol} {numberText(measure.value, 3)} {measure.unit}{span}{sign}"


def tableText(tableNode):
    """The columns that are copied, with tabs between and names above; what is not defined is empty, as in the CSV."""
    table = tableNode.GetTable()
    columns = [table.GetColumnByName(name) for name in COPIED_COLUMNS]
    rows = [[_copied(column.GetValue(row)) for column in columns] for row in range(table.GetNumberOfRows())]
    return "\n".join("\t".join(row) for row in [list(COPIED_COLUMNS), *rows])


def _copied(value):
    if isinstance(value, str):
        return value
    return f"{value:.10g}" if math.isfinite(value) else ""
