"""A window of its own for texts that are too long for the panel: a model's card, a log."""

from __future__ import annotations

from html import escape
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

WIDTH, HEIGHT = 640, 480


class TextWindow:
    """Made when it is shown for the first time; may stay open beside the work and follows its text.

    :param more: what the button says that unfolds the second part of a text in two parts.
    """

    def __init__(self, title: str, more: str = ""):
        self._title, self._html, self._more, self._moreHtml = title, "", more, ""
        self.dialog: Any = None
        self.browser: Any = None
        self._moreButton: Any = None

    def setHtml(self, html: str, moreHtml: str = ""):
        """Another text, with a part that is folded at first; the same text stays where it was scrolled to."""
        if (html, moreHtml) == (self._html, self._moreHtml):
            return
        self._html, self._moreHtml = html, moreHtml
        if self.browser is not None:
            self._moreButton.checked = False
            self._fill()

    def onMore(self):
        """Unfold or fold the second part."""
        self._fill()

    def _fill(self):
        self.browser.html = self._html + (self._moreHtml if self._moreButton.checked else "")
        self._moreButton.visible = bool(self._moreHtml)

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
            self.dialog = self.browser = self._moreButton = None

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
        self._moreButton = qt.QPushButton(self._more)
        self._moreButton.checkable = True
        self._moreButton.connect("clicked(bool)", self.onMore)
        copy, close = qt.QPushButton(_("Copy")), qt.QPushButton(_("Close"))
        copy.connect("clicked(bool)", self.onCopy)
        close.connect("clicked(bool)", self.onClose)
        close.default = True
        row = qt.QHBoxLayout()
        row.addWidget(self._moreButton)
        row.addStretch(1)
        row.addWidget(copy)
        row.addWidget(close)
        layout = qt.QVBoxLayout(self.dialog)
        layout.addWidget(self.browser)
        layout.addLayout(row)
        self._fill()
