"""QFile and QUiLoader for `slicer.util.loadUI`: .ui files of Qt Designer with the stand-ins of CTK and MRML widgets."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtUiTools

from . import api, ctk_widgets, mrml_widgets
from .values import wrap

SCENE_SIGNAL, SCENE_SLOT = "mrmlSceneChanged(vtkMRMLScene*)", "setMRMLScene(vtkMRMLScene*)"


class UiFileError(ValueError):
    """A .ui file that Slicer could not load as it stands."""


class QFile:
    """Only what `slicer.util.loadUI` needs."""

    ReadOnly = 1

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def exists(self) -> bool:
        return self.path.is_file()

    def open(self, _mode: int) -> bool:
        return True


class QUiLoader:
    """Builds the widgets of a .ui file; classes, properties, signals and slots must exist in Slicer."""

    def load(self, file: QFile) -> Any:
        xml, pairs = _checked(file.path.read_text("utf-8"), file.path.name)
        widget = _build(xml)
        for pair in pairs:
            _connect(widget, *pair)
        return wrap(widget)


@cache
def _checked(text: str, file_name: str) -> tuple[bytes, list[tuple[str, str, str, str]]]:
    """What Qt's loader builds, and the connections that are left to be made; once a text, as it is read often."""
    root = ElementTree.fromstring(text)
    check_names(root, file_name)
    connections = root.find("connections")
    pairs = [] if connections is None else [_connection(entry) for entry in connections]
    if connections is not None:
        root.remove(connections)
    _leave_out_enums_of_stand_ins(root)
    return ElementTree.tostring(root), pairs


def check_names(root: ElementTree.Element, file_name: str) -> None:
    """Raise `UiFileError` if a widget has a class or a property that Slicer does not know."""
    for widget in root.iter("widget"):
        qualified = api.qualified_name(widget.get("class"))
        if qualified is None:
            raise UiFileError(f"{file_name}: class {widget.get('class')} is not described in slicer_api.json")
        for entry in widget.findall("property"):
            if entry.get("stdset") != "0" and entry.get("name") not in api.members(qualified, "properties"):
                raise UiFileError(f"{file_name}: {widget.get('name')}.{entry.get('name')} is no property in Slicer")


def _leave_out_enums_of_stand_ins(root: ElementTree.Element) -> None:
    """Qt's loader knows enums of C++ classes only; which files a path line lets choose makes no difference here."""
    for widget in root.iter("widget"):
        for entry in widget.findall("property"):
            if entry[0].tag in ("set", "enum") and entry[0].text.startswith(("ctk", "qMRML")):
                widget.remove(entry)


@cache
def _loader() -> QtUiTools.QUiLoader:
    """The one loader of this process: to make the stand-ins known takes longer than to build all widgets."""
    loader = QtUiTools.QUiLoader()
    for source in (ctk_widgets, mrml_widgets):
        for value in vars(source).values():
            if isinstance(value, type) and value.__name__.startswith(("ctk", "qMRML")):
                loader.registerCustomWidget(value)
    return loader


def _build(xml: bytes) -> Any:
    loader = _loader()
    buffer = QtCore.QBuffer()
    buffer.setData(xml)
    buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
    widget = loader.load(buffer)
    if widget is None:
        raise UiFileError(loader.errorString())
    return widget


def _connection(entry: ElementTree.Element) -> tuple[str, str, str, str]:
    return tuple(entry.find(part).text for part in ("sender", "signal", "receiver", "slot"))


def _connect(top: Any, sender: str, signal: str, receiver: str, slot: str) -> None:
    def named(name: str) -> Any:
        found = top if top.objectName() == name else top.findChild(QtCore.QObject, name)
        if found is None:
            raise UiFileError(f"connection to {name}, which is not in the file")
        return found

    if (signal, slot) == (SCENE_SIGNAL, SCENE_SLOT):
        named(sender).pass_scene_to(named(receiver))
        return
    source, target = named(sender), named(receiver)
    name, method = signal.split("(")[0], slot.split("(")[0]
    for thing, kind, part in ((source, "signals", name), (target, "slots", method)):
        qualified = api.qualified_name(type(thing).__name__)
        if part not in api.members(qualified, kind) and not hasattr(target, method):
            raise UiFileError(f"{part} is not among the {kind} of {qualified}")
    getattr(source, name).connect(getattr(target, method))
