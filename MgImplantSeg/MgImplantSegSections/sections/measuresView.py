"""The results: headline, table of the chosen segmentation, what is stale, notes, plot, CSV, clipboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.scene.tables import save_table
from MgImplantSegSections.sections.measuresTable import MeasuresTable, headline, headlineTooltip, noteTexts, tableText
from MgImplantSegSections.sections.textWindow import TextWindow
from MgImplantSegSections.sections.workbench import errorText, setEnabled
from MgImplantSegSections.work import layouts, staleness
from MgImplantSegSections.work.measuresReport import RESULT_COLUMN, restoreTexts
from MgImplantSegSections.work.measuresStore import tableOf

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench


class MeasuresView:
    """Shows the table that belongs to the chosen segmentation.

    :param fingerprint: `fingerprint()` of the inputs as they are now, None for no segmentation.
    """

    def __init__(self, workbench: Workbench, fingerprint: Any):
        self.workbench, self.ui, self._fingerprint = workbench, workbench.ui, fingerprint
        self._seen = self._node = None
        self._rows = MeasuresTable(self.ui.measuresTable)
        self.notes = TextWindow(_("Notes on the measures"))
        self.ui.measuresNotesButton.connect("clicked(bool)", self.notes.show)
        self.ui.showPlotButton.connect("clicked(bool)", self.onPlot)
        self.ui.exportCsvButton.connect("clicked(bool)", self.onExport)
        self.ui.copyMeasuresButton.connect("clicked(bool)", self.onCopy)

    def table(self):
        """The table of the chosen segmentation, or None."""
        return tableOf(self.workbench.parameters.measuredSegmentation)

    def refresh(self, isRunning: bool):
        """Show the table and how it stands.

        :returns: whether the measures have to be computed again to be right.
        """
        table = self.table()
        shown = table.GetID() if table is not None else None
        if shown != self._node:
            self._node = shown
            self.ui.measuresStateLabel.text = ""
        if table is not None:
            restoreTexts(table)
        self.ui.measuresHeadlineLabel.text = headline(table)
        self.ui.measuresHeadlineLabel.toolTip = headlineTooltip(table)
        self._refreshButtons(table)
        isOld = False if table is None or isRunning else self._showState(table)
        self._rows.show(table)
        return isOld

    def _refreshButtons(self, table: Any):
        missing = [] if table is not None else [_("measures: click Compute")]
        shown = layouts.isChartShown()
        self.ui.showPlotButton.text = _("Close plot") if shown else _("Plot profile")
        if shown:
            setEnabled(self.ui.showPlotButton, [], _("Return to the layout before the plot."))
        else:
            setEnabled(self.ui.showPlotButton, missing, _("Plot BV/TV over the distance from the implant."))
        setEnabled(self.ui.exportCsvButton, missing, _("Save all measures with their methods and definitions."))
        setEnabled(self.ui.copyMeasuresButton, missing, _("Copy the table to the clipboard."))
        texts = noteTexts(table)
        self.notes.setPlainText("\n\n".join(texts))
        none = [] if texts else missing or [_("notes: there are none on these measures")]
        setEnabled(self.ui.measuresNotesButton, none, _("Show all warnings and notes of the measures."))

    def haveInputsChanged(self):
        """Whether the inputs differ from those of the last look; needs little time if nobody has touched them."""
        if self.table() is None:
            return False
        try:
            return self._fingerprint() != self._seen
        except MgImplantSegError:
            return False

    def _showState(self, table: Any):
        try:
            self._seen = values = self._fingerprint()
        except MgImplantSegError as error:
            self.ui.measuresStateLabel.text = errorText(error)
            return False
        stale = staleness.mark(table, values)
        isOld = bool(stale or (stale is not None and values and staleness.lacksRegions(table, values)))
        lines = []
        if isOld:
            lines.append(_("Inputs have changed: {count} rows are stale. Click Compute.").format(count=stale))
        elif stale == 0:
            lines.append(_("All measures are up to date."))
        self.ui.measuresStateLabel.text = "\n".join([*lines, *noteTexts(table)])
        self.ui.measuresHeadlineLabel.enabled = not isOld
        return isOld

    def onPlot(self):
        """Plot BV/TV over the distance from the implant, or go back to the layout as it was before."""
        if layouts.isChartShown():
            layouts.leaveChart()
        else:
            try:
                self.workbench.logic.plotBoneVolumeProfile(self.table())
            except MgImplantSegError as error:
                self.ui.measuresStateLabel.text = errorText(error)
        self._refreshButtons(self.table())

    def onExport(self):
        """Ask for a file and write the table."""
        path = qt.QFileDialog.getSaveFileName(
            self.ui.MeasurementsPanel, _("Save measures"), "measures.csv", "CSV (*.csv)"
        )
        if path:
            self.export(path)

    def export(self, path: Any):
        """Write the table as CSV, with all digits."""
        try:
            save_table(self.table(), path, without=(RESULT_COLUMN,))
            self.ui.measuresStateLabel.text = _("Written: {path}").format(path=path)
        except MgImplantSegError as error:
            self.ui.measuresStateLabel.text = errorText(error)

    def onCopy(self):
        """The columns that people use go to the clipboard, with tabs between."""
        slicer.app.clipboard().setText(tableText(self.table()))
