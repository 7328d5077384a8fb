"""Finished scans of a batch are opened in the scene; a batch runs where Segment runs, also on a cluster."""

import numpy as np
import pytest
import slicer
from harness import person
from measure_cases import table_node
from module_cases import geometry, segmentations

from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io import read_label_map, write_volume
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.scene.segmentation_reading import label_map_of_node
from MgImplantSegLib.scene.volumes import geometry_of_node, volume_of_node


@pytest.fixture
def batch(widget, ui, tiny_model, tmp_path):
    """Two scans, where their results go, and a model."""
    (tmp_path / "scans").mkdir()
    for seed, name in enumerate(("a", "b")):
        grey = np.random.default_rng(seed).integers(0, 255, (12, 14, 16)).astype(np.uint8)
        write_volume(Volume(grey, geometry(grey.shape)), tmp_path / "scans" / f"{name}.nrrd")
    widget.panel.models.add(tiny_model)
    ui.distanceSpinBox.value = 0.06
    person.choose(ui.planesSelector, "1 plane")
    ui.batchFolderEdit.currentPath = str(tmp_path / "scans")
    ui.batchOutputEdit.currentPath = str(tmp_path / "results")
    return tmp_path


def start(widget, ui):
    person.click(ui.batchStartButton)
    person.wait_until(lambda: not widget.panel.batch.isRunning())


def select(ui, *rows):
    person.select_rows(ui.batchTable, *rows)


def folder_item(node):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))


def folder_of(node):
    """The name of the folder of the subject hierarchy in which a node stands."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    return hierarchy.GetItemName(folder_item(node))


def tables():
    return [node for node in slicer.util.getNodesByClass("vtkMRMLTableNode") if "measures" in node.GetName()]


def test_a_finished_scan_is_opened_with_segmentation_and_measures_and_chosen(batch, widget, ui):
    select(ui, 0)
    assert "the results of a" in ui.openBatchButton.toolTip
    start(widget, ui)
    select(ui, 0)
    person.click(ui.openBatchButton)
    volume, segmentation = ui.inputVolumeSelector.currentNode(), ui.measuredSegmentationSelector.currentNode()
    assert volume.GetName() == "a" and segmentation.GetName() == "a segmentation"
    expected = read_label_map(batch / "results" / "a" / "segmentation.seg.nrrd")
    found = label_map_of_node(segmentation)
    assert found.geometry.same_grid(geometry_of_node(volume)) and volume_of_node(volume).array.dtype == np.uint8
    assert (found.array > 0).sum() == (expected.array > 0).sum()
    assert segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()) is volume
    shown = table_node(ui)
    assert shown in tables() and "a segmentation measures" in shown.GetName()
    assert "Opened: a segmentation" in ui.batchStatusLabel.text


def test_several_rows_are_opened_and_none_twice(batch, widget, ui):
    start(widget, ui)
    select(ui, 0, 1)
    person.click(ui.openBatchButton)
    person.click(ui.openBatchButton)
    assert sorted(node.GetName() for node in segmentations()) == ["a segmentation", "b segmentation"]
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert len(volumes) == 2 and len(tables()) == 2
    together = list(zip(volumes, segmentations(), tables(), strict=True))
    assert [folder_of(volume) for volume in volumes] == ["a", "b"]
    assert all(len({folder_item(node) for node in nodes}) == 1 for nodes in together)


def test_a_double_click_opens_the_row(batch, widget, ui):
    from harness.values import unwrap

    start(widget, ui)
    unwrap(ui.batchTable).cellDoubleClicked.emit(1, 0)
    assert ui.measuredSegmentationSelector.currentNode().GetName() == "b segmentation"


def test_results_of_an_earlier_day_are_opened_without_a_start(batch, widget, ui, module):
    start(widget, ui)
    slicer.mrmlScene.Clear(0)
    ui.batchFolderEdit.currentPath = ""
    ui.batchFolderEdit.currentPath = str(batch / "scans")
    select(ui, 1)
    person.click(ui.openBatchButton)
    assert [node.GetName() for node in segmentations()] == ["b segmentation"]


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("results/a/segmentation.seg.nrrd", "Expected the results of a finished scan"),
        ("results/a/measures.json", "Expected the measures in"),
        ("scans/a.nrrd", "Expected the scan"),
    ],
)
def test_a_file_that_is_gone_is_told(batch, widget, ui, lost, message):
    start(widget, ui)
    (batch / lost).unlink()
    select(ui, 0)
    person.click(ui.openBatchButton)
    assert message in ui.batchStatusLabel.text and not segmentations()


def test_the_copied_command_says_where_it_runs(batch, widget, ui):
    from PySide6.QtWidgets import QApplication

    from MgImplantSegLib.jobs.environment import Environment, Kind
    from MgImplantSegLib.jobs.environment_file import save_environment

    save_environment(Environment("cluster", Kind.SLURM, "python3"))
    widget.enter()
    person.choose(ui.runInSelector, "cluster")
    person.click(ui.copyBatchCommandButton)
    assert "--environment cluster" in QApplication.clipboard().text()


@pytest.mark.parametrize("environment", ["local", "slurm through ssh"], indirect=True)
def test_a_batch_runs_in_the_chosen_environment_and_its_results_come_back(environment, batch, widget, ui):
    widget.enter()
    person.choose(ui.runInSelector, environment.name)
    start(widget, ui)
    assert [row[1] for row in person.rows_of(ui.batchTable)] == ["done", "done"], ui.batchStatusLabel.text
    assert (batch / "results" / "batch.csv").is_file()
    if environment.host:
        with Backend(environment) as backend:
            assert any(status.job.startswith("batch-") for status in backend.list())
    select(ui, 0)
    person.click(ui.openBatchButton)
    assert ui.measuredSegmentationSelector.currentNode().GetName() == "a segmentation"
