"""The dialog that imports a scan that is too large for Slicer: a look at three slices, then the work beside the GUI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegSections.engine import pythons
from MgImplantSegSections.engine.exchange import taskFolder
from MgImplantSegSections.sections.fixedText import FixedText
from MgImplantSegSections.sections.importForm import ImportForm
from MgImplantSegSections.sections.workbench import ProgressView, durationText, errorText, setEnabled, sizeText
from MgImplantSegSections.work.importWork import PACKAGES, boxText, loadPrepared

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench

WIDTH, HEIGHT, PICTURE_HEIGHT, LOOK_LINES = 720, 620, 230, 5


class ImportScan:
    """Opens the dialog for the button "Import large scan…"."""

    def __init__(self, workbench: Workbench):
        self._workbench = workbench
        self.opened: Any = None
        workbench.ui.importScanButton.connect("clicked(bool)", self.onOpen)

    def onOpen(self):
        """Open the dialog, as it was left while work goes on."""
        if self.opened is None or not self.opened.isRunning():
            self.close()
            self.opened = ImportDialog(self._workbench, self._workbench.ui.AdvancedPanel.window())
        self.opened.show()

    def close(self):
        """Take the dialog away for good; its window would keep it otherwise."""
        if self.opened is not None:
            self.opened.dialog.close()
            self.opened.dialog.deleteLater()
            self.opened = None


class ImportDialog:
    """Chooses a scan and what is kept of it, shows three slices and what the work takes, and imports it.

    :param parent: the window that it belongs to.
    """

    def __init__(self, workbench: Workbench, parent: Any):
        self._workbench = workbench
        self._task: Any = None
        self.dialog = qt.QDialog(parent)
        self.dialog.windowTitle = _("Import large scan")
        self._build()
        self._connect()
        self._refresh()

    def show(self):
        """Open the dialog; the panel waits behind it, work goes on."""
        self.form.refillRois()
        self.dialog.open()

    def isRunning(self):
        """Whether a look or an import runs."""
        return self._task is not None and self._task.isRunning

    def _build(self):
        fields = qt.QWidget()
        self.form = ImportForm(qt.QFormLayout(fields))
        self.pictureLabel, self.lookLabel, self.statusLabel = qt.QLabel(), qt.QLabel(), qt.QLabel()
        self.pictureLabel.minimumHeight = PICTURE_HEIGHT
        self.pictureLabel.alignment = qt.Qt.AlignCenter
        self.pictureLabel.text = _("Look shows three slices and what importing takes.")
        for label in (self.lookLabel, self.statusLabel):
            label.wordWrap = True
        self.progressBar = qt.QProgressBar()
        whole = qt.QVBoxLayout(self.dialog)
        for widget in (fields, self.pictureLabel, self.lookLabel, self.progressBar, self.statusLabel):
            whole.addWidget(widget)
        whole.addLayout(self._buttons())
        self.lookLabel, self.statusLabel = FixedText(self.lookLabel, LOOK_LINES), FixedText(self.statusLabel, 2)
        self._progress = ProgressView(self._workbench, self.progressBar, self.statusLabel)
        self.dialog.resize(WIDTH, HEIGHT)

    def _buttons(self):
        row = qt.QHBoxLayout()
        self.lookButton, self.importButton = qt.QPushButton(_("Look")), qt.QPushButton(_("Import"))
        self.closeButton = qt.QPushButton(_("Close"))
        self.closeButton.toolTip = _("Close; what runs is stopped, and nothing of it is left.")
        for button in (self.lookButton, self.importButton, self.closeButton):
            button.autoDefault = False
            row.addWidget(button)
        return row

    def _connect(self):
        self.form.whenChanged(self._refresh)
        self.lookButton.connect("clicked(bool)", self.onLook)
        self.importButton.connect("clicked(bool)", self.onImport)
        self.closeButton.connect("clicked(bool)", self.onClose)
        self.dialog.connect("finished(int)", self.onFinished)

    def onLook(self):
        """Look at some slices: show three of them, the box that is kept, size and time."""
        request = self.form.request()

        def steps(token):
            with taskFolder(slicer.app.temporaryPath) as folder:
                words = request.withRoiIn(folder).lookWords(folder / "slices.png")
                result = yield from self._workbench.logic.engineSteps(words, None, token)
                return result, qt.QPixmap(str(folder / "slices.png"))

        self._start(steps, self._onLooked, _("Looking at the scan…"))

    def _onLooked(self, outcome):
        result, picture = outcome
        self.pictureLabel.setPixmap(picture)
        self.lookLabel.text = lookText(result)
        self.form.offerBox(boxText(result))
        self._end(_("Import makes the result and loads it."))

    def onImport(self):
        """Make the result and load it, or stop that."""
        if self.isRunning():
            self._task.cancel()
            return
        request = self.form.request()

        def steps(token):
            with taskFolder(slicer.app.temporaryPath) as folder:
                return (yield from self._workbench.logic.engineSteps(request.withRoiIn(folder).words(), None, token))

        self._start(steps, self._onImported, _("Starting…"))

    def _onImported(self, result):
        try:
            node = loadPrepared(result["files"][0])
        except MgImplantSegError as error:
            self._end(errorText(error))
            return
        self._workbench.parameters.inputVolume = node
        slicer.util.setSliceViewerLayers(background=node, fit=True)
        self._workbench.changed()
        self._end(_("Imported: {name}.").format(name=node.GetName()))
        self.dialog.accept()

    def _start(self, steps, onDone, text):
        missing = pythons.missingPackages(packages=PACKAGES)
        if missing:
            said = _("Slicer's Python lacks {packages}: install them under Environments.")
            self.statusLabel.text = said.format(packages=", ".join(missing))
            return
        self._progress.begin(text)
        self._task = self._workbench.start(
            steps,
            self._progress.show,
            onDone,
            lambda error: self._end(errorText(error)),
            lambda: self._end(_("Cancelled; nothing was left.")),
        )
        self._refresh()

    def onClose(self):
        """Close, and stop what runs."""
        self.dialog.reject()

    def onFinished(self):
        """Nothing runs on for a dialog that is closed."""
        if self._task is not None:
            self._task.abandon()
            self._progress.end("")
            self._refresh()

    def _end(self, text):
        self._progress.end(text)
        self._refresh()

    def _refresh(self):
        """States of the buttons."""
        running, missing = self.isRunning(), self.form.request().missing()
        self.importButton.text = _("Cancel") if running else _("Import")
        busy = [_("wait for the current task to finish")] if running else []
        setEnabled(self.lookButton, busy or missing, _("Show three slices, the box that is kept, size and time."))
        setEnabled(
            self.importButton,
            [] if running else missing,
            _("Make the result and load it. Nothing half-written is left when it is cancelled."),
        )


def lookText(result: dict[str, Any]):
    """What is known of the scan after a look, and what importing it gives and takes."""
    lines = [
        _("Scan: {voxels} voxels of {size} µm, {kind}, {bytes}").format(
            voxels=_times(result["scan_voxels"]),
            size=_sizes(result["scan_um"]),
            kind=result["scan_type"],
            bytes=sizeText(result["scan_bytes"]),
        ),
        _("Kept: {box}").format(box=boxText(result)),
        _("Result: {voxels} voxels of {size} µm, {bytes} on the disk").format(
            voxels=_times(result["voxels"]), size=_sizes(result["voxel_um"]), bytes=sizeText(result["output_bytes"])
        ),
        _("Takes about {time} and at most {memory} of memory").format(
            time=durationText(result["seconds"]), memory=sizeText(result["memory_bytes"])
        ),
    ]
    return "\n".join(lines)


def _times(numbers):
    return " × ".join(str(number) for number in numbers)


def _sizes(sizes):
    isCube = max(sizes) - min(sizes) < 1e-6 * max(sizes)
    return f"{sizes[0]:.4g}" if isCube else " × ".join(f"{size:.4g}" for size in sizes)
