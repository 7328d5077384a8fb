"""MgImplantSeg: segmentation and measures of biodegradable bone implants in micro-CT, in one panel."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

if TYPE_CHECKING:
    from slicer import vtkMRMLNode

TUTORIAL_URL = "https://github.com/MgImplantSeg/MgImplantSeg/blob/main/MgImplantSeg/TUTORIAL.md"
MODULE_FOLDER = os.path.dirname(os.path.abspath(__file__))
SOURCE_FOLDER = os.path.dirname(MODULE_FOLDER)
if os.path.isdir(os.path.join(SOURCE_FOLDER, "MgImplantSegLib")) and SOURCE_FOLDER not in sys.path:
    sys.path.append(SOURCE_FOLDER)  # from source the engine stands beside this folder; installed, in this folder

from MgImplantSegSections.parameters import MgImplantSegParameterNode, forget  # noqa: E402
from MgImplantSegSections.sections.panel import PANELS, Panel  # noqa: E402
from MgImplantSegSections.work import (  # noqa: E402
    disagreement,
    layouts,
    sampleData,
)
from MgImplantSegSections.work.logicCalls import LogicCalls  # noqa: E402
from MgImplantSegSections.work.selfTest import runSelfTest  # noqa: E402


class MgImplantSeg(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MgImplantSeg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "Markups", "Tables", "Plots", "VolumeRendering"]
        self.parent.contributors = ["MgImplantSeg developers"]
        self.parent.helpText = _(
            "Segments biodegradable magnesium implants in micro-CT into bone, degradation layer and residual "
            "material, and measures degradation rate, bone-to-implant contact and bone volume fraction. Research "
            "use only. See the {link}."
        ).format(link=f'<a href="{TUTORIAL_URL}">{_("tutorial")}</a>')
        self.parent.acknowledgementText = _(
            "Method: Baltruschat et al., Scaling the U-net: segmentation of biodegradable bone implants in "
            "high-resolution synchrotron radiation microtomograms, Scientific Reports 11:24237 (2021), {link}."
        ).format(link='<a href="https://doi.org/10.1038/s41598-021-03542-y">doi 10.1038/s41598-021-03542-y</a>')
        slicer.app.connect("startupCompleted()", sampleData.register)


class MgImplantSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Loads the sections and binds them to the parameters of the scene; the sections do the rest."""

    def __init__(self, parent: Any = None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: Any = None
        self.panel: Any = None
        self._parameterNode: Any = None
        self._parameterNodeGuiTag = None
        self._isEntered = True  # Slicer opens the module right after the set-up

    def setup(self):
        """Called when the user opens the module for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = MgImplantSegLogic()
        widgets = [slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui")) for name in PANELS]
        for widget in widgets:
            self.layout.addWidget(widget)
            widget.setMRMLScene(slicer.mrmlScene)
        self.layout.addStretch(1)
        self.panel = Panel(widgets, self.logic)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        slicer.app.connect("aboutToQuit()", self.onAboutToQuit)
        self.initializeParameterNode()

    def cleanup(self):
        """Called when the module is reloaded and when the application closes: nothing may go on running."""
        slicer.app.disconnect("aboutToQuit()", self.onAboutToQuit)
        self.removeObservers()
        if self.panel is not None:
            self.setParameterNode(None)
            self.panel.cleanup()
            self.panel = None  # a node combo box that Python still holds when Slicer quits makes the exit crash

    def onReload(self):
        """Reload the sections too."""
        for name in [name for name in sys.modules if name.split(".")[0] == "MgImplantSegSections"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onAboutToQuit(self):
        """Slicer quits: stop all work, and hold nothing of the views, which go before the panel does."""
        self.panel.workbench.abandonAll()
        self.setParameterNode(None)
        self.panel.observeNothing()

    def enter(self):
        """Called each time the user opens this module."""
        self._isEntered = True
        self.panel.measurements.follow(True)
        self.panel.refillEnvironments()
        self.initializeParameterNode()

    def exit(self):
        """Called each time the user opens another module; work goes on."""
        self._isEntered = False
        self.panel.measurements.follow(False)
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None

    def onSceneStartClose(self, caller: Any = None, event: Any = None):
        """The scene is about to be closed: what runs has lost its volume."""
        self.panel.workbench.cancelAll()
        self.setParameterNode(None)
        layouts.leaveChart()

    def onSceneEndClose(self, caller: Any = None, event: Any = None):
        """The scene was closed: begin anew."""
        self.panel.clearMessages()
        self.initializeParameterNode()

    def onSceneStartImport(self, caller: Any = None, event: Any = None):
        """A scene is being loaded: what the selectors jump to meanwhile is nobody's choice."""
        self.setParameterNode(None)

    def onSceneEndImport(self, caller: Any = None, event: Any = None):
        """A scene was loaded: its choices count, whose nodes were not there yet when the choices came."""
        self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller: Any, event: Any, node: vtkMRMLNode):
        """A node goes: nothing is chosen in its place. Slicer's selectors would take the next one."""
        if self._parameterNode is not None:
            forget(self._parameterNode, node)
        if node.IsA("vtkMRMLSegmentationNode") and not slicer.mrmlScene.IsClosing():
            disagreement.drop(node)  # nobody sees it, so nobody else would

    def initializeParameterNode(self):
        """Make sure that there is a parameter node, bound to the widgets, with sensible choices."""
        self.setParameterNode(self.logic.getParameterNode())
        self.panel.chooseDefaults()

    def setParameterNode(self, parameterNode: Any):
        """Bind the widgets to another parameter node, or to none."""
        if self._parameterNode is not None:
            if self._parameterNodeGuiTag is not None:
                self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            if self.hasObserver(self._parameterNode.parameterNode, "ModifiedEvent", self.onParametersModified):
                self.removeObserver(self._parameterNode.parameterNode, "ModifiedEvent", self.onParametersModified)
        self._parameterNode, self._parameterNodeGuiTag = parameterNode, None
        self.panel.workbench.parameters = parameterNode
        if parameterNode is not None:
            if self._isEntered:
                self._parameterNodeGuiTag = parameterNode.connectGui(self.panel.workbench.ui)
            self.addObserver(parameterNode.parameterNode, "ModifiedEvent", self.onParametersModified)
            self.panel.workbench.changed()

    def onParametersModified(self, caller: Any = None, event: Any = None):
        """A choice has changed."""
        self.panel.workbench.changed()


class MgImplantSegLogic(ScriptedLoadableModuleLogic, LogicCalls):
    """All that the module can do, without its widgets; see `LogicCalls` for the calls."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)

    def getParameterNode(self):
        """The typed parameters of the scene."""
        return MgImplantSegParameterNode(super().getParameterNode())  # type: ignore[call-arg] # of its decorator


class MgImplantSegTest(ScriptedLoadableModuleTest):
    """The self test: needs no network, no torch and no main window."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Measure a ball of known volume, and everything around it."""
        self.setUp()
        runSelfTest(self, MgImplantSegLogic())
