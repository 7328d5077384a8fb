"""How batches were started from this panel, so that the same command can go on although other choices were made since.

Kept on this computer, not read from the results: what stands there may be of anybody.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from MgImplantSegSections.work import settings

MOST_STARTS = 20


@dataclass(frozen=True)
class BatchStart:
    """The words of a command, and the environment whose Python runs it (None: Slicer's own)."""

    words: tuple[str, ...]
    python: str | None = None


def remember(output: str, start: BatchStart):
    """Keep how the batch in a folder was started."""
    others = [entry for entry in _entries() if entry[0] != _place(output)]
    kept = [[_place(output), list(start.words), start.python or ""], *others]
    settings.writeTable(settings.BATCHES, {"starts": kept[:MOST_STARTS]})


def startOf(output: str):
    """How the batch in a folder was started; None if it was not started from here."""
    for place, words, python in _entries():
        if output and place == _place(output):
            return BatchStart(tuple(words), python or None)
    return None


def _entries():
    found = settings.readTable(settings.BATCHES).get("starts", [])
    return [entry for entry in found if len(entry) == 3] if isinstance(found, list) else []


def _place(output: str):
    return os.path.normcase(os.path.abspath(output))
