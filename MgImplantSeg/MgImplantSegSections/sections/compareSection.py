"""Segmentations of the same scan against a reference."""

from typing import Any

import qt
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.tables import save_table
from MgImplantSegSections.sections.wholeTables import WholeTable
from MgImplantSegSections.sections.workbench import ProgressView, errorText, setEnabled
from MgImplantSegSections.work.measuresStore import refilled


class CompareSection:
    """Compares with the options of the measurements section."""

    def __init__(self, workbench, measurements):
        self.workbench, self.ui, self._measurements = workbench, workbench.ui, measurements
        self._progress = ProgressView(workbench, self.ui.compareProgressBar, self.ui.compareStatusLabel)
        self._task: Any = None
        self._whole = WholeTable(self.ui.compareTableView, isNamedByRows=True)
        self.ui.compareButton.connect("clicked(bool)", self.onCompare)
        self.ui.compareCsvButton.connect("clicked(bool)", self.onExport)
        self.ui.othersSelector.connect("checkedNodesChanged()", self.onChecked)
        workbench.onChange(self.refresh)

    def isRunning(self):
        """Whether a comparison runs."""
        return self._task is not None and self._task.isRunning

    def others(self):
        """The ticked segmentations, the reference apart."""
        reference = self.workbench.parameters.referenceSegmentation
        return [node for node in self.ui.othersSelector.checkedNodes() if node is not reference]

    def missing(self):
        """All that is missing before Compare can be clicked."""
        found = [] if self.workbench.parameters.referenceSegmentation is not None else [_("a reference")]
        return found + ([] if self.others() else [_("another segmentation, ticked in the list")])

    def onChecked(self):
        """Other segmentations were ticked."""
        if self.workbench.parameters is not None:
            self.refresh()

    def onCompare(self):
        """Compare, or cancel what runs."""
        if self.isRunning():
            self._task.cancel()
            return
        reference, others = self.workbench.parameters.referenceSegmentation, self.others()
        request = self._measurements.request()
        self._progress.begin(_("Starting…"))
        self._task = self.workbench.start(
            lambda token: self.workbench.logic.compareSteps(reference, others, request, token),
            self._progress.show,
            self.onCompared,
            self.onFailed,
            lambda: self._end(_("Cancelled.")),
        )
        self.refresh()

    def onCompared(self, tableNode):
        """Show the new table; that of another reference stays in the scene."""
        old, reference = self.workbench.parameters.comparisonTable, provenance_of_node(tableNode)["reference"]
        if old is not None and provenance_of_node(old).get("reference") == reference:
            tableNode = refilled(old, tableNode)
        self.workbench.parameters.comparisonTable = tableNode
        self._end(_("Done. Deviations are from the reference, in per cent."))

    def onFailed(self, error):
        """What happened, and what to do."""
        self._end(errorText(error))

    def _end(self, text):
        self._progress.end(text)
        self.workbench.changed()

    def refresh(self):
        """States of the buttons, and the table."""
        table = self.workbench.parameters.comparisonTable
        if self.ui.compareTableView.mrmlTableNode() is not table:
            self.ui.compareTableView.setMRMLTableNode(table)
            if table is not None:  # a view without a table does not take it
                self.ui.compareTableView.transposed = True  # a column a segmentation: a dozen measures do not fit
            self._whole.fit()
        self.ui.compareButton.text = _("Cancel") if self.isRunning() else _("Compare")
        setEnabled(
            self.ui.compareButton,
            [] if self.isRunning() else self.missing(),
            _("IoU for each class, and DR, BIC and BV/TV with their deviations."),
        )
        setEnabled(
            self.ui.compareCsvButton, [] if table is not None else [_("a comparison")], _("Write the comparison.")
        )

    def onExport(self):
        """Ask for a file and write the table."""
        path = qt.QFileDialog.getSaveFileName(
            self.ui.ComparePanel, _("Save comparison"), "comparison.csv", "CSV (*.csv)"
        )
        if path:
            try:
                save_table(self.workbench.parameters.comparisonTable, path)
                self.ui.compareStatusLabel.text = _("Written: {path}").format(path=path)
            except MgImplantSegError as error:
                self.ui.compareStatusLabel.text = errorText(error)
