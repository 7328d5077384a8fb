"""Values on their way between Python and PySide6, in the form that PythonQt gives them."""

from __future__ import annotations

from functools import cache
from typing import Any

from PySide6 import QtCore

from . import api

facade_classes: dict[str, type] = {}


class Wrapped:
    """Has an object of PySide6 behind it, `_native`."""

    _native: Any


@cache
def facade_class_of(kind: type) -> type | None:
    """The most derived class that Slicer's Python shows for native objects of a kind; None for plain values."""
    for native_class in kind.__mro__:
        qualified = api.qualified_name(native_class.__name__)
        if qualified in facade_classes:
            return facade_classes[qualified]
    return None


def wrap(value: Any) -> Any:
    """A native value as Python sees it in Slicer."""
    if isinstance(value, (list, tuple)):
        return tuple(wrap(entry) for entry in value)
    if isinstance(value, QtCore.QByteArray):
        return Bytes(value)
    known = getattr(value, "_facade", None) if isinstance(value, QtCore.QObject) else None
    if known is not None:
        return known
    found = None if value is None or isinstance(value, (str, int, float, bytes)) else facade_class_of(type(value))
    if found is None:
        return value
    facade = object.__new__(found)
    object.__setattr__(facade, "_native", value)
    remember(facade)
    return facade


def unwrap(value: Any) -> Any:
    """A value from Python as PySide6 wants it."""
    if isinstance(value, Wrapped):
        return value._native
    if isinstance(value, (list, tuple)):
        return [unwrap(entry) for entry in value]
    return value


class Bytes(Wrapped):
    """A QByteArray: `data()` gives bytes."""

    def __init__(self, native: QtCore.QByteArray) -> None:
        self._native = native

    def data(self) -> bytes:
        return self._native.data()

    def size(self) -> int:
        return self._native.size()


def remember(facade: Wrapped) -> None:
    if isinstance(facade._native, QtCore.QObject):
        facade._native._facade = facade
