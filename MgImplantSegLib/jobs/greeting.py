"""What a host prints before the agent answers: skipped if the agent answers, reported if it never does."""

from __future__ import annotations

import re
import threading
import time
from io import BufferedReader

SHELL_MARK = re.compile(rb"MGIMPLANTSEG-SHELL 1\r?\n")
PYTHON_MARK = re.compile(rb"MGIMPLANTSEG-AGENT 2 (\d+)\.(\d+)(\S*)\r?\n")
LONGEST_MARK = 100
MOST_BYTES = 256 << 20
PART_BYTES = 64 << 10
KEPT_BYTES = 4096
LONGEST_SHOWN = 300
SECONDS_BETWEEN_LOOKS = 0.2
CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Greeting:
    """Reads a stream up to a mark, in a thread of its own: a host that never gets there blocks nothing.

    Parameters
    ----------
    stream : BufferedReader
        What the host prints. Until `is_over` nothing else may read or close it.
    mark : pattern of bytes
        What the host prints once it has come as far as is wanted.
    begun : bytes
        What came before, behind an earlier mark.
    """

    def __init__(self, stream: BufferedReader, mark: re.Pattern[bytes], begun: bytes = b"") -> None:
        self._stream, self._wanted = stream, mark
        self._tail = begun
        self._mark: re.Match[bytes] | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the mark has come, or will not come any more."""
        return not self._thread.is_alive()

    @property
    def mark(self) -> re.Match[bytes] | None:
        """The mark; None if it has not come."""
        return self._mark

    @property
    def rest(self) -> bytes:
        """What came behind the mark."""
        return b"" if self._mark is None else self._mark.string[self._mark.end() :]

    @property
    def said(self) -> str:
        """The end of what was printed."""
        return shown(self._tail.decode("utf-8", "replace"))

    def wait(self, seconds: float) -> None:
        """Return when it is over, after `seconds` at the latest."""
        end = time.monotonic() + seconds
        while not self.is_over and time.monotonic() < end:
            self._thread.join(SECONDS_BETWEEN_LOOKS)  # Windows hears Ctrl-C only in between

    def _read(self) -> None:
        left = MOST_BYTES
        while left > 0 and self._mark is None:
            try:
                part = self._stream.read1(PART_BYTES)  # not by lines: a question has no end of line
            except (OSError, ValueError):
                return
            if not part:
                return
            left -= len(part)
            self._mark = self._wanted.search(self._tail[-LONGEST_MARK:] + part)
            self._tail = (self._tail + part)[-KEPT_BYTES:]


def shown(text: str) -> str:
    """The end of a text in one line, without control characters."""
    words = " ".join(CONTROL.sub(" ", text).split())
    return words if len(words) <= LONGEST_SHOWN else "…" + words[-LONGEST_SHOWN:].lstrip()
