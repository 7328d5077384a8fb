"""Stand-in for `slicer.parameterNodeWrapper`, written for this project, with Slicer's rules for what binds to what.

The rules are those of Slicer's connectors: the exact type of the widget counts; a QComboBox needs a `Choice` or an
enum; a ctkSliderWidget needs bounds; names in ``SlicerParameterName`` must be parameters.
"""

from __future__ import annotations

import enum
import math
import pathlib
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

PROPERTY_NAME = "SlicerParameterName"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    choices: list


@dataclass(frozen=True)
class WithinRange:
    """A number between two others."""

    minimum: float
    maximum: float


@dataclass(frozen=True)
class Minimum:
    """A number not below another."""

    minimum: float


@dataclass(frozen=True)
class Maximum:
    """A number not above another."""

    maximum: float


@dataclass(frozen=True)
class Decimals:
    """Digits after the point in the widget."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """Step of the widget's arrows."""

    value: float


@dataclass(frozen=True)
class Default:
    """Value of a new parameter."""

    value: Any


@dataclass(frozen=True)
class Parameter:
    """Name, plain type, annotations and default of one member of the wrapped class."""

    name: str
    kind: type
    annotations: tuple
    default: Any

    def annotation(self, kind: type) -> Any:
        return next((entry for entry in self.annotations if isinstance(entry, kind)), None)

    @property
    def is_node(self) -> bool:
        import vtk

        return isinstance(self.kind, type) and issubclass(self.kind, vtk.vtkObject)

    def check(self, value: Any) -> None:
        """Raise ValueError as Slicer's validators do."""
        choice, limits = self.annotation(Choice), self.annotation(WithinRange)
        if choice is not None and value not in choice.choices:
            raise ValueError(f"{self.name}: {value!r} is not one of {choice.choices}")
        if limits is not None and not limits.minimum <= value <= limits.maximum:
            raise ValueError(f"{self.name}: {value!r} is not within {limits.minimum} to {limits.maximum}")

    def to_text(self, value: Any) -> str:
        return value.name if isinstance(value, enum.Enum) else str(value)

    def from_text(self, text: str) -> Any:
        if self.kind is bool:
            return text == "True"
        if issubclass(self.kind, enum.Enum):
            return self.kind[text]
        return self.kind(text)


def parameterNodeWrapper(classtype: type | None = None) -> Any:
    """Turn a class of annotated members into a typed view of a vtkMRMLScriptedModuleNode."""
    if classtype is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(classtype, include_extras=True)
    parameters = {name: _parameter(classtype, name, hint) for name, hint in hints.items()}
    for name in parameters:
        setattr(classtype, name, _property(parameters[name]))
    reserved = ("allParameters", *_METHODS)
    if clash := [name for name in reserved if name in parameters]:
        raise ValueError(f"Cannot use reserved names {clash} in a parameterNodeWrapper")
    classtype.allParameters = parameters
    classtype.__init__ = _init
    for name, method in _METHODS.items():
        setattr(classtype, name, method)
    return classtype


def _parameter(classtype: type, name: str, hint: Any) -> Parameter:
    kind, annotations = (get_args(hint)[0], get_args(hint)[1:]) if get_origin(hint) is Annotated else (hint, ())
    known = (str, int, float, bool, pathlib.Path)
    parameter = Parameter(name, kind, annotations, None)
    if not (kind in known or parameter.is_node or (isinstance(kind, type) and issubclass(kind, enum.Enum))):
        raise TypeError(f"Unable to create serializer for {classtype} member {name}: {kind}")
    given = next((entry.value for entry in annotations if isinstance(entry, Default)), None)
    default = getattr(classtype, name, given)
    if default is None and not parameter.is_node:
        choice = parameter.annotation(Choice)
        default = choice.choices[0] if choice else next(iter(kind)) if issubclass(kind, enum.Enum) else kind()
    parameter = Parameter(name, kind, annotations, default)
    if not parameter.is_node:
        parameter.check(default)
    return parameter


