"""Ranges beside values from the disagreement of the planes; the distance for contact; a folder for each scan."""

import numpy as np
import pytest
import slicer
from harness import person
from measure_cases import add_roi, box_beside, compute, table_node
from module_cases import add_volume, ball_in_half_bone, segmentations

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.quantification import QuantifyOptions, quantify


def segment(ui, widget, planes):
    person.choose(ui.planesSelector, planes)
    person.click(ui.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    return segmentations()[-1]


def kept(node):
    from MgImplantSegSections.work import disagreement

    return disagreement.nodeOf(node)


@pytest.fixture
def uncertain(measurable):
    """The ball in bone with planes that disagree on one third of it, in a stripe; and what the engine says of that."""
    from MgImplantSegSections.work import disagreement

    labels = ball_in_half_bone()
    parts = np.zeros(labels.array.shape, np.float32)
    parts[:, 18:24] = 1 / 3
    node = measurable.measuredSegmentationSelector.currentNode()
    disagreement.keep(node, np.round(disagreement.LEVELS * parts).astype(np.uint8), labels.geometry)
    options = QuantifyOptions(distance_mm=0.06, disagreement=Volume(parts, labels.geometry))
    return node, quantify(labels, options, Events())


def numbers(row):
    return [float(row[name]) for name in ("Value", "Low", "High")]


def test_the_range_of_each_measure_is_that_of_the_engine(uncertain, widget, measurable):
    _node, report = uncertain
    rows = compute(widget, measurable)
    ranged = [measure for measure in report.measures if np.isfinite(measure.low)]
    assert {measure.symbol for measure in ranged} >= {"V_r", "BIC", "BV/TV"}
    for measure in ranged:
        assert numbers(rows[measure.symbol, measure.region]) == pytest.approx(
            [measure.value, measure.low, measure.high]
        )
        assert " to " in rows[measure.symbol, measure.region]["Result"]


def test_without_ranges_there_are_none_and_the_rows_become_stale(uncertain, widget, measurable, no_process):
    compute(widget, measurable)
    measurable.rangesCheckBox.checked = False
    person.process_events()
    assert "stale" in measurable.measuresStateLabel.text
    rows = compute(widget, measurable)
    assert all(" to " not in row["Result"] for row in rows.values())


def test_several_planes_leave_their_disagreement_with_the_result_and_one_plane_none(ready, widget):
    node = segment(ready, widget, "3 planes")
    volume = kept(node)
    values = np.unique(slicer.util.arrayFromVolume(volume))
    assert set(values) <= {0, 84, 168, 252} and volume.GetHideFromEditors()
    assert volume.GetName() not in person.texts_of(ready.inputVolumeSelector)
    ready.outputSegmentationSelector.setCurrentNode(node)
    assert segment(ready, widget, "1 plane") is node
    assert kept(node) is None and len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 1


def test_nothing_is_kept_where_ranges_are_not_wanted(ready, widget):
    ready.rangesCheckBox.checked = False
    assert kept(segment(ready, widget, "3 planes")) is None


def test_the_disagreement_goes_with_its_segmentation(uncertain):
    node, _report = uncertain
    slicer.mrmlScene.RemoveNode(node)
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []


def test_the_disagreement_moves_with_its_segmentation(uncertain, widget, measurable, no_process):
    from MgImplantSegLib.scene.frames import vtk_matrix

    node, _report = uncertain
    before = compute(widget, measurable)
    moved = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    moved.SetMatrixTransformToParent(vtk_matrix([[1, 0, 0, 50], [0, 1, 0, 60], [0, 0, 1, 70], [0, 0, 0, 1]]))
    node.SetAndObserveTransformNodeID(moved.GetID())
    after = compute(widget, measurable)
    for key in [key for key, row in before.items() if row["Low"] not in ("", "nan")]:
        assert numbers(after[key]) == pytest.approx(numbers(before[key]), rel=1e-6)


def test_a_batch_asks_for_ranges_too(widget, ui):
    assert "--ranges" in widget.panel.batch.arguments()
    ui.rangesCheckBox.checked = False
    assert "--ranges" not in widget.panel.batch.arguments()


def test_the_distance_of_contact_by_distance_is_chosen_in_the_panel(measurable, widget, no_process):
    measurable.methodsGroup.collapsed = False
    assert not measurable.contactDistanceSpinBox.enabled
    person.choose(measurable.contactSelector, "distance")
    assert measurable.contactDistanceSpinBox.enabled
    measurable.contactDistanceSpinBox.value = 0.045
    found = compute(widget, measurable)["BIC", "implant"]
    options = QuantifyOptions(distance_mm=0.06, contact="distance", contact_distance_mm=0.045)
    assert float(found["Value"]) == pytest.approx(quantify(ball_in_half_bone(), options, Events()).find("BIC").value)
    assert "0.045" in found["Method"]


def folder_of(node):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    return "" if item == hierarchy.GetSceneItemID() else hierarchy.GetItemName(item)


def test_a_scan_gets_a_folder_for_all_that_belongs_to_it(ready, widget, no_process):
    other = add_volume(slicer.mrmlScene, name="Other")
    node = segment(ready, widget, "1 plane")
    roi = add_roi(ready, box_beside())
    ready.distanceSpinBox.value = 0.06
    compute(widget, ready)
    table = table_node(ready)
    scan = ready.inputVolumeSelector.currentNode()
    assert [folder_of(entry) for entry in (scan, node, table, roi)] == [scan.GetName()] * 4
    assert folder_of(other) == ""
    second = segment(ready, widget, "1 plane")
    assert folder_of(second) == scan.GetName()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    first, again = (hierarchy.GetItemParent(hierarchy.GetItemByDataNode(entry)) for entry in (node, second))
    assert first == again


def test_a_scan_that_stands_in_a_folder_stays_there(ready, widget):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Week 8")
    scan = ready.inputVolumeSelector.currentNode()
    item = hierarchy.GetItemByDataNode(scan) or hierarchy.CreateItem(study, scan)
    hierarchy.SetItemParent(item, study)
    assert folder_of(segment(ready, widget, "1 plane")) == "Week 8" == folder_of(scan)
