"""Measurements: ROIs and edits are live, rows know when they are stale, also in a scene that comes back."""

import numpy as np
import pytest
import slicer
import vtk
from harness import person
from measure_cases import add_roi, box_beside, compute, measures, table_node
from module_cases import add_segmentation

from MgImplantSegLib.scene.volumes import array_of_image


def edit(node, role="residual_material"):
    """Take away a voxel without any event of the segmentation, as undo does; returns what puts it back."""
    image = node.GetSegmentation().GetSegment(role).GetRepresentation("Binary labelmap")
    array = array_of_image(image)
    place = tuple(np.argwhere(array == node.GetSegmentation().GetSegment(role).GetLabelValue())[0])
    before, array[place] = array[place], 0
    image.Modified()

    def undo():
        array[place] = before
        image.Modified()

    return undo


def states(ui):
    return {row["State"] for row in measures(ui).values()}


def move(node, millimetres):
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, millimetres)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())


def test_undo_which_sends_no_event_makes_the_measures_right_again(measurable, widget, no_process):
    compute(widget, measurable)
    undo = edit(measurable.measuredSegmentationSelector.currentNode())
    person.wait_until(lambda: states(measurable) == {"stale"}, 10)
    undo()
    person.wait_until(lambda: states(measurable) == {"current"}, 10)


def test_nothing_is_looked_at_once_a_second_while_another_module_is_open(measurable, widget):
    assert widget.panel.measurements._look.isActive()
    widget.exit()
    assert not widget.panel.measurements._look.isActive()


@pytest.mark.parametrize("change", [edit, lambda node: move(node, 0.02)])
def test_a_change_of_the_screw_before_makes_all_rows_stale(measurable, widget, no_process, change):
    initial = add_segmentation(slicer.mrmlScene, "Before", radius=11)
    person.choose(measurable.initialKindSelector, "Segmentation")
    measurable.initialSegmentationSelector.setCurrentNode(initial)
    compute(widget, measurable)
    assert states(measurable) == {"current"}
    change(initial)
    person.wait_until(lambda: states(measurable) == {"stale"}, 10)


def test_moving_a_roi_marks_its_rows_stale_and_moving_it_back_makes_them_current(measurable, widget, no_process):
    roi = add_roi(measurable, box_beside((0.1, 0, 0.2)))
    compute(widget, measurable)
    centre = list(roi.GetCenter())
    roi.SetCenter(centre[0] + 0.05, centre[1], centre[2])
    person.process_events()
    rows = measures(measurable)
    assert rows["BV/TV", "ROI A"]["State"] == "stale"
    assert next(row["State"] for (symbol, _), row in rows.items() if symbol == "BIC") == "current"
    assert "stale" in measurable.measuresStateLabel.text
    roi.SetCenter(*centre)
    person.process_events()
    assert measures(measurable)["BV/TV", "ROI A"]["State"] == "current"


def test_editing_the_segmentation_or_an_option_marks_all_rows_stale(measurable, widget, no_process):
    compute(widget, measurable)
    measurable.daysSpinBox.value = 10
    assert {row["State"] for row in measures(measurable).values()} == {"stale"}
    compute(widget, measurable)
    node = measurable.measuredSegmentationSelector.currentNode()
    edit(node)
    node.GetSegmentation().InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)
    person.process_events()
    assert {row["State"] for row in measures(measurable).values()} == {"stale"}


def test_auto_computes_again_after_a_roi_has_moved(measurable, widget, no_process):
    roi = add_roi(measurable, box_beside((0.1, 0, 0.2)))
    before = compute(widget, measurable)["BV/TV", "ROI A"]["Value"]
    person.click(measurable.autoComputeCheckBox)
    roi.SetCenter(roi.GetCenter()[0], roi.GetCenter()[1], roi.GetCenter()[2] - 0.2)
    person.wait_until(lambda: measures(measurable)["BV/TV", "ROI A"]["Value"] != before)
    assert {row["State"] for row in measures(measurable).values()} == {"current"}


def test_a_table_that_comes_back_with_its_scene_is_current_although_it_was_edited_before(
    measurable, widget, no_process, tmp_path
):
    from scene_files import add_scene, save_scene

    node = measurable.measuredSegmentationSelector.currentNode()
    node.GetSegmentation().InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)
    compute(widget, measurable)
    bundle = save_scene(slicer.mrmlScene, tmp_path / "scene.mrb")
    slicer.mrmlScene.Clear(0)
    add_scene(slicer.mrmlScene, bundle)
    person.process_events()
    assert table_node(measurable) is not None
    assert {row["State"] for row in measures(measurable).values()} == {"current"}, measurable.measuresStateLabel.text


def test_provenance_and_measures_survive_saving_and_loading_the_scene(measurable, widget, no_process, tmp_path):
    from MgImplantSegSections.work.measuresReport import reportOfTable
    from scene_files import add_scene, save_scene

    from MgImplantSegLib.scene.nodes import provenance_of_node, set_provenance
    from MgImplantSegLib.scene.standalone import StandaloneScene

    node = measurable.measuredSegmentationSelector.currentNode()
    set_provenance(node, {"model": "tiny", "options": {"planes": "9"}})
    compute(widget, measurable)
    value = reportOfTable(table_node(measurable)).value("V_r")
    bundle = save_scene(slicer.mrmlScene, tmp_path / "scene.mrb")
    with StandaloneScene() as other:
        add_scene(other.scene, bundle)
        loaded = other.scene.GetFirstNodeByName(node.GetName())
        assert provenance_of_node(loaded) == {"model": "tiny", "options": {"planes": "9"}}
        count = other.scene.GetNumberOfNodesByClass("vtkMRMLTableNode")
        tables = [other.scene.GetNthNodeByClass(index, "vtkMRMLTableNode") for index in range(count)]
        report = next(filter(None, map(reportOfTable, tables)))
        assert report.value("V_r") == pytest.approx(value)


def test_cancel_while_computing_leaves_nothing(measurable, widget):
    import pathlib

    person.click(measurable.computeButton)
    person.wait_until(lambda: measurable.computeButton.text == "Cancel")
    person.click(measurable.computeButton)
    person.wait_until(lambda: not widget.panel.measurements.isRunning())
    assert "Cancelled" in measurable.measuresStateLabel.text
    assert not list(pathlib.Path(slicer.app.temporaryPath).glob("MgImplantSeg-*"))
