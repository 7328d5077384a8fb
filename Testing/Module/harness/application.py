"""`slicer.app`, `slicer.modules` and the layout manager, as far as a scripted module sees them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from . import api
from .io_manager import IOManager
from .pythonqt import HarnessLacksError
from .signals import BoundSignal
from .values import wrap


class Checked:
    """Refuses names that the real object does not have, and says which the harness lacks."""

    known_as = ""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in api.names(self.known_as):
            raise AttributeError(f"{self.known_as} has no '{name}' in Slicer")
        raise HarnessLacksError(f"{self.known_as}.{name}")


class Signals(QtCore.QObject):
    """The signals of application and module manager."""

    aboutToQuit = QtCore.Signal()
    startupCompleted = QtCore.Signal()
    moduleAboutToBeUnloaded = QtCore.Signal(str)


class StringEnvironment(dict):
    """A QProcessEnvironment: keys and `value(key)`."""

    def value(self, key: str) -> str:
        return self[key]


class Application(Checked):
    """`slicer.app` without main window, as with ``--no-main-window``; `layout` may be given to have views."""

    known_as = "slicer.app"

    def __init__(self, stand_alone_scene: Any) -> None:
        self._scene = stand_alone_scene
        self._signals = Signals()
        self._temporary_folder = tempfile.TemporaryDirectory(prefix="MgImplantSeg-app-")
        self.temporaryPath = str(Path(self._temporary_folder.name).resolve())
        self.slicerHome = self.temporaryPath
        self.applicationName, self.applicationVersion, self.majorVersion, self.minorVersion = "Slicer", "5.13", 5, 13
        self.documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"
        self.layout: Any = None
        self._io_manager = IOManager(stand_alone_scene)
        self.is_testing = False
        self.opened_urls: list[str] = []

    @property
    def aboutToQuit(self) -> Any:
        return BoundSignal(wrap_plain(self._signals), "aboutToQuit")

    def connect(self, signature: str, receiver: Any) -> bool:
        name = signature.split("(")[0]
        if name not in api.names(self.known_as):
            raise ValueError(f"slicer.app has no signal {signature} in Slicer")
        return BoundSignal(wrap_plain(self._signals), name).connect(receiver)

    def disconnect(self, signature: str, receiver: Any) -> bool:
        return BoundSignal(wrap_plain(self._signals), signature.split("(")[0]).disconnect(receiver)

    def moduleManager(self) -> Any:
        def connect(signature: str, receiver: Any) -> bool:
            return BoundSignal(wrap_plain(self._signals), signature.split("(")[0]).connect(receiver)

        def disconnect(signature: str, receiver: Any) -> bool:
            return BoundSignal(wrap_plain(self._signals), signature.split("(")[0]).disconnect(receiver)

        return SimpleNamespace(connect=connect, disconnect=disconnect, module=self._module)

    def _module(self, name: str) -> Any:
        import slicer

        return getattr(slicer.modules, name.lower())

    def topLevelWidgets(self) -> tuple:
        return ()

    def mrmlScene(self) -> Any:
        return self._scene.scene

    def applicationLogic(self) -> Any:
        return self._scene.application_logic

    def moduleLogic(self, name: str) -> Any:
        return self._scene.logics[name]

    def coreIOManager(self) -> Any:
        return self._io_manager

    def layoutManager(self) -> Any:
        return self.layout

    def processEvents(self) -> None:
        QtWidgets.QApplication.processEvents()

    def testingEnabled(self) -> bool:
        return self.is_testing

    def startupEnvironment(self) -> StringEnvironment:
        return StringEnvironment(os.environ)

    def userSettings(self) -> Any:
        return wrap(QtCore.QSettings())

    def clipboard(self) -> Any:
        return wrap(QtWidgets.QApplication.clipboard())

    def setOverrideCursor(self, cursor: Any) -> None:
        QtWidgets.QApplication.setOverrideCursor(QtGui.QCursor(cursor))

    def restoreOverrideCursor(self) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()

    def moduleDocumentationUrl(self, name: str) -> str:
        return self.documentationBaseUrl + name

    def translate(self, _context: str, text: str) -> str:
        return text

    def close(self) -> None:
        """Quit: tell the modules, then leave nothing behind."""
        self._signals.aboutToQuit.emit()
        self._temporary_folder.cleanup()


def wrap_plain(native: QtCore.QObject) -> Any:
    """An object with `_native`, for signals of objects that are no widgets."""
    return SimpleNamespace(_native=native)


class ScriptedWidgetRepresentation:
    """Qt's side of a scripted module's widget; `self()` is the Python side."""

    def __init__(self, widget: Any) -> None:
        self._widget = widget

    def self(self) -> Any:
        return self._widget


class Modules(Checked):
    """`slicer.modules`: the modules of Slicer with their logics, and those under test."""

    known_as = "slicer.modules"
    LOGIC_OF_MODULE = {  # noqa: RUF012
        "volumes": "Volumes",
        "volumerendering": "VolumeRendering",
        "segmentations": "Segmentations",
        "markups": "Markups",
        "models": "Models",
        "plots": "Plots",
        "tables": "Tables",
        "subjecthierarchy": "SubjectHierarchy",
        "transforms": "Transforms",
        "units": "Units",
    }

    def __init__(self, stand_alone_scene: Any) -> None:
        for module, logic in self.LOGIC_OF_MODULE.items():
            value = stand_alone_scene.logics[logic]
            value = PlotsLogic(value) if logic == "Plots" else value
            setattr(self, module, SimpleNamespace(logic=lambda value=value: value))

    def add(self, name: str, path: Path) -> None:
        """Make a scripted module known under its name in small letters; its widget is given by `show`."""
        setattr(self, name.lower(), SimpleNamespace(path=str(path), name=name, widgetRepresentation=lambda: None))

    def show(self, name: str, widget: Any) -> None:
        """The module was opened."""
        representation = ScriptedWidgetRepresentation(widget)
        getattr(self, name.lower()).widgetRepresentation = lambda: representation


class ThreeDView:
    """The camera of a 3D view: it stands 500 mm away by default, and only `resetCamera` comes near.

    It comes as near as the box allows, which is large until `resetFocalPoint` has drawn it around the objects.
    """

    FAR_MM, FAR_FROM_BOX_MM = 500.0, 768.0

    def __init__(self, node: Any) -> None:
        self._node = node
        self.resets = 0
        self.distance_mm = self.FAR_MM
        self.is_turned = True
        self._is_box_around_objects = False
        self._canvas: Any = None

    def resetFocalPoint(self) -> None:
        """Centres the view and draws the box around the objects; it does not zoom."""
        self.resets += 1
        self._is_box_around_objects = True

    def resetCamera(self, rotation: bool = True, translation: bool = True, distance: bool = True) -> None:
        """Comes as near as everything visible allows; without `rotation` the direction stays."""
        self.is_turned = self.is_turned and not rotation
        if distance:
            self.distance_mm = 5.0 if self._is_box_around_objects else self.FAR_FROM_BOX_MM

    def mrmlViewNode(self) -> Any:
        return self._node

    def renderWindow(self) -> Any:
        """A small window; what stands in it does not matter here."""
        from MgImplantSegLib.scene.canvas import OffscreenCanvas

        if self._canvas is None:
            self._canvas = OffscreenCanvas(40, 30)
        return self._canvas.window

    def forceRender(self) -> None:
        pass


class LayoutManager:
    """A layout by its number, with a 3D view where Slicer's layout of that number has one."""

    FOUR_UP, FOUR_UP_PLOT, CONVENTIONAL, CONVENTIONAL_PLOT = 3, 37, 2, 36
    WITHOUT_3D = (6, 7, 8, 10, 37, 38, 39)
    WITH_PLOT = (36, 37, 38, 39, 40)

    def __init__(self, scene: Any) -> None:
        self.threeDViewCount = 1
        self.layout = self.FOUR_UP
        self._view = ThreeDView(scene.AddNewNodeByClass("vtkMRMLViewNode"))

    def threeDWidget(self, _index: int) -> Any:
        return SimpleNamespace(
            threeDView=lambda: self._view,
            mrmlViewNode=self._view.mrmlViewNode,
            visible=self.layout not in self.WITHOUT_3D,
        )

    def setLayout(self, number: int) -> None:
        self.layout = int(number)


class PlotsLogic:
    """The logic of Slicer's plots: showing a chart changes the layout, to one without a 3D view by default."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic
        self.shown: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logic, name)

    def ShowChartInLayout(self, chart: Any) -> None:
        import slicer

        self.shown, layout = chart, slicer.app.layout
        if layout is not None and layout.layout not in layout.WITH_PLOT:
            conventional = layout.layout == layout.CONVENTIONAL
            layout.setLayout(layout.CONVENTIONAL_PLOT if conventional else layout.FOUR_UP_PLOT)
