"""What Python sees of Qt, CTK and Slicer in the real application, from `slicer_api.json` beside this folder."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

API_FILE = Path(__file__).resolve().parent.parent / "slicer_api.json"
NAMESPACES = ("qt", "ctk", "slicer")
ALIAS_OF_OBJECT_NAME = "name"  # PythonQt's own short form, which slicer.util.childWidgetVariables uses


@cache
def knowledge() -> dict[str, Any]:
    """The whole file: ``classes`` by qualified name, and ``names`` of modules and singletons."""
    return json.loads(API_FILE.read_text("utf-8"))


@cache
def qualified_name(class_name: str) -> str | None:
    """``qt.QLabel`` for ``QLabel``; None for a class that the file does not describe."""
    for namespace in NAMESPACES:
        if f"{namespace}.{class_name}" in knowledge()["classes"]:
            return f"{namespace}.{class_name}"
    return None


@cache
def members(qualified: str, kind: str) -> frozenset[str]:
    """Names of the ``properties``, ``slots``, ``signals`` or ``enums`` of a class, those of its base included."""
    entry = knowledge()["classes"][qualified]
    own = set(entry[kind])
    if kind == "properties" and "objectName" in own | set(_base_entry(entry).get("properties", ())):
        own.add(ALIAS_OF_OBJECT_NAME)
    return frozenset(own | (members(entry["base"], kind) if entry["base"] else set()))


def _base_entry(entry: dict[str, Any]) -> dict[str, Any]:
    return knowledge()["classes"].get(entry["base"], {}) if entry["base"] else {}


@cache
def kind_of_member(qualified: str, name: str) -> str | None:
    """Which of ``properties``, ``signals``, ``slots`` and ``enums`` of a class has that name; None if none has."""
    kinds = ("properties", "signals", "slots", "enums")
    return next((kind for kind in kinds if name in members(qualified, kind)), None)


def names(where: str) -> frozenset[str]:
    """Names in a module or singleton, such as ``slicer.app`` or ``slicer.util``."""
    return frozenset(knowledge()["names"][where])
