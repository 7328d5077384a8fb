"""Teaching: slices are painted in Slicer's Segment Editor, said to be done, and a model learns from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegSections import parameters
from MgImplantSegSections.engine import pythons
from MgImplantSegSections.sections import teachStates
from MgImplantSegSections.sections.curves import Curves
from MgImplantSegSections.sections.teachList import TeachList, labelledText, overlapText, resultText
from MgImplantSegSections.sections.workbench import ProgressView, errorText
from MgImplantSegSections.work import teachSlices, teachWork
from MgImplantSegSections.work.segmentWork import SegmentRequest
from MgImplantSegSections.work.teachWork import TeachRequest

if TYPE_CHECKING:
    from MgImplantSegSections.engine.engineRun import CancelToken
    from MgImplantSegSections.sections.modelSection import ModelSection
    from MgImplantSegSections.sections.segmentationSection import SegmentationSection
    from MgImplantSegSections.sections.workbench import Workbench


class TeachSection:
    """Suggests slices, keeps which are done, teaches, segments again; one piece of work at a time."""

    def __init__(self, workbench: Workbench, modelSection: ModelSection, segmentationSection: SegmentationSection):
        self.workbench, self.ui = workbench, workbench.ui
        self._models, self._segmentation = modelSection, segmentationSection
        self._progress = ProgressView(workbench, self.ui.teachProgressBar, self.ui.teachStatusLabel)
        self._curves = Curves()
        self._task: Any = None
        self._earlyEnd: Any = None  # while a model is being taught
        self._list = TeachList(self.ui.teachSlicesList, self.onSelected)
        self._state = self._lastResult = None
        self.ui.teachViewSelector.addItems([_("{view} view").format(view=view) for view in teachSlices.VIEWS])
        self._connect()
        workbench.onChange(self.refresh)

    def _connect(self):
        for button, slot in (
            (self.ui.startTeachingButton, self.onStart),
            (self.ui.suggestButton, self.onSuggest),
            (self.ui.sliceDoneButton, self.onDone),
            (self.ui.addShownSliceButton, self.onAddShown),
            (self.ui.teachButton, self.onTeach),
            (self.ui.stopAndKeepButton, self.onStopAndKeep),
            (self.ui.segmentAgainButton, self.onSegmentAgain),
            (self.ui.teachCurvesButton, self.onCurves),
        ):
            button.connect("clicked(bool)", slot)
        self.ui.teachNameEdit.connect("textChanged(QString)", self.onName)

    def isRunning(self):
        """Whether slices are being suggested, a model is being taught or the scan is being segmented again."""
        return self._task is not None and self._task.isRunning

    def forget(self):
        """Nothing of the scene that was closed is known any more."""
        self._state = self._lastResult = None
        self._curves.clear()
        self.ui.teachStatusLabel.text = self.ui.teachResultLabel.text = ""

    def labels(self):
        """The segmentation that is taught from: the chosen one, else the last one of the chosen scan; or None."""
        chosen = self.workbench.parameters
        if chosen.teachSegmentation is not None or chosen.inputVolume is None:
            return chosen.teachSegmentation
        return teachWork.lastLabelsOf(chosen.inputVolume, parameters.shownNodes("vtkMRMLSegmentationNode"))

    def scan(self):
        """The scan that the labels were drawn on, else the chosen volume; or None."""
        return teachWork.scanOfLabels(self.labels(), self.workbench.parameters.inputVolume)

    def others(self):
        """Other scans of the scene of which slices are done, with their labels, if they are to be learned from."""
        if not self.workbench.parameters.teachOtherScans:
            return ()
        return teachWork.otherTaught(self.scan(), parameters.shownNodes("vtkMRMLSegmentationNode"))

    def onStart(self):
        """Take or make the labels and open the Segment Editor on them."""
        chosen = self.workbench.parameters
        try:
            labels = self.labels() or teachWork.addEmptyLabels(chosen.inputVolume)
            chosen.teachSegmentation = labels
            labels.CreateDefaultDisplayNodes()
            labels.GetDisplayNode().SetVisibility(True)
            teachWork.openEditor(self.scan(), labels)
        except MgImplantSegError as error:
            self._say(errorText(error))
            return
        self._say(_("Paint in the Segment Editor, then return to this module and mark the finished slices as done."))
        self.workbench.changed()

    def onSuggest(self):
        """Let the engine suggest slices, or cancel what runs."""
        chosen, scan, labels = self.workbench.parameters, self.scan(), self.labels()
        chosen.teachSegmentation = labels
        self._start(
            lambda token: self.workbench.logic.suggestSteps(
                scan, labels, chosen.suggestCount, self._segmentation.options(), self._segmentation.runIn(), token
            ),
            self.onSuggested,
        )

    def onSuggested(self, slices: Any):
        """List the slices and show the first one."""
        first = self._list.suggest(slices, self.scan())
        self._progress.end(_("Select a slice to show it; paint or correct it, then mark it as done."))
        self.workbench.changed()
        self._list.select(first)

    def onSelected(self):
        """Show the selected slice in the views."""
        name = self._list.selected()
        if name is not None and self.scan() is not None:
            teachSlices.showSlice(self.scan(), name, self._list.pointRas(name))
        self._refreshButtons()

    def onDone(self):
        """The selected slice is labelled wholly, or no longer."""
        name, labels = self._list.selected(), self.labels()
        self.workbench.parameters.teachSegmentation = labels
        teachSlices.setDone(labels, name, not self._list.isDone(name))
        self.workbench.changed()

    def onAddShown(self):
        """The slice that a view shows goes into the list, as one that is done."""
        try:
            name = teachSlices.shownSlice(self.scan(), teachSlices.VIEWS[self.ui.teachViewSelector.currentIndex])
        except MgImplantSegError as error:
            self._say(errorText(error))
            return
        self.workbench.parameters.teachSegmentation = self.labels()
        teachSlices.setDone(self.labels(), name)
        self.workbench.changed()
        self._list.select(name)

    def onTeach(self):
        """Teach, or cancel what runs."""
        if self.isRunning():
            self._task.cancel()
            self._say(_("Stopping…"))
            return
        scan, labels, request = self.scan(), self.labels(), self.request()
        self._earlyEnd = request.earlyEnd if pythons.isHere(self._segmentation.runIn()) else None
        self.workbench.parameters.teachSegmentation = labels
        self._curves.clear()
        self.ui.teachResultLabel.text = ""
        self._start(
            lambda token: self.workbench.logic.teachSteps(scan, labels, request, self._segmentation.runIn(), token),
            self.onTaught,
        )

    def onStopAndKeep(self):
        """Learn no longer; the model so far comes as if its time were up."""
        self._earlyEnd.request()
        self._earlyEnd = None
        self._say(_("Stopping; the model trained so far is kept…"))
        self._refreshButtons()

    def request(self):
        """What was chosen, as a `TeachRequest`."""
        chosen = self.workbench.parameters
        name = teachWork.modelName(self.ui.teachNameEdit.text, self.scan())
        return TeachRequest(
            self._models.path(),
            name,
            minutes=chosen.teachMinutes,
            roiNode=chosen.teachRoi,
            others=self.others(),
            device=self._segmentation.device(),
            scribbles=chosen.teachScribbles,
            earlyEnd=teachWork.EarlyEnd(),
        )

    def onTaught(self, outcome: Any):
        """The model is installed: choose it, say what it reaches, and segment the scan again."""
        path, result = outcome
        self._earlyEnd = None
        self.ui.teachNameEdit.text = ""
        self._models.refill(str(path))
        self.workbench.modelsChanged()
        self._addResult(resultText(path.stem, result["held_out"], len(result["labelled"])))
        self._progress.end(_("Taught: {name}. It is now the selected model.").format(name=path.stem))
        self.workbench.changed()
        if self.workbench.parameters.segmentAfterTeaching and self.scan() is not None:
            self.onSegmentAgain()

    def onSegmentAgain(self):
        """Segment the scan with the chosen model into a new segmentation; the labels stay."""
        scan, old = self.scan(), self.labels()
        request = SegmentRequest(
            self._segmentation.options(),
            self.workbench.parameters.limitRoi,
            name=_("{volume} by {model}").format(volume=scan.GetName(), model=self._models.path().stem),
        )
        self.workbench.parameters.teachSegmentation = old
        self._start(
            lambda token: self.workbench.logic.segmentAgainSteps(scan, old, request, self._segmentation.runIn(), token),
            self.onSegmentedAgain,
        )

    def onSegmentedAgain(self, outcome: Any):
        """The new result is in the scene; the labels are kept, hidden."""
        node, overlap = outcome
        if self._lastResult is not None and self._lastResult.GetScene() is not None:
            teachWork.hideInViews(self._lastResult)
        self._lastResult = node
        self._progress.end(_("Done: {name}. The labels are kept, but hidden.").format(name=node.GetName()))
        if overlap:
            self._addResult(overlapText(overlap))
        self.workbench.parameters.measuredSegmentation = node
        self.workbench.changed()

    def onCurves(self):
        """Show losses and scores as a chart that grows."""
        self._curves.show()

    def onName(self):
        """Another name for the new model."""
        if self.workbench.parameters is not None:
            self._refreshButtons()

    def _start(self, makeSteps: Callable[[CancelToken], Iterator[Any]], onDone: Callable[..., Any]):
        self._progress.begin(_("Starting…"))
        self._task = self.workbench.start(makeSteps, self.onEvent, onDone, self.onFailed, self.onCancelled)
        self._refreshButtons()

    def onEvent(self, event: Any):
        """Progress and warnings are shown, metrics are kept."""
        if event["event"] == "metric":
            isFirst = not self._curves.hasRows()
            self._curves.add(event)
            if isFirst:
                self._refreshButtons()
        elif event["event"] == "warning":
            self._addResult(event.get("message", ""))
        else:
            self._progress.show(event)

    def onCancelled(self):
        """Nothing has come into the scene, no model was installed."""
        self._earlyEnd = None
        self._progress.end(_("Cancelled; nothing was changed."))
        self.workbench.changed()

    def onFailed(self, error: Exception):
        """What happened, and what to do."""
        self._earlyEnd = None
        self._progress.end(errorText(error))
        self.workbench.changed()

    def _addResult(self, text: str):
        """One more line below the progress, each once."""
        lines = [line for line in self.ui.teachResultLabel.text.split("\n") if line]
        if text and text not in lines:
            self.ui.teachResultLabel.text = "\n".join([*lines, text])

    def _say(self, text: str):
        self.ui.teachStatusLabel.text = text

    def missing(self):
        """All that is missing before Teach can be clicked."""
        found = self._missingScan() + self._models.missing()
        roi, name = self.workbench.parameters.teachRoi, self.ui.teachNameEdit.text
        if not found and self.workbench.parameters.teachScribbles:
            return teachStates.missingForScribbles(self.labels(), name, self.scan())
        return found or teachStates.missingToTeach(self._list.labelled, roi, name, self.scan())

    def _missingScan(self):
        return teachStates.missingScan(self.scan()) or teachStates.missingLabels(self.labels())

    def refresh(self):
        """The list of slices, what counts as labelled, and the states of all buttons."""
        if self._missingScan():
            self._state = None
            self._list.refresh(None, teachSlices.Labelled())
            self.ui.teachLabelledLabel.text = ""
        else:
            labels, scan = self.labels(), self.scan()
            state = teachSlices.stateOf(labels, scan)
            labelled = self._list.labelled if state == self._state else teachSlices.labelledOn(labels, scan)
            self._state = state
            self._list.refresh(scan, labelled)
            self.ui.teachLabelledLabel.text = labelledText(
                labelled, self.workbench.parameters.teachRoi, [node.GetName() for node, _labels in self.others()]
            )
            if self.workbench.parameters.teachScribbles:
                self.ui.teachLabelledLabel.text += "\n" + _("In addition, every voxel in a segment counts as labelled.")
        self._refreshButtons()

    def _refreshButtons(self):
        selected, missingScan = self._list.selected(), self._missingScan()
        state = teachStates.TeachState(
            scan=missingScan,
            labels=not teachStates.missingScan(self.scan()) and self.labels() is None,
            model=self._models.missing(),
            teach=self.missing(),
            isRunning=self.isRunning(),
            isSelected=selected is not None,
            isDone=selected is not None and self._list.isDone(selected),
            hasCurves=self._curves.hasRows(),
            canKeep=self._earlyEnd is not None and self._curves.hasRows(),
        )
        teachStates.setButtons(self.ui, state)
