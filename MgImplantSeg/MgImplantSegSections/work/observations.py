"""Observers on objects of the scene that change with the choices: replaced as a group, removed as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Observations:
    """Groups of observers under a key."""

    def __init__(self):
        self._groups = {}

    def replace(self, key: str, objects: Any, events: Any, callback: Callable[..., Any]):
        """Observe `objects` for `events`, in place of what was observed under `key`; nothing if all is the same."""
        wanted = [(observed, event) for observed in objects for event in events]
        if [entry[:2] for entry in self._groups.get(key, [])] == wanted:
            return
        self.remove(key)
        self._groups[key] = [(observed, event, observed.AddObserver(event, callback)) for observed, event in wanted]

    def remove(self, key: str):
        """Observe nothing under `key` any more."""
        for observed, _event, tag in self._groups.pop(key, []):
            observed.RemoveObserver(tag)

    def removeAll(self):
        """Observe nothing any more."""
        for key in list(self._groups):
            self.remove(key)
