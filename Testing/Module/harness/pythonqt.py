"""PythonQt's rules in front of PySide6's objects.

Properties are attributes and shadow methods of the same name; a name that Slicer does not have raises AttributeError,
for reading and for writing; slots, signals and enums cannot be overwritten; signals connect by
``w.connect("clicked(bool)", f)`` or ``w.clicked.connect(f)``; a slot gets as many arguments as it takes; lists come
as tuples; an exception in a slot is printed and swallowed, here it is also kept in `slot_errors`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from . import api
from .signals import BoundSignal, as_slot, connect, disconnect
from .values import Wrapped, facade_classes, remember, unwrap, wrap


class HarnessLacksError(NotImplementedError):
    """The real application has it, the harness has not: the harness has to be extended."""


class FacadeType(type):
    """Classes that Python sees in ``qt``, ``ctk`` and ``slicer``: enums and static methods are their attributes."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") or not api.kind_of_member(cls.qualified, name):
            raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}' in Slicer")
        value = getattr(cls.native, name)
        return _static(value) if callable(value) and not isinstance(value, type) else value

    def __setattr__(cls, name: str, value: Any) -> None:
        raise AttributeError(f"'{cls.__name__}' cannot be given the attribute '{name}'")


class Facade(Wrapped, metaclass=FacadeType):
    """One Qt object as PythonQt shows it; `native` is PySide6's object behind it."""

    qualified = "qt.QObject"
    native: Any = QtCore.QObject

    def __init__(self, *arguments: Any) -> None:
        object.__setattr__(self, "_native", type(self).native(*[unwrap(argument) for argument in arguments]))
        remember(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kind = api.kind_of_member(type(self).qualified, name)
        if kind == "properties":
            return wrap(_read_property(self._native, _full(name)))
        if kind == "signals":
            return BoundSignal(self, name)
        if kind == "slots":
            special = SPECIAL_SLOTS.get(name)
            return _bound_slot(self._native, name) if special is None else special.__get__(self)
        if kind == "enums":
            return getattr(type(self).native, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}' in Slicer")

    def __setattr__(self, name: str, value: Any) -> None:
        kind = api.kind_of_member(type(self).qualified, name)
        if kind == "properties":
            _write_property(self._native, _full(name), unwrap(value))
        elif kind is not None:
            raise AttributeError(f"Slot, signal or enum '{name}' of {type(self).__name__} cannot be overwritten")
        else:
            raise AttributeError(f"Attribute '{name}' does not exist on {type(self).__name__}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facade) and self._native == other._native

    def __hash__(self) -> int:
        return hash(id(self._native))

    def __bool__(self) -> bool:
        return True


def facade_class(name: str, native: type, qualified: str, base: type = Facade) -> type:
    """Make (once) the class that Python sees under `name` for a native class."""
    if qualified not in facade_classes:
        facade_classes[qualified] = FacadeType(name, (base,), {"qualified": qualified, "native": native})
    return facade_classes[qualified]


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
    return lambda *arguments: wrap(method(*[as_slot(a) if inspect.isroutine(a) else unwrap(a) for a in arguments]))


def _find_children(self: Facade, facade_type: type, name: str = "") -> tuple:
    return wrap(self._native.findChildren(facade_type.native, name or None))


def _class_name(self: Facade) -> str:
    return type(self).__name__


def _property(self: Facade, name: str) -> Any:
    return wrap(self._native.property(name))


SPECIAL_SLOTS = {
    "connect": connect,
    "disconnect": disconnect,
    "findChildren": _find_children,
    "className": _class_name,
    "property": _property,
}


def build_classes(modules: dict[str, Any]) -> None:
    """Fill the modules ``qt``, ``ctk`` and ``slicer`` with a facade for every class that PySide6 or a stand-in has."""
    from . import ctk_widgets, mrml_widgets

    sources = (QtWidgets, QtGui, QtCore, ctk_widgets, mrml_widgets)
    for qualified in sorted(api.knowledge()["classes"], key=lambda name: name != "qt.QObject" and name != "qt.QWidget"):
        namespace, name = qualified.split(".")
        native = next((getattr(source, name) for source in sources if hasattr(source, name)), None)
        if native is None:
            continue
        widget_base = facade_classes.get("qt.QWidget", Facade)
        base = widget_base if issubclass(native, QtWidgets.QWidget) and name != "QWidget" else Facade
        setattr(modules[namespace], name, facade_class(name, native, qualified, base))
