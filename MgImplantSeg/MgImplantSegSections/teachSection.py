"""Section 3b: slices are painted in Slicer's Segment Editor, said to be done, and a model learns from them."""

from slicer.i18n import tr as _

from MgImplantSegLib.errors import MgImplantSegError
from MgImplantSegLib.labels import CLASSES, Role
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.volumes import geometry_of_node
from MgImplantSegLib.training.teach.slices import parse_slices
from MgImplantSegSections import parameters, teachSlices, teachWork
from MgImplantSegSections.classMapping import roleText
from MgImplantSegSections.curves import Curves
from MgImplantSegSections.segmentWork import PREVIEW, SegmentRequest
from MgImplantSegSections.teachWork import TeachRequest
from MgImplantSegSections.workbench import ProgressView, errorText, setEnabled

SLICES_FOR_HELD_OUT = 3


class TeachSection:
    """Suggests slices, keeps which are done, teaches, segments again; one piece of work at a time."""

    def __init__(self, workbench, modelSection, segmentationSection):
        self.workbench, self.ui = workbench, workbench.ui
        self._models, self._segmentation = modelSection, segmentationSection
        self._progress = ProgressView(workbench, self.ui.teachProgressBar, self.ui.teachStatusLabel)
        self._curves = Curves()
        self._task = None
        self._suggested, self._listed, self._labelled = {}, (), None
        self._taught = None
        self.ui.teachViewSelector.addItems(list(teachSlices.VIEWS))
        self._connect()
        workbench.onChange(self.refresh)

    def _connect(self):
        for button, slot in (
            (self.ui.startTeachingButton, self.onStart),
            (self.ui.suggestButton, self.onSuggest),
            (self.ui.sliceDoneButton, self.onDone),
            (self.ui.addShownSliceButton, self.onAddShown),
            (self.ui.teachButton, self.onTeach),
            (self.ui.segmentAgainButton, self.onSegmentAgain),
            (self.ui.teachCurvesButton, self.onCurves),
        ):
            button.connect("clicked(bool)", slot)
        self.ui.teachSlicesList.connect("currentRowChanged(int)", self.onSelected)
        self.ui.teachNameEdit.connect("textChanged(QString)", self.onName)

    def isRunning(self):
        """Whether slices are being suggested, a model is being taught or the scan is being segmented again."""
        return self._task is not None and self._task.isRunning

    def labels(self):
        """The segmentation that is taught from: the chosen one, else the last one of the chosen scan; or None."""
        chosen = self.workbench.parameters
        if chosen.teachSegmentation is not None or chosen.inputVolume is None:
            return chosen.teachSegmentation
        nodes = parameters.shownNodes("vtkMRMLSegmentationNode")
        return teachWork.lastLabelsOf(
            chosen.inputVolume, [node for node in nodes if PREVIEW not in provenance_of_node(node)]
        )

    def scan(self):
        """The scan that the labels were drawn on, else the chosen volume; or None."""
        return teachWork.scanOfLabels(self.labels(), self.workbench.parameters.inputVolume)

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
        self._say(_("Paint in the Segment Editor, then choose this module again and say which slices are done."))
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

    def onSuggested(self, slices):
        """List the slices and show the first one."""
        self._suggested = {parse_slices(entry["slice"])[0]: entry for entry in slices}
        self._progress.end(_("Select a slice to see it; paint or correct it, then say that it is done."))
        self.workbench.changed()
        rows = [self._listed.index(name) for name in self._suggested if name in self._listed]
        self.ui.teachSlicesList.setCurrentRow(min(rows, default=-1))

    def onSelected(self):
        """Show the selected slice in the views."""
        name = self._selected()
        if name is not None and self.scan() is not None:
            centre = self._suggested.get(name, {}).get("centre_lps_mm")
            pointRas = None if centre is None else (-centre[0], -centre[1], centre[2])
            teachSlices.showSlice(self.scan(), name, pointRas)
        self._refreshButtons()

    def onDone(self):
        """The selected slice is labelled wholly, or no longer."""
        name, labels = self._selected(), self.labels()
        self.workbench.parameters.teachSegmentation = labels
        teachSlices.setDone(labels, name, name not in teachSlices.doneSlices(labels))
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
        self.ui.teachSlicesList.setCurrentRow(self._listed.index(name))

    def onTeach(self):
        """Teach, or cancel what runs."""
        if self.isRunning():
            self._task.cancel()
            self._say(_("Stopping…"))
            return
        scan, labels, request = self.scan(), self.labels(), self.request()
        self.workbench.parameters.teachSegmentation = labels
        self._curves.clear()
        self._start(
            lambda token: self.workbench.logic.teachSteps(scan, labels, request, self._segmentation.runIn(), token),
            self.onTaught,
        )

    def request(self):
        """What was chosen, as a `TeachRequest`."""
        chosen = self.workbench.parameters
        name = teachWork.modelName(self.ui.teachNameEdit.text, self.scan())
        return TeachRequest(
            self._models.path(),
            name,
            minutes=chosen.teachMinutes,
            roiNode=chosen.teachRoi,
            device=self._segmentation.device(),
        )

    def onTaught(self, outcome):
        """The model is installed: choose it, say what it reaches, and segment the scan again."""
        path, result = outcome
        self._taught = path
        self.ui.teachNameEdit.text = ""
        self._models.refill(str(path))
        self.workbench.modelsChanged()
        self.ui.teachResultLabel.text = resultText(path.stem, result["held_out"])
        self._progress.end(_("Taught: {name}, chosen in section 2.").format(name=path.stem))
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

    def onSegmentedAgain(self, outcome):
        """The new result is in the scene; the labels are kept, hidden."""
        node, overlap = outcome
        self._progress.end(_("Done: {name}. The labels are kept, hidden.").format(name=node.GetName()))
        if overlap:
            values = ", ".join(f"{roleText(role)} {iou:.2f}" for role, iou in overlap.items())
            self.ui.teachResultLabel.text = "\n".join(
                filter(None, (self.ui.teachResultLabel.text, _("IoU of old and new: {values}.").format(values=values)))
            )
        self.workbench.parameters.measuredSegmentation = node
        self.workbench.changed()

    def onCurves(self):
        """Show losses and scores as a chart that grows."""
        self._curves.show()

    def onName(self):
        """Another name for the new model."""
        if self.workbench.parameters is not None:
            self._refreshButtons()

    def _start(self, makeSteps, onDone):
        self._progress.begin(_("Starting…"))
        self._task = self.workbench.start(makeSteps, self.onEvent, onDone, self.onFailed, self.onCancelled)
        self._refreshButtons()

    def onEvent(self, event):
        """Progress and warnings are shown, metrics are kept."""
        if event["event"] == "metric":
            self._curves.add(event)
        elif event["event"] == "warning":
            self.ui.teachResultLabel.text = event.get("message", "")
        else:
            self._progress.show(event)

    def onCancelled(self):
        """Nothing has come into the scene, no model was installed."""
        self._progress.end(_("Cancelled; nothing was changed."))
        self.workbench.changed()

    def onFailed(self, error):
        """What happened, and what to do."""
        self._progress.end(errorText(error))
        self.workbench.changed()

    def _say(self, text):
        self.ui.teachStatusLabel.text = text

    def _selected(self):
        row = self.ui.teachSlicesList.currentRow
        return self._listed[row] if 0 <= row < len(self._listed) else None

    def missing(self):
        """All that is missing before Teach can be clicked."""
        found = self._missingScan() + self._models.missing()
        if found:
            return found
        chosen = self.workbench.parameters
        if not self._labelled.slices and chosen.teachRoi is None:
            found.append(_("a slice that is done, or a labelled ROI"))
        elif not self._labelled.roles and chosen.teachRoi is None:
            found.append(_("something painted on the done slices"))
        try:
            teachWork.modelName(self.ui.teachNameEdit.text, self.scan())
            if chosen.teachRoi is not None:
                box_of_roi_node(chosen.teachRoi)
        except MgImplantSegError as error:
            found.append(errorText(error))
        return found

    def _missingScan(self):
        try:
            if self.scan() is None:
                return [_("a volume (section 1)")]
            geometry_of_node(self.scan())
        except MgImplantSegError as error:
            return [errorText(error)]
        return [] if self.labels() is not None else [_("labels (Start teaching)")]

    def refresh(self):
        """The list of slices, what counts as labelled, and the states of all buttons."""
        self._labelled = None
        if not self._missingScan():
            self._labelled = teachSlices.labelledOn(self.labels(), self.scan())
        self._list()
        self.ui.teachLabelledLabel.text = "" if self._labelled is None else self.labelledText()
        self._refreshButtons()

    def _list(self):
        """Suggested and done slices in order; the selected one stays so."""
        selected, labels = self._selected(), self.labels()
        names = () if self._labelled is None else tuple(sorted({*self._suggested, *self._labelled.slices}))
        texts = [] if not names else [self._text(name) for name in names]
        widget = self.ui.teachSlicesList
        del labels
        if (names, texts) == (self._listed, [widget.item(row).text() for row in range(widget.count)]):
            return
        widget.blockSignals(True)
        widget.clear()
        widget.addItems(texts)
        widget.setCurrentRow(names.index(selected) if selected in names else -1)
        widget.blockSignals(False)
        self._listed = names

    def _text(self, name):
        text = teachSlices.sliceText(geometry_of_node(self.scan()), name)
        if name in self._labelled.slices:
            return _("✓ {slice}").format(slice=text)
        share = self._suggested[name]["disagreement"]
        return _("{slice} (planes disagree on {percent:.1f} %)").format(slice=text, percent=100 * share)

    def labelledText(self):
        """``3 slices, 2 orientations, classes: bone, residual material``, and what is not labelled."""
        slices, roles = self._labelled.slices, self._labelled.roles
        roi = self.workbench.parameters.teachRoi
        parts = [_("one slice is done") if len(slices) == 1 else _("{n} slices are done").format(n=len(slices))]
        if slices:
            axes = len({name.axis for name in slices})
            parts.append(_("one orientation") if axes == 1 else _("{n} orientations").format(n=axes))
        if roi is not None:
            parts.append(_("ROI {name}").format(name=roi.GetName()))
        lines = [_("Labelled: {parts}.").format(parts=", ".join(parts))]
        if slices:
            classes = ", ".join(roleText(role) for role in roles) or _("none")
            lines.append(_("Classes on them besides background: {classes}.").format(classes=classes))
            wanted = [label.role for label in CLASSES if label.role not in (Role.BACKGROUND, *roles)]
            lines += [_("No {role} is labelled on them.").format(role=roleText(role)) for role in wanted]
            if len(slices) < SLICES_FOR_HELD_OUT:
                lines.append(_("With three slices or more one is kept apart to measure on."))
        return "\n".join(lines)

    def _refreshButtons(self):
        ui, scan = self.ui, self._missingScan()
        busy = [_("the end of what runs now")] if self.isRunning() else []
        noLabels = [_("labels (Start teaching)")]
        setEnabled(
            ui.startTeachingButton,
            [] if scan in ([], noLabels) else scan,
            _("Open the Segment Editor on the labels. Choose this module again when you have painted."),
        )
        models = self._models.missing()
        setEnabled(ui.suggestButton, busy + scan + models, _("Suggest slices on which the planes disagree most."))
        selected = self._selected()
        isDone = selected is not None and self._labelled is not None and selected in self._labelled.slices
        ui.sliceDoneButton.text = _("This slice is not done") if isDone else _("This slice is done")
        setEnabled(
            ui.sliceDoneButton,
            scan + ([] if selected is not None else [_("a selected slice")]),
            _("Say that the selected slice is labelled wholly: what is in no segment there is background."),
        )
        noViews = [] if teachSlices.sliceNodes() else [_("a slice view")]
        setEnabled(ui.addShownSliceButton, scan + noViews, _("Say that the slice which this view shows is done."))
        again = _("Segment the scan with the model of section 2 into a new segmentation.")
        setEnabled(ui.segmentAgainButton, busy + scan + models, again)
        curves = [] if self._curves.hasRows() else [_("metrics of teaching")]
        setEnabled(ui.teachCurvesButton, curves, _("Plot loss and score on the held-out slices."))
        if self.isRunning():
            ui.teachButton.text = _("Cancel")
            setEnabled(ui.teachButton, [], _("Stop; no model is left."))
        else:
            ui.teachButton.text = _("Teach")
            setEnabled(ui.teachButton, self.missing(), _("Teach the model of section 2 the look of this scan."))


def resultText(name, heldOut):
    """What the new model reaches on the slices that were kept apart, and what that is worth."""
    if not heldOut.get("slices"):
        return heldOut["words"]
    return _(
        "{name}: on {slices}, kept from learning, mean IoU {before:.2f} before and {after:.2f} after, on this one "
        "scan. Other scans may come out otherwise."
    ).format(
        name=name,
        slices=", ".join(entry.rsplit(" ", 1)[-1] for entry in heldOut["slices"]),
        before=heldOut["before"]["mean"],
        after=heldOut["after"]["mean"],
    )
