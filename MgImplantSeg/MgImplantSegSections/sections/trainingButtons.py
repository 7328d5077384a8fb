"""What can be done with a training at the moment, and the model that it has brought."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegSections.sections.workbench import errorText, setEnabled
from MgImplantSegSections.work import models


def showButtons(ui: Any, job: Any, isBusy: bool, watching: bool, hasRows: bool):
    """States and tooltips of all buttons of the section.

    :param job: the chosen training; empty if there is none.
    :param isBusy: whether a short command runs.
    :param watching: whether the training is being watched.
    :param hasRows: whether there are numbers to plot.
    """
    busy = [_("wait for the current command to finish")] if isBusy else []
    missingJob = [] if job else [_("a training that was started")]
    configuration = [] if Path(ui.configurationEdit.currentPath or "-").is_file() else [_("a configuration file")]
    ui.trainingJobsTable.enabled = not watching
    ui.detachTrainingButton.text = _("Detach") if watching or not job else _("Attach")
    setEnabled(
        ui.testTrainingEnvironmentButton, busy, _("Check that the environment has everything that training needs.")
    )
    setEnabled(ui.refreshTrainingsButton, busy, _("Ask all environments for their trainings and states."))
    running = [_("wait for the training being watched to finish, or click Detach")] if watching else []
    setEnabled(ui.startTrainingButton, busy + running + configuration, _("Start the training there."))
    setEnabled(ui.stopTrainingButton, busy + missingJob, _("Stop after the current step; a checkpoint is kept."))
    setEnabled(
        ui.resumeTrainingButton,
        busy + missingJob + ([_("wait for the training to finish")] if watching else []),
        _("Continue from the last checkpoint."),
    )
    setEnabled(
        ui.detachTrainingButton,
        missingJob,
        _("Stop watching (training continues when Slicer is closed), or resume watching."),
    )
    setEnabled(
        ui.showCurvesButton,
        [] if hasRows else [_("metrics of a training")],
        _("Plot losses and scores while the training runs."),
    )
    setEnabled(ui.installTrainedModelButton, busy + missingJob, _("Copy the trained model to the installed models."))


def installTrained(result: Any):
    """Copy the model among fetched results to the installed ones and forget the rest; returns how it went."""
    found = [path for path in result["files"] if path.endswith(".mgmodel")]
    try:
        return _("Installed: {name}").format(name=models.add(found[-1]).stem) if found else _("No model yet.")
    except MgImplantSegError as error:
        return errorText(error)
    finally:
        shutil.rmtree(result["folder"], ignore_errors=True)
