"""Which widget binds to which type of parameter, as Slicer's connectors decide it: by the exact class of the widget."""

from __future__ import annotations

import enum
import math
import pathlib
from collections.abc import Callable
from typing import Any

from .parameter_types import Choice, Decimals, Maximum, Minimum, Parameter, SingleStep, WithinRange


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
        self._callback = None


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
        name, signal = (
            ("currentPath", "currentPathChanged") if kind is ctk.ctkPathLineEdit else ("directory", "directoryChanged")
        )
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
    chosen = widget.currentIndex
    widget.clear()
    for value in values:
        widget.addItem(label(value))
    if choice is None:
        widget.currentIndex = chosen if chosen >= 0 else len(values) - 1  # Slicer keeps what was chosen before
    return Connector(
        widget,
        "currentIndexChanged",
        lambda: values[widget.currentIndex],
        lambda value: setattr(widget, "currentIndex", values.index(value)),
    )
