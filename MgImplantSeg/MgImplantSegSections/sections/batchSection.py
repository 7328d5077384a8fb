"""A folder of scans as a queue; what is finished and unchanged is not done again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.base.options import words
from MgImplantSegLib.cli.batch_record import RECORD
from MgImplantSegSections.engine import pythons
from MgImplantSegSections.sections.wholeTables import WholeTable
from MgImplantSegSections.sections.workbench import ProgressView, errorText, setEnabled
from MgImplantSegSections.work.batchResults import openSample
from MgImplantSegSections.work.measureWork import knownWords
from MgImplantSegSections.work.segmentWork import SECONDS_TO_STOP_ELSEWHERE

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench

COLUMNS = 4
SAMPLE, RESULT = 0, 3
WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"


class BatchSection:
    """Runs the engine's batch command with the choices for segmenting and measuring."""

    def __init__(self, workbench: Workbench, models: Any, segmentation: Any, measurements: Any):
        self.workbench, self.ui = workbench, workbench.ui
        self._models, self._segmentation, self._measurements = models, segmentation, measurements
        self._progress = ProgressView(workbench, self.ui.batchProgressBar, self.ui.batchStatusLabel)
        self._task: Any = None
        self._samples: list[Any] = []
        self._ended: set[str] = set()
        table = self.ui.batchTable
        table.setColumnCount(COLUMNS)
        table.setHorizontalHeaderLabels([_("Sample"), _("State"), _("Time"), _("Result")])
        table.setEditTriggers(qt.QTableWidget.NoEditTriggers)
        self._whole = WholeTable(table, wide=(SAMPLE, RESULT))
        self.ui.batchFolderEdit.connect("currentPathChanged(QString)", self.onFolder)
        self.ui.batchOutputEdit.connect("currentPathChanged(QString)", self.onOutput)
        self.ui.batchStartButton.connect("clicked(bool)", self.onStart)
        self.ui.copyBatchCommandButton.connect("clicked(bool)", self.onCopyCommand)
        self.ui.openBatchButton.connect("clicked(bool)", self.onOpen)
        table.connect("itemSelectionChanged()", self.refresh)
        table.connect("cellDoubleClicked(int,int)", self.onDoubleClick)
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
            self._samples = samples_of(Path(path)) if path and Path(path).is_dir() else []
            self.ui.batchStatusLabel.text = ""
        except MgImplantSegError as error:
            self._samples = []
            self.ui.batchStatusLabel.text = errorText(error)
        self.ui.batchTable.setRowCount(len(self._samples))
        for row, name in enumerate(self._names()):
            self._showRow(row, name, WAITING)
        self.refresh()

    def _names(self):
        return [sample.name for sample in self._samples]

    def onOutput(self):
        """Another folder for the results."""
        self.refresh()

    def missing(self):
        """All that is missing before Start can be clicked."""
        found = [] if self._samples else [_("a folder with scans")]
        found += [] if self.ui.batchOutputEdit.currentPath else [_("a folder for the results")]
        return found + self._models.missing()

    def arguments(self):
        """Words of the engine's command line; what does not run on this computer is a job elsewhere."""
        name = self._segmentation.runIn()
        elsewhere = [] if pythons.isHere(name) else ["--environment", name, "--when-stopped", "cancel"]
        return [
            "batch",
            self.ui.batchFolderEdit.currentPath,
            self.ui.batchOutputEdit.currentPath,
            *words(self._segmentation.options()),
            *knownWords(self._measurements.request()),
            *(["--ranges"] if self.workbench.parameters.ranges else []),
            *elsewhere,
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
        wanted = pythons.toSegment(self._models.path(), pythons.PACKAGES_FOR_FILES)
        missing = pythons.missingPackages(self._segmentation.runIn(), wanted)
        if missing:
            text = _(
                "Slicer's Python lacks {packages}: install them under Environments, or choose another environment in "
                "Advanced."
            )
            self.ui.batchStatusLabel.text = text.format(packages=", ".join(missing))
            return
        for edit in (self.ui.batchFolderEdit, self.ui.batchOutputEdit):
            edit.addCurrentPathToHistory()
        for row, name in enumerate(self._names()):
            self._showRow(row, name, WAITING if row else RUNNING)
        self._ended.clear()
        self._progress.begin(_("Starting…"))
        words, environment = self.arguments(), self._segmentation.runIn()
        self._task = self.workbench.start(
            lambda token: self.workbench.logic.engineSteps(words, environment, token, _politeSeconds(environment)),
            self.onEvent,
            self.onDone,
            self.onFailed,
            lambda: self._end(_("Cancelled; finished scans are kept.")),
        )
        self.refresh()

    def onEvent(self, event: Any):
        """A sample has ended, or progress."""
        self._progress.show(event)
        if event["event"] == "sample":
            names = self._names()
            row = names.index(event["sample"]) if event["sample"] in names else event["index"] - 1
            text = event.get("problem") or ", ".join(_shown(event["measures"]))
            self._showRow(row, event["sample"], event["state"], event.get("seconds"), text)
            self._ended.add(event["sample"])
            if row + 1 < len(names) and names[row + 1] not in self._ended:  # elsewhere they end in any order
                self._showRow(row + 1, names[row + 1], RUNNING)

    def onDoubleClick(self, row: int, column: int):
        """A double click opens the row."""
        self.ui.batchTable.selectRow(row)
        if self.ui.openBatchButton.enabled:
            self.onOpen()

    def onOpen(self):
        """Load scan, segmentation and measures of the selected rows; the last one is chosen."""
        opened: Any = None
        try:
            for sample in self._selected():
                folder = Path(self.ui.batchOutputEdit.currentPath) / sample.name
                opened = openSample(slicer.mrmlScene, folder, sample.image, sample.options.get("spacing_um"))
            self.ui.batchStatusLabel.text = _("Opened: {name}.").format(name=opened[1].GetName())
        except MgImplantSegError as error:
            self.ui.batchStatusLabel.text = errorText(error)
        if opened is not None:
            self.workbench.parameters.inputVolume, self.workbench.parameters.measuredSegmentation = opened
            self.workbench.changed()

    def _selected(self):
        """The samples of the selected rows, in their order."""
        rows = sorted({item.row() for item in self.ui.batchTable.selectedItems()})
        return [self._samples[row] for row in rows if row < len(self._samples)]

    def _missingToOpen(self):
        selected, folder = self._selected(), Path(self.ui.batchOutputEdit.currentPath or ".")
        if not selected:
            return [_("a selected row")]
        unfinished = [sample.name for sample in selected if not (folder / sample.name / RECORD).is_file()]
        return [_("the results of {name}").format(name=name) for name in unfinished]

    def onDone(self, result: Any):
        """All samples are done."""
        self._end(_("Done. All measures: {path}").format(path=result["table"]))

    def onFailed(self, error: Exception):
        """Some samples have failed; their rows say why."""
        self._end(errorText(error))

    def _end(self, text: str):
        self._progress.end(text)
        self.refresh()

    def _showRow(self, row: int, name: str, state: Any, seconds: float | None = None, result: str = ""):
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
            _("Segment and measure one scan after another; finished, unchanged scans are skipped."),
        )
        setEnabled(
            self.ui.openBatchButton,
            self._missingToOpen(),
            _("Load scan, segmentation and measures of the selected rows."),
        )
        setEnabled(
            self.ui.copyBatchCommandButton, missing, _("Copy the command that does the same on another computer.")
        )


def _politeSeconds(environment: Any):
    """How long the engine may take to stop; a host or cluster has to be asked, and its results fetched."""
    return None if pythons.isHere(environment) else SECONDS_TO_STOP_ELSEWHERE


def stateText(state: Any):
    """What people read for a state."""
    known = {WAITING: _("waiting"), RUNNING: _("running"), DONE: _("done"), FAILED: _("failed")}
    return known.get(state, state)


def _shown(measures: Any):
    """The most wanted measures as short texts."""
    for measure in measures:
        if measure["symbol"] in ("DR", "BIC", "BV/TV") and measure["value"] is not None:
            yield f"{measure['symbol']} {measure['value']:.3g} {measure['unit']}"
