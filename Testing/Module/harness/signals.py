"""PythonQt's signals: how they connect, what their slots get, and where an error in a slot goes."""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable
from functools import cache
from typing import Any

from PySide6 import QtCore

from . import api
from .values import Wrapped, unwrap, wrap

slot_errors: list[str] = []
_connections: dict[tuple[int, str, Any], Callable] = {}


class BoundSignal:
    """`widget.clicked`: connect and disconnect Python callables, or emit by calling it."""

    def __init__(self, facade: Wrapped, name: str, signature: str | None = None) -> None:
        self._native, self._name = facade._native, name
        self._signal = getattr(self._native, name)
        if signature is not None and "(" in signature:
            self._signal = _overload(self._native, self._signal, signature)

    def connect(self, receiver: Callable) -> bool:
        slot = _OF_ARITY[_parameter_count(type(self._native), self._name)](as_slot(receiver))
        _connections[self._key(receiver)] = slot
        self._signal.connect(slot)
        return True

    def disconnect(self, receiver: Callable | None = None) -> bool:
        slot = _connections.pop(self._key(receiver), None)
        if slot is None:
            return False
        self._signal.disconnect(slot)
        return True

    def __call__(self, *arguments: Any) -> None:
        self._signal.emit(*[unwrap(argument) for argument in arguments])

    emit = __call__

    def _key(self, receiver: Any) -> tuple[int, str, Any]:
        return id(self._native), self._name, receiver


def _overload(native: QtCore.QObject, signal: Any, signature: str) -> Any:
    """The overload with that C++ signature; Qt must have it, as PythonQt refuses others."""
    normal = bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()
    if native.metaObject().indexOfSignal(normal) < 0 and normal not in getattr(native, "cpp_signals", ()):
        raise ValueError(f"QObject::connect: {type(native).__name__} has no signal {signature}")
    return signal


def as_slot(receiver: Callable) -> Callable:
    """The receiver, called with as many arguments as it takes; what it raises is printed and kept."""
    takes = _argument_count(receiver)

    def slot(*arguments: Any) -> None:
        try:
            receiver(*[wrap(argument) for argument in arguments[:takes]])
        except Exception:
            slot_errors.append(traceback.format_exc())
            sys.stderr.write(slot_errors[-1])

    return slot


@cache
def _parameter_count(native: type[QtCore.QObject], name: str) -> int:
    meta = native.staticMetaObject
    methods = [meta.method(index) for index in range(meta.methodCount())]
    return max(method.parameterCount() for method in methods if bytes(method.name().data()).decode() == name)


# PySide6 passes an optional argument only to a function that has it by name
_OF_ARITY = {
    0: lambda slot: lambda: slot(),
    1: lambda slot: lambda a: slot(a),
    2: lambda slot: lambda a, b: slot(a, b),
    3: lambda slot: lambda a, b, c: slot(a, b, c),
    4: lambda slot: lambda a, b, c, d: slot(a, b, c, d),
}


def _argument_count(receiver: Callable) -> int | None:
    """How many arguments PythonQt passes; None for all, which other callables than functions and methods get."""
    function = receiver.__func__ if inspect.ismethod(receiver) else receiver
    if not inspect.isfunction(function) or function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return function.__code__.co_argcount - inspect.ismethod(receiver)


def connect(self: Wrapped, signature: str, receiver: Callable) -> bool:
    return _signal_of(self, signature).connect(receiver)


def disconnect(self: Wrapped, signature: str, receiver: Callable) -> bool:
    return _signal_of(self, signature).disconnect(receiver)


def _signal_of(facade: Wrapped, signature: str) -> BoundSignal:
    name = re.match(r"\w+", signature).group()
    if "(" not in signature or name not in api.members(type(facade).qualified, "signals"):
        raise ValueError(f"{type(facade).__name__} has no signal {signature!r} in Slicer")
    return BoundSignal(facade, name, signature)
