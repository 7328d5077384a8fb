"""A batch of scans as a queue: started, followed, stopped, gone on with, and its results opened."""

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
from MgImplantSegLib.cli.batch_samples import samples_of
from MgImplantSegLib.cli.batch_site import CANCEL, LEAVE
from MgImplantSegLib.cli.batch_table import DONE, FAILED, OVERVIEW, RUNNING, WAITING
from MgImplantSegSections.engine import pythons
from MgImplantSegSections.sections.batchPlaces import BatchPlaces, environmentsOf
from MgImplantSegSections.sections.batchQueue import BatchQueue
from MgImplantSegSections.sections.workbench import ProgressView, errorText, setEnabled
from MgImplantSegSections.work.batchResults import openSample
from MgImplantSegSections.work.batchStarts import BatchStart, remember, startOf
from MgImplantSegSections.work.measureWork import knownWords
from MgImplantSegSections.work.segmentWork import SECONDS_TO_STOP_ELSEWHERE

if TYPE_CHECKING:
    from MgImplantSegSections.sections.workbench import Workbench


class BatchSection:
    """Runs the engine's batch command with the choices for segmenting and measuring, or looks on where another does."""

    def __init__(self, workbench: Workbench, models: Any, segmentation: Any, measurements: Any):
        self.workbench, self.ui = workbench, workbench.ui
        self._models, self._segmentation, self._measurements = models, segmentation, measurements
        self._progress = ProgressView(workbench, self.ui.batchProgressBar, self.ui.batchStatusLabel)
        self._task: Any = None
        self._look: Any = None
        self._isOthers = self._isElsewhere = self._isLeft = False
        self._samples: list[Any] = []
        self.queue = BatchQueue(self.ui, self.refresh, self.onDoubleClick)
        self.places = BatchPlaces(workbench, segmentation.runIn)
        for button, slot in (
            (self.ui.batchStartButton, self.onStart),
            (self.ui.batchAgainButton, self.onAgain),
            (self.ui.batchLeaveButton, self.onLeave),
            (self.ui.openBatchButton, self.onOpen),
            (self.ui.batchFolderButton, self.onShowFolder),
            (self.ui.copyBatchCommandButton, self.onCopyCommand),
        ):
            button.connect("clicked(bool)", slot)
        self.ui.batchFolderEdit.connect("currentPathChanged(QString)", self.onFolder)
        self.ui.batchOutputEdit.connect("currentPathChanged(QString)", self.onOutput)
        self.ui.batchSection.connect("contentsCollapsed(bool)", self.onFolded)
        self.onFolder()  # the line remembers the folder of last time
        workbench.onChange(self.refresh)

    def isRunning(self):
        """Whether a batch of this panel runs."""
        return self._task is not None and self._task.isRunning

    def isLooking(self):
        """Whether the state of a batch is being read, or followed as long as another program runs it."""
        return self._look is not None and self._look.isRunning

    def refillEnvironments(self):
        """List the environments anew."""
        self.places.refill()
        self.look()

    def onFolder(self):
        """List the scans of the chosen folder."""
        path = self.ui.batchFolderEdit.currentPath
        try:
            self._samples = samples_of(Path(path)) if path and Path(path).is_dir() else []
            self.ui.batchStatusLabel.text = ""
        except MgImplantSegError as error:
            self._samples = []
            self.ui.batchStatusLabel.text = errorText(error)
        if not self.isRunning():
            self.queue.begin(self._samples)
            self.look()
        self.refresh()

    def onOutput(self):
        """Another folder for the results: what a batch has done there so far is shown."""
        if not self.isRunning():
            self.queue.begin(self._samples)
            self.look()
        self.refresh()

    def onFolded(self, folded: bool):
        """What is not seen is not looked at."""
        if folded:
            self._lookAway()
        else:
            self.look()

    def look(self):
        """Read the state of the batch in the folder of results, and follow it as long as it runs elsewhere."""
        self._lookAway()
        output = self.ui.batchOutputEdit.currentPath
        if self.isRunning() or self.ui.batchSection.collapsed or not output or not (Path(output) / OVERVIEW).is_file():
            return
        words, seen = ["batch", output, "--status", "--follow"], set[str]()
        self._look = self.workbench.start(
            lambda token: self.workbench.logic.engineSteps(words, None, token),
            lambda event: self._onLooked(event, seen),
            lambda result: self._lookEnded(""),
            lambda error: self._lookEnded(errorText(error)),
            lambda: self._lookEnded(""),
            isOfScene=False,
        )
        self.queue.tickWhile(lambda: self.isRunning() or self.isLooking())

    def _onLooked(self, event: Any, seen: set[str]):
        if event["event"] == "sample":
            if not seen:  # the scans of the folder stay as far as the batch knows some of them
                known = {sample.name for sample in self._samples}
                if event["sample"] not in known:
                    self.queue.show(())
            seen.add(event["sample"])
        self.queue.take(event)
        if event.get("is_running") and not self._isOthers:
            self._isOthers = True
            self._progress.begin(_("Another program runs this batch."))
            self.queue.take(event)
            self.refresh()

    def _lookEnded(self, text: str):
        if self._isOthers or text:
            self._progress.end(text or _("The batch of the other program has ended."))
        self._isOthers = False
        self.refresh()

    def _lookAway(self):
        if self._look is not None:
            self._look.abandon()
        self._look, self._isOthers = None, False

    def missing(self):
        """All that is missing before Start can be clicked."""
        found = [] if self._samples else [_("a folder with scans")]
        found += [] if self.ui.batchOutputEdit.currentPath else [_("a folder for the results")]
        return found + self._models.missing()

    def _busy(self):
        return [_("wait for the other program that works in this folder")] if self._isOthers else []

    def arguments(self):
        """Words of the engine's command line."""
        return [
            "batch",
            self.ui.batchFolderEdit.currentPath,
            self.ui.batchOutputEdit.currentPath,
            *words(self._segmentation.options()),
            *knownWords(self._measurements.request()),
            *(["--ranges"] if self.workbench.parameters.ranges else []),
            *self.places.words(),
        ]

    def onCopyCommand(self):
        """The command that does the same elsewhere goes to the clipboard."""
        slicer.app.clipboard().setText(shlex.join(["mgimplantseg", *self.arguments()]))
        self.ui.batchStatusLabel.text = _("Copied. Adapt the paths on another computer.")

    def onStart(self):
        """Start the queue, or cancel it; finished scans stay finished."""
        if self.isRunning():
            self._stop(CANCEL)
            return
        for edit in (self.ui.batchFolderEdit, self.ui.batchOutputEdit):
            edit.addCurrentPathToHistory()
        start = BatchStart(tuple(map(str, self.arguments())), self.places.python())
        self.queue.begin(self._samples)
        self._run(start)

    def onAgain(self):
        """The command of the last start goes on: what has failed or is left is done."""
        self._run(startOf(self.ui.batchOutputEdit.currentPath))

    def onLeave(self):
        """Stop watching; jobs elsewhere go on."""
        self._stop(LEAVE)

    def _stop(self, wish: str):
        self._isLeft = wish == LEAVE
        self._task.cancel(wish)

    def _run(self, start: Any):
        wanted = pythons.toSegment(self._models.path(), pythons.PACKAGES_FOR_FILES)
        places = environmentsOf(start.words)
        self._isElsewhere, self._isLeft = bool(places), False
        isOwn = pythons.OWN in (places or [start.python or pythons.OWN])
        missing = pythons.missingPackages(pythons.OWN, wanted) if isOwn else []
        if missing:
            text = _(
                "Slicer's Python lacks {packages}: install them under Environments, or choose another environment in "
                "Advanced."
            )
            self.ui.batchStatusLabel.text = text.format(packages=", ".join(missing))
            return
        self._lookAway()
        remember(self.ui.batchOutputEdit.currentPath, start)
        self._progress.begin(_("Starting…"))
        polite = SECONDS_TO_STOP_ELSEWHERE if self._isElsewhere else None
        self._task = self.workbench.start(
            lambda token: self.workbench.logic.engineSteps(start.words, start.python, token, polite),
            self.onEvent,
            self.onDone,
            self.onFailed,
            self.onStopped,
            isOfScene=False,
        )
        self.queue.tickWhile(self.isRunning)
        self.refresh()

    def onEvent(self, event: Any):
        """A sample is in another state, or progress of one or all."""
        if self.queue.take(event):
            return
        if event["event"] == "stopping":
            self._progress.show(event)
        elif event["event"] == "progress":
            part = event.get("done", 0) / (event.get("total") or 1)
            text = _("{stage}: {percent} %")
            self.ui.batchStatusLabel.text = text.format(stage=event.get("stage", ""), percent=round(100 * part))

    def onDoubleClick(self):
        """A double click opens the row."""
        if self.ui.openBatchButton.enabled:
            self.onOpen()

    def onOpen(self):
        """Load scan, segmentation and measures of the selected rows; the last one is chosen."""
        opened: Any = None
        rows = self.queue.selected()
        try:
            for number, row in enumerate(rows, start=1):
                text = _("Opening {name}, {number} of {total}…")
                self.ui.batchStatusLabel.text = text.format(name=row.sample, number=number, total=len(rows))
                self.ui.batchStatusLabel.repaint()
                opened = openSample(slicer.mrmlScene, self._folderOf(row), Path(row.image))
            self.ui.batchStatusLabel.text = _("Opened: {name}.").format(name=opened[1].GetName())
        except MgImplantSegError as error:
            self.ui.batchStatusLabel.text = errorText(error)
        if opened is not None:
            self.workbench.parameters.inputVolume, self.workbench.parameters.measuredSegmentation = opened
            self.workbench.changed()

    def onShowFolder(self):
        """Show the folder of the selected sample, or that of all results, in the system's file browser."""
        folders = [self._folderOf(row) for row in self.queue.selected()]
        found = next((folder for folder in folders if folder.is_dir()), Path(self.ui.batchOutputEdit.currentPath))
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(found)))

    def _folderOf(self, row: Any):
        return Path(self.ui.batchOutputEdit.currentPath or ".") / row.sample

    def _missingToOpen(self):
        selected = self.queue.selected()
        if not selected:
            return [_("a selected row")]
        unfinished = [row.sample for row in selected if row.state != DONE and not self._hasResults(row)]
        return [_("the results of {name}").format(name=name) for name in unfinished]

    def _hasResults(self, row: Any):
        return row.state == WAITING and (self._folderOf(row) / RECORD).is_file()

    def _missingToGoOn(self):
        left = self.queue.numberOf(FAILED, WAITING, RUNNING)
        found = [] if left else [_("samples that have failed or were not begun")]
        isOwn = startOf(self.ui.batchOutputEdit.currentPath) is not None
        found += [] if isOwn else [_("a batch that was started from this panel")]
        return found + self._busy() + ([_("wait for the batch to finish")] if self.isRunning() else [])

    def onDone(self, result: Any):
        """All samples are done."""
        self._end(_("Done. All measures: {path}").format(path=result["table"]))

    def onFailed(self, error: Exception):
        """Some samples have failed; their rows say why."""
        self._end(errorText(error))

    def onStopped(self):
        """Cancelled, or left to run."""
        left = _("The jobs continue without the panel. Continue collects their results.")
        self._end(left if self._isLeft else _("Cancelled; finished scans are kept."))

    def _end(self, text: str):
        self._progress.end(text)
        self.refresh()

    def refresh(self):
        """States of the buttons."""
        if self.workbench.parameters is None:
            return
        ui, running, missing = self.ui, self.isRunning(), self.missing()
        ui.batchStartButton.text = _("Cancel") if running else _("Start")
        ui.batchAgainButton.text = _("Run failed again") if self.queue.numberOf(FAILED) else _("Continue")
        self.workbench.setVisible(ui.batchLeaveButton, running and self._isElsewhere)
        self.workbench.setVisible(ui.batchReasonLabel, bool(ui.batchReasonLabel.text))
        setEnabled(
            ui.batchStartButton,
            [] if running else missing + self._busy(),
            _("Segment and measure one scan after another; finished, unchanged scans are skipped."),
        )
        setEnabled(
            ui.batchAgainButton,
            self._missingToGoOn(),
            _("The command of the last start continues, whatever is chosen now: what has failed or is left is done."),
        )
        setEnabled(
            ui.openBatchButton, self._missingToOpen(), _("Load scan, segmentation and measures of the selected rows.")
        )
        setEnabled(
            ui.batchFolderButton,
            [] if ui.batchOutputEdit.currentPath else [_("a folder for the results")],
            _("Show the files of the selected sample, or those of all."),
        )
        setEnabled(ui.copyBatchCommandButton, missing, _("Copy the command that does the same on another computer."))
