"""The Pythons that can do the work, what is installed, what lies on disk, how to cite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

import MgImplantSegLib
from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.jobs.environment_file import remove_environment
from MgImplantSegSections.engine import pythons
from MgImplantSegSections.sections.environmentDialog import EnvironmentDialog
from MgImplantSegSections.sections.environmentForm import kindText
from MgImplantSegSections.sections.installing import downloadText, installMissing
from MgImplantSegSections.sections.panelWords import inPanelWords
from MgImplantSegSections.sections.wholeTables import WholeTable
from MgImplantSegSections.sections.workbench import errorText, setEnabled, sizeText
from MgImplantSegSections.work import models, settings

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench

CITATION = (
    "I. M. Baltruschat, H. Ćwieka, D. Krüger, B. Zeller-Plumhoff, F. Schlünzen, R. Willumeit-Römer, J. Moosmann, "
    "P. Heuser: Scaling the U-net: segmentation of biodegradable bone implants in high-resolution synchrotron "
    "radiation microtomograms. Scientific Reports 11:24237 (2021). doi 10.1038/s41598-021-03542-y"
)


NAME, KIND, WHERE = range(3)


class EnvironmentsSection:
    """Environments are those of the engine's launcher: Pythons on this computer, hosts, clusters."""

    def __init__(self, workbench: Workbench):
        self.workbench, self.ui = workbench, workbench.ui
        self._task: Any = None
        self._listeners: list[Callable[[], Any]] = []
        self._new: Any = None
        self._isKnown = False  # the Python that was just added
        self._onEnd: Callable[..., Any] | None = None
        self._dialog: Any = None
        table = self.ui.environmentsTable
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Name"), _("Kind"), _("Where")])
        table.setEditTriggers(qt.QTableWidget.NoEditTriggers)
        for button, slot in (
            (self.ui.addEnvironmentButton, self.onAdd),
            (self.ui.addHostButton, self.onAddHost),
            (self.ui.editEnvironmentButton, self.onEdit),
            (self.ui.removeEnvironmentButton, self.onRemove),
            (self.ui.testEnvironmentButton, self.onTest),
            (self.ui.installTorchButton, self.onInstallTorch),
            (self.ui.removeDownloadsButton, self.onRemoveDownloads),
            (self.ui.copyCitationButton, self.onCopyCitation),
        ):
            button.connect("clicked(bool)", slot)
        table.connect("itemSelectionChanged()", self.refresh)
        self._whole = WholeTable(table, wide=(WHERE,))
        table.connect("cellDoubleClicked(int,int)", self.onDoubleClick)
        self.ui.citationLabel.text = CITATION
        self.refill()
        if pythons.problem() is not None:
            self.ui.environmentStatusLabel.text = errorText(pythons.problem())
        workbench.onModelsChange(self._refreshDisk)
        workbench.onChange(self.refresh)

    def onListChanged(self, listener: Callable[[], Any]):
        """Call `listener` when environments come or go."""
        self._listeners.append(listener)

    def refill(self):
        """List the environments, versions and disk use anew."""
        environments = pythons.environments()
        self._names = list(environments)
        self.ui.environmentsTable.setRowCount(len(environments))
        for row, (name, entry) in enumerate(environments.items()):
            for column, text in enumerate((pythons.text(name), kindText(entry.kind), _where(entry))):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                self.ui.environmentsTable.setItem(row, column, item)
        self.ui.versionsLabel.text = versionsText()
        self.ui.installTorchButton.toolTip = installText(pythons.missingPackages(packages=pythons.PACKAGES_FOR_FILES))
        self._refreshDisk()

    def selected(self):
        """The name of the selected environment, or None."""
        row = self.ui.environmentsTable.currentRow()
        return self._names[row] if 0 <= row < len(self._names) else None

    def onAdd(self):
        """Choose the program of another Python."""
        path = qt.QFileDialog.getOpenFileName(self.ui.EnvironmentsPanel, _("Choose a Python executable"))
        if path:
            self.add(Path(path))

    def add(self, program: Any, onEnd: Callable[..., Any] | None = None):
        """Add a Python under the name of its folder, and test it; if it has all, work is done there from now on.

        :param onEnd: called with whether work is done there from now on, and what the test has found.
        """
        name = pythons.nameOfProgram(program) or pythons.nameFor(program)
        isKnown = name in pythons.names()
        if not isKnown and not self._try(lambda: pythons.add(name, program), _("Added: {name}.").format(name=name)):
            self._tellEnd(onEnd, False)
            return
        self._new, self._isKnown, self._onEnd = name, isKnown, onEnd
        self._testRow(name)

    def _tellEnd(self, onEnd: Callable[..., Any] | None, isReady: bool):
        if onEnd is not None:
            onEnd(isReady, self.ui.environmentStatusLabel.text)

    def onAddHost(self):
        """Describe a host or a cluster."""
        self._open(None)

    def onEdit(self):
        """Change the selected environment."""
        self._open(pythons.environments()[self.selected()])

    def onDoubleClick(self):
        """A double click is a click on Edit."""
        if self.ui.editEnvironmentButton.enabled:
            self.onEdit()

    def close(self):
        """Take the dialog away for good; the panel would keep it otherwise."""
        if self._dialog is not None:
            self._dialog.dialog.close()
            self._dialog.dialog.deleteLater()
            self._dialog = None

    def _open(self, environment: Any):
        self.close()
        self._dialog = EnvironmentDialog(self.workbench, self.ui.EnvironmentsPanel, environment, self.onSaved)
        self._dialog.show()

    def onSaved(self, name: str):
        """An environment was described: list it and test it."""
        self.refill()
        self._tellListeners()
        self._testRow(name)

    def _testRow(self, name: str):
        self.ui.environmentsTable.selectRow(self._names.index(name))
        if self._task is not None:
            self._task.abandon()
        self.onTest()

    def isTesting(self):
        """Whether a test runs."""
        return self._task is not None and self._task.isRunning

    def onRemove(self):
        """Remove the selected environment from the list."""
        name = self.selected()
        self._try(lambda: remove_environment(name), _("Removed from the list: {name}.").format(name=name))

    def _try(self, action: Any, text: str):
        """Run an action on the list; returns whether it went well."""
        isDone = False
        try:
            action()
            isDone, self.ui.environmentStatusLabel.text = True, text
        except MgImplantSegError as error:
            self.ui.environmentStatusLabel.text = errorText(error)
        self.refill()
        self._tellListeners()
        return isDone

    def _tellListeners(self):
        for listener in self._listeners:
            listener()
        self.refresh()

    def onTest(self):
        """Run the engine's checks of the selected environment."""
        name = self.selected()
        self.ui.environmentStatusLabel.text = _("Testing {name}…").format(name=pythons.text(name))
        self._task = self.workbench.start(
            lambda token: self.workbench.logic.engineSteps(["jobs", "environments", "test", name], None, token),
            lambda event: None,
            lambda result: self.onTested(name, result),
            lambda error: self.onFailed(name, error),
            lambda: self._ended(name, False),
        )
        self.refresh()

    def onTested(self, name: str, result: Any):
        """One line a check; a Python that was just added and is ready is taken, a program that is none is not kept."""
        isTaken = name == self._new and result["ok"]
        if isTaken:
            settings.write(settings.RUN_IN, name)
            self._tellListeners()
        elif name == self._new and not pythons.isPython(result["checks"]):
            self._forgetNew()
        self.ui.environmentStatusLabel.text = inPanelWords(result["text"])
        self._ended(name, isTaken)

    def onFailed(self, name: str, error: Exception):
        """What happened, and what to do; a program that was just added and cannot be tested is not kept."""
        if name == self._new:
            self._forgetNew()
        self.ui.environmentStatusLabel.text = errorText(error)
        self._ended(name, False)

    def _forgetNew(self):
        name = self._new
        if not self._isKnown:
            self._try(lambda: remove_environment(name), "")

    def _ended(self, name: str, isTaken: bool):
        onEnd = self._onEnd if name == self._new else None
        self._new = self._onEnd = None
        self.refresh()
        self._tellEnd(onEnd, isTaken)

    def onInstallTorch(self):
        """Install what Slicer's own Python lacks, after a click."""
        installMissing(self.workbench, self.ui.installTorchButton, self.ui.environmentStatusLabel)
        self.refill()

    def onRemoveDownloads(self):
        """Delete the added models, after a question."""
        files = models.added()
        question = _("Delete all added models ({count}, {size}) in {folder}?").format(
            count=len(files), size=sizeText(_totalBytes(files)), folder=models.folder()
        )
        if slicer.util.confirmOkCancelDisplay(question):
            for path in files:
                models.delete(path)
            self.workbench.modelsChanged()
            self._refreshDisk()

    def onCopyCitation(self):
        """The reference goes to the clipboard."""
        slicer.app.clipboard().setText(CITATION)

    def _refreshDisk(self):
        folder = str(models.folder()).replace(str(Path.home()), "~", 1)
        size = sizeText(_totalBytes(models.added()))
        self.ui.diskLabel.text = _("Added models: {size} in {folder}").format(size=size, folder=folder)

    def refresh(self):
        """States of the buttons."""
        name = self.selected()
        selected = [] if name is not None else [_("a selected row")]
        setEnabled(
            self.ui.testEnvironmentButton,
            selected + ([_("wait for the test to finish")] if self.isTesting() else []),
            _("Check Python, packages, devices and memory there."),
        )
        own = [_("a row other than Slicer's own Python")] if name == pythons.OWN else []
        setEnabled(self.ui.removeEnvironmentButton, selected + own, _("Remove the selected environment from the list."))
        setEnabled(
            self.ui.editEnvironmentButton, selected + own, _("Change host, Python, partition and all other settings.")
        )


def _where(environment: Any):
    """Host and Python of an environment."""
    program = environment.job_python
    return f"{environment.host}: {program}" if environment.host else program


def installText(missing: Sequence[str]):
    """What a click on the install button does, with the size of it."""
    if not missing:
        return _("Slicer's Python has all that is needed.")
    return _("Install {packages} into Slicer's Python: {size}.").format(
        packages=", ".join(missing), size=downloadText(missing)
    )


def versionsText():
    """Versions of the module and of the packages in Slicer's Python; nothing is imported."""
    rows = [("MgImplantSeg", MgImplantSegLib.__version__), ("Slicer", slicer.app.applicationVersion)]
    rows += [(name, pythons.version(name) or _("missing")) for name in pythons.PACKAGES_FOR_FILES]
    text = _("For research use only. The bundled model is trained on simulated explants.")
    return ", ".join(f"{name} {version}" for name, version in rows) + f".\n{text}"


def _totalBytes(files: Any):
    return sum(path.stat().st_size for path in files)
