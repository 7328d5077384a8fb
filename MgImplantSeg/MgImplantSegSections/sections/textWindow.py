"""A window of its own for texts that are too long for the panel: a model's card, a log."""

from __future__ import annotations

from html import escape
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

WIDTH, HEIGHT = 640, 480


class TextWindow:
    """Made when it is shown for the first time; may stay open beside the work and follows its text."""

    def __init__(self, title: str):
        self._title, self._html = title, ""
        self.dialog: Any = None
        self.browser: Any = None

    def setHtml(self, html: str):
        """Another text."""
        self._html = html
        if self.browser is not None:
            self.browser.html = html

    def setPlainText(self, text: str):
        """Another text without formatting."""
        self.setHtml(f"<pre style='white-space: pre-wrap'>{escape(text, quote=False)}</pre>")

    def append(self, text: str):
        """One more line of plain text."""
        self._html += f"<div>{escape(text, quote=False)}</div>"
        if self.browser is not None:
            self.browser.append(escape(text, quote=False))

    def text(self):
        """What can be read in the window; empty before it was shown."""
        return self.browser.plainText if self.browser is not None else ""

    def show(self):
        """Show the window, or bring it to the front."""
        if self.dialog is None:
            self._make()
        self.dialog.show()
        self.dialog.activateWindow()

    def close(self):
        """Take the window away for good."""
        if self.dialog is not None:
            self.dialog.close()
            self.dialog.deleteLater()
            self.dialog = self.browser = None

    def onClose(self):
        """Hide the window; it comes back with its text."""
        self.dialog.hide()

    def onCopy(self):
        """The text goes to the clipboard."""
        slicer.app.clipboard().setText(self.text())

    def _make(self):
        self.dialog = qt.QDialog(slicer.util.mainWindow())
        self.dialog.windowTitle = self._title
        self.dialog.resize(WIDTH, HEIGHT)
        self.browser = qt.QTextBrowser()
        self.browser.openExternalLinks = True
        self.browser.html = self._html
        copy, close = qt.QPushButton(_("Copy")), qt.QPushButton(_("Close"))
        copy.connect("clicked(bool)", self.onCopy)
        close.connect("clicked(bool)", self.onClose)
        close.default = True
        row = qt.QHBoxLayout()
        row.addStretch(1)
        row.addWidget(copy)
        row.addWidget(close)
        layout = qt.QVBoxLayout(self.dialog)
        layout.addWidget(self.browser)
        layout.addLayout(row)
