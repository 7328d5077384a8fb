"""Align… puts the screw before implantation onto the explant by a transform node, which Undo takes off again."""

import numpy as np
import pytest
import slicer
from harness import person
from measure_cases import compute
from module_cases import left_behind
from scipy.spatial.transform import Rotation

from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.scene.frames import LPS_TO_RAS, local_to_world_ras, vtk_matrix
from MgImplantSegLib.scene.segmentation_reading import label_map_of_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node

SPACING_MM = 0.05
SHAPE = (34, 30, 32)


def screw(core=0):
    """A rod with a flat head at one end, which fits onto itself in one way but for half a turn about its axis."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    left, up = abs(x - 15.5), abs(y - 14.5)
    rod = (np.hypot(left, up) <= 4 - core) & (z >= 4 + core) & (z < 28 - core)
    head = (left <= 8 - core) & (up <= 5 - core) & (z >= 22 + core) & (z < 28 - core)
    return rod | head


def lost():
    """A rotation and a shift, LPS."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec((0.3, -0.5, 0.9)).as_matrix()
    matrix[:3, 3] = 3.0, -2.0, 1.0
    return matrix


def grid(matrix=None):
    direction = np.eye(3) if matrix is None else matrix[:3, :3]
    origin = (0, 0, 0) if matrix is None else matrix[:3, 3]
    return Geometry(SHAPE, (SPACING_MM,) * 3, tuple(origin), tuple(np.ravel(direction)))


@pytest.fixture
def screws(widget, ui):
    """Explant and screw before implantation, which lies elsewhere; both are chosen."""
    explant = np.where(screw(), 2, 0).astype(np.uint8)
    explant[screw(core=1)] = 3
    explant[29:] = 1
    before = np.where(screw(), 3, 0).astype(np.uint8)
    explant_node = add_segmentation_node(slicer.mrmlScene, LabelMap(explant, grid()), "Explant")
    before_node = add_segmentation_node(slicer.mrmlScene, LabelMap(before, grid(lost())), "Before")
    ui.measuredSegmentationSelector.setCurrentNode(explant_node)
    person.choose(ui.initialKindSelector, "Segmentation")
    ui.initialSegmentationSelector.setCurrentNode(before_node)
    ui.distanceSpinBox.value = 0.06
    return explant_node, before_node


def align(widget, ui):
    person.click(ui.alignButton)
    person.wait_until(lambda: not widget.panel.alignment.isRunning())
    return widget.panel.alignment.initial().GetParentTransformNode()


def overlap(node):
    """Dice of the screw as it lies in the world with the explant, on the explant's grid."""
    found = label_map_of_node(node, {"residual_material": Role.RESIDUAL_MATERIAL})
    points = found.geometry.lps_from_index_zyx(np.argwhere(found.array > 0))
    index = np.round(grid().index_zyx_from_lps(points)).astype(int)
    inside = ((index >= 0) & (index < SHAPE)).all(axis=1)
    return screw()[tuple(index[inside].T)].sum() / len(points)


def test_the_initial_segmentation_is_moved_onto_the_explant_by_a_transform_in_the_scene(screws, widget, ui):
    _explant, before = screws
    assert overlap(before) < 0.2
    transform = align(widget, ui)
    assert transform.IsA("vtkMRMLLinearTransformNode") and transform.GetName() == "Before alignment"
    assert overlap(before) > 0.93
    assert "Dice" in ui.alignmentLabel.text and "% of the residual material lies inside" in ui.alignmentLabel.text
    matrix = local_to_world_ras(before)[:3, :3]
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-6)
    assert before.GetDisplayNode().GetVisibility() and not left_behind()


def test_undo_takes_the_transform_off_and_out_of_the_scene(screws, widget, ui):
    _explant, before = screws
    align(widget, ui)
    person.click(ui.undoAlignmentButton)
    assert before.GetParentTransformNode() is None and ui.alignmentLabel.text == ""
    assert slicer.util.getNodesByClass("vtkMRMLLinearTransformNode") == []
    assert "aligned initial implant" in ui.undoAlignmentButton.toolTip


@pytest.mark.parametrize("shown", [False, True])
def test_undo_leaves_the_initial_implant_shown_or_hidden_as_it_was_before_the_first_alignment(
    screws, widget, ui, shown
):
    _explant, before = screws
    before.GetDisplayNode().SetVisibility(shown)
    marks = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Notes on it")
    align(widget, ui)
    marks.SetAndObserveTransformNodeID(align(widget, ui).GetID())
    assert before.GetDisplayNode().GetVisibility()
    person.click(ui.undoAlignmentButton)
    assert bool(before.GetDisplayNode().GetVisibility()) is shown
    assert marks.GetParentTransformNode() is None and before.GetNodeReference("MgImplantSeg.Alignment") is None
    assert (ui.initialSegmentationSelector.currentNode(), ui.initialKindSelector.currentText) == (
        before,
        "Segmentation",
    )


def test_undo_makes_measures_current_again_that_were_computed_before_the_alignment(screws, widget, ui, no_process):
    compute(widget, ui)
    align(widget, ui)
    assert "stale" in ui.measuresStateLabel.text
    person.click(ui.undoAlignmentButton)
    assert "up to date" in ui.measuresStateLabel.text


