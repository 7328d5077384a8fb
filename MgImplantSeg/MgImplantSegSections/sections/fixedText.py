"""Labels that keep their height whatever they say: nothing below moves, and what has no room is in the tooltip."""

from __future__ import annotations

import re
from html import escape
from typing import Any

import qt

LONG_WORD = re.compile(r"(\S{24})(?=\S)")  # such as a path: unbroken it would make the panel wider
BREAK, MORE = "\u200b", "…"
OWN = ("text", "toolTip")
# lines of each label of the panel whose text changes
LINES = {
    "inputInfoLabel": 1,
    "inputWarningLabel": 2,
    "modelCardLabel": 2,
    "missingLabel": 3,
    "measuresHeadlineLabel": 3,  # with ranges
    "segmentStatusLabel": 2,
    "estimateLabel": 2,
    "labelMapLabel": 2,
    "alignmentLabel": 2,
    "measuresStateLabel": 3,
    "compareStatusLabel": 2,
    "teachLabelledLabel": 4,
    "teachStatusLabel": 2,
    "teachResultLabel": 4,
    "trainingEnvironmentLabel": 2,
    "trainingStatusLabel": 2,
    "batchStatusLabel": 2,
    "environmentStatusLabel": 6,  # a line a check
    "diskLabel": 2,
}


def keepHeights(ui: Any):
    """Put a `FixedText` in place of each label of `LINES` among the widgets."""
    for name, lines in LINES.items():
        setattr(ui, name, FixedText(getattr(ui, name), lines))


class FixedText:
    """A `QLabel` with room for some lines; all its attributes are the label's, but for `text` and `toolTip`.

    `text` is the whole text, whatever of it is shown; `toolTip` what can be read in the tooltip: the whole text too
    where it is not shown.

    :param label: the label, which wraps words.
    :param lines: how many lines it has room for.
    """

    label: Any

    def __init__(self, label: Any, lines: int):
        self.__dict__.update(label=label, _text=label.text, _tip=label.toolTip, _isShort=True)
        label.textFormat = qt.Qt.PlainText
        label.wordWrap = True
        label.alignment = qt.Qt.AlignTop
        label.text = "\n".join(["x"] * lines)
        self.__dict__["_height"] = label.sizeHint.height()
        label.setFixedHeight(self._height)
        self.__dict__["_watch"] = _Resized(self.fit)
        label.installEventFilter(self._watch)
        self.fit()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.label, name)

    def __setattr__(self, name: str, value: Any):
        if name in OWN:
            super().__setattr__(name, value)
        else:
            setattr(self.label, name, value)

    @property
    def text(self) -> Any:
        """The whole text."""
        return self._text

    @text.setter
    def text(self, text: str):
        if text != self._text:
            self.__dict__["_text"] = text
            self.fit()

    @property
    def toolTip(self) -> str:
        """What the tooltip says, as plain text."""
        return "\n".join(part for part in ("" if self._isShort else self._text, self._tip) if part)

    @toolTip.setter
    def toolTip(self, tip: str):
        self.__dict__["_tip"] = tip
        self._showTip()

    def fit(self):
        """Show as much of the text as there is room for."""
        text = LONG_WORD.sub(rf"\1{BREAK}", self._text)
        self.__dict__["_isShort"] = self._fits(text)
        if not self._isShort:
            fitting, tooLong = 0, len(text)
            while tooLong - fitting > 1:
                middle = (fitting + tooLong) // 2
                fitting, tooLong = (middle, tooLong) if self._fits(_beginning(text, middle)) else (fitting, middle)
            self.label.text = _beginning(text, fitting)
        self._showTip()

    def _fits(self, text: str):
        self.label.text = text
        return not text or self.label.heightForWidth(self.label.width) <= self._height

    def _showTip(self):
        lines = "<br>".join(escape(self.toolTip, quote=False).split("\n"))
        self.label.toolTip = f"<p>{lines}</p>" if lines else ""  # rich text is wrapped


def _beginning(text: str, length: int):
    return text[:length].rstrip() + MORE


class _Resized(qt.QObject):
    """Calls a function when a widget has got another size."""

    def __init__(self, listener: Any):
        super().__init__()
        self.listener = listener

    def eventFilter(self, watched: Any, event: Any):
        """Qt asks before the widget gets the event."""
        if event.type() == qt.QEvent.Resize:
            self.listener()
        return False
