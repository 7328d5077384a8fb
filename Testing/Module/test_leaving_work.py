"""Measuring, comparing, surfaces and batch: nothing is left behind, however one leaves them while they run."""

import pytest
import slicer
from harness import person
from module_cases import add_segmentation, add_volume, left_behind
from slow_engine import WAYS_TO_LEAVE, leave_by, wait_for_the_end_of

from MgImplantSegLib.io import write_volume
from MgImplantSegLib.scene.volumes import volume_of_node


def measure(widget, ui, _monkeypatch, _tmp_path):
    person.click(ui.computeButton)
    return widget.panel.measurements


def compare(widget, ui, _monkeypatch, _tmp_path):
    (node,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    ui.referenceSegmentationSelector.setCurrentNode(node)
    ui.othersSelector.setCheckState(add_segmentation(slicer.mrmlScene, "Other"), 2)
    person.click(ui.compareButton)
    return widget.panel.compare


def show_3d(widget, ui, monkeypatch, _tmp_path):
    from MgImplantSegSections.work import surfaceWork

    monkeypatch.setattr(surfaceWork, "SMALL_VOXELS", 10)
    person.click(ui.show3DButton)
    return widget.panel.display3D


def batch(widget, ui, _monkeypatch, tmp_path):
    (tmp_path / "scans").mkdir()
    write_volume(volume_of_node(add_volume(slicer.mrmlScene)), tmp_path / "scans" / "a.nrrd")
    ui.batchFolderEdit.currentPath, ui.batchOutputEdit.currentPath = str(tmp_path / "scans"), str(tmp_path / "results")
    person.click(ui.batchStartButton)
    return widget.panel.batch


@pytest.mark.parametrize("leave", WAYS_TO_LEAVE)
@pytest.mark.parametrize("work", [measure, compare, show_3d, batch], ids=lambda work: work.__name__)
def test_leaving_while_it_runs_leaves_no_process_and_no_file(
    work, leave, widget, measurable, slow_engine, tiny_model, monkeypatch, tmp_path
):
    if work is batch and leave in ("close the scene", "delete the node"):
        pytest.skip("batch works on files and goes on")
    widget.panel.models.add(tiny_model)
    (node,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    pids = slow_engine()
    section = work(widget, measurable, monkeypatch, tmp_path)
    person.wait_until(lambda: has_begun(pids))
    leave_by(leave, widget, node)
    person.wait_until(lambda: not section.isRunning())
    wait_for_the_end_of(pids())
    assert not left_behind() and not slicer.util.getNodesByClass("vtkMRMLTableNode")


def has_begun(pids):
    try:
        return len(pids()) == 2
    except FileNotFoundError:
        return False
