"""Training as a job in any environment; the panel only watches, so the job outlives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from MgImplantSegSections.engine import pythons
from MgImplantSegSections.sections.curves import Curves
from MgImplantSegSections.sections.panelWords import inPanelWords
from MgImplantSegSections.sections.textWindow import TextWindow
from MgImplantSegSections.sections.trainingButtons import installTrained, showButtons
from MgImplantSegSections.sections.trainingData import TrainingData
from MgImplantSegSections.sections.trainingJobs import TrainingJobs
from MgImplantSegSections.sections.workbench import ProgressView, errorText
from MgImplantSegSections.work import settings

if TYPE_CHECKING:
    from MgImplantSegSections.sections.modelSection import ModelSection
    from MgImplantSegSections.sections.workbench import Workbench


class TrainingSection:
    """Every button is one command of the engine's launcher, run in a child process."""

    def __init__(self, workbench: Workbench, modelSection: ModelSection | None = None):
        self.workbench, self.ui = workbench, workbench.ui
        self._progress = ProgressView(workbench, self.ui.trainingProgressBar, self.ui.trainingStatusLabel)
        self._curves, self.log = Curves(), TextWindow(_("Log of the training"))
        self._watch: Any = None
        self._command: Any = None
        self._state, self._isStopping = "", False
        self._environments: list[str] = []
        self._warned: list[str] = []
        self.jobs = TrainingJobs(self.ui.trainingJobsTable, self.onJob)
        self.data = TrainingData(workbench, self._progress.label, modelSection.path if modelSection else lambda: None)
        self._connect()
        self.refillEnvironments()
        workbench.onChange(self.refresh)

    def _connect(self):
        ui = self.ui
        for button, slot in (
            (ui.testTrainingEnvironmentButton, self.onTest),
            (ui.startTrainingButton, self.onStart),
            (ui.stopTrainingButton, self.onStop),
            (ui.resumeTrainingButton, self.onResume),
            (ui.detachTrainingButton, self.onDetach),
            (ui.showCurvesButton, self.onCurves),
            (ui.installTrainedModelButton, self.onInstall),
            (ui.trainingLogButton, self.log.show),
            (ui.refreshTrainingsButton, self.onRefresh),
        ):
            button.connect("clicked(bool)", slot)
        ui.trainingEnvironmentSelector.connect("currentIndexChanged(int)", self.onEnvironment)
        ui.configurationEdit.connect("currentPathChanged(QString)", self.onConfiguration)

    def refillEnvironments(self):
        """List all environments; clusters and hosts too. The chosen one stays chosen."""
        chosen = self.environment() if self._environments else settings.read(settings.TRAINING_ENVIRONMENT)
        self._environments = pythons.names()
        self.ui.trainingEnvironmentSelector.blockSignals(True)
        self.ui.trainingEnvironmentSelector.clear()
        self.ui.trainingEnvironmentSelector.addItems([pythons.text(name) for name in self._environments])
        if chosen in self._environments:
            self.ui.trainingEnvironmentSelector.setCurrentIndex(self._environments.index(chosen))
        self.ui.trainingEnvironmentSelector.blockSignals(False)

    def onEnvironment(self):
        """Keep the environment on this computer."""
        settings.write(settings.TRAINING_ENVIRONMENT, self.environment())

    @property
    def job(self):
        """The chosen training."""
        return self.jobs.job

    @job.setter
    def job(self, reference: str):
        self.jobs.remember(reference, "")

    def onJob(self):
        """Another training was chosen."""
        self._curves.clear()
        self._say("")
        self.refresh()

    def environment(self):
        """The name of the chosen environment."""
        return self._environments[max(0, self.ui.trainingEnvironmentSelector.currentIndex)]

    def isWatching(self):
        """Whether a job is being watched."""
        return self._watch is not None and self._watch.isRunning

    def isBusy(self):
        """Whether a short command runs."""
        return self._command is not None and self._command.isRunning

    def onTest(self):
        """Test the chosen environment."""
        self._do(
            ["jobs", "environments", "test", self.environment()],
            lambda result: self._say(result["text"], self.ui.trainingEnvironmentLabel),
        )

    def onConfiguration(self):
        """Another configuration."""
        self.refresh()

    def onStart(self):
        """Submit the training and watch it."""
        missing = pythons.missingPackages(self.environment(), pythons.PACKAGES_FOR_FILES)
        if missing:
            text = _(
                "Slicer's Python lacks {packages}: install them under Environments, or train in another environment."
            )
            self._say(text.format(packages=", ".join(missing)))
            return
        self.ui.configurationEdit.addCurrentPathToHistory()
        words = ["jobs", "submit", self.environment(), "train", self.ui.configurationEdit.currentPath]
        self._do(words, self.onSubmitted)

    def onSubmitted(self, result: Any):
        """The job runs: remember it, watch it."""
        facts = {name: result[name] for name in ("name", "created") if name in result}
        self.jobs.remember(result["reference"], result["state"], **facts)
        self._curves.clear()
        self._say(result["text"])
        self.watch()

    def watch(self):
        """Follow the job; cancelling this leaves the job alone."""
        self._isStopping = False
        self._progress.begin(_("Watching {job}…").format(job=self.job))
        self._curves.begin()
        self.log.setHtml("")  # all events of the job come, from the first one on
        self._watch = self.workbench.start(
            lambda token: self.workbench.logic.engineSteps(["jobs", "watch", self.job], None, token),
            self.onEvent,
            self.onEnded,
            self.onWatchFailed,
            self.onDetached,
        )
        self.refresh()

    def onEvent(self, event: Any):
        """Progress, metrics and warnings of the job."""
        self._progress.show(event)
        if event["event"] == "metric":
            isFirst = not self._curves.hasRows()
            self._curves.add(event)
            if isFirst:
                self.refresh()
            self._log(
                ", ".join(
                    f"{key} {_short(value)}" for key, value in event.items() if key not in ("event", "version", "time")
                )
            )
        elif event["event"] == "warning":
            self._log(event["message"])

    def onEnded(self, result: Any):
        """The job has ended."""
        self._state = result["state"]
        self.jobs.remember(self.job, self._state)
        self._progress.end(inPanelWords(result["text"]))
        self.refresh()

    def onDetached(self):
        """The panel no longer watches."""
        self._progress.end(_("{job} continues without the panel. Click Attach to watch it again.").format(job=self.job))
        self.refresh()

    def onFailed(self, error: Exception):
        """What happened, and what to do."""
        self._progress.end(errorText(error))
        self.refresh()

    def onWatchFailed(self, error: Exception):
        """The job did not end well; a stop on request is what the user wanted."""
        if not self._isStopping:
            self.onFailed(error)
            self._askState()
            return
        self._isStopping, self._state = False, "cancelled"
        self.jobs.remember(self.job, self._state)
        self._progress.end(_("Stopped. Click Resume to continue from the last checkpoint."))
        self.refresh()

    def _askState(self):
        """Whether the job has failed or only does not answer; what was said stays."""
        job = self.job
        self._command = self.workbench.start(
            lambda token: self.workbench.logic.engineSteps(["jobs", "status", job], None, token),
            lambda event: None,
            lambda result: self._knowState(job, result["state"]),
            lambda error: self.refresh(),
            self.refresh,
        )

    def _knowState(self, job: Any, state: Any):
        self.jobs.remember(job, state)
        self.refresh()

    def onStop(self):
        """Stop the job; it writes a checkpoint first."""
        self._isStopping = self.isWatching()
        self._do(["jobs", "cancel", self.job], self._stateResult)

    def onRefresh(self):
        """Ask all environments for their trainings."""
        self._do(["jobs", "list"], lambda result: self.jobs.learn(result["jobs"]))

    def onResume(self):
        """Go on with the last job from its checkpoint."""
        self._do(["jobs", "resume", self.job], self.onResumed)

    def onResumed(self, result: Any):
        """The job goes on: watch it."""
        self.jobs.remember(self.job, result["state"])
        self.watch()

    def onDetach(self):
        """Stop watching, or watch again."""
        if self.isWatching():
            self._watch.cancel()
        else:
            self.watch()

    def onCurves(self):
        """Show losses and scores as a chart that grows."""
        self._curves.show()

    def onInstall(self):
        """Fetch the results and copy the model to the installed models."""
        folder = Path(slicer.app.temporaryPath) / "MgImplantSegTraining"
        self._do(["jobs", "fetch", self.job, "--to", str(folder)], self.onFetched)

    def onFetched(self, result: Any):
        """The results are here: install the model among them."""
        self._say(installTrained(result))
        self.workbench.modelsChanged()

    def _stateResult(self, result: Any):
        self._state = result["state"]
        self.jobs.remember(self.job, self._state)
        self._say(result["text"])

    def _do(self, words: Sequence[Any], onDone: Callable[..., Any]):
        """Run a short command of the engine; one at a time."""
        self._say(_("Asking…"))
        self._warned = list[str]()

        def done(result: Any):
            self._say("\n".join(self._warned))
            onDone(result)
            self.refresh()

        self._command = self.workbench.start(
            lambda token: self.workbench.logic.engineSteps(words, None, token),
            self.onCommandEvent,
            done,
            self.onFailed,
            self.refresh,
        )
        self.refresh()

    def onCommandEvent(self, event: Any):
        """Progress of a short command, such as sending files."""
        if event["event"] == "progress":
            self._say(event.get("stage", ""))
        elif event["event"] == "warning":  # an environment does not answer, for example
            self._warned.append(event["message"])

    def _say(self, text: str, label: Any = None):
        (label or self.ui.trainingStatusLabel).text = inPanelWords(text)

    def _log(self, text: str):
        self.log.append(text)

    def refresh(self):
        """States of all buttons."""
        showButtons(self.ui, self.job, self.isBusy(), self.isWatching(), self._curves.hasRows())


def _short(value: Any):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
