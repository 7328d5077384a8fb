"""What is measured, the screw before, the regions; Compute; a table whose rows know when they are stale."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.quantification import MEASURES, QuantifyOptions
from MgImplantSegSections.engine.backgroundTask import weakly
from MgImplantSegSections.engine.engineOptions import optionsFrom
from MgImplantSegSections.parameters import InitialKind, roiNodes, shownNodes
from MgImplantSegSections.sections.measuresView import MeasuresView
from MgImplantSegSections.sections.workbench import ProgressView, errorText, setEnabled
from MgImplantSegSections.work import disagreement, staleness
from MgImplantSegSections.work.inputStates import InputStates
from MgImplantSegSections.work.measuresStore import keepTable
from MgImplantSegSections.work.measureWork import QuantifyRequest

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLTableNode

    from MgImplantSegSections.sections.workbench import Workbench

AUTO_DELAY_MS, LOOK_MS = 500, 1000
VOXELS_CHANGED = ("SourceRepresentationModified", "SegmentAdded", "SegmentRemoved")


class MeasurementsSection:
    """Computes in a child process; follows all inputs to mark rows stale."""

    def __init__(self, workbench: Workbench, regions: Any, classes: Any, observe: Callable[..., Any]):
        """:param observe: `observe(key, objects, events, callback)` replaces the observations under a key."""
        self.workbench, self.ui = workbench, workbench.ui
        self._regions, self._classes, self._observe = regions, classes, observe
        self._progress = ProgressView(workbench, self.ui.computeProgressBar, self.ui.measuresStateLabel)
        self._task: Any = None
        self._states = InputStates()
        self.view = MeasuresView(workbench, self._fingerprint)
        further = ", ".join(group.help for group in MEASURES.values() if not group.by_default)
        self.ui.allMeasuresCheckBox.toolTip = _("Also {measures}.").format(measures=further)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(AUTO_DELAY_MS)
        self._timer.connect("timeout()", weakly(self.onAuto))
        self.ui.computeButton.connect("clicked(bool)", self.onCompute)
        self._look = qt.QTimer()
        self._look.setInterval(LOOK_MS)
        self._look.connect("timeout()", weakly(self.onLook))
        workbench.onChange(self.refresh)

    def chooseDefault(self):
        """Take the one segmentation of the scene that is no initial screw if none is chosen."""
        chosen = self.workbench.parameters
        others = [node for node in shownNodes("vtkMRMLSegmentationNode") if node is not chosen.initialSegmentation]
        if chosen.measuredSegmentation is None and len(others) == 1:
            chosen.measuredSegmentation = others[0]

    def request(self):
        """What to measure, as chosen."""
        chosen, kind = self.workbench.parameters, self.workbench.parameters.initialKind
        typed = kind == InitialKind("typed")
        disagreementNode, whyNoRanges = (
            disagreement.usableOf(chosen.measuredSegmentation, self._states) if chosen.ranges else (None, "")
        )
        return QuantifyRequest(
            optionsFrom(chosen, QuantifyOptions, measures=tuple(MEASURES) if chosen.allMeasures else None),
            initialNode=chosen.initialSegmentation if kind == InitialKind("segmentation") else None,
            initialModelNode=chosen.initialModel if kind == InitialKind("model") else None,
            initialVolumeMm3=(chosen.initialVolumeMm3 or None) if typed else None,
            initialAreaMm2=(chosen.initialAreaMm2 or None) if typed else None,
            roiNodes=tuple(roiNodes(chosen)),
            disagreementNode=disagreementNode,
            whyNoRanges=whyNoRanges,
        )

    def isRunning(self):
        """Whether measures are being computed."""
        return self._task is not None and self._task.isRunning

    def missing(self):
        """All that is missing before Compute can be clicked."""
        chosen, found = self.workbench.parameters, []
        if chosen.measuredSegmentation is None:
            found.append(_("a segmentation"))
        if chosen.initialKind == InitialKind("segmentation") and chosen.initialSegmentation is None:
            found.append(_("the initial segmentation, or another choice for the initial implant"))
        if chosen.initialKind == InitialKind("model") and chosen.initialModel is None:
            found.append(_("the initial model, or another choice for the initial implant"))
        return found + self._classes.missing()

    def onCompute(self):
        """Compute, or cancel what runs."""
        if self.isRunning():
            self._task.cancel()
            return
        node, request = self.workbench.parameters.measuredSegmentation, self.request()
        try:
            values = self._fingerprint()
        except MgImplantSegError as error:
            self.ui.measuresStateLabel.text = errorText(error)
            return
        self._progress.begin(_("Starting…"))
        self._task = self.workbench.start(
            lambda token: self.workbench.logic.quantifySteps(node, request, token),
            self._progress.show,
            lambda result: self.onComputed(node, result[0], values),
            self.onFailed,
            self.onCancelled,
        )
        self.refresh()

    def onComputed(self, node: vtkMRMLNode, tableNode: vtkMRMLTableNode, values: Any):
        """The measures belong to the segmentation that they were computed for, whichever is chosen by now."""
        staleness.keep(tableNode, values)
        keepTable(node, tableNode)
        self._progress.end("")
        self.workbench.changed()

    def onFailed(self, error: Exception):
        """What happened, and what to do."""
        self._progress.end(errorText(error))
        self._refreshButton()

    def onCancelled(self):
        """The old table stays."""
        self._progress.end(_("Cancelled."))
        self._refreshButton()

    def follow(self, isOpen: bool):
        """Look at the inputs once a second while the module is open: undo, redo and scripts send no events."""
        self._look.start() if isOpen else self._look.stop()

    def onLook(self):
        """Show what has changed without an event."""
        if self.workbench.parameters is not None and not self.isRunning() and self.view.haveInputsChanged():
            self.refresh()

    def _fingerprint(self):
        node = self.workbench.parameters.measuredSegmentation
        return None if node is None else staleness.fingerprint(node, self.request(), self._states)

    def onVoxelsChanged(self, caller: Any = None, event: Any = None):
        """A segmentation was edited."""
        self.workbench.changed()

    def onSegmentsRenamed(self, caller: Any = None, event: Any = None):
        """A segment has another name or terminology."""
        self.workbench.changed()

    def onInputsMoved(self, caller: Any = None, event: Any = None):
        """A ROI, a model or a transform has changed."""
        self.refresh()

    def onAuto(self):
        """Some time after a change: compute again if that is wanted and still needed."""
        parameters = self.workbench.parameters
        if parameters is not None and parameters.autoCompute and not self.isRunning() and not self.missing():
            self.onCompute()

    def refresh(self):
        """States of buttons and rows, and what is observed."""
        if self.workbench.parameters is None:
            return
        self._observeInputs()
        self._showInitialWidgets()
        self._regions.refresh()
        self._refreshButton()
        if self.view.refresh(self.isRunning()) and self.workbench.parameters.autoCompute:
            self._timer.start()

    def _observeInputs(self):
        chosen = self.workbench.parameters
        nodes = [node for node in (chosen.measuredSegmentation, chosen.initialSegmentation) if node is not None]
        segmentations = [node.GetSegmentation() for node in dict.fromkeys(nodes)]
        voxelEvents = [getattr(slicer.vtkSegmentation, name) for name in VOXELS_CHANGED]
        self._observe("voxels", segmentations, voxelEvents, self.onVoxelsChanged)
        self._observe("names", segmentations, [slicer.vtkSegmentation.SegmentModified], self.onSegmentsRenamed)
        model = [chosen.initialModel] if chosen.initialModel is not None else []
        self._observe(
            "places",
            [*roiNodes(chosen), *dict.fromkeys(nodes), *model],
            [slicer.vtkMRMLTransformableNode.TransformModifiedEvent, "ModifiedEvent"],
            self.onInputsMoved,
        )

    def _showInitialWidgets(self):
        kind = self.workbench.parameters.initialKind.value
        ui = self.ui
        ui.contactDistanceSpinBox.enabled = self.workbench.parameters.contactMethod.value == "distance"
        rows = {
            "segmentation": (ui.initialSegmentationSelector, ui.initialSegmentationSelectorLabel),
            "model": (ui.initialModelSelector, ui.initialModelSelectorLabel),
            "typed": (
                ui.initialVolumeSpinBox,
                ui.initialVolumeSpinBoxLabel,
                ui.initialAreaSpinBox,
                ui.initialAreaSpinBoxLabel,
            ),
        }
        for name, widgets in rows.items():
            for widget in widgets:
                self.workbench.setVisible(widget, name == kind)

    def _refreshButton(self):
        if self.workbench.parameters is None:
            return
        if self.isRunning():
            self.ui.computeButton.text = _("Cancel")
            setEnabled(self.ui.computeButton, [], _("Stop computing; the old table is kept."))
        else:
            self.ui.computeButton.text = _("Compute")
            setEnabled(self.ui.computeButton, self.missing(), _("Compute all measures."))
