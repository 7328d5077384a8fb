"""What is trained from: scans with their label maps, and a configuration that is written from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegSections.sections import trainingPairs
from MgImplantSegSections.sections.wholeTables import WholeTable
from MgImplantSegSections.sections.workbench import errorText, setEnabled
from MgImplantSegSections.work import settings

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench

SPACING_OF_UNREAD_UM = 5.0


class TrainingData:
    """The table of pairs.

    :param status: the label that says what went wrong.
    :param model: `model()` is the file of the model that training starts from, or None.
    """

    def __init__(self, workbench: Workbench, status: Any, model: Any = lambda: None):
        self.ui, self._status, self._model = workbench.ui, status, model
        self._pairs: list[trainingPairs.Pair] = []
        self.ui.pairsTable.setColumnCount(3)
        self.ui.pairsTable.setHorizontalHeaderLabels([_("Scan"), _("Labels"), _("Geometry")])
        self.ui.pairsTable.setEditTriggers(qt.QTableWidget.NoEditTriggers)
        self.ui.addPairButton.connect("clicked(bool)", self.onAddPair)
        self.ui.removePairButton.connect("clicked(bool)", self.onRemovePair)
        self.ui.writeConfigurationButton.connect("clicked(bool)", self.onWriteConfiguration)
        self.ui.pairsTable.connect("itemSelectionChanged()", self.refresh)
        self._whole = WholeTable(self.ui.pairsTable, wide=(0, 1, 2))
        for image, labels in settings.readTable(settings.PAIRS).get("pairs", []):
            self._show(trainingPairs.Pair(Path(image), Path(labels)))
        self.refresh()

    def onAddPair(self):
        """Choose a scan and then its labels."""
        image = qt.QFileDialog.getOpenFileName(self.ui.TrainingPanel, _("Choose a scan"))
        labels = image and qt.QFileDialog.getOpenFileName(self.ui.TrainingPanel, _("Choose its label map"), image)
        if labels:
            self.addPair(image, labels)

    def addPair(self, image: Any, labels: Any):
        """Put a scan and its labels into the table, with the check of their geometry."""
        self._show(trainingPairs.Pair(Path(image), Path(labels)))
        self._keep()
        self.refresh()

    def _keep(self):
        """The pairs are there again when Slicer is started the next time."""
        pairs = [[str(pair.image), str(pair.labels)] for pair in self._pairs]
        settings.writeTable(settings.PAIRS, {"pairs": pairs})

    def _show(self, pair: Any):
        self._pairs.append(pair)
        row = len(self._pairs) - 1
        self.ui.pairsTable.setRowCount(len(self._pairs))
        for column, text in enumerate((pair.image.name, pair.labels.name, trainingPairs.check(pair))):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(f"{pair.image}\n{pair.labels}\n{text}")
            self.ui.pairsTable.setItem(row, column, item)
        self._whole.fit()

    def onRemovePair(self):
        """Remove the selected pair from the table."""
        row = self.ui.pairsTable.currentRow()
        if 0 <= row < len(self._pairs):
            del self._pairs[row]
            self.ui.pairsTable.removeRow(row)
            self._keep()
        self.refresh()

    def onWriteConfiguration(self):
        """Ask for a file and write a configuration with the pairs."""
        path = qt.QFileDialog.getSaveFileName(
            self.ui.TrainingPanel, _("Write configuration"), "training.toml", "TOML (*.toml)"
        )
        if path:
            self.writeConfiguration(path)

    def writeConfiguration(self, path: Any):
        """Write a configuration with the pairs and choose it."""
        try:
            trainingPairs.writeConfiguration(
                self._pairs, path, trainingPairs.spacingUm(self._pairs[0]) or SPACING_OF_UNREAD_UM, self._model()
            )
        except MgImplantSegError as error:
            self._status.text = errorText(error)
            return
        self.ui.configurationEdit.currentPath = str(path)

    def refresh(self):
        """States of the buttons."""
        ui = self.ui
        setEnabled(
            ui.removePairButton,
            [] if ui.pairsTable.currentRow() >= 0 else [_("a selected row")],
            _("Remove the selected pair from the table."),
        )
        setEnabled(
            ui.writeConfigurationButton,
            [] if self._pairs else [_("a pair of scan and labels")],
            _("Write a configuration with these pairs."),
        )
