"""Teaching: suggested slices are shown, done ones are kept, a model is taught and the scan segmented again."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from harness import person
from harness.application import ScriptedWidgetRepresentation
from module_cases import add_segmentation, ball_in_half_bone, geometry, left_behind, segmentations
from slow_engine import wait_for_the_end_of

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.scene.frames import vtk_matrix
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.volumes import add_volume_node, array_of_image, geometry_of_node
from MgImplantSegLib.training.teach.slices import SliceName

SIZE = 40
TENTH_OF_A_MINUTE = 0.1


@pytest.fixture
def views(slicer_app):
    """Three slice views as Slicer has them at the start: axial, sagittal, coronal."""
    columns = {
        "Red": ((-1, 0, 0), (0, 1, 0), (0, 0, 1)),
        "Yellow": ((0, -1, 0), (0, 0, 1), (1, 0, 0)),
        "Green": ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    }
    found = {}
    for name, directions in columns.items():
        node = slicer.vtkMRMLSliceNode()
        node.SetSingletonTag(name)
        node.SetLayoutName(name)
        found[name] = slicer.mrmlScene.AddNode(node)
        for column, direction in enumerate(directions):
            for row in range(3):
                found[name].GetSliceToRAS().SetElement(row, column, direction[row])
        found[name].UpdateMatrices()
    return found


@pytest.fixture
def editor(widget, monkeypatch):
    """What the Segment Editor was told; the harness has no main window and no such module."""
    seen = SimpleNamespace(module=None, segmentation=None, volume=None)
    inner = SimpleNamespace(
        setSegmentationNode=lambda node: setattr(seen, "segmentation", node),
        setSourceVolumeNode=lambda node: setattr(seen, "volume", node),
    )
    representation = ScriptedWidgetRepresentation(SimpleNamespace(editor=inner))
    module = SimpleNamespace(name="SegmentEditor", widgetRepresentation=lambda: representation)
    slicer.modules.segmenteditor = module  # the object is this test's own
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: setattr(seen, "module", name))
    return seen


def add_explant(with_labels=True, name="Scan"):
    """A scan in which each class has grey values of its own, and its labels."""
    labels = ball_in_half_bone(SIZE)
    noise = np.random.default_rng(0).integers(0, 20, labels.array.shape)
    scan = add_volume_node(
        slicer.mrmlScene, Volume((labels.array * 60 + noise).astype(np.uint8), labels.geometry), name
    )
    node = add_segmentation_node(slicer.mrmlScene, labels, "Labels", scan) if with_labels else None
    return scan, node


@pytest.fixture
def teachable(widget, ui, tiny_model, views):
    """A panel with a model, a scan and its labels."""
    widget.panel.models.add(tiny_model)
    add_explant()
    widget.enter()
    return ui


def wait(widget):
    person.wait_until(lambda: not widget.panel.teach.isRunning())


def texts(ui):
    return [ui.teachSlicesList.item(row).text() for row in range(ui.teachSlicesList.count)]


def ras_to_index_zyx(grid, node):
    """Index on the grid of the centre of a view."""
    matrix = node.GetSliceToRAS()
    right, ahead, up = (matrix.GetElement(row, 3) for row in range(3))
    return grid.index_zyx_from_lps(np.array([-right, -ahead, up]))


def normal_lps(node):
    matrix = node.GetSliceToRAS()
    column = np.array([matrix.GetElement(row, 2) for row in range(3)])
    return column / np.linalg.norm(column) * (-1, -1, 1)


@pytest.mark.parametrize("name", [SliceName(0, 3), SliceName(1, 30), SliceName(2, 17)], ids=str)
def test_a_slice_of_an_oblique_scan_is_shown_by_a_view_that_lies_in_it(widget, views, name):
    from MgImplantSegSections.work import teachSlices

    scan, _labels = add_explant(with_labels=False)
    view = views[teachSlices.showSlice(scan, name)]
    grid = geometry((SIZE,) * 3)
    assert ras_to_index_zyx(grid, view)[name.axis] == pytest.approx(name.index)
    axis = grid.direction_matrix[:, 2 - name.axis]
    assert abs(normal_lps(view) @ axis) == pytest.approx(1)


def test_the_three_axes_have_three_views_and_turning_keeps_what_is_right_and_up(widget, views):
    from MgImplantSegSections.work import teachSlices

    scan, _labels = add_explant(with_labels=False)
    before = {name: teachSlices._directions(node) for name, node in views.items()}
    shown = [teachSlices.showSlice(scan, SliceName(axis, 5)) for axis in range(3)]
    assert sorted(shown) == ["Green", "Red", "Yellow"] and shown[0] == "Red"
    for name, node in views.items():
        after = teachSlices._directions(node)
        assert (np.sum(before[name] * after, axis=1) > 0.5).all()
        assert np.linalg.det(after) == pytest.approx(np.linalg.det(before[name]))


def test_a_slice_is_found_where_a_transform_has_moved_the_scan(widget, views):
    from MgImplantSegSections.work import teachSlices

    scan, _labels = add_explant(with_labels=False)
    moved = np.array([[0, -1, 0, 4], [1, 0, 0, 5], [0, 0, 1, 6], [0, 0, 0, 1.0]])
    turn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    turn.SetMatrixTransformToParent(vtk_matrix(moved))
    scan.SetAndObserveTransformNodeID(turn.GetID())
    name = SliceName(2, 11)
    view = views[teachSlices.showSlice(scan, name)]
    assert ras_to_index_zyx(geometry_of_node(scan), view)[2] == pytest.approx(11)
    assert teachSlices.shownSlice(scan, view.GetLayoutName()) == name


def test_a_view_across_the_voxels_names_no_slice(widget, views):
    from MgImplantSegSections.work import teachSlices

    scan, _labels = add_explant(with_labels=False)
    with pytest.raises(InputError, match="rotated relative to"):
        teachSlices.shownSlice(scan, "Yellow")


def test_the_tooltip_of_teach_lists_all_that_is_missing(widget, ui):
    assert not ui.teachButton.enabled and "a volume" in ui.teachButton.toolTip
    assert not ui.startTeachingButton.enabled and not ui.suggestButton.enabled


def test_start_teaching_opens_the_segment_editor_on_the_last_segmentation_of_the_scan(teachable, widget, editor):
    labels = segmentations()[-1]
    add_segmentation(slicer.mrmlScene, "Of another scan")
    person.click(teachable.startTeachingButton)
    assert editor.module == "SegmentEditor" and editor.segmentation is labels
    assert editor.volume is teachable.inputVolumeSelector.currentNode()
    assert teachable.teachSegmentationSelector.currentNode() is labels


def test_start_teaching_makes_empty_segments_to_paint_in_where_there_is_no_segmentation(widget, ui, editor):
    add_explant(with_labels=False)
    widget.enter()
    person.click(ui.startTeachingButton)
    segmentation = editor.segmentation.GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert names == ["bone", "degradation layer", "residual material"]
    assert not ui.teachButton.enabled and "a slice that is done" in ui.teachButton.toolTip


def test_without_a_main_window_it_is_said_where_to_paint(teachable):
    person.click(teachable.startTeachingButton)
    assert "Segment Editor" in teachable.teachStatusLabel.text


def test_done_slices_are_kept_on_the_segmentation_and_said_in_words(teachable, widget, views):
    from MgImplantSegSections.work import teachSlices

    labels = segmentations()[-1]
    for name in (SliceName(0, 2), SliceName(1, 20)):
        teachSlices.showSlice(teachable.inputVolumeSelector.currentNode(), name)
        view = "Red" if name.axis == 0 else "Green"
        if teachSlices.shownSlice(teachable.inputVolumeSelector.currentNode(), view) != name:
            view = "Yellow"
        person.choose(teachable.teachViewSelector, view)
        person.click(teachable.addShownSliceButton)
    assert labels.GetAttribute("MgImplantSeg.DoneSlices") == "z:2,y:20"
    text = teachable.teachLabelledLabel.text
    assert "2 slices are done, 2 orientations" in text and "bone, degradation layer, residual material" in text
    teachable.teachSlicesList.setCurrentRow(1)
    person.click(teachable.sliceDoneButton)
    assert labels.GetAttribute("MgImplantSeg.DoneSlices") == "z:2"
    text = teachable.teachLabelledLabel.text
    assert "one slice is done, one orientation" in text and "No degradation layer is labelled" in text


def test_a_done_slice_on_which_nothing_is_painted_is_not_enough(teachable, widget):
    from MgImplantSegSections.work import teachSlices

    teachSlices.setDone(segmentations()[-1], SliceName(0, 2))
    widget.enter()
    assert "something painted" in teachable.teachButton.toolTip  # z 2 lies below the ball and the bone


def test_suggested_slices_are_listed_and_the_selected_one_is_shown(teachable, widget, views):
    teachable.suggestCountSpinBox.value = 3
    person.click(teachable.suggestButton)
    wait(widget)
    assert len(texts(teachable)) == 3 and all("planes disagree" in text for text in texts(teachable))
    assert not left_behind()
    for row, text in enumerate(texts(teachable)):
        teachable.teachSlicesList.setCurrentRow(row)
        axis, index = text.split(", ")[1].split(" ")[:2]
        at = [ras_to_index_zyx(geometry((SIZE,) * 3), view)["KJI".index(axis)] for view in views.values()]
        assert any(place == pytest.approx(int(index)) for place in at), text


def test_teach_installs_and_chooses_a_model_and_segments_again(teachable, widget):
    from MgImplantSegSections.work import models

    labels = make_ready_to_teach(widget)
    teachable.teachMinutesSpinBox.value = TENTH_OF_A_MINUTE
    teachable.teachNameEdit.text = "ours"
    person.click(teachable.teachButton)
    assert teachable.teachButton.text == "Cancel"
    wait(widget)
    assert [path.stem for path in models.added()] == ["ours", "tiny"], teachable.teachStatusLabel.text
    assert widget.panel.models.path().stem == "ours"
    assert (
        "on this one scan" in teachable.teachResultLabel.text and "IoU of the labels" in teachable.teachResultLabel.text
    )
    new = segmentations()[-1]
    assert new is not labels and new.GetName() == "Scan by ours" and new.GetDisplayNode().GetVisibility()
    assert not labels.GetDisplayNode().GetVisibility() and not left_behind()
    assert teachable.measuredSegmentationSelector.currentNode() is new
    assert "metrics" not in teachable.teachCurvesButton.toolTip


def make_ready_to_teach(widget):
    """Three slices are done."""
    from MgImplantSegSections.work import teachSlices

    labels = segmentations()[-1]
    for name in (SliceName(0, 12), SliceName(0, 20), SliceName(1, 20)):
        teachSlices.setDone(labels, name)
    widget.enter()
    return labels


def test_from_a_wrong_result_to_a_taught_one_it_takes_12_clicks_at_most_besides_painting(teachable, widget, editor):
    from MgImplantSegSections.work import teachSlices

    for axis in range(3):  # the views stand along the voxels, as with most scans
        teachSlices.showSlice(teachable.inputVolumeSelector.currentNode(), SliceName(axis, 20))
    clicks = 1 + 2 * 2  # the module is chosen again after painting; two choices of a view, two clicks each
    teachable.teachMinutesSpinBox.value = TENTH_OF_A_MINUTE

    def click(button):
        nonlocal clicks
        clicks += 1
        person.click(button)

    click(teachable.openTeachButton)
    assert not teachable.teachSection.collapsed
    click(teachable.startTeachingButton)
    for view in ("Red", "Green", "Yellow"):
        person.choose(teachable.teachViewSelector, view)
        click(teachable.addShownSliceButton)
    click(teachable.teachButton)
    wait(widget)
    assert "Done" in teachable.teachStatusLabel.text, teachable.teachStatusLabel.text
    assert clicks <= 12 and len(segmentations()) == 2


def test_stop_and_keep_ends_learning_and_the_model_so_far_is_installed(teachable, widget):
    from MgImplantSegSections.work import models

    make_ready_to_teach(widget)
    teachable.teachMinutesSpinBox.value = 30
    teachable.teachNameEdit.text = "early"
    teachable.segmentAfterwardsCheckBox.checked = False
    assert not teachable.stopAndKeepButton.enabled
    person.click(teachable.teachButton)
    person.wait_until(lambda: teachable.stopAndKeepButton.enabled)
    person.click(teachable.stopAndKeepButton)
    assert not teachable.stopAndKeepButton.enabled
    wait(widget)
    assert [path.stem for path in models.added()] == ["early", "tiny"], teachable.teachStatusLabel.text
    assert widget.panel.models.path().stem == "early" and not left_behind()


def test_cancelled_teaching_leaves_nothing(teachable, widget, slow_engine):
    from MgImplantSegSections.work import models

    make_ready_to_teach(widget)
    pids = slow_engine()
    person.click(teachable.teachButton)
    person.wait_until(lambda: "41 s left" in teachable.teachStatusLabel.text)
    person.click(teachable.teachButton)
    wait(widget)
    assert "Cancelled" in teachable.teachStatusLabel.text and teachable.teachButton.text == "Teach"
    wait_for_the_end_of(pids())
    assert [path.stem for path in models.added()] == ["tiny"] and not left_behind()


@pytest.mark.parametrize("gone", ["vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"])
def test_teaching_stops_when_scan_or_labels_leave_the_scene(teachable, widget, slow_engine, gone):
    make_ready_to_teach(widget)
    pids = slow_engine()
    person.click(teachable.teachButton)
    person.wait_until(lambda: "41 s left" in teachable.teachStatusLabel.text)
    slicer.mrmlScene.RemoveNode(slicer.util.getNodesByClass(gone)[0])
    wait(widget)
    wait_for_the_end_of(pids())
    assert "Cancelled" in teachable.teachStatusLabel.text and not left_behind()


def test_done_slices_and_their_segmentation_survive_the_scene_file(teachable, widget):
    from MgImplantSegSections.work import teachSlices

    labels = make_ready_to_teach(widget)
    widget.panel.workbench.parameters.teachSegmentation = labels
    slicer.mrmlScene.SetSaveToXMLString(1)
    slicer.mrmlScene.Commit()
    text = slicer.mrmlScene.GetSceneXMLString()
    slicer.mrmlScene.Clear(0)
    slicer.mrmlScene.SetLoadFromXMLString(1)
    slicer.mrmlScene.SetSceneXMLString(text)
    slicer.mrmlScene.Import()
    (labels,) = segmentations()
    assert teachSlices.doneSlices(labels) == (SliceName(0, 12), SliceName(0, 20), SliceName(1, 20))
    assert widget.panel.workbench.parameters.teachSegmentation is labels


@pytest.mark.parametrize(
    ("text", "says"), [("tiny", "already in use"), ("a/b", "letters, digits"), (".hidden", "letters, digits")]
)
def test_a_name_that_cannot_be_given_to_the_new_model_is_said_before(teachable, widget, text, says):
    make_ready_to_teach(widget)
    assert teachable.teachButton.enabled
    teachable.teachNameEdit.text = text
    assert not teachable.teachButton.enabled and says in teachable.teachButton.toolTip


def test_without_a_name_the_new_model_is_called_after_the_scan(teachable, widget):
    make_ready_to_teach(widget)
    assert widget.panel.teach.request().name == "Scan-taught-1"


def test_labels_on_another_grid_count_as_painted_where_they_are(teachable, widget):
    from MgImplantSegSections.work import teachSlices

    coarse = ball_in_half_bone(SIZE // 2, radius=4)
    scan = slicer.mrmlScene.GetFirstNodeByName("Scan")
    node = add_segmentation_node(slicer.mrmlScene, LabelMap(coarse.array, geometry((SIZE // 2,) * 3, 0.04)), "Coarse")
    teachSlices.setDone(node, SliceName(2, 20))
    roles = [role.value for role in teachSlices.labelledOn(node, scan).roles]
    assert roles == ["bone", "degradation_layer", "residual_material"]
    teachSlices.setDone(node, SliceName(2, 20), False)
    teachSlices.setDone(node, SliceName(0, 2))
    assert teachSlices.labelledOn(node, scan).roles == ()


def test_what_is_painted_later_is_seen(teachable, widget):
    from MgImplantSegSections.work import teachSlices

    labels = segmentations()[-1]
    teachSlices.setDone(labels, SliceName(0, 2))
    widget.enter()
    assert "Classes on them besides background: none" in teachable.teachLabelledLabel.text
    image = labels.GetSegmentation().GetSegment("bone").GetRepresentation("Binary labelmap")
    array_of_image(image)[2, 5:9, 5:9] = 1
    image.GetPointData().GetScalars().Modified()
    widget.enter()
    assert "Classes on them besides background: bone." in teachable.teachLabelledLabel.text


def test_slices_beyond_the_scan_are_not_counted(teachable, widget):
    from MgImplantSegSections.work import teachSlices

    teachSlices.setDone(segmentations()[-1], SliceName(0, SIZE))
    widget.enter()
    assert "0 slices are done" in teachable.teachLabelledLabel.text and not teachable.teachButton.enabled


def test_segmenting_into_the_labels_forgets_which_slices_were_done(teachable, widget):
    labels = make_ready_to_teach(widget)
    person.choose(teachable.planesSelector, "1 plane")
    widget.panel.workbench.parameters.outputSegmentation = labels
    person.click(teachable.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert labels.GetAttribute("MgImplantSeg.DoneSlices") is None


def test_done_slices_of_another_scan_are_learned_from_too(teachable, widget, module):
    from MgImplantSegSections.engine import engineRun
    from MgImplantSegSections.work import teachSlices

    make_ready_to_teach(widget)
    scan, labels = add_explant(name="Scan 2")
    teachSlices.setDone(labels, SliceName(1, 20))
    widget.enter()
    assert "Also learned from: Scan 2." in teachable.teachLabelledLabel.text
    section = widget.panel.teach
    request = replace(section.request(), name="both", minutes=None, iterations=2, device="cpu")
    assert request.others == ((scan, labels),)
    steps = widget.logic.teachSteps(section.scan(), section.labels(), request, None, engineRun.CancelToken())
    path, result = engineRun.runToEnd(steps)
    assert [entry["slices"] for entry in result["labelled"]] == ["z:12,z:20,y:20", "y:20"] and path.is_file()
    assert not left_behind()
    person.click(teachable.otherScansCheckBox)
    assert "Also learned from" not in teachable.teachLabelledLabel.text and not section.request().others
