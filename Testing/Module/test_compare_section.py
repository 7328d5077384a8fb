"""Comparing: overlap and deviations are the engine's."""

import pytest
import slicer
from harness import person
from module_cases import add_segmentation, ball_in_half_bone
from test_initial_model import add_sphere

from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.scene.segmentations import add_segmentation_node


def compare(widget, ui, *others):
    for node in others:
        ui.othersSelector.setCheckState(node, 2)
    person.click(ui.compareButton)
    person.wait_until(lambda: not widget.panel.compare.isRunning())
    table = ui.compareTableView.mrmlTableNode()
    assert table is not None, ui.compareStatusLabel.text
    names = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    return [dict(zip(names, column, strict=True)) for column in zip(*person.rows_of(ui.compareTableView), strict=True)]


def test_the_tooltip_says_what_is_missing(widget, ui):
    assert not ui.compareButton.enabled
    assert "a reference" in ui.compareButton.toolTip and "another segmentation" in ui.compareButton.toolTip


def test_a_smaller_implant_is_compared_with_the_reference(widget, ui, no_process):
    reference, other = add_segmentation(slicer.mrmlScene, "Truth"), add_segmentation(slicer.mrmlScene, "Mine", radius=8)
    ui.referenceSegmentationSelector.setCurrentNode(reference)
    ui.distanceSpinBox.value = 0.06
    first, second = compare(widget, ui, other)
    truth = evaluate(ball_in_half_bone(radius=8), ball_in_half_bone()).to_dict()
    assert first["Segmentation"] == "Truth" and first["Mean IoU"] == ""
    assert float(second["Mean IoU"]) == pytest.approx(truth["mean_iou"], rel=1e-3)
    assert float(second["IoU RM"]) == pytest.approx(truth["classes"]["residual_material"]["iou"], rel=1e-3)
    column = next(name for name in second if name.startswith("BIC ["))
    deviation = 100 * (float(second[column]) / float(first[column]) - 1)
    assert float(second["BIC deviation [%]"]) == pytest.approx(deviation, abs=0.1)


def test_every_measure_is_seen_at_once_whatever_the_panel_is_wide(widget, ui, no_process):
    reference, other = add_segmentation(slicer.mrmlScene, "Truth"), add_segmentation(slicer.mrmlScene, "Mine", radius=8)
    ui.referenceSegmentationSelector.setCurrentNode(reference)
    ui.distanceSpinBox.value = 0.06
    dock = person.Dock(widget, 407, 485)
    try:
        ui.compareSection.collapsed = False
        compare(widget, ui, other)
        person.process_events()
        view = ui.compareTableView
        assert view.horizontalHeader().length() <= view.viewport().width
        assert view.verticalHeader().visible and not view.horizontalHeader().visible
        assert view.verticalHeader().length() <= view.viewport().height
    finally:
        dock.close()


def test_segmentations_on_different_grids_are_refused(widget, ui, no_process):
    reference = add_segmentation(slicer.mrmlScene, "Truth")
    other = add_segmentation_node(slicer.mrmlScene, ball_in_half_bone(size=36), "Other scan")
    ui.referenceSegmentationSelector.setCurrentNode(reference)
    ui.othersSelector.setCheckState(other, 2)
    person.click(ui.compareButton)
    person.wait_until(lambda: not widget.panel.compare.isRunning())
    assert "one grid" in ui.compareStatusLabel.text
    assert ui.compareTableView.mrmlTableNode() is None


def test_comparing_again_fills_the_same_table_and_another_reference_has_its_own(widget, ui, no_process):
    first, second = add_segmentation(slicer.mrmlScene, "Truth"), add_segmentation(slicer.mrmlScene, "Mine", radius=8)
    ui.referenceSegmentationSelector.setCurrentNode(first)
    ui.distanceSpinBox.value = 0.06
    for _twice in range(2):
        compare(widget, ui, second)
    assert tables() == ["Comparison with Truth"]
    ui.referenceSegmentationSelector.setCurrentNode(second)
    compare(widget, ui, first)
    assert tables() == ["Comparison with Mine", "Comparison with Truth"]


def tables():
    return sorted(node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLTableNode"))


def test_a_surface_model_may_be_the_screw_before_in_a_comparison(widget, ui, no_process):
    first, second = add_segmentation(slicer.mrmlScene, "Truth"), add_segmentation(slicer.mrmlScene, "Mine", radius=8)
    add_sphere(ui)
    ui.referenceSegmentationSelector.setCurrentNode(first)
    ui.distanceSpinBox.value = 0.06
    rows = compare(widget, ui, second)
    (rate,) = [name for name in rows[0] if name.startswith("DR [")]
    assert float(rows[1][rate]) > float(rows[0][rate]) > 0  # less is left of it


def test_measures_without_a_voxel_size_say_where_the_panel_has_it(widget, ui, no_process):
    labels = ball_in_half_bone()
    grid = Geometry(labels.array.shape, (1.0,) * 3)
    node = add_segmentation_node(slicer.mrmlScene, LabelMap(labels.array, grid), "Painted")
    widget.enter()
    ui.measuredSegmentationSelector.setCurrentNode(node)
    ui.distanceSpinBox.value = 6
    person.click(ui.computeButton)
    person.wait_until(lambda: not widget.panel.measurements.isRunning())
    text = ui.measuresStateLabel.text
    assert "(Voxel size)" in text and "--" not in text and "voxel size" in text
