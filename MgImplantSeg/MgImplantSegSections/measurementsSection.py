"""Section 4: what is measured, the screw before, the regions; Compute; a table whose rows know when they are stale."""

import qt
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.errors import MgImplantSegError
from MgImplantSegLib.quantification import MEASURES, QuantifyOptions
from MgImplantSegLib.scene.tables import save_table
from MgImplantSegSections import staleness
from MgImplantSegSections.backgroundTask import weakly
from MgImplantSegSections.engineOptions import optionsFrom
from MgImplantSegSections.measuresTable import arrangeColumns, tableText, undefinedTexts
from MgImplantSegSections.measureWork import QuantifyRequest
from MgImplantSegSections.parameters import InitialKind, roiNodes, shownNodes
from MgImplantSegSections.workbench import ProgressView, errorText, setEnabled

AUTO_DELAY_MS = 500
VOXELS_CHANGED = ("SourceRepresentationModified", "SegmentAdded", "SegmentRemoved")


class MeasurementsSection:
    """Computes in a child process; follows segmentation and ROIs to mark rows stale."""

    def __init__(self, workbench, regions, classes, observe):
        """:param observe: `observe(key, objects, events, callback)` replaces the observations under a key."""
        self.workbench, self.ui = workbench, workbench.ui
        self._regions, self._classes, self._observe = regions, classes, observe
        self._progress = ProgressView(workbench, self.ui.computeProgressBar, self.ui.measuresStateLabel)
        self._task, self._edits, self._editsBefore = None, 0, 0
        further = ", ".join(group.help for group in MEASURES.values() if not group.by_default)
        self.ui.allMeasuresCheckBox.toolTip = _("Also {measures}.").format(measures=further)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(AUTO_DELAY_MS)
        self._timer.connect("timeout()", weakly(self.onAuto))
        self.ui.computeButton.connect("clicked(bool)", self.onCompute)
        self.ui.showPlotButton.connect("clicked(bool)", self.onPlot)
        self.ui.exportCsvButton.connect("clicked(bool)", self.onExport)
        self.ui.copyMeasuresButton.connect("clicked(bool)", self.onCopy)
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
        return QuantifyRequest(
            optionsFrom(chosen, QuantifyOptions, measures=tuple(MEASURES) if chosen.allMeasures else None),
            initialNode=chosen.initialSegmentation if kind == InitialKind("segmentation") else None,
            initialModelNode=chosen.initialModel if kind == InitialKind("model") else None,
            initialVolumeMm3=(chosen.initialVolumeMm3 or None) if typed else None,
            initialAreaMm2=(chosen.initialAreaMm2 or None) if typed else None,
            roiNodes=tuple(roiNodes(chosen)),
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
        self._editsBefore = self._edits
        try:
            self._fingerprint = staleness.fingerprint(node, request, edits=0)
        except MgImplantSegError as error:
            self.ui.measuresStateLabel.text = errorText(error)
            return
        self._progress.begin(_("Starting…"))
        self._task = self.workbench.start(
            lambda token: self.workbench.logic.quantifySteps(node, request, token),
            self._progress.show,
            self.onComputed,
            self.onFailed,
            self.onCancelled,
        )
        self.refresh()

    def onComputed(self, result):
        """Show the new table in place of the old one."""
        tableNode, _report = result
        self._edits -= self._editsBefore  # counted since the table, which may come back with its scene
        staleness.keep(tableNode, self._fingerprint)
        old, self.workbench.parameters.measuresTable = self.workbench.parameters.measuresTable, tableNode
        if old is not None and old is not tableNode:
            slicer.mrmlScene.RemoveNode(old)
        self._progress.end("")
        self.workbench.changed()

    def onFailed(self, error):
        """What happened, and what to do."""
        self._progress.end(errorText(error))
        self._refreshButton()

    def onCancelled(self):
        """The old table stays."""
        self._progress.end(_("Cancelled."))
        self._refreshButton()

    def onVoxelsChanged(self, caller=None, event=None):
        """The segmentation was edited."""
        self._edits += 1
        self.workbench.changed()

    def onSegmentsRenamed(self, caller=None, event=None):
        """A segment has another name or terminology."""
        self.workbench.changed()

    def onInputsMoved(self, caller=None, event=None):
        """A ROI or a transform has changed."""
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
        self._refreshTable()

    def _observeInputs(self):
        chosen = self.workbench.parameters
        node, rois = chosen.measuredSegmentation, roiNodes(chosen)
        voxelEvents = [getattr(slicer.vtkSegmentation, name) for name in VOXELS_CHANGED]
        self._observe("voxels", [node.GetSegmentation()] if node is not None else [], voxelEvents, self.onVoxelsChanged)
        self._observe(
            "names",
            [node.GetSegmentation()] if node is not None else [],
            [slicer.vtkSegmentation.SegmentModified],
            self.onSegmentsRenamed,
        )
        moved = [*rois, *([node] if node is not None else [])]
        self._observe(
            "places",
            moved,
            [slicer.vtkMRMLTransformableNode.TransformModifiedEvent, "ModifiedEvent"],
            self.onInputsMoved,
        )

    def _showInitialWidgets(self):
        kind = self.workbench.parameters.initialKind.value
        ui = self.ui
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
            setEnabled(self.ui.computeButton, [], _("Stop computing; the old table stays."))
        else:
            self.ui.computeButton.text = _("Compute")
            setEnabled(self.ui.computeButton, self.missing(), _("Compute all measures."))

    def _refreshTable(self):
        table = self.workbench.parameters.measuresTable
        if self.ui.measuresTableView.mrmlTableNode() is not table:
            self.ui.measuresTableView.setMRMLTableNode(table)
            arrangeColumns(self.ui.measuresTableView, table)
        missing = [] if table is not None else [_("measures: click Compute")]
        setEnabled(self.ui.showPlotButton, missing, _("Plot BV/TV over the distance from the implant."))
        setEnabled(self.ui.exportCsvButton, missing, _("Write all measures with methods and definitions."))
        setEnabled(self.ui.copyMeasuresButton, missing, _("Copy the table to the clipboard."))
        if table is not None and not self.isRunning():
            self.ui.measuresStateLabel.text = self._stateText(table)

    def _stateText(self, table):
        node = self.workbench.parameters.measuredSegmentation
        try:
            values = staleness.fingerprint(node, self.request(), self._edits) if node is not None else None
        except MgImplantSegError as error:
            return errorText(error)
        stale = staleness.mark(table, values)
        lines = []
        if stale or (stale is not None and values and staleness.lacksRegions(table, values)):
            lines.append(_("Inputs have changed: {count} rows are stale. Click Compute.").format(count=stale))
            if self.workbench.parameters.autoCompute:
                self._timer.start()
        elif stale == 0:
            lines.append(_("All measures are current."))
        return "\n".join([*lines, *undefinedTexts(table)])

    def onPlot(self):
        """Plot BV/TV over the distance from the implant."""
        try:
            self.workbench.logic.plotBoneVolumeProfile(self.workbench.parameters.measuresTable)
        except MgImplantSegError as error:
            self.ui.measuresStateLabel.text = errorText(error)

    def onExport(self):
        """Ask for a file and write the table."""
        path = qt.QFileDialog.getSaveFileName(
            self.ui.MeasurementsPanel, _("Save measures"), "measures.csv", "CSV (*.csv)"
        )
        if path:
            self.export(path)

    def export(self, path):
        """Write the table as CSV."""
        try:
            save_table(self.workbench.parameters.measuresTable, path)
            self.ui.measuresStateLabel.text = _("Written: {path}").format(path=path)
        except MgImplantSegError as error:
            self.ui.measuresStateLabel.text = errorText(error)

    def onCopy(self):
        """The shown columns go to the clipboard, with tabs between."""
        slicer.app.clipboard().setText(tableText(self.workbench.parameters.measuresTable))
