"""The samples of a batch in the panel: each with its state, place and time, and how far all of them are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import qt
from slicer.i18n import tr as _

from MgImplantSegLib.cli.batch_samples import Sample
from MgImplantSegLib.cli.batch_table import DONE, FAILED, RUNNING, STATES, WAITING, Row
from MgImplantSegSections.engine.backgroundTask import weakly
from MgImplantSegSections.sections.queueTable import Entry, QueueTable
from MgImplantSegSections.sections.workbench import durationText

SAMPLE, RESULT = 0, 4
IMPORTANT = ("DR", "BIC", "BV/TV")
TICK_MS = 1000


class BatchQueue:
    """The table of samples, the line above it, and the reason of the failure that is selected.

    :param ui: all named widgets.
    :param onSelected: called without arguments when other rows are selected, or the selected one has changed.
    :param onOpened: called without arguments when a row was double-clicked.
    """

    def __init__(self, ui: Any, onSelected: Callable[[], Any], onOpened: Callable[[], Any]):
        self._ui, self._onSelected, self._onOpened = ui, onSelected, onOpened
        self.rows: dict[str, Row] = {}
        headers = [_("Sample"), _("State"), _("Where"), _("Time"), _("Result")]
        self._table = QueueTable(ui.batchTable, headers, (SAMPLE, RESULT), self._selectionChanged, self._opened)
        self._timer = qt.QTimer(ui.batchTable)  # ends with the table
        self._timer.setInterval(TICK_MS)
        self._timer.connect("timeout()", weakly(self._tick))
        self._isAlive: Callable[[], bool] = lambda: False
        self._selectionChanged()

    def begin(self, samples: Iterable[Sample]):
        """All samples wait."""
        self.show(Row(sample.name, str(sample.image), study=sample.study) for sample in samples)

    def show(self, rows: Iterable[Row]):
        """Show these samples and no others."""
        self.rows = {row.sample: row for row in rows}
        self._table.replace(_entry(row) for row in self.rows.values())
        self._ui.batchCountsLabel.text = ""
        self._selectionChanged()

    def take(self, event: Mapping[str, Any]):
        """An event of the engine: a sample is in another state, or how far all are; whether it was one of these."""
        if event["event"] == "sample" and event.get("state") in (WAITING, RUNNING, DONE, FAILED):
            row = _rowOf(event)
            self.rows[row.sample] = row
            self._table.put(_entry(row))
            if row.sample in self._table.selected():
                self._selectionChanged()
            return True
        if event["event"] == "progress" and "counts" in event:
            self._ui.batchCountsLabel.text = countsText(event["counts"], event.get("eta_s"))
            self._ui.batchProgressBar.setRange(0, max(1, event["total"]))
            self._ui.batchProgressBar.value = event["done"]
            return True
        return False

    def tickWhile(self, isAlive: Callable[[], bool]):
        """Count the seconds of what runs, as long as `isAlive()` holds."""
        self._isAlive = isAlive
        self._timer.start()

    def selected(self):
        """The rows that are selected, from top to bottom."""
        return [self.rows[key] for key in self._table.selected()]

    def numberOf(self, *states: str):
        """How many samples are in one of these states."""
        return sum(row.state in states for row in self.rows.values())

    def _tick(self):
        if not self._isAlive():
            self._timer.stop()
            return
        for row in self.rows.values():
            if row.state == RUNNING:
                self._table.put(_entry(row))

    def _selectionChanged(self):
        failed = [row for row in self.selected() if row.problem]
        self._ui.batchReasonLabel.text = "\n".join(f"{row.sample}: {row.problem}" for row in failed)
        self._onSelected()

    def _opened(self, key: str):
        self._table.select([key])
        self._onOpened()


def _rowOf(event: Mapping[str, Any]):
    names = ("sample", "image", "state", "seconds", "problem", "measures", "where", "began", "is_skipped")
    return Row(**{name: event[name] for name in names if name in event})


def _entry(row: Row):
    seconds = max(0.0, time.time() - row.began) if row.began is not None else row.seconds
    texts = (
        row.sample,
        STATES[row.seen_as].name,
        row.where,
        "" if seconds is None else durationText(seconds),
        ", ".join(_shown(row.measures)),
    )
    tip = row.problem or f"{row.image}\n{texts[RESULT]}".strip()
    order = (row.sample.casefold(), list(STATES).index(row.seen_as), row.where or None, seconds, texts[RESULT] or None)
    return Entry(row.sample, texts, tip, order)


def _shown(measures: Any):
    """The most wanted measures as short texts."""
    for measure in measures:
        if measure["symbol"] in IMPORTANT and measure["value"] is not None:
            yield f"{measure['symbol']} {measure['value']:.3g} {measure['unit']}"


def countsText(counts: Mapping[str, int], leftS: float | None):
    """``2 running, 26 waiting, 11 done, 1 failed. 3 min 05 s left.``"""
    parts = [f"{count} {STATES[state].name}" for state, count in counts.items() if count and state in STATES]
    text = _("{counts}.").format(counts=", ".join(parts))
    return text if not leftS else _("{counts} {time} left.").format(counts=text, time=durationText(leftS))
