"""Training: pairs, a configuration, and a training as a job that the panel only watches."""

import pathlib
import sys

import numpy as np
import pytest
import slicer
from harness import person
from module_cases import ball_in_half_bone, geometry

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.base.settings import read_toml
from MgImplantSegLib.base.text_files import toml_from
from MgImplantSegLib.base.toml_writer import toml_text
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.environment_file import save_environment
from MgImplantSegLib.training.settings.configuration import TrainingConfig

SMALL = """
[network]
depth = 1
width = 4

[training]
input_size = 32
batch_size = 2
iterations = {iterations}
workers = 0

[validation]
every_iterations = 3
slices_per_sample = 2
"""


@pytest.fixture
def pair(tmp_path):
    labels = ball_in_half_bone(size=36)
    write_volume(Volume(labels.array * 60 + 5, labels.geometry), tmp_path / "scan.nrrd")
    write_label_map(labels, tmp_path / "labels.nrrd")
    return tmp_path / "scan.nrrd", tmp_path / "labels.nrrd"


def test_pairs_are_listed_with_a_check_of_their_geometry(widget, ui, pair, tmp_path):
    image, labels = pair
    moved = ball_in_half_bone(size=36)
    write_label_map(LabelMap(moved.array, geometry(moved.array.shape, 0.021)), tmp_path / "moved.nrrd")
    write_label_map(ball_in_half_bone(size=38), tmp_path / "larger.nrrd")
    part = LabelMap(moved.array[4:, :30], moved.geometry.cropped((4, 0, 0), (32, 30, 36)))
    write_label_map(part, tmp_path / "part.seg.nrrd")
    last = moved.geometry.lps_from_index_zyx(np.array([0, 0, 35]))
    directions = moved.geometry.direction_matrix * [-1, 1, 1]
    reversed_geometry = Geometry((36,) * 3, moved.geometry.spacing_zyx_mm, tuple(last), tuple(directions.ravel()))
    write_label_map(LabelMap(moved.array[..., ::-1], reversed_geometry), tmp_path / "reversed.nii.gz")
    names = ("moved.nrrd", "larger.nrrd", "part.seg.nrrd", "reversed.nii.gz")
    for other in (labels, *(tmp_path / name for name in names)):
        widget.panel.training.data.addPair(image, other)
    checks = [row[2] for row in person.rows_of(ui.pairsTable)]
    assert checks[0] == "OK, 36×36×36 voxels"
    assert "grids differ" in checks[1] and "20 µm from" in checks[1] and "21 µm from" in checks[1]
    assert checks[2] == "the labels extend beyond the scan: 36×36×36 and 38×38×38 voxels"
    assert checks[3] == "OK, labels of a part: 36×30×32 of 36×36×36 voxels"
    assert checks[4] == "OK, 36×36×36 voxels"


def test_nrrd_pairs_are_checked_where_pynrrd_is_missing(module, pair, monkeypatch):
    from MgImplantSegSections.sections import trainingPairs

    monkeypatch.setitem(sys.modules, "nrrd", None)  # as in Slicer's Python before it is installed there
    assert trainingPairs.check(trainingPairs.Pair(*pair)) == "OK, 36×36×36 voxels"
    assert trainingPairs.spacingUm(trainingPairs.Pair(*pair)) == pytest.approx(20)


def test_the_configuration_of_the_pairs_is_one_that_the_engine_reads(widget, ui, pair, tmp_path):
    assert not ui.writeConfigurationButton.enabled
    for _twice in range(2):
        widget.panel.training.data.addPair(*pair)
    widget.panel.training.data.writeConfiguration(tmp_path / "mine.toml")
    config = TrainingConfig.read(tmp_path / "mine.toml")
    assert config.name == "mine" and config.data.spacing_um == pytest.approx(20)
    assert [sample.split for sample in config.data.samples] == ["train", "validation"]
    assert ui.configurationEdit.currentPath == str(tmp_path / "mine.toml")


def test_start_without_a_configuration_says_so(widget, ui):
    assert not ui.startTrainingButton.enabled
    assert "a configuration file" in ui.startTrainingButton.toolTip
    assert "a training that was started" in ui.stopTrainingButton.toolTip


