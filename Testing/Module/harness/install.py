"""Puts the stand-ins where a scripted module imports from: `qt`, `ctk`, `slicer`, `slicer.i18n` and so on."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from . import application, parameter_node, pythonqt, scripted_module, ui_loader

CHECKOUT = Path(__file__).resolve().parents[3]
MODULE_FILE = CHECKOUT / "MgImplantSeg" / "MgImplantSeg.py"


class SampleDataLogic:
    """Only registers; nothing is downloaded."""

    sources: list[dict[str, Any]] = []  # noqa: RUF012

    @classmethod
    def registerCustomSampleDataSource(cls, **source: Any) -> None:
        cls.sources.append(source)

    @classmethod
    def registerCustomSampleDataCategory(cls, *_names: Any, **_more: Any) -> None:
        """Slicer has it since 5.11."""


def install_qt() -> Any:
    """The modules `qt`, `ctk` and the classes in `slicer`; returns the one QApplication. Call once a process."""
    QtCore.QCoreApplication.setOrganizationName("MgImplantSegTesting")
    QtCore.QCoreApplication.setApplicationName("Harness")
    application_object = QtWidgets.QApplication.instance() or QtWidgets.QApplication(
        ["harness", "-platform", "offscreen"]
    )
    application_object.setStyle("Fusion")
    qt_module, ctk_module = ModuleType("qt"), ModuleType("ctk")
    qt_module.Qt, qt_module.QFile, qt_module.QUiLoader = QtCore.Qt, ui_loader.QFile, ui_loader.QUiLoader
    pythonqt.build_classes({"qt": qt_module, "ctk": ctk_module, "slicer": slicer})
    sys.modules.update(
        {
            "qt": qt_module,
            "ctk": ctk_module,
            "slicer.ScriptedLoadableModule": scripted_module,
            "slicer.parameterNodeWrapper": parameter_node,
        }
    )
    i18n = ModuleType("slicer.i18n")
    i18n.tr, i18n.translate = (lambda text: text), (lambda _context, text: text)
    sample_data = ModuleType("SampleData")
    sample_data.SampleDataLogic = SampleDataLogic
    sys.modules.update({"slicer.i18n": i18n, "SampleData": sample_data})
    importlib.import_module("slicer.util")
    return application_object


def install_scene(stand_alone_scene: Any) -> Any:
    """`slicer.mrmlScene`, `slicer.app` and `slicer.modules` for one test."""
    slicer.mrmlScene = stand_alone_scene.scene
    slicer.app = application.Application(stand_alone_scene)
    slicer.modules = application.Modules(stand_alone_scene)
    slicer.modules.add("MgImplantSeg", MODULE_FILE)
    slicer.qSlicerScriptedLoadableModuleWidget = application.ScriptedWidgetRepresentation
    return slicer.app


def remove_scene() -> None:
    """Take back what `install_scene` has set."""
    for name in ("mrmlScene", "app", "modules"):
        delattr(slicer, name)
