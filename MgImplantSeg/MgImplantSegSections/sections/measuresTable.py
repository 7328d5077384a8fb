"""The measures as people see and copy them: rows of the table, what was warned of, and the numbers in one line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MgImplantSegLib.quantification.results import Measure
from MgImplantSegSections.sections.panelWords import inPanelWords
from MgImplantSegSections.sections.wholeTables import WholeTable
from MgImplantSegSections.work.measuresReport import (
    STALE,
    STATE_COLUMN,
    reportOfTable,
    resultText,
    warningsOfTable,
)
from MgImplantSegSections.work.numberText import numberText

if TYPE_CHECKING:
    from slicer import vtkMRMLTableNode

REGION_COLUMN = "Region"
COPIED_COLUMNS = ("Symbol", "Measure", "Value", "Unit", REGION_COLUMN, STATE_COLUMN)
HEADLINE_SYMBOLS = ("DR", "BIC", "BV/TV")
OPENING_SYMBOLS = ("Cr.V/DL.V", "Cr.open", "BIC_open", "BIC_closed", "Ct.Po", "Ca.Dm")
WARNING_SIGN, NO_BREAK, JOINER = "⚠", "\u00a0", "\u2060"  # lines break between the numbers
MEASURE, RESULT, UNIT = range(3)


class MeasuresTable:
    """Shows the report of a table node in a `QTableWidget`: a heading a region, a row a measure, stale ones grey."""

    def __init__(self, widget: Any):
        self._widget = widget
        self._shown: Any = None
        widget.setColumnCount(3)
        widget.setHorizontalHeaderLabels([_("Measure"), _("Result"), _("Unit")])
        widget.setEditTriggers(qt.QTableWidget.NoEditTriggers)
        self._whole = WholeTable(widget, wide=(MEASURE,))

    def show(self, tableNode: vtkMRMLTableNode):
        """Show a table node, or nothing; only what has changed is written."""
        report, states = reportOfTable(tableNode), _statesOf(tableNode)
        if (report, states) == self._shown:
            return
        self._shown = (report, states)
        rows = list(_rows(report.measures if report else (), states))
        self._widget.clearSpans()
        self._widget.clearContents()  # a heading spans cells that a measure may have had before
        self._widget.setRowCount(len(rows))
        for row, (region, measure, isStale) in enumerate(rows):
            if measure is None:
                self._putRegion(row, region, isStale)
            else:
                self._putMeasure(row, measure, isStale)
        self._whole.fit()

    def _putRegion(self, row: int, region: Any, isStale: bool):
        item = _item(region, region, isStale)
        font = item.font()
        font.setBold(True)
        item.setFont(font)
        line = qt.QSize(1, self._widget.verticalHeader().defaultSectionSize)
        item.setData(qt.Qt.SizeHintRole, line)  # else as many lines as it would have in the first column alone
        self._widget.setItem(row, MEASURE, item)
        self._widget.setSpan(row, MEASURE, 1, 3)

    def _putMeasure(self, row: int, measure: Any, isStale: bool):
        unit = "" if measure.unit == "1" else measure.unit
        for column, text in ((MEASURE, nameText(measure)), (RESULT, resultText(measure)), (UNIT, unit)):
            self._widget.setItem(row, column, _item(text, tooltip(measure), isStale))


def _item(text: str, tip: Any, isStale: bool):
    item = qt.QTableWidgetItem(text)
    item.setToolTip(tip)
    if isStale:
        item.setData(qt.Qt.ForegroundRole, qt.QColor("gray"))
        font = item.font()
        font.setItalic(True)
        item.setFont(font)
    return item


def _statesOf(tableNode: vtkMRMLTableNode):
    column = tableNode.GetTable().GetColumnByName(STATE_COLUMN) if tableNode is not None else None
    return [column.GetValue(row) for row in range(column.GetNumberOfValues())] if column is not None else []


def _rows(measures: Any, states: Any):
    """A heading for each region (stale if all its rows are), then its measures."""
    isStale = [state == STALE for state in states] or [False] * len(measures)
    for region in dict.fromkeys(measure.region for measure in measures):
        own = [(measure, stale) for measure, stale in zip(measures, isStale, strict=True) if measure.region == region]
        yield region, None, all(stale for _measure, stale in own)
        for measure, stale in own:
            yield region, measure, stale


def nameText(measure: Any):
    """Symbol and name of a measure, with a sign if its value has to be read with care."""
    sign = f" {WARNING_SIGN}" if measure.note and math.isfinite(measure.value) else ""
    return _("{symbol}, {name}").format(symbol=measure.symbol, name=measure.name) + sign


def tooltip(measure: Any):
    """What a measure is, how it was computed, and what the reader has to know."""
    lines = (f"{measure.symbol} ({measure.region}): {measure.definition}", measure.method, inPanelWords(measure.note))
    return "\n".join(line for line in lines if line)


def noteTexts(tableNode: vtkMRMLTableNode):
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
    spoken = (*(f"{WARNING_SIGN} {warning}" for warning in warnings), *openingTexts(report), *notes)
    return [inPanelWords(text) for text in spoken]


def openingTexts(report: Any):
    """What cracks and canals do to the numbers above, in sentences; none where they were not measured."""
    values = {entry.symbol: numberText(entry.value, 3) for entry in (report.measures if report else ())}
    crack, isOpen, openBic, closedBic, porosity, diameter = (values.get(symbol, "") for symbol in OPENING_SYMBOLS)
    texts = []
    if crack and isOpen:
        text = _("Cracks take {part} % of the degradation layer (Cr.V/DL.V); {open} % of them open to the outside.")
        texts.append(text.format(part=crack, open=isOpen))
    if crack and isOpen and openBic and closedBic:
        text = _("BIC is {open} % with cracks as background, {closed} % with cracks counted as part of the implant.")
        texts.append(text.format(open=openBic, closed=closedBic))
    if porosity and diameter:
        text = _("Canals take {part} % of the bone (Ct.Po); their mean diameter is {diameter} mm (Ca.Dm).")
        texts.append(text.format(part=porosity, diameter=diameter))
    return texts


def headline(tableNode: vtkMRMLTableNode):
    """The numbers that a paper reports, for example ``DR 0.22 mm/year · BIC 13.9 % · BV/TV 19.6 %``."""
    report = reportOfTable(tableNode)
    found: dict[str, Measure] = {}
    for measure in report.measures if report else ():
        found.setdefault(measure.symbol, measure)
    measures = [found[symbol] for symbol in HEADLINE_SYMBOLS if symbol in found]
    texts = [_unbroken(_inOneLine(measure)) for measure in measures if math.isfinite(measure.value)]
    return " · ".join(texts)


def _unbroken(text: str):
    return text.replace(" ", NO_BREAK).replace("/", f"/{JOINER}").replace("–", f"{JOINER}–{JOINER}")


def headlineTooltip(tableNode: vtkMRMLTableNode):
    """Definition and note of each number of the headline."""
    report = reportOfTable(tableNode)
    shown = [measure for measure in (report.measures if report else ()) if measure.symbol in HEADLINE_SYMBOLS]
    lines = [f"{measure.symbol} ({measure.region}): {measure.definition}. {measure.note}".strip() for measure in shown]
    return "\n".join([*lines, *openingTexts(report)])


def _inOneLine(measure: Any):
    low, high = measure.low, measure.high
    span = f" ({numberText(low, 3)}–{numberText(high, 3)})" if math.isfinite(low) and math.isfinite(high) else ""
    sign = f" {WARNING_SIGN}" if measure.note else ""
    return f"{measure.symbol} {numberText(measure.value, 3)} {measure.unit}{span}{sign}"


def tableText(tableNode: vtkMRMLTableNode):
    """The columns that are copied, with tabs between and names above; what is not defined is empty, as in the CSV."""
    table = tableNode.GetTable()
    columns = [table.GetColumnByName(name) for name in COPIED_COLUMNS]
    rows = [[_copied(column.GetValue(row)) for column in columns] for row in range(table.GetNumberOfRows())]
    return "\n".join("\t".join(row) for row in [list(COPIED_COLUMNS), *rows])


def _copied(value: Any):
    if isinstance(value, str):
        return value
    return f"{value:.10g}" if math.isfinite(value) else ""
