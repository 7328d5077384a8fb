"""What a person does with a widget: click, choose, type, wait, read."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtTest, QtWidgets

from .values import Wrapped, unwrap

HIGH_ENOUGH = 8000

SECONDS_TO_WAIT = 600.0  # for the slowest machine; an idle one needs some seconds at most


def process_events(milliseconds: int = 20) -> None:
    """Let the event loop run."""
    QtTest.QTest.qWait(milliseconds)


def wait_until(condition: Callable[[], bool], seconds: float = SECONDS_TO_WAIT) -> None:
    """Let the event loop run until the condition holds; AssertionError when it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        process_events()


def click(button: Any) -> None:
    """Press a button as the mouse does; it must be enabled and not hidden."""
    assert button.enabled, f"{button.name} is disabled: {button.toolTip}"
    native = unwrap(button)
    if isinstance(native, QtWidgets.QAbstractButton):
        native.click()
    else:
        QtTest.QTest.mouseClick(native, QtCore.Qt.MouseButton.LeftButton)
    process_events()


def choose(combo: Any, text: str) -> None:
    """Pick the entry of a combo box whose text contains `text`."""
    native = unwrap(combo)
    inner = native if isinstance(native, QtWidgets.QComboBox) else native.findChild(QtWidgets.QComboBox)
    texts = [inner.itemText(index) for index in range(inner.count())]
    matching = [index for index, entry in enumerate(texts) if text in entry]
    assert matching, f"{text!r} is not among {texts}"
    inner.setCurrentIndex(matching[0])
    process_events()


def texts_of(combo: Any) -> list[str]:
    """All entries of a combo box."""
    native = unwrap(combo)
    inner = native if isinstance(native, QtWidgets.QComboBox) else native.findChild(QtWidgets.QComboBox)
    return [inner.itemText(index) for index in range(inner.count())]


def rows_of(table: Any) -> list[list[str]]:
    """The cells of a table as text."""
    native = unwrap(table)
    return [
        [native.item(row, column).text() if native.item(row, column) else "" for column in range(native.columnCount())]
        for row in range(native.rowCount())
    ]


def select_rows(table: Any, *rows: int) -> None:
    """Select exactly these rows of a table, as with Ctrl and clicks."""
    native = unwrap(table)
    native.clearSelection()
    for row in rows:
        chosen = QtCore.QItemSelectionModel.SelectionFlag.Select | QtCore.QItemSelectionModel.SelectionFlag.Rows
        native.selectionModel().select(native.model().index(row, 0), chosen)


def items_of(table: Any, column: int | None = None) -> list[QtWidgets.QTableWidgetItem]:
    """All items of a table, or those of a column."""
    native = unwrap(table)
    columns = range(native.columnCount()) if column is None else (column,)
    found = [native.item(row, entry) for row in range(native.rowCount()) for entry in columns]
    return [item for item in found if item is not None]


def height_of(widget: Any, width: int) -> int:
    """The height that a widget needs at a width."""
    native = unwrap(widget)
    return native.heightForWidth(width) if native.hasHeightForWidth() else native.sizeHint().height()


def photograph(widget: Any, path: Path, width: int = 520, height: int = HIGH_ENOUGH) -> Path:
    """Save a picture of a widget as it looks now, in a window that is high enough for all that stands in it."""
    native = unwrap(widget)
    window = native.window()
    window.setAttribute(QtCore.Qt.WidgetAttribute.WA_DontShowOnScreen, True)
    window.resize(width, height)
    window.show()
    process_events(500)
    path.parent.mkdir(parents=True, exist_ok=True)
    native.grab().save(str(path))
    return path


def answers(monkeypatch, *given):
    """Answers the questions with OK (True) or Cancel (False), in their order; returns the list of questions so far."""
    import slicer.util

    left, questions = list(given), []

    def answer(text, **_options):
        questions.append(text)
        return left.pop(0)

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", answer, raising=False)
    return questions


class Dock:
    """The panel in a scroll area, as Slicer's module dock shows it, in its real width and height."""

    def __init__(self, widget: Any, width: int, height: int) -> None:
        self.panel = unwrap(widget.parent)
        self.area = QtWidgets.QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setAttribute(QtCore.Qt.WidgetAttribute.WA_DontShowOnScreen, True)
        self.area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setVerticalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.area.setWidget(self.panel)
        self.area.resize(width, height)
        self.area.show()
        process_events(50)

    def shown(self, kind: type) -> list[Any]:
        """All widgets of a kind that are not hidden or folded away; some of them may have to be scrolled to."""
        return [child for child in self.panel.findChildren(kind) if child.isVisible()]

    def place(self, widget: Any) -> QtCore.QRect:
        """Where a widget lies in what the dock shows now."""
        label = getattr(widget, "label", None)  # of a text that stands in a label of fixed height
        native = unwrap(label if isinstance(label, Wrapped) else widget)
        return QtCore.QRect(native.mapTo(self.area.viewport(), QtCore.QPoint(0, 0)), native.size())

    def is_in_view(self, widget: Any) -> bool:
        """Whether a widget can be seen wholly without scrolling."""
        return self.area.viewport().rect().contains(self.place(widget))

    def close(self) -> None:
        """Give the panel back."""
        self.area.takeWidget()
        self.area.close()
