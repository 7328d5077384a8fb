"""Stand-ins for the base classes of `slicer.ScriptedLoadableModule`, written for this project."""

from __future__ import annotations

import importlib.util
import os
import sys
import unittest
from types import SimpleNamespace
from typing import Any

SINGLETON_CLASS = "vtkMRMLScriptedModuleNode"


class ScriptedLoadableModule:
    """The module: its texts stand in `parent`."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, name: str) -> str:
        return os.path.join(os.path.dirname(self.parent.path), "Resources", name)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        return f"<p>{docPage or self.moduleName}</p>"


class ScriptedLoadableModuleWidget:
    """The widget of a module, in a `qMRMLWidget` of its own unless a parent is given."""

    def __init__(self, parent: Any = None) -> None:
        import qt
        import slicer

        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        if parent is None:
            parent = slicer.qMRMLWidget()
            parent.setLayout(qt.QVBoxLayout())
            parent.setMRMLScene(slicer.mrmlScene)
        self.parent = parent
        self.layout = self.parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, name: str) -> str:
        import slicer

        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", name)

    def setup(self) -> None:
        """Developer tools stand here in Slicer."""

    def cleanup(self) -> None:
        """For modules to override."""

    def onReload(self) -> None:
        """As in Slicer: the file is loaded anew, then the old widget is cleaned up, then there is a new one."""
        import slicer

        spec = importlib.util.spec_from_file_location(self.moduleName, slicer.util.modulePath(self.moduleName))
        module = sys.modules[self.moduleName] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.cleanup()
        renewed = getattr(module, f"{self.moduleName}Widget")()
        renewed.setup()
        slicer.modules.show(self.moduleName, renewed)

    def _onModuleAboutToBeUnloaded(self, name: str) -> None:
        import slicer

        if name == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """The logic: one parameter node a module."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        import slicer

        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, SINGLETON_CLASS)
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass(SINGLETON_CLASS)
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
            node.SetName(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The module's own test; `runTest` starts it."""

    def runTest(self) -> None:
        """For modules to override."""

    def delayDisplay(self, message: str, requestedDelay: Any = None, msec: Any = None) -> None:
        """Slicer shows the message for a moment."""


def module_parent(path: str) -> SimpleNamespace:
    """What Slicer hands to a module's constructor."""
    return SimpleNamespace(path=path)