def test_measures_become_stale_and_use_the_transform(screws, widget, ui):
    lying_apart = compute(widget, ui)
    align(widget, ui)
    assert "stale" in ui.measuresStateLabel.text
    aligned = compute(widget, ui)
    assert _loss(lying_apart) != _loss(aligned)
    person.click(ui.undoAlignmentButton)
    assert "stale" in ui.measuresStateLabel.text


def _loss(rows):
    return {key: row["Value"] for key, row in rows.items() if key[0] in ("V_i", "VL", "DR")}


def test_transforms_that_were_there_stay_below_which_the_alignment_goes(screws, widget, ui):
    _explant, before = screws
    above = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Table")
    turn = np.eye(4)
    turn[:3, :3], turn[:3, 3] = Rotation.from_rotvec((0, 0, 1.2)).as_matrix(), (5, 6, 7)
    above.SetMatrixTransformToParent(vtk_matrix(turn))
    before.SetAndObserveTransformNodeID(above.GetID())
    transform = align(widget, ui)
    assert transform.GetParentTransformNode() is above and overlap(before) > 0.93
    person.click(ui.undoAlignmentButton)
    assert before.GetParentTransformNode() is above
    np.testing.assert_allclose(local_to_world_ras(before), turn)


def test_aligning_again_changes_the_one_transform(screws, widget, ui):
    _explant, before = screws
    first = align(widget, ui)
    moved = np.eye(4)
    moved[:3, 3] = 0.3, 0.2, -0.2
    first.SetMatrixTransformToParent(vtk_matrix(moved @ local_to_world_ras(before)))
    assert align(widget, ui) is first and overlap(before) > 0.93
    assert len(slicer.util.getNodesByClass("vtkMRMLLinearTransformNode")) == 1


def test_a_surface_model_is_aligned_too(widget, ui):
    from vtk import vtkCubeSource

    bar = np.zeros(SHAPE, np.uint8)
    bar[4:28, 10:20, 8:24] = 3
    ui.measuredSegmentationSelector.setCurrentNode(
        add_segmentation_node(slicer.mrmlScene, LabelMap(bar, grid()), "Bar")
    )
    source = vtkCubeSource()
    source.SetXLength(0.8), source.SetYLength(0.5), source.SetZLength(1.2)
    source.SetCenter(9.0, 3.0, 0.0)
    source.Update()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "CAD")
    model.SetAndObservePolyData(source.GetOutput())
    person.choose(ui.initialKindSelector, "Surface model")
    ui.initialModelSelector.setCurrentNode(model)
    align(widget, ui)
    centre = (local_to_world_ras(model) @ (9.0, 3.0, 0.0, 1))[:3]
    expected = LPS_TO_RAS[:3, :3] @ (15.5 * SPACING_MM, 14.5 * SPACING_MM, 15.5 * SPACING_MM)
    assert np.abs(centre - expected).max() < 0.05
    assert "Dice) 0.9" in ui.alignmentLabel.text or "Dice) 1.0" in ui.alignmentLabel.text


def test_a_transform_taken_off_by_hand_counts_as_no_alignment(screws, widget, ui):
    _explant, before = screws
    align(widget, ui)
    before.SetAndObserveTransformNodeID(None)
    widget.panel.workbench.changed()
    assert ui.alignmentLabel.text == "" and not ui.undoAlignmentButton.enabled


def test_what_is_missing_is_told_by_the_tooltip(widget, ui):
    assert "a segmentation of the explant" in ui.alignButton.toolTip
    assert "an initial segmentation or model" in ui.alignButton.toolTip


def test_a_segmentation_is_not_aligned_to_itself(screws, widget, ui):
    explant, _before = screws
    ui.initialSegmentationSelector.setCurrentNode(explant)
    assert "not the explant itself" in ui.alignButton.toolTip


def test_an_explant_without_implant_is_told(screws, widget, ui):
    explant, _before = screws
    for name in ("degradation_layer", "residual_material"):
        explant.GetSegmentation().RemoveSegment(name)
    align(widget, ui)
    assert "Expected an implant to register to" in ui.alignmentLabel.text


def test_cancel_moves_nothing(screws, widget, ui, slow_engine):
    _explant, before = screws
    slow_engine()
    person.click(ui.alignButton)
    person.wait_until(lambda: "plane 1/3" in ui.alignmentLabel.text)
    assert ui.alignButton.text == "Cancel"
    person.click(ui.alignButton)
    person.wait_until(lambda: not widget.panel.alignment.isRunning())
    assert before.GetParentTransformNode() is None and "nothing was moved" in ui.alignmentLabel.text
    assert ui.alignButton.text == "Align…" and not left_behind()


@pytest.mark.parametrize("which", [0, 1])
def test_a_segmentation_that_leaves_the_scene_ends_the_alignment(screws, widget, ui, slow_engine, which):
    slow_engine()
    person.click(ui.alignButton)
    person.wait_until(lambda: "plane 1/3" in ui.alignmentLabel.text)
    slicer.mrmlScene.RemoveNode(screws[which])
    person.wait_until(lambda: not widget.panel.alignment.isRunning())
    assert slicer.util.getNodesByClass("vtkMRMLLinearTransformNode") == [] and not left_behind()


def test_a_script_aligns_by_one_call(screws, module):
    explant, before = screws
    transform = module.MgImplantSegLogic().align(explant, before)
    assert before.GetParentTransformNode() is transform and overlap(before) > 0.93
