"""PythonQt's rules in front of PySide6's objects.

Properties are attributes and shadow methods of the same name; a name that Slicer does not have raises AttributeError,
for reading and for writing; slots, signals and enums cannot be overwritten; signals connect by
``w.connect("clicked(bool)", f)`` or ``w.clicked.connect(f)``; a slot gets as many arguments as it takes; lists come
as tuples; an exception in a slot is printed and swallowed, here it is also kept in `slot_errors`.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from . import api

slot_errors: list[str] = []
_facade_classes: dict[str, type] = {}
_connections: dict[tuple[int, str, Any], Callable] = {}


class HarnessLacksError(NotImplementedError):
    """The real application has it, the harness has not: the harness has to be extended."""


class FacadeType(type):
    """Classes that Python sees in ``qt``, ``ctk`` and ``slicer``: enums and static methods are their attributes."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") or not api.has_member(cls.qualified, name):
            raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}' in Slicer")
        value = getattr(cls.native, name)
        return _static(value) if callable(value) and not isinstance(value, type) else value

    def __setattr__(cls, name: str, value: Any) -> None:
        raise AttributeError(f"'{cls.__name__}' cannot be given the attribute '{name}'")


class Facade(metaclass=FacadeType):
    """One Qt object as PythonQt shows it; `native` is PySide6's object behind it."""

    qualified = "qt.QObject"
    native: Any = QtCore.QObject

    def __init__(self, *arguments: Any) -> None:
        object.__setattr__(self, "_native", type(self).native(*[unwrap(argument) for argument in arguments]))
        _remember(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        qualified = type(self).qualified
        if name in api.members(qualified, "properties"):
            return wrap(_read_property(self._native, _full(name)))
        if name in api.members(qualified, "signals"):
            return BoundSignal(self, name)
        if name in SPECIAL_SLOTS and name in api.members(qualified, "slots"):
            return SPECIAL_SLOTS[name].__get__(self)
        if name in api.members(qualified, "slots"):
            return _bound_slot(self._native, name)
        if name in api.members(qualified, "enums"):
            return getattr(type(self).native, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}' in Slicer")

    def __setattr__(self, name: str, value: Any) -> None:
        qualified = type(self).qualified
        if name in api.members(qualified, "properties"):
            _write_property(self._native, _full(name), unwrap(value))
        elif api.has_member(qualified, name):
            raise AttributeError(f"Slot, signal or enum '{name}' of {type(self).__name__} cannot be overwritten")
        else:
            raise AttributeError(f"Attribute '{name}' does not exist on {type(self).__name__}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facade) and self._native == other._native

    def __hash__(self) -> int:
        return hash(id(self._native))

    def __bool__(self) -> bool:
        return True


class BoundSignal:
    """`widget.clicked`: connect and disconnect Python callables, or emit by calling it."""

    def __init__(self, facade: Facade, name: str, signature: str | None = None) -> None:
        self._native, self._name = facade._native, name
        self._signal = getattr(self._native, name)
        if signature is not None and "(" in signature:
            self._signal = _overload(self._native, self._signal, signature)

    def connect(self, receiver: Callable) -> bool:
        slot = _OF_ARITY[_parameter_count(self._native, self._name)](_as_slot(receiver))
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


def facade_class(name: str, native: type, qualified: str, base: type = Facade) -> type:
    """Make (once) the class that Python sees under `name` for a native class."""
    if qualified not in _facade_classes:
        _facade_classes[qualified] = FacadeType(name, (base,), {"qualified": qualified, "native": native})
    return _facade_classes[qualified]


def facade_class_of(native_object: Any) -> type | None:
    """The most derived class that Slicer's Python shows for a native object; None for plain values."""
    for native_class in type(native_object).__mro__:
        qualified = api.qualified_name(native_class.__name__)
        if qualified in _facade_classes:
            return _facade_classes[qualified]
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
    found = None if value is None or isinstance(value, (str, int, float, bytes)) else facade_class_of(value)
    if found is None:
        return value
    facade = object.__new__(found)
    object.__setattr__(facade, "_native", value)
    _remember(facade)
    return facade


def unwrap(value: Any) -> Any:
    """A value from Python as PySide6 wants it."""
    if isinstance(value, Facade):
        return value._native
    if isinstance(value, (list, tuple)):
        return [unwrap(entry) for entry in value]
    return value


class Bytes:
    """A QByteArray: `data()` gives bytes."""

    def __init__(self, native: QtCore.QByteArray) -> None:
        self._native = native

    def data(self) -> bytes:
        return self._native.data()

    def size(self) -> int:
        return self._native.size()


def _remember(facade: Facade) -> None:
    if isinstance(facade._native, QtCore.QObject):
        facade._native._facade = facade


def _full(name: str) -> str:
    return "objectName" if name == api.ALIAS_OF_OBJECT_NAME else name


def _read_property(native: Any, name: str) -> Any:
    if isinstance(native, QtCore.QObject):
        if native.metaObject().indexOfProperty(name) < 0:
            raise HarnessLacksError(f"property {name} of {type(native).__name__}")
        return native.property(name)
    return getattr(native, name)()


def _write_property(native: Any, name: str, value: Any) -> None:
    setter = getattr(native, f"set{name[0].upper()}{name[1:]}", None)
    if setter is not None:
        setter(value)
    elif native.metaObject().indexOfProperty(name) < 0:
        raise HarnessLacksError(f"property {name} of {type(native).__name__}")
    elif not native.setProperty(name, value):
        raise ValueError(f"property {name} of {type(native).__name__} does not take {value!r}")


def _bound_slot(native: Any, name: str) -> Callable:
    method = getattr(native, name, None)
    if method is None:
        raise HarnessLacksError(f"slot {name} of {type(native).__name__}")
    return lambda *arguments: wrap(method(*[unwrap(argument) for argument in arguments]))


def _static(method: Callable) -> Callable:
    return lambda *arguments: wrap(method(*[_as_slot(a) if inspect.isroutine(a) else unwrap(a) for a in arguments]))


def _overload(native: QtCore.QObject, signal: Any, signature: str) -> Any:
    """The overload with that C++ signature; Qt must have it, as PythonQt refuses others."""
    normal = bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()
    if native.metaObject().indexOfSignal(normal) < 0 and normal not in getattr(native, "cpp_signals", ()):
        raise ValueError(f"QObject::connect: {type(native).__name__} has no signal {signature}")
    return signal


def _as_slot(receiver: Callable) -> Callable:
    """The receiver, called with as many arguments as it takes; what it raises is printed and kept."""
    takes = _argument_count(receiver)

    def slot(*arguments: Any) -> None:
        try:
            receiver(*[wrap(argument) for argument in arguments[:takes]])
        except Exception:
            slot_errors.append(traceback.format_exc())
            sys.stderr.write(slot_errors[-1])

    return slot


def _parameter_count(native: QtCore.QObject, name: str) -> int:
    meta = native.metaObject()
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
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(parameter.kind in positional for parameter in parameters)


def _connect(self: Facade, signature: str, receiver: Callable) -> bool:
    return _signal_of(self, signature).connect(receiver)


def _disconnect(self: Facade, signature: str, receiver: Callable) -> bool:
    return _signal_of(self, signature).disconnect(receiver)


def _signal_of(facade: Facade, signature: str) -> BoundSignal:
    name = re.match(r"\w+", signature).group()
    if "(" not in signature or name not in api.members(type(facade).qualified, "signals"):
        raise ValueError(f"{type(facade).__name__} has no signal {signature!r} in Slicer")
    return BoundSignal(facade, name, signature)


def _find_children(self: Facade, facade_type: type, name: str = "") -> tuple:
    return wrap(self._native.findChildren(facade_type.native, name or None))


def _class_name(self: Facade) -> str:
    return type(self).__name__


def _property(self: Facade, name: str) -> Any:
    return wrap(self._native.property(name))


SPECIAL_SLOTS = {
    "connect": _connect, "disconnect": _disconnect, "findChildren": _find_children, "className": _class_name,
    "property": _property,
}  # fmt: skip


def build_classes(modules: dict[str, Any]) -> None:
    """Fill the modules ``qt``, ``ctk`` and ``slicer`` with a facade for every class that PySide6 or a stand-in has."""
    from . import ctk_widgets, mrml_widgets

    sources = (QtWidgets, QtGui, QtCore, ctk_widgets, mrml_widgets)
    for qualified in sorted(api.knowledge()["classes"], key=lambda name: name != "qt.QObject" and name != "qt.QWidget"):
        namespace, name = qualified.split(".")
        native = next((getattr(source, name) for source in sources if hasattr(source, name)), None)
        if native is None:
            continue
        widget_base = _facade_classes.get("qt.QWidget", Facade)
        base = widget_base if issubclass(native, QtWidgets.QWidget) and name != "QWidget" else Facade
        setattr(modules[namespace], name, facade_class(name, native, qualified, base))