def _property(parameter: Parameter) -> property:
    return property(lambda self: self.getValue(parameter.name), lambda self, v: self.setValue(parameter.name, v))


def _init(self: Any, parameterNode: Any, prefix: str | None = None) -> None:
    self.parameterNode = parameterNode
    self._guis: dict[int, dict[str, Any]] = {}
    self._tags: dict[int, int] = {}
    self._updating = False
    for parameter in self.allParameters.values():
        if not parameter.is_node and not parameterNode.GetParameter(parameter.name):
            parameterNode.SetParameter(parameter.name, parameter.to_text(parameter.default))


def _get_value(self: Any, name: str) -> Any:
    parameter = self.allParameters[name]
    if parameter.is_node:
        return self.parameterNode.GetNodeReference(name)
    return parameter.from_text(self.parameterNode.GetParameter(name))


def _set_value(self: Any, name: str, value: Any) -> None:
    parameter = self.allParameters[name]
    if parameter.is_node:
        if value is not None and not isinstance(value, parameter.kind):
            raise TypeError(f"{name} takes {parameter.kind.__name__}, got {value!r}")
        before = self.parameterNode.GetNodeReferenceID(name)
        after = value.GetID() if value is not None else None
        if before != after:
            self.parameterNode.SetNodeReferenceID(name, after)
            self.parameterNode.Modified()
        return
    if parameter.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, parameter.kind):
        raise TypeError(f"{name} takes {parameter.kind.__name__}, got {value!r}")
    parameter.check(value)
    self.parameterNode.SetParameter(name, parameter.to_text(value))


def _connect_gui(self: Any, gui: Any) -> int:
    widgets = {w.property(PROPERTY_NAME): w for w in vars(gui).values() if w.property(PROPERTY_NAME)}
    unknown = sorted(set(widgets) - set(self.allParameters))
    if unknown:
        raise ValueError(f"Cannot find a param with the given name: {unknown}")
    connectors = {name: connector(widget, self.allParameters[name]) for name, widget in widgets.items()}
    tag = len(self._guis) + max(self._guis, default=0)
    self._guis[tag] = connectors
    for name, entry in connectors.items():
        entry.write(self.getValue(name))
        entry.listen(_gui_listener(self, name, entry))
    self._tags[tag] = self.parameterNode.AddObserver("ModifiedEvent", lambda _caller, _event: self._to_gui())
    return tag


def _gui_listener(self: Any, name: str, entry: Any) -> Callable:
    return lambda: self._from_gui(name, entry)


def _from_gui(self: Any, name: str, entry: Any) -> None:
    if not self._updating:
        self.setValue(name, entry.read())


def _to_gui(self: Any) -> None:
    if self._updating:
        return
    self._updating = True
    try:
        for connectors in self._guis.values():
            for name, entry in connectors.items():
                entry.write(self.getValue(name))
    finally:
        self._updating = False


def _disconnect_gui(self: Any, tag: int) -> None:
    for entry in self._guis.pop(tag, {}).values():
        entry.ignore()
    if tag in self._tags:
        self.parameterNode.RemoveObserver(self._tags.pop(tag))


_METHODS = {
    "getValue": _get_value, "setValue": _set_value, "connectGui": _connect_gui, "disconnectGui": _disconnect_gui,
    "_from_gui": _from_gui, "_to_gui": _to_gui,
    "AddObserver": lambda self, event, callback, priority=0.0: self.parameterNode.AddObserver(
        event, callback, priority),
    "RemoveObserver": lambda self, tag: self.parameterNode.RemoveObserver(tag),
    "StartModify": lambda self: self.parameterNode.StartModify(),
    "EndModify": lambda self, was: self.parameterNode.EndModify(was),
    "Modified": lambda self: self.parameterNode.Modified(),
}  # fmt: skip


