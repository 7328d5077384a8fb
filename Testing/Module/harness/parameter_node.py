"""Stand-in for `slicer.parameterNodeWrapper`, written for this project, with Slicer's rules for what binds to what.

The rules are those of Slicer's connectors: the exact type of the widget counts; a QComboBox needs a `Choice` or an
enum; a ctkSliderWidget needs bounds; names in ``SlicerParameterName`` must be parameters.
"""

from __future__ import annotations

import enum
import pathlib
import typing
import weakref
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin

from .parameter_connectors import connector
from .parameter_types import Choice, Decimals, Default, Maximum, Minimum, Parameter, SingleStep, WithinRange

PROPERTY_NAME = "SlicerParameterName"

__all__ = ["Choice", "Decimals", "Default", "Maximum", "Minimum", "SingleStep", "WithinRange", "parameterNodeWrapper"]


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
    classtype.__init__, classtype.__del__ = _init, _forget
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
    self._nextTag, self._updating, self._writing = 0, False, set()
    self._values = {name: _read(parameterNode, parameter) for name, parameter in self.allParameters.items()}
    me = weakref.ref(self)
    self._cacheTag = parameterNode.AddObserver("ModifiedEvent", lambda _caller, _event: _refresh(me()))


def _forget(self: Any) -> None:
    self.parameterNode.RemoveObserver(self._cacheTag)


def _refresh(self: Any) -> None:
    """Values are kept, as in Slicer, until the node says that it was modified."""
    for name, parameter in self.allParameters.items() if self is not None else ():
        if name not in self._writing:
            self._values[name] = _read(self.parameterNode, parameter)


def _read(node: Any, parameter: Parameter) -> Any:
    if not node.HasParameter(parameter.name):
        _write(node, parameter, parameter.default)
    if parameter.is_node:
        return node.GetNodeReference(parameter.name)
    return parameter.from_text(node.GetParameter(parameter.name))


def _write(node: Any, parameter: Parameter, value: Any) -> None:
    if parameter.is_node:
        node.SetParameter(parameter.name, "")
        node.SetNodeReferenceID(parameter.name, value.GetID() if value is not None else None)
    else:
        node.SetParameter(parameter.name, parameter.to_text(value))


def _get_value(self: Any, name: str) -> Any:
    return self._values[name]


def _set_value(self: Any, name: str, value: Any) -> None:
    parameter = self.allParameters[name]
    kinds = (float, int) if parameter.kind is float else parameter.kind
    if not isinstance(value, kinds) and not (parameter.is_node and value is None):
        raise TypeError(f"{name} takes {parameter.kind.__name__}, got {value!r}")
    if not parameter.is_node:
        parameter.check(value)
    was_modifying = self.parameterNode.StartModify()
    self._writing.add(name)
    try:
        _write(self.parameterNode, parameter, value)
        self._values[name] = _read(self.parameterNode, parameter)
        self.parameterNode.EndModify(was_modifying)
    finally:
        self._writing.discard(name)


def _connect_gui(self: Any, gui: Any) -> int:
    widgets = {w.property(PROPERTY_NAME): w for w in vars(gui).values() if w.property(PROPERTY_NAME)}
    unknown = sorted(set(widgets) - set(self.allParameters))
    if unknown:
        raise ValueError(f"Cannot find a param with the given name: {unknown}")
    connectors = {name: connector(widget, self.allParameters[name]) for name, widget in widgets.items()}
    tag, self._nextTag = self._nextTag, self._nextTag + 1
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
    "getValue": _get_value,
    "setValue": _set_value,
    "connectGui": _connect_gui,
    "disconnectGui": _disconnect_gui,
    "_from_gui": _from_gui,
    "_to_gui": _to_gui,
    "AddObserver": lambda self, event, callback, priority=0.0: self.parameterNode.AddObserver(
        event, callback, priority
    ),
    "RemoveObserver": lambda self, tag: self.parameterNode.RemoveObserver(tag),
    "StartModify": lambda self: self.parameterNode.StartModify(),
    "EndModify": lambda self, was: self.parameterNode.EndModify(was),
    "Modified": lambda self: self.parameterNode.Modified(),
}
