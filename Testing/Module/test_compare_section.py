"""Section 5: overlap and deviations are the engine's."""

import pytest
import slicer
from harness import person
from module_cases import add_segmentation, ball_in_half_bone

from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.scene.segmentations import add_segmentation_node


def compare(widget, ui, *others):
    for node in others:
        ui.othersSelector.setCheckState(node, 2)
    person.click(ui.compareButton)
    person.wait_until(lambda: not widget.panel.compare.isRunning())
    table = ui.compareTableView.mrmlTableNode()
    assert table is not None, ui.compareStatusLabel.text
    names = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    return [dict(zip(names, row, strict=True)) for row in person.rows_of(ui.compareTableView)]


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


def test_segmentations_on_different_grids_are_refused(widget, ui, no_process):
    reference = add_segmentation(slicer.mrmlScene, "Truth")
    other = add_segmentation_node(slicer.mrmlScene, ball_in_half_bone(size=36), "Other scan")
    ui.referenceSegmentationSelector.setCurrentNode(reference)
    ui.othersSelector.setCheckState(other, 2)
    person.click(ui.compareButton)
    person.wait_until(lambda: not widget.panel.compare.isRunning())
    assert "one grid" in ui.compareStatusLabel.text
    assert ui.compareTableView.mrmlTableNode() is None
