"""A folder of scans as a queue; what is finished and unchanged is not done again."""

import shlex
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.errors import MgImplantSegError
from MgImplantSegLib.options import words
from MgImplantSegSections import pythons
from MgImplantSegSections.measureWork import knownWords
from MgImplantSegSections.wholeTables import WholeTable
from MgImplantSegSections.workbench import ProgressView, errorText, setEnabled

COLUMNS = 4
SAMPLE, RESULT = 0, 3
WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"


class BatchSection:
    """Runs the engine's batch command with the choices for segmenting and measuring."""

    def __init__(self, workbench, models, segmentation, measurements):
        self.workbench, self.ui = workbench, workbench.ui
        self._models, self._segmentation, self._measurements = models, segmentation, measurements
        self._progress = ProgressView(workbench, self.ui.batchProgressBar, self.ui.batchStatusLabel)
        self._task, self._samples = None, []
        table = self.ui.batchTable
        table.setColumnCount(COLUMNS)
        table.setHorizontalHeaderLabels([_("Sample"), _("State"), _("Time"), _("Result")])
        table.setEditTriggers(qt.QTableWidget.NoEditTriggers)
        self._whole = WholeTable(table, wide=(SAMPLE, RESULT))
        self.ui.batchFolderEdit.connect("currentPathChanged(QString)", self.onFolder)
        self.ui.batchOutputEdit.connect("currentPathChanged(QString)", self.onOutput)
        self.ui.batchStartButton.connect("clicked(bool)", self.onStart)
        self.ui.copyBatchCommandButton.connect("clicked(bool)", self.onCopyCommand)
        self.onFolder()  # the line remembers the folder of last time
        workbench.onChange(self.refresh)

    def isRunning(self):
        """Whether a batch runs."""
        return self._task is not None and self._task.isRunning

    def onFolder(self):
        """List the scans of the chosen folder."""
        from MgImplantSegLib.cli.batch_samples import samples_of

        path = self.ui.batchFolderEdit.currentPath
        try:
            self._samples = [sample.name for sample in samples_of(Path(path))] if path and Path(path).is_dir() else []
            self.ui.batchStatusLabel.text = ""
        except MgImplantSegError as error:
            self._samples = []
            self.ui.batchStatusLabel.text = errorText(error)
        self.ui.batchTable.setRowCount(len(self._samples))
        for row, name in enumerate(self._samples):
            self._showRow(row, name, WAITING)
        self.refresh()

    def onOutput(self):
        """Another folder for the results."""
        self.refresh()

    def missing(self):
        """All that is missing before Start can be clicked."""
        found = [] if self._samples else [_("a folder with scans")]
        found += [] if self.ui.batchOutputEdit.currentPath else [_("a folder for the results")]
        return found + self._models.missing()

    def arguments(self):
        """Words of the engine's command line."""
        return [
            "batch",
            self.ui.batchFolderEdit.currentPath,
            self.ui.batchOutputEdit.currentPath,
            *words(self._segmentation.options()),
            *knownWords(self._measurements.request()),
        ]

    def onCopyCommand(self):
        """The command that does the same elsewhere goes to the clipboard."""
        slicer.app.clipboard().setText(shlex.join(["mgimplantseg", *self.arguments()]))
        self.ui.batchStatusLabel.text = _("Copied. Adapt the paths on another computer.")

    def onStart(self):
        """Start the queue, or cancel it; finished scans stay finished."""
        if self.isRunning():
            self._task.cancel()
            return
        if not pythons.isHere(self._segmentation.runIn()):
            self.ui.batchStatusLabel.text = _(
                "Choose an environment on this computer in Advanced, or copy the command."
            )
            return
        missing = pythons.missingPackages(self._segmentation.runIn(), pythons.PACKAGES_FOR_FILES)
        if missing:
            text = _(
                "Slicer's Python lacks {packages}: install them under Environments, or choose another environment in "
                "Advanced."
            )
            self.ui.batchStatusLabel.text = text.format(packages=", ".join(missing))
            return
        for edit in (self.ui.batchFolderEdit, self.ui.batchOutputEdit):
            edit.addCurrentPathToHistory()
        for row, name in enumerate(self._samples):
            self._showRow(row, name, WAITING if row else RUNNING)
        self._progress.begin(_("Starting…"))
        words, environment = self.arguments(), self._segmentation.runIn()
        self._task = self.workbench.start(
            lambda token: self.workbench.logic.engineSteps(words, environment, token),
            self.onEvent,
            self.onDone,
            self.onFailed,
            lambda: self._end(_("Cancelled; finished scans stay finished.")),
        )
        self.refresh()

    def onEvent(self, event):
        """A sample has ended, or progress."""
        self._progress.show(event)
        if event["event"] == "sample":
            row = event["index"] - 1
            text = event.get("problem") or ", ".join(_shown(event["measures"]))
            self._showRow(row, event["sample"], event["state"], event.get("seconds"), text)
            if row + 1 < len(self._samples):
                self._showRow(row + 1, self._samples[row + 1], RUNNING)

    def onDone(self, result):
        """All samples are done."""
        self._end(_("Done. All measures: {path}").format(path=result["table"]))

    def onFailed(self, error):
        """Some samples have failed; their rows say why."""
        self._end(errorText(error))

    def _end(self, text):
        self._progress.end(text)
        self.refresh()

    def _showRow(self, row, name, state, seconds=None, result=""):
        texts = (name, stateText(state), "" if seconds is None else f"{seconds:.0f} s", result)
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(text)
            self.ui.batchTable.setItem(row, column, item)

    def refresh(self):
        """States of the buttons."""
        if self.workbench.parameters is None:
            return
        missing = self.missing()
        self.ui.batchStartButton.text = _("Cancel") if self.isRunning() else _("Start")
        setEnabled(
            self.ui.batchStartButton,
            [] if self.isRunning() else missing,
            _("Segment and measure one after the other; finished and unchanged scans are skipped."),
        )
        setEnabled(
            self.ui.copyBatchCommandButton, missing, _("Copy the command that does the same on another computer.")
        )


def stateText(state):
    """What people read for a state."""
    known = {WAITING: _("waiting"), RUNNING: _("running"), DONE: _("done"), FAILED: _("failed")}
    return known.get(state, state)


def _shown(measures):
    """The most wanted measures as short texts."""
    for measure in measures:
        if measure["symbol"] in ("DR", "BIC", "BV/TV") and measure["value"] is not None:
            yield f"{measure['symbol']} {measure['value']:.3g} {measure['unit']}"
