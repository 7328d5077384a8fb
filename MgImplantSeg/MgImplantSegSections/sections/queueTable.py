"""A table of work with states, for hundreds of rows: only what has changed is drawn anew, and it can be sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import qt

from MgImplantSegLib.base.plain_text import html_text, one_line
from MgImplantSegSections.sections.wholeTables import WholeTable


@dataclass(frozen=True)
class Entry:
    """One row.

    :param key: names it among the others, whatever its place.
    :param cells: the texts of its columns; they may come from files of anybody.
    :param tip: what is read when the mouse rests on it.
    :param order: what each column is sorted by; None stands last.
    """

    key: str
    cells: tuple[str, ...]
    tip: str = ""
    order: tuple[Any, ...] = ()


class QueueTable:
    """Fills a `QTableWidget`; rows are named by keys, which keep their selection when the order changes.

    :param wide: numbers of the columns that share the width that others leave.
    :param onSelected: called without arguments when other rows are selected.
    :param onOpened: called with the key of a row that was double-clicked.
    """

    def __init__(
        self,
        table: Any,
        headers: Sequence[str],
        wide: Sequence[int],
        onSelected: Callable[[], Any],
        onOpened: Callable[[str], Any] = lambda key: None,
    ):
        self._table, self._onSelected, self._onOpened = table, onSelected, onOpened
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []  # in the order of the rows
        self._shown: list[list[str]] = []
        self._tips: list[str] = []
        self._columns = range(len(headers))
        self._longest = {column: {text} for column, text in enumerate(headers)}  # as many letters, other widths
        self._narrow = [column for column in self._columns if column not in wide]
        self._sortedBy, self._isDescending = -1, False
        table.setColumnCount(len(headers))
        table.setHorizontalHeaderLabels(list(headers))
        table.setEditTriggers(qt.QTableWidget.NoEditTriggers)
        self._whole = WholeTable(table, wide)
        self._letRowsBe(table)
        table.connect("itemSelectionChanged()", self._selectionChanged)
        table.connect("cellDoubleClicked(int,int)", self._opened)

    def _letRowsBe(self, table: Any):
        """Rows and columns are measured when their own texts change, not all of them at each change."""
        table.verticalHeader().setSectionResizeMode(qt.QHeaderView.Interactive)
        header = table.horizontalHeader()
        for column in self._narrow:
            header.setSectionResizeMode(column, qt.QHeaderView.Interactive)
            table.resizeColumnToContents(column)
        header.setSectionsClickable(True)
        header.connect("sectionClicked(int)", self.sortBy)

    @property
    def keys(self):
        """The keys of all rows, from top to bottom."""
        return tuple(self._keys)

    def replace(self, entries: Iterable[Entry]):
        """Show these rows instead of all others; what stays selected is what stays."""
        self._entries = {entry.key: entry for entry in entries}
        self._arrange()

    def put(self, entry: Entry):
        """Show a new row, or an old one as it is now."""
        before = self._entries.get(entry.key)
        self._entries[entry.key] = entry
        if before is None and self._sortedBy < 0:
            self._setRowCount(len(self._entries))
            self._keys.append(entry.key)
        elif before is None or (self._sortedBy >= 0 and self._value(before) != self._value(entry)):
            self._arrange()
            return
        self._fill(self._keys.index(entry.key), entry)

    def selected(self):
        """The keys of the selected rows, from top to bottom."""
        rows = sorted({item.row() for item in self._table.selectedItems()})
        return [self._keys[row] for row in rows if row < len(self._keys)]

    def select(self, keys: Iterable[str]):
        """Select exactly the rows of these keys."""
        wanted = set(keys)
        for row, key in enumerate(self._keys):
            for column in self._columns:
                item = self._table.item(row, column)
                if item.isSelected() != (key in wanted):
                    item.setSelected(key in wanted)

    def sortBy(self, column: int):
        """Sort by a column; once more turns the order round, a third time leaves rows as they came."""
        isSame = column == self._sortedBy
        self._sortedBy = -1 if isSame and self._isDescending else column
        self._isDescending = isSame and not self._isDescending
        header = self._table.horizontalHeader()
        header.setSortIndicatorShown(self._sortedBy >= 0)
        if self._sortedBy >= 0:
            header.setSortIndicator(column, qt.Qt.DescendingOrder if self._isDescending else qt.Qt.AscendingOrder)
        self._arrange()

    def _value(self, entry: Entry):
        """What a row is sorted by."""
        return entry.order[self._sortedBy] if entry.order else entry.cells[self._sortedBy].casefold()

    def _inOrder(self):
        entries = list(self._entries.values())
        if self._sortedBy < 0:
            return entries
        last = [entry for entry in entries if self._value(entry) is None]
        others = [entry for entry in entries if self._value(entry) is not None]
        return [*sorted(others, key=self._value, reverse=self._isDescending), *last]

    def _arrange(self):
        """Put all rows in their order; cells that read the same are left alone."""
        selected = self.selected()
        entries = self._inOrder()
        isMoved = [entry.key for entry in entries][: len(self._keys)] != self._keys
        wasBlocked = self._table.blockSignals(True)
        self._setRowCount(len(entries))
        self._keys = [entry.key for entry in entries]
        for row, entry in enumerate(entries):
            self._fill(row, entry)
        if isMoved:
            self.select(selected)
        self._table.blockSignals(wasBlocked)
        self._whole.fit()
        if isMoved and selected != self.selected():
            self._onSelected()

    def _setRowCount(self, count: int):
        self._table.setRowCount(count)
        del self._shown[count:], self._tips[count:]
        for row in range(len(self._shown), count):
            for column in self._columns:
                self._table.setItem(row, column, qt.QTableWidgetItem(""))
            self._shown.append([""] * len(self._columns))
            self._tips.append("")

    def _fill(self, row: int, entry: Entry):
        texts = [one_line(cell) for cell in entry.cells]
        changed = [column for column, text in enumerate(texts) if self._shown[row][column] != text]
        for column in changed:
            self._table.item(row, column).setText(texts[column])
            if column in self._narrow:
                self._widen(column, texts[column])
        self._shown[row] = texts
        if self._tips[row] != entry.tip:
            self._tips[row] = entry.tip
            for column in range(len(texts)):
                self._table.item(row, column).setToolTip(plainTip(entry.tip))
        if changed:
            self._table.resizeRowToContents(row)

    def _widen(self, column: int, text: str):
        """Measure a narrow column anew if a text may be the widest; all texts would take too long."""
        longest = self._longest[column]
        letters = len(next(iter(longest)))
        if len(text) > letters:
            longest.clear()
        elif len(text) < letters or text in longest:
            return
        longest.add(text)
        self._table.resizeColumnToContents(column)

    def _selectionChanged(self):
        self._onSelected()

    def _opened(self, row: int, column: int):
        if row < len(self._keys):
            self._onOpened(self._keys[row])


def plainTip(text: str):
    """A text of anybody as a tooltip, where Qt would take marks for rich text."""
    return f"<p>{html_text(text)}</p>" if text else ""