class Connector:
    """One widget bound to one parameter: how it is read and written, and which signal says that it changed."""

    def __init__(self, widget: Any, signal: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self._widget, self._signal, self.read, self.write = widget, signal, read, write
        self._callback: Callable | None = None

    def listen(self, callback: Callable) -> None:
        self._callback = callback
        getattr(self._widget, self._signal).connect(callback)

    def ignore(self) -> None:
        getattr(self._widget, self._signal).disconnect(self._callback)


def connector(widget: Any, parameter: Parameter) -> Connector:
    """The connector for a widget and a parameter.

    Raises
    ------
    RuntimeError
        If Slicer has none for this pair.
    """
    import ctk
    import qt
    import slicer

    kind, of = type(widget), parameter.kind
    if kind in (qt.QCheckBox, ctk.ctkCheckBox) and of is bool:
        return _plain(widget, "checked", "stateChanged")
    if kind is qt.QPushButton and of is bool:
        widget.checkable = True
        return _plain(widget, "checked", "toggled")
    if kind in (qt.QSpinBox, qt.QSlider) and of is int:
        return _number(widget, parameter, int)
    if kind in (qt.QDoubleSpinBox, ctk.ctkSliderWidget, ctk.ctkDoubleSpinBox) and of in (float, int):
        return _number(widget, parameter, of)
    if kind in (qt.QComboBox, ctk.ctkComboBox) and (issubclass(of, enum.Enum) or of in (int, float, str, bool)):
        return _combo(widget, parameter)
    if kind is qt.QLineEdit and of is str:
        return _plain(widget, "text", "textChanged")
    if kind in (ctk.ctkPathLineEdit, ctk.ctkDirectoryButton) and of is pathlib.Path:
        name, signal = ("currentPath", "currentPathChanged") if kind is ctk.ctkPathLineEdit else (
            "directory", "directoryChanged")  # fmt: skip
        return Connector(widget, signal, lambda: of(getattr(widget, name)), lambda v: setattr(widget, name, str(v)))
    if kind is slicer.qMRMLNodeComboBox and parameter.is_node:
        widget.nodeTypes = [of.__name__]
        return Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{of}' to widget type '{kind}'")


def _plain(widget: Any, name: str, signal: str) -> Connector:
    return Connector(widget, signal, lambda: getattr(widget, name), lambda value: setattr(widget, name, value))


def _number(widget: Any, parameter: Parameter, kind: type) -> Connector:
    import ctk

    limits, decimals = parameter.annotation(WithinRange), parameter.annotation(Decimals)
    low, high = parameter.annotation(Minimum), parameter.annotation(Maximum)
    if type(widget) is ctk.ctkSliderWidget and limits is None and (low is None or high is None):
        raise RuntimeError("Cannot have a connection to ctkSliderWidget where the float types is unbounded.")
    if decimals is not None:
        widget.decimals = decimals.value
    if step := parameter.annotation(SingleStep):
        widget.singleStep = step.value
    smallest, largest = (-(2**31), 2**31 - 1) if kind is int else (-math.inf, math.inf)
    widget.minimum = limits.minimum if limits else low.minimum if low else smallest
    widget.maximum = limits.maximum if limits else high.maximum if high else largest
    return Connector(widget, "valueChanged", lambda: kind(widget.value), lambda v: setattr(widget, "value", kind(v)))


def _combo(widget: Any, parameter: Parameter) -> Connector:
    choice = parameter.annotation(Choice)
    if not issubclass(parameter.kind, enum.Enum) and choice is None:
        raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
    values = list(parameter.kind) if choice is None else list(choice.choices)
    label = getattr(parameter.kind, "label", lambda entry: entry.name) if choice is None else str
    widget.clear()
    for value in values:
        widget.addItem(label(value))
    return Connector(widget, "currentIndexChanged", lambda: values[widget.currentIndex],
                     lambda value: setattr(widget, "currentIndex", values.index(value)))  # fmt: skip