def test_metrics_become_curves_that_grow(widget, ui):
    training = widget.panel.training
    for iteration in (10, 20):
        training.onEvent({"event": "metric", "iteration": iteration, "loss": 1.0 / iteration, "learning_rate": 1e-3})
    training.refresh()
    person.click(ui.showCurvesButton)
    training.onEvent({"event": "metric", "iteration": 30, "loss": 0.01, "learning_rate": 1e-3})
    table = slicer.mrmlScene.GetFirstNodeByName("Training curves").GetTable()
    column = table.GetColumnByName("loss")
    assert [column.GetValue(row) for row in range(3)] == pytest.approx([0.1, 0.05, 0.01])
    chart = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    assert chart.GetNumberOfPlotSeriesNodes() == 1
    person.click(ui.trainingLogButton)
    assert "loss 0.01" in widget.panel.training.log.text()


def test_a_number_that_comes_after_the_chart_was_opened_gets_its_line_and_lines_have_words(widget, ui):
    training = widget.panel.training
    training.onEvent({"event": "metric", "iteration": 0, "held_out_mean_iou": 0.8})
    person.click(ui.showCurvesButton)
    training.onEvent({"event": "metric", "iteration": 10, "loss": 0.5})
    chart = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    series = [chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [node.GetName() for node in series] == ["mean IoU", "loss"]
    column = slicer.mrmlScene.GetFirstNodeByName("Training curves").GetTable().GetColumnByName("loss")
    assert np.isnan(column.GetValue(0)) and column.GetValue(1) == pytest.approx(0.5)


def test_no_line_is_drawn_of_less_than_two_rows_or_of_a_number_that_has_not_come_again(widget, ui):
    """VTK takes the range of such a line from infinity to minus infinity, and reports an error for it."""
    training = widget.panel.training
    training.onEvent({"event": "metric", "iteration": 0, "loss": 0.9, "mean_iou": 0.1})
    person.click(ui.showCurvesButton)
    chart = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    assert chart.GetNumberOfPlotSeriesNodes() == 0
    training.onEvent({"event": "metric", "iteration": 1, "loss": 0.8, "mean_iou": 0.2})
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    training._curves.begin()
    for iteration, lines in ((0, 0), (1, 1)):
        training.onEvent({"event": "metric", "iteration": iteration, "loss": 0.9})
        assert chart.GetNumberOfPlotSeriesNodes() == lines
    training.onEvent({"event": "metric", "iteration": 2, "mean_iou": 0.2})
    names = [chart.GetNthPlotSeriesNode(number).GetName() for number in range(chart.GetNumberOfPlotSeriesNodes())]
    assert sorted(names) == ["loss", "mean IoU"]
    assert len(slicer.util.getNodesByClass("vtkMRMLPlotSeriesNode")) == 2


def write_configuration(widget, pair, path, iterations):
    """A configuration as the panel writes it for two pairs, made small by hand."""
    for _twice in range(2):
        widget.panel.training.data.addPair(*pair)
    widget.panel.training.data.writeConfiguration(path)
    written = read_toml(path)
    kept = {key: written[key] for key in ("name", "output", "seed", "data")}
    small = toml_from(SMALL.format(iterations=iterations))
    path.write_text(toml_text({**kept, **small}), "utf-8")


def test_the_configuration_fine_tunes_the_chosen_model_in_some_minutes(widget, ui, pair, tmp_path, tiny_model):
    widget.panel.models.add(tiny_model)
    widget.panel.training.data.addPair(*pair)
    widget.panel.training.data.writeConfiguration(tmp_path / "mine.toml")
    config = TrainingConfig.read(tmp_path / "mine.toml")
    assert config.base_model.name == tiny_model.name and config.base_model.is_file()
    assert config.network_dict["depth"] == 1 and config.network_dict["width"] == 4
    assert 0 < config.training.time_limit_minutes <= 10 and config.training.iterations < 10_000


def test_curves_can_be_shown_as_soon_as_there_are_metrics(widget, ui):
    assert not ui.showCurvesButton.enabled
    widget.panel.training.onEvent({"event": "metric", "iteration": 10, "loss": 0.1})
    assert ui.showCurvesButton.enabled


def test_the_end_after_stop_is_told_as_what_the_user_asked_for(widget, ui, monkeypatch):
    training, stop = widget.panel.training, []
    training.job = "this/train-x"

    def engine(words, environment, token):
        if words[1] == "cancel":
            stop.append(words)
            yield None
            return {"state": "cancelled", "text": "this/train-x  cancelled"}
        while not stop:
            yield None
        raise MgImplantSegError(
            "Expected this/train-x to finish successfully, got cancelled", "See: jobs log this/train-x"
        )

    monkeypatch.setattr(widget.logic, "engineSteps", engine)
    training.watch()
    assert "wait for the training being watched to finish" in ui.startTrainingButton.toolTip
    person.click(ui.stopTrainingButton)
    person.wait_until(lambda: not training.isWatching() and not training.isBusy())
    person.process_events()
    assert "Expected" not in ui.trainingStatusLabel.text and training._state == "cancelled"


def test_a_training_that_fails_by_itself_is_told_without_commands(widget, ui, monkeypatch):
    def engine(words, environment, token):
        yield None
        raise MgImplantSegError(
            "Expected this/train-x to finish successfully, got failed: no memory", "See: jobs log this/train-x"
        )

    monkeypatch.setattr(widget.logic, "engineSteps", engine)
    widget.panel.training.job = "this/train-x"
    widget.panel.training.watch()
    person.wait_until(lambda: not widget.panel.training.isWatching())
    assert "no memory" in ui.trainingStatusLabel.text and "jobs log" not in ui.trainingStatusLabel.text


def test_asking_does_not_stay_when_the_answer_stands_elsewhere(widget, ui, monkeypatch):
    def engine(words, environment, token):
        yield None
        return {"text": "python: 3"}

    monkeypatch.setattr(widget.logic, "engineSteps", engine)
    person.click(ui.testTrainingEnvironmentButton)
    assert ui.trainingStatusLabel.text == "Asking…"
    person.wait_until(lambda: not widget.panel.training.isBusy())
    assert ui.trainingStatusLabel.text == "" and ui.trainingEnvironmentLabel.text == "python: 3"


def test_a_training_in_slicers_python_without_torch_is_not_submitted(widget, ui, pair, tmp_path, monkeypatch):
    from MgImplantSegSections.engine import pythons

    widget.panel.training.data.addPair(*pair)
    widget.panel.training.data.writeConfiguration(tmp_path / "mine.toml")
    monkeypatch.setattr(pythons, "version", lambda package: None if package == "torch" else "1")
    person.click(ui.startTrainingButton)
    assert "lacks torch" in ui.trainingStatusLabel.text and widget.panel.training.job == ""


def test_pairs_and_environment_are_there_again_in_a_new_panel(widget, open_panel, pair):
    save_environment(Environment("host", Kind.SSH, "~/python", host="gpu-server"))
    widget.panel.refillEnvironments()
    person.choose(widget.panel.workbench.ui.trainingEnvironmentSelector, "host")
    widget.panel.training.data.addPair(*pair)
    widget.cleanup()
    again = open_panel()
    (row,) = person.rows_of(again.panel.workbench.ui.pairsTable)
    assert row[0] == "scan.nrrd" and row[2].startswith("OK") and again.panel.training.environment() == "host"


def test_all_trainings_can_be_chosen_with_their_state_also_in_a_new_panel(widget, open_panel, monkeypatch):
    ui, training = widget.panel.workbench.ui, widget.panel.training

    def engine(words, environment, token):
        yield None
        if words[1] == "status":
            return {"state": "failed", "text": ""}
        if words[2].endswith("bad"):
            raise MgImplantSegError("Expected this/train-bad to finish successfully, got failed: no memory")
        return {"state": "done", "text": "done"}

    monkeypatch.setattr(widget.logic, "engineSteps", engine)
    for name in ("good", "bad"):
        training.onSubmitted({"reference": f"this/train-{name}", "state": "queued", "text": ""})
        assert not ui.trainingJobsTable.enabled
        person.wait_until(lambda: not training.isWatching() and not training.isBusy())
    expected = [["train-bad", "failed", "this", ""], ["train-good", "done", "this", ""]]
    assert person.rows_of(ui.trainingJobsTable) == expected
    widget.cleanup()
    again = open_panel().panel
    assert again.training.job == "this/train-bad"
    person.select_rows(again.workbench.ui.trainingJobsTable, 1)
    assert again.training.job == "this/train-good" and again.workbench.ui.installTrainedModelButton.enabled


def test_refresh_lists_the_trainings_of_all_environments_and_keeps_the_chosen_one(widget, ui, monkeypatch):
    training, job = widget.panel.training, {"reason": "", "command": "train", "created": 1e9}
    training.job = "gone/train-old"
    told = [
        {**job, "reference": "host/train-a", "name": "first", "state": "done"},
        {**job, "reference": "host/batch-b", "name": "no training", "state": "done", "command": "batch"},
        {**job, "reference": "cluster/train-c", "name": "<b>new", "state": "pending", "created": 2e9},
    ]

    def engine(words, environment, token):
        yield {"event": "warning", "message": "gone: no route to host"}
        return {"jobs": told, "text": ""}

    monkeypatch.setattr(widget.logic, "engineSteps", engine)
    person.click(ui.refreshTrainingsButton)
    person.wait_until(lambda: not training.isBusy())
    rows = person.rows_of(ui.trainingJobsTable)
    assert [row[:3] for row in rows] == [
        ["<b>new", "waiting", "cluster"],
        ["first", "done", "host"],
        ["train-old", "", "gone"],
    ]
    assert rows[0][3].startswith("2033-05-1") and training.job == "gone/train-old"
    assert ui.trainingStatusLabel.text == "gone: no route to host"


def start_training(widget, environment):
    """Choose the environment and click Start; returns once the panel watches the job."""
    ui, training = widget.panel.workbench.ui, widget.panel.training
    person.choose(ui.trainingEnvironmentSelector, environment.name)
    person.click(ui.startTrainingButton)
    person.wait_until(lambda: training.isWatching() or not training.isBusy())
    assert training.job.startswith(f"{environment.name}/"), ui.trainingStatusLabel.text


def attach(widget):
    """Click Attach in a panel that was opened anew; returns what the test needs of it."""
    ui, training = widget.panel.workbench.ui, widget.panel.training
    assert ui.detachTrainingButton.text == "Attach"
    person.click(ui.detachTrainingButton)
    return ui, training


@pytest.mark.parametrize("environment", ["local"], indirect=True)
def test_a_training_in_another_python_is_left_taken_up_by_a_new_panel_and_its_model_installed(
    environment, widget, open_panel, pair, tmp_path, tiny_model
):
    write_configuration(widget, pair, tmp_path / "mine.toml", 3)
    start_training(widget, environment)
    job = widget.panel.training.job
    person.click(widget.panel.workbench.ui.detachTrainingButton)
    person.wait_until(lambda: not widget.panel.training.isWatching())
    widget.cleanup()
    ui, training = attach(panel := open_panel())
    assert training.job == job
    person.wait_until(lambda: not training.isBusy() and not training.isWatching())
    assert training._state == "done", ui.trainingStatusLabel.text
    assert [row["iteration"] for row in training._curves._rows].count(3) == 1
    assert panel.logic.startTraining(tmp_path / "mine.toml", environment.name)["reference"] == job
    person.click(ui.installTrainedModelButton)
    person.wait_until(lambda: not training.isBusy())
    assert "mine" in person.texts_of(ui.modelSelector), ui.trainingStatusLabel.text
    assert not (pathlib.Path(slicer.app.temporaryPath) / "MgImplantSegTraining").exists()


@pytest.mark.parametrize("environment", ["slurm through ssh"], indirect=True)
def test_a_training_elsewhere_outlives_the_panel_and_is_stopped_and_resumed_by_the_next(
    environment, widget, open_panel, pair, tmp_path
):
    write_configuration(widget, pair, tmp_path / "endless.toml", 1_000_000)
    start_training(widget, environment)
    person.wait_until(widget.panel.training._curves.hasRows)
    widget.cleanup()
    ui, training = attach(open_panel())
    with Backend(environment) as backend:
        job = training.job.rpartition("/")[2]
        try:
            assert backend.status(job).state is State.RUNNING
            person.wait_until(training._curves.hasRows)
            person.click(ui.stopTrainingButton)
            person.wait_until(lambda: not training.isBusy() and not training.isWatching())
            assert training._state == "cancelled" and backend.status(job).state is State.CANCELLED
            person.click(ui.resumeTrainingButton)
            person.wait_until(training.isWatching)
            person.wait_until(lambda: backend.status(job).state is State.RUNNING)
        finally:
            backend.cancel(job)


def test_detaching_leaves_the_job_alone(widget, ui, monkeypatch):
    training = widget.panel.training
    training.job = "this/train-x"

    def forever(words, environment, token):
        while True:
            token.check()
            yield None

    monkeypatch.setattr(widget.logic, "engineSteps", forever)
    training.watch()
    assert ui.detachTrainingButton.text == "Detach"
    person.click(ui.detachTrainingButton)
    person.wait_until(lambda: not training.isWatching())
    assert "continues without the panel" in ui.trainingStatusLabel.text
    assert ui.detachTrainingButton.text == "Attach"
