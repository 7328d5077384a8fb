"""How and where to segment, Segment and Cancel, progress, log, preview; what is missing is said here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.base.expected_iou import expected_of
from MgImplantSegLib.inference.device import DEVICES
from MgImplantSegLib.inference.estimate import estimate
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.planes.plane_sets import PLANE_SETS
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.volumes import geometry_of_node
from MgImplantSegSections.engine import pythons
from MgImplantSegSections.engine.engineOptions import optionsFrom, optionTooltip
from MgImplantSegSections.engine.engineRun import EngineError
from MgImplantSegSections.sections.estimate import estimateText, rememberSpeed
from MgImplantSegSections.sections.panelWords import inPanelWords
from MgImplantSegSections.sections.setUp import SetUp
from MgImplantSegSections.sections.textWindow import TextWindow
from MgImplantSegSections.sections.workbench import ProgressView, errorText, setEnabled
from MgImplantSegSections.work import settings
from MgImplantSegSections.work.segmentWork import SegmentRequest, previewRequest

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLScalarVolumeNode

    from MgImplantSegSections.sections.inputSection import InputSection
    from MgImplantSegSections.sections.modelSection import ModelSection
    from MgImplantSegSections.sections.workbench import Workbench

GPUS_OFFERED = 4
DEVICES_OFFERED = (*DEVICES, *(f"cuda:{number}" for number in range(GPUS_OFFERED)))


class SegmentationSection:
    """Starts the engine in a child process and shows how it is getting on."""

    def __init__(
        self,
        workbench: Workbench,
        inputSection: InputSection,
        modelSection: ModelSection,
        addPython: Callable[..., Any],
    ):
        """:param addPython: `addPython(program, onEnd)` adds a Python, tests it and takes it if it has all."""
        self.workbench, self.ui = workbench, workbench.ui
        self._input, self._models = inputSection, modelSection
        self._setUp = SetUp(workbench, addPython, self.onPythonReady)
        self._progress = ProgressView(workbench, self.ui.segmentProgressBar, self.ui.segmentStatusLabel)
        self._task: Any = None
        self._lastLog: list[str] = []
        self.log = TextWindow(_("Log of the last segmentation"))
        self._wanted = self.onSegment
        self._fillChoices()
        self.ui.segmentButton.connect("clicked(bool)", self.onSegment)
        self.ui.previewButton.connect("clicked(bool)", self.onPreview)
        self.ui.showLogButton.connect("clicked(bool)", self.log.show)
        self.ui.deviceSelector.connect("currentIndexChanged(int)", self.onDevice)
        self.ui.memorySpinBox.connect("valueChanged(double)", self.onMemory)
        self.ui.runInSelector.connect("currentIndexChanged(int)", self.onRunIn)
        workbench.onChange(self.refresh)

    def _fillChoices(self):
        self.ui.deviceSelector.addItems(list(DEVICES_OFFERED))
        wanted = settings.read(settings.DEVICE)
        self.ui.deviceSelector.setCurrentIndex(DEVICES_OFFERED.index(wanted) if wanted in DEVICES_OFFERED else 0)
        self.ui.deviceSelector.toolTip = optionTooltip("device")
        self.ui.memorySpinBox.value = settings.readNumber(settings.MEMORY)
        self.ui.memorySpinBox.toolTip = optionTooltip("memory_gb")
        self.refillEnvironments()

    def refillEnvironments(self):
        """List Slicer's Python and the other environments."""
        wanted, self._environments = settings.read(settings.RUN_IN, pythons.OWN), pythons.names()
        names = self._environments
        self.ui.runInSelector.blockSignals(True)
        self.ui.runInSelector.clear()
        self.ui.runInSelector.addItems([pythons.text(name) for name in names])
        self.ui.runInSelector.setCurrentIndex(names.index(wanted) if wanted in names else 0)
        self.ui.runInSelector.blockSignals(False)

    def onDevice(self):
        """Keep the device on this computer."""
        settings.write(settings.DEVICE, self.device())
        self.workbench.changed()

    def onMemory(self):
        """Keep the memory limit on this computer."""
        settings.write(settings.MEMORY, self.ui.memorySpinBox.value)
        self.workbench.changed()

    def onRunIn(self):
        """Keep the environment on this computer."""
        settings.write(settings.RUN_IN, self.runIn())
        self._setUp.hide()
        self.workbench.changed()

    def device(self):
        """The chosen device."""
        return DEVICES_OFFERED[max(0, self.ui.deviceSelector.currentIndex)]

    def runIn(self):
        """The name of the chosen environment."""
        return self._environments[max(0, self.ui.runInSelector.currentIndex)]

    def isRunning(self):
        """Whether a segmentation or preview runs."""
        return self._task is not None and self._task.isRunning

    def onSegment(self):
        """Segment, or cancel what runs."""
        if self.isRunning():
            self._task.cancel()
            self.ui.segmentStatusLabel.text = _("Stopping…")
            return
        chosen = self.workbench.parameters
        try:
            self._multiplications = self._sizes().multiplications
        except MgImplantSegError as error:
            self.ui.segmentStatusLabel.text = errorText(error)
            return
        self._wanted = self.onSegment
        self._start(chosen.inputVolume, self._request(), self.onSegmented)

    def onPreview(self):
        """Segment the slice that the red view shows."""
        volume = self.workbench.parameters.inputVolume
        spacingUm = self._models.card().preprocessing.spacing_um
        request = previewRequest(volume, self._request(), spacingUm, shownRow(volume))
        self._wanted = self.onPreview
        self._start(volume, request, self.onPreviewed)

    def _request(self):
        chosen = self.workbench.parameters
        options = self.options()
        several = len(PLANE_SETS[options.with_defaults_of(self._models.card()).planes]) > 1
        return SegmentRequest(
            options,
            chosen.limitRoi,
            outputNode=chosen.outputSegmentation,
            keepDisagreement=chosen.ranges and several,
        )

    def options(self):
        """The engine's options as chosen, the region apart."""
        return optionsFrom(
            self.workbench.parameters,
            SegmentOptions,
            model=self._models.path(),
            device=self.device(),
            memory_gb=self.ui.memorySpinBox.value or None,
        )

    def _start(self, volume: Any, request: Any, onDone: Callable[..., Any]):
        self._setUp.hide()
        if pythons.missingPackages(self.runIn(), pythons.toSegment(request.options.model)):
            self._setUp.offer(pythons.toSegment(request.options.model, pythons.PACKAGES_FOR_FILES))
            return
        self._lastLog = []
        self.log.setPlainText("")
        self._progress.begin(_("Starting…"))
        self._started = time.monotonic()
        self._task = self.workbench.start(
            lambda token: self.workbench.logic.segmentSteps(volume, request, self.runIn(), token),
            self.onEvent,
            onDone,
            self.onFailed,
            self.onCancelled,
        )
        self.refresh()

    def onEvent(self, event: Any):
        """Progress goes to the bar, warnings and all else to the log."""
        if event["event"] in ("progress", "stopping"):
            self._progress.show(event)
        elif event["event"] in ("warning", "started", "error"):
            self._log(event.get("message") or _("{command} started").format(command=event.get("command", "")))

    def onSegmented(self, node: vtkMRMLNode):
        """The result is in the scene: choose it for the measurements."""
        rememberSpeed((self.runIn(), self.device()), self._multiplications, time.monotonic() - self._started)
        expected = expected_of(provenance_of_node(node))
        said = "" if expected is None else f" {expected.warning() or expected.line() + '.'}"
        self._progress.end(_("Done: {name}.").format(name=node.GetName()) + said)
        self.workbench.parameters.measuredSegmentation = node
        self.workbench.changed()

    def onPreviewed(self, node: vtkMRMLNode):
        """The preview is in the scene."""
        self._progress.end(
            _("Preview of one slice: {name}. Its grey values were scaled using this slice only.").format(
                name=node.GetName()
            )
        )
        self.workbench.changed()

    def onCancelled(self):
        """Nothing has come into the scene."""
        self._progress.end(_("Cancelled; nothing was changed."))
        self.workbench.changed()

    def onFailed(self, error: Exception):
        """What happened, and what to do; the log says more."""
        self._progress.end(errorText(error))
        if isinstance(error, EngineError) and error.log:
            self._log(error.log)
        self.workbench.changed()

    def onPythonReady(self):
        """There is a Python that has all: go on with what was clicked."""
        self.refillEnvironments()
        self.workbench.changed()
        if not self.missing() and not self.isRunning():
            self._wanted()

    def missing(self):
        """All that is missing before Segment can be clicked; packages are asked for on the click."""
        return self._input.missing() + self._models.missing()

    def refresh(self):
        """States of the buttons, and the estimate."""
        missing = self.missing()
        if self.isRunning():
            self.ui.segmentButton.text = _("Cancel")
            setEnabled(self.ui.segmentButton, [], _("Stop; no partial results are left."))
            setEnabled(self.ui.previewButton, [_("wait for the current task to finish")], "")
        else:
            self.ui.segmentButton.text = _("Segment")
            setEnabled(self.ui.segmentButton, missing, _("Segment the whole volume in a separate process."))
            setEnabled(self.ui.previewButton, missing, _("Segment only the slice that the red view shows."))
        self.ui.estimateLabel.text = "" if missing else self._estimate()

    def _estimate(self):
        try:
            return estimateText(self._sizes(), (self.runIn(), self.device()))
        except MgImplantSegError as error:
            return errorText(error)

    def _sizes(self):
        chosen = self.workbench.parameters
        box = None if chosen.limitRoi is None else box_of_roi_node(chosen.limitRoi)
        geometry = geometry_of_node(chosen.inputVolume)
        options = self.options().with_defaults_of(self._models.card())
        return estimate(geometry, self._models.card(), options.planes, options.fusion, roi=box)

    def _log(self, text: str):
        self._lastLog.append(inPanelWords(text))
        self.log.setPlainText("\n".join(self._lastLog))


def shownRow(volumeNode: vtkMRMLScalarVolumeNode):
    """Index along the array's first axis of the slice that the red view shows; the middle one without a view."""
    count = volumeNode.GetImageData().GetDimensions()[2]
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    if red is None:
        return count // 2
    toRas = red.GetSliceToRAS()
    point = [toRas.GetElement(axis, 3) for axis in range(3)]
    geometry = geometry_of_node(volumeNode)
    return round(geometry.index_zyx_from_lps(np.array([-point[0], -point[1], point[2]]))[0])
