"""Ranges beside values from the disagreement of the planes; the distance for contact; a folder for each scan."""

import numpy as np
import pytest
import slicer
from harness import person
from measure_cases import add_roi, box_beside, compute, measures, table_node
from module_cases import add_segmentation, add_volume, ball_in_half_bone, segmentations

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.quantification import QuantifyOptions, quantify
from MgImplantSegLib.scene.volumes import array_of_image


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


def edit(node):
    """Take some voxels of the bone beside the implant away, as a brush does; returns what puts them back."""
    segmentation = node.GetSegmentation()
    array = array_of_image(segmentation.GetSegment("bone").GetRepresentation("Binary labelmap"))
    place, value = (slice(32, 35), slice(17, 23), slice(17, 23)), segmentation.GetSegment("bone").GetLabelValue()
    before = array[place].copy()

    def put(values):
        array[place] = values
        segmentation.GetSegment("bone").GetRepresentation("Binary labelmap").Modified()
        segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)
        person.process_events()

    assert (before == value).all()
    put(0)
    return lambda: put(before)


def test_after_an_edit_no_range_stands_beside_a_new_number_and_people_are_told_why(
    uncertain, widget, measurable, no_process
):
    node, _report = uncertain
    before = compute(widget, measurable)
    assert " to " in before["BV/TV", "shell 0–0.06 mm"]["Result"]
    undo = edit(node)
    rows = compute(widget, measurable)
    assert all(" to " not in row["Result"] and row["Low"] == "nan" for row in rows.values())
    assert rows["BV/TV", "shell 0–0.06 mm"]["Value"] != before["BV/TV", "shell 0–0.06 mm"]["Value"]
    assert "No ranges are given: the segmentation was changed" in measurable.measuresStateLabel.text
    undo()
    assert compute(widget, measurable).keys() == before.keys()
    assert measures(measurable)["BV/TV", "shell 0–0.06 mm"]["Result"] == before["BV/TV", "shell 0–0.06 mm"]["Result"]
    assert "No ranges" not in measurable.measuresStateLabel.text


def test_a_script_gets_no_ranges_of_an_edited_segmentation_either(uncertain, module):
    from MgImplantSegSections.work import disagreement

    node, _report = uncertain
    assert disagreement.usableOf(node)[0] is kept(node)
    edit(node)
    assert disagreement.usableOf(node)[0] is None


def test_a_copy_has_the_ranges_of_its_original_and_does_not_take_them_away_when_it_is_deleted(uncertain):
    from MgImplantSegSections.work import disagreement

    node, _report = uncertain
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    copy.Copy(node)
    assert disagreement.usableOf(copy)[0] is kept(node) is not None
    slicer.mrmlScene.RemoveNode(copy)
    assert kept(node) is not None and slicer.mrmlScene.IsNodePresent(kept(node))


def test_what_was_made_from_a_segmentation_has_its_ranges_only_where_the_voxels_are_the_same(uncertain):
    from MgImplantSegSections.work import disagreement

    node, _report = uncertain
    volume, cracked = kept(node), add_segmentation(slicer.mrmlScene, "With cracks", radius=8)
    disagreement.share(node, cracked)
    usable, why = disagreement.usableOf(cracked)
    assert usable is None and "was changed after it was made" in why
    for entry, isLeft in ((node, True), (cracked, False)):
        slicer.mrmlScene.RemoveNode(entry)
        assert bool(slicer.mrmlScene.IsNodePresent(volume)) is isLeft


def test_another_voxel_size_of_scan_and_segmentation_leaves_the_ranges(uncertain, module):
    from MgImplantSegSections.work import disagreement

    node, _report = uncertain
    image = node.GetSegmentation().GetSegment("bone").GetRepresentation("Binary labelmap")
    image.SetSpacing(*[2 * spacing for spacing in image.GetSpacing()])
    image.Modified()
    assert disagreement.usableOf(node)[0] is kept(node)


def test_ranges_of_another_voxel_grid_are_not_given(uncertain, widget, measurable, no_process):
    node, _report = uncertain
    coarse = add_volume(slicer.mrmlScene, (20, 20, 20), spacing_mm=0.04)
    node.SetReferenceImageGeometryParameterFromVolumeNode(coarse)
    rows = compute(widget, measurable)
    assert all(row["Low"] == "nan" for row in rows.values())
    assert "another voxel grid" in measurable.measuresStateLabel.text


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
