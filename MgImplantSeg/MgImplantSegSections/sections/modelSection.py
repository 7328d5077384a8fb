"""Which model, what it was trained on in two lines, its whole card; adding and deleting models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegSections.sections.textWindow import TextWindow
from MgImplantSegSections.sections.workbench import errorText, setEnabled
from MgImplantSegSections.work import models, settings
from MgImplantSegSections.work.cardDetails import cardHtml, historyHtml
from MgImplantSegSections.work.cardText import cardText

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench


class ModelSection:
    """The combo box of models; the choice is kept on this computer."""

    def __init__(self, workbench: Workbench):
        self.workbench, self.ui = workbench, workbench.ui
        self._paths: list[Path] = []
        self._card: Any = None
        self.details = TextWindow(_("Model"), more=_("How it was made"))
        self.ui.modelDetailsButton.connect("clicked(bool)", self.onDetails)
        self.ui.addModelButton.connect("clicked(bool)", self.onAdd)
        self.ui.openModelFolderButton.connect("clicked(bool)", self.onOpenFolder)
        self.ui.deleteModelButton.connect("clicked(bool)", self.onDelete)
        self.ui.modelSelector.connect("currentIndexChanged(int)", self.onChosen)
        self.refill(settings.read(settings.MODEL))

    def path(self):
        """The chosen model file, or None."""
        index = self.ui.modelSelector.currentIndex
        return self._paths[index] if 0 <= index < len(self._paths) else None

    def card(self):
        """The card of the chosen model, or None if there is no model or it cannot be read."""
        return self._card

    def missing(self):
        """What is missing before the model can be used."""
        if self.path() is None:
            return [_("a model")]
        return [] if self._card is not None else [_("a model that can be read")]

    def refill(self, wanted: str = ""):
        """List the models, and choose the one at the path `wanted` if it is there."""
        self._paths = list(models.installed().values())
        self.ui.modelSelector.blockSignals(True)
        self.ui.modelSelector.clear()
        for path in self._paths:
            self.ui.modelSelector.addItem(path.stem)
        texts = [str(path) for path in self._paths]
        self.ui.modelSelector.setCurrentIndex(texts.index(wanted) if wanted in texts else min(0, len(texts) - 1))
        self.ui.modelSelector.blockSignals(False)
        self.onChosen()

    def refillKeepingChoice(self):
        """List the models anew; the chosen one stays if it is still there."""
        self.refill(str(self.path() or ""))

    def onChosen(self):
        """Show the card of the chosen model."""
        path = self.path()
        self._card = None
        if path is None:
            self.ui.modelCardLabel.text = _("No model yet. Add a file (.mgmodel) in Advanced.")
        else:
            self._show(path)
            settings.write(settings.MODEL, path)
        setEnabled(
            self.ui.modelDetailsButton,
            [] if self._card is not None else [_("a model that can be read")],
            _("Show the model's card: what it is, what input it expects and how well it performs."),
        )
        deletable = path is not None and models.isAdded(path)
        missing = [] if deletable else [_("a model that you have added; bundled models are kept")]
        setEnabled(self.ui.deleteModelButton, missing, _("Delete the chosen model file."))
        self.workbench.changed()

    def onDetails(self):
        """Show the whole card."""
        self.details.show()

    def onAdd(self):
        """Choose a file and copy it into the folder of models."""
        pattern = _("Models") + " (*.mgmodel)"
        path = qt.QFileDialog.getOpenFileName(self.ui.AdvancedPanel, _("Add a model"), "", pattern)
        if path:
            self.add(path)

    def add(self, path: str | Path):
        """Copy a model file into the folder of models and choose it."""
        try:
            self.refill(str(models.add(path)))
            self.workbench.modelsChanged()
        except MgImplantSegError as error:
            self._showError(error)

    def onOpenFolder(self):
        """Show the folder of models in the system's file browser."""
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(models.folder())))

    def onDelete(self):
        """Delete the chosen model, if it was added and the user says so once more."""
        question = _("Delete the model {name} from this computer? This cannot be undone.")
        if not slicer.util.confirmOkCancelDisplay(question.format(name=Path(self.path()).stem)):
            return
        try:
            models.delete(Path(self.path()))
        except MgImplantSegError as error:
            self._showError(error)
            return
        self.workbench.modelsChanged()

    def _show(self, path: Any):
        try:
            self._card = models.readCard(path)
            self.ui.modelCardLabel.text = cardText(self._card)
            self.details.setHtml(cardHtml(self._card), historyHtml(self._card))
        except MgImplantSegError as error:
            self.ui.modelCardLabel.text = errorText(error)

    def _showError(self, error: Exception):
        self.ui.segmentStatusLabel.text = errorText(error)
