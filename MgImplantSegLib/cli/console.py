"""What a person sees on the terminal while a command runs: a progress bar with the time left, warnings."""

from __future__ import annotations

import shutil
import time
from typing import IO, Any

from MgImplantSegLib.base.plain_text import one_line

SECONDS_BETWEEN_LINES = 5.0
BAR_WIDTH = 24


class Console:
    """A sink of events that draws on a stream: a bar on a terminal, a line now and then elsewhere.

    Parameters
    ----------
    stream : text stream
        Usually standard error, so that standard output stays free for results.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._last_line = time.monotonic()
        self._bar_is_drawn = False

    def __call__(self, record: dict[str, Any]) -> None:
        if record["event"] == "progress":
            self._progress(record)
        elif record["event"] == "warning":
            self.line(f"warning: {record['message']}")
        elif record["event"] == "estimate":
            self.line(record["text"])

    def line(self, text: str) -> None:
        """One whole line, whatever the text holds; a progress bar is removed first."""
        self.clear()
        self._stream.write(one_line(text) + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Remove the bar."""
        if self._bar_is_drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._bar_is_drawn = False

    def _progress(self, record: dict[str, Any]) -> None:
        text = one_line(progress_text(record))
        if self._is_terminal:
            columns = shutil.get_terminal_size().columns
            self._stream.write(f"\r\x1b[K{f'{bar(record)} {text}'[: columns - 1]}")
            self._stream.flush()
            self._bar_is_drawn = True
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.line(text)


def bar(record: dict[str, Any]) -> str:
    """``[######------]`` for a progress event."""
    filled = round(BAR_WIDTH * _fraction(record))
    return f"[{'#' * filled}{'-' * (BAR_WIDTH - filled)}]"


def progress_text(record: dict[str, Any]) -> str:
    """``plane 2/9: 38 %, 41 s left`` for a progress event."""
    left = record.get("eta_s")
    text = f"{record['stage']}: {100 * _fraction(record):.0f} %"
    return text if left is None or _fraction(record) >= 1 else f"{text}, {duration_text(left)} left"


def duration_text(seconds: float) -> str:
    """``41 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _fraction(record: dict[str, Any]) -> float:
    return min(1.0, record["done"] / record["total"]) if record["total"] else 1.0
