"""Section 7: pairs, a configuration, and a training as a job that the panel only watches."""

import pytest
import slicer
from harness import person
from module_cases import ball_in_half_bone, geometry

from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.training.configuration import TrainingConfig
from MgImplantSegLib.volume import LabelMap, Volume

SHORT = """
[network]
depth = 1
width = 4

[training]
input_size = 32
batch_size = 2
iterations = 3
workers = 0
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
    for other in (labels, tmp_path / "moved.nrrd", tmp_path / "larger.nrrd"):
        widget.panel.training.data.addPair(image, other)
    checks = [row[2] for row in person.rows_of(ui.pairsTable)]
    assert checks[0] == "OK, 36×36×36 voxels"
    assert "voxels apart" in checks[1] and "sizes differ: 36×36×36 and 38×38×38" in checks[2]


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
    assert "loss 0.01" in ui.trainingLogText.plainText


def test_a_training_runs_as_a_job_is_watched_and_its_model_installed(widget, ui, pair, tmp_path, tiny_model):
    for _twice in range(2):
        widget.panel.training.data.addPair(*pair)
    widget.panel.training.data.writeConfiguration(tmp_path / "mine.toml")
    with open(tmp_path / "mine.toml", "a", encoding="utf-8") as file:
        file.write(SHORT)
    person.click(ui.startTrainingButton)
    training = widget.panel.training
    person.wait_until(lambda: not training.isBusy() and not training.isWatching(), 400)
    assert training._state == "done", ui.trainingStatusLabel.text
    person.click(ui.installTrainedModelButton)
    person.wait_until(lambda: not widget.panel.training.isBusy(), 120)
    assert "mine" in person.texts_of(ui.modelSelector), ui.trainingStatusLabel.text


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
    assert "goes on without the panel" in ui.trainingStatusLabel.text
    assert ui.detachTrainingButton.text == "Attach"
