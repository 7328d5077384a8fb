"""The 3D view: surfaces, colours, pictures."""

import pathlib

import pytest
import slicer
from harness import person
from harness.application import LayoutManager
from module_cases import add_segmentation, add_volume, left_behind, rename_segment

from MgImplantSegLib.scene.color_legends import color_legend_of
from MgImplantSegLib.scene.meshes import enclosed_volume_mm3
from MgImplantSegLib.scene.nodes import provenance_of_node


@pytest.fixture
def node(widget):
    made = add_segmentation(slicer.mrmlScene)
    slicer.app.layout = LayoutManager(slicer.mrmlScene)
    widget.enter()
    return made


@pytest.fixture
def large(module, monkeypatch):
    """Every segmentation counts as large; returns a function that sets from how many voxels on."""
    from MgImplantSegSections.work import surfaceWork

    def from_voxels(count):
        monkeypatch.setattr(surfaceWork, "SMALL_VOXELS", count)

    from_voxels(10)
    return from_voxels


def test_show_3d_makes_surfaces_and_turns_the_view_to_them(ui, node):
    person.click(ui.show3DButton)
    assert "in 3 surfaces" in ui.segmentStatusLabel.text
    assert node.GetClosedSurfaceInternalRepresentation("bone").GetNumberOfPolys() > 0
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    assert view.resets == 1 and view.distance_mm < 10 and view.is_turned


def test_show_3d_brings_a_3d_view_back_where_the_layout_has_none(ui, node):
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    person.click(ui.show3DButton)
    assert slicer.app.layoutManager().threeDWidget(0).visible


def test_a_chart_keeps_a_3d_view_and_the_layout_comes_back(module, node):
    from MgImplantSegSections.work import layouts

    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode")
    manager = slicer.app.layoutManager()
    layouts.showChart(chart)
    assert slicer.modules.plots.logic().shown is chart and manager.threeDWidget(0).visible and layouts.isChartShown()
    layouts.leaveChart()
    assert manager.layout == manager.FOUR_UP and not layouts.isChartShown()
    layouts.showChart(chart)
    manager.setLayout(manager.CONVENTIONAL)
    layouts.leaveChart()
    assert manager.layout == manager.CONVENTIONAL, "a layout that the user has chosen since stays"


def test_closing_the_scene_leaves_the_layout_with_the_chart(module, node):
    from MgImplantSegSections.work import layouts

    layouts.showChart(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode"))
    manager = slicer.app.layoutManager()
    slicer.mrmlScene.Clear(0)
    assert manager.layout == manager.FOUR_UP


def test_decimation_and_method_are_used(ui, node):
    person.click(ui.show3DButton)
    plain = node.GetClosedSurfaceInternalRepresentation("bone").GetNumberOfPolys()
    person.choose(ui.surfaceMethodSelector, "Surface nets")
    ui.decimationSlider.value = 0.8
    person.click(ui.show3DButton)
    assert 0 < node.GetClosedSurfaceInternalRepresentation("bone").GetNumberOfPolys() < 0.6 * plain
    assert node.GetSegmentation().GetConversionParameter("Conversion method") == "1"


def test_opacities_follow_the_sliders_at_once(ui, node):
    ui.boneOpacitySlider.value = 0.7
    ui.metalOpacitySlider.value = 0.3
    display = node.GetDisplayNode()
    assert display.GetSegmentOpacity3D("bone") == pytest.approx(0.7)
    assert display.GetSegmentOpacity3D("residual_material") == pytest.approx(0.3)


def test_the_implant_can_be_coloured_by_contact_and_plainly_again(ui, node):
    person.choose(ui.surfaceColorSelector, "Contact")
    ui.surfaceColorSelector.activated(1)
    (model,) = [m for m in slicer.util.getNodesByClass("vtkMRMLModelNode") if not m.GetHideFromEditors()]
    assert model.GetPolyData().GetCellData().GetArray("Contact") is not None
    assert provenance_of_node(model)["segmentation"] == node.GetName()
    assert color_legend_of(model).GetTitleText() == "Bone contact" and color_legend_of(model).GetVisibility()
    assert not node.GetDisplayNode().GetSegmentVisibility3D("residual_material")
    person.choose(ui.surfaceColorSelector, "By class")
    ui.surfaceColorSelector.activated(0)
    assert not [m for m in slicer.util.getNodesByClass("vtkMRMLModelNode") if not m.GetHideFromEditors()]
    assert not slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert node.GetDisplayNode().GetSegmentVisibility3D("residual_material")


def test_the_legend_follows_the_size_of_the_view(ui, node):
    person.choose(ui.surfaceColorSelector, "Contact")
    ui.surfaceColorSelector.activated(1)
    window = slicer.app.layoutManager().threeDWidget(0).threeDView().renderWindow()
    (legend,) = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    assert legend.GetTitleTextProperty().GetFontSize() == 8
    window.SetSize(900, 700)
    assert legend.GetTitleTextProperty().GetFontSize() == 16 == legend.GetLabelTextProperty().GetFontSize()
    window.SetSize(200, 300)
    assert legend.GetTitleTextProperty().GetFontSize() == 8


def test_nothing_of_the_view_is_held_when_slicer_quits(ui, node):
    window = slicer.app.layoutManager().threeDWidget(0).threeDView().renderWindow()
    assert window.HasObserver("WindowResizeEvent")
    slicer.app.aboutToQuit.emit()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert not window.HasObserver("WindowResizeEvent")


def test_the_depth_needs_the_screw_before_implantation(ui, node):
    person.choose(ui.surfaceColorSelector, "Depth")
    ui.surfaceColorSelector.activated(2)
    assert "Measurements" in ui.segmentStatusLabel.text
    assert ui.surfaceColorSelector.currentText == "By class", "the choice is what the view shows"
    person.choose(ui.surfaceColorSelector, "Depth")
    ui.initialSegmentationSelector.setCurrentNode(add_segmentation(slicer.mrmlScene, "Before", radius=11))
    ui.surfaceColorSelector.activated(2)
    assert ui.segmentStatusLabel.text == ""


def test_the_scan_is_rendered_behind_and_hidden_again(ui, node, widget):
    scan = add_volume(slicer.mrmlScene, (40, 40, 40))
    widget.enter()
    person.click(ui.showScanCheckBox)
    display = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(scan)
    assert display.GetVisibility()
    person.click(ui.showScanCheckBox)
    assert not display.GetVisibility()


def test_the_picture_is_what_the_3d_view_shows(ui, node, widget, tmp_path, monkeypatch):
    from MgImplantSegLib.scene import pictures

    def refuse(*_arguments, **_options):
        raise AssertionError("another picture than that of the view")

    monkeypatch.setattr(pictures, "render_segmentation", refuse)
    view = slicer.app.layoutManager().threeDWidget(0).threeDView().mrmlViewNode()
    widget.panel.display3D.takePicture(tmp_path / "explant.png")
    assert (tmp_path / "explant.png").read_bytes().startswith(b"\x89PNG")
    assert "explant.png" in ui.segmentStatusLabel.text
    assert (view.GetRenderMode(), view.GetRulerType()) == (view.Perspective, view.RulerTypeNone)


def test_where_no_3d_view_is_shown_the_picture_is_drawn_off_screen(ui, node, widget, tmp_path, monkeypatch):
    from MgImplantSegLib.base.errors import DependencyError
    from MgImplantSegLib.scene import pictures

    manager = slicer.app.layoutManager()
    manager.setLayout(manager.FOUR_UP_PLOT)
    widget.panel.display3D.takePicture(tmp_path / "explant.png")
    assert (tmp_path / "explant.png").read_bytes().startswith(b"\x89PNG")

    def refuse(*_arguments, **_options):
        raise DependencyError("Expected OpenGL, got none.")

    monkeypatch.setattr(pictures, "render_segmentation", refuse)
    widget.panel.display3D.takePicture(tmp_path / "none.png")
    assert ui.segmentStatusLabel.text == "Expected OpenGL, got none." and not (tmp_path / "none.png").exists()


def test_surfaces_of_a_large_segmentation_are_made_beside_the_gui(ui, node, widget, large, tmp_path):
    person.click(ui.show3DButton)
    assert ui.show3DButton.text == "Cancel" and not ui.takePictureButton.enabled
    person.wait_until(lambda: not widget.panel.display3D.isRunning())
    assert "in 3 surfaces" in ui.segmentStatusLabel.text and ui.show3DButton.text == "Show 3D"
    surfaces = [node.GetClosedSurfaceInternalRepresentation(entry) for entry in ("bone", "residual_material")]
    beside = [enclosed_volume_mm3(surface) for surface in surfaces]
    person.choose(ui.surfaceColorSelector, "Contact")
    ui.surfaceColorSelector.activated(1)
    person.wait_until(lambda: not widget.panel.display3D.isRunning())
    (model,) = [m for m in slicer.util.getNodesByClass("vtkMRMLModelNode") if not m.GetHideFromEditors()]
    assert model.GetPolyData().GetCellData().GetArray("Contact") is not None
    large(10**9)
    person.click(ui.show3DButton)
    surfaces = [node.GetClosedSurfaceInternalRepresentation(entry) for entry in ("bone", "residual_material")]
    assert [enclosed_volume_mm3(surface) for surface in surfaces] == pytest.approx(beside, rel=0.01)
    assert not list(pathlib.Path(slicer.app.temporaryPath).glob("MgImplantSeg-*"))


def test_surfaces_of_a_huge_segmentation_are_decimated_and_the_slider_and_the_text_say_so(ui, node, monkeypatch):
    from MgImplantSegSections.work import surfaceWork

    monkeypatch.setattr(surfaceWork, "HUGE_VOXELS", 10)
    person.click(ui.show3DButton)
    assert ui.decimationSlider.value == pytest.approx(0.8) and "by up to 80 %" in ui.segmentStatusLabel.text
    ui.decimationSlider.value = 0.1
    person.click(ui.show3DButton)
    assert "by up to 10 %" in ui.segmentStatusLabel.text


def test_surfaces_of_a_segmentation_that_was_edited_meanwhile_are_not_put_on_it(ui, node, widget, large):
    person.click(ui.show3DButton)
    person.wait_until(left_behind)
    node.GetSegmentation().RemoveSegment("bone")
    person.wait_until(lambda: not widget.panel.display3D.isRunning())
    assert "got one that was edited in the meantime" in ui.segmentStatusLabel.text
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


@pytest.mark.parametrize("leave", ["cancel", "delete"])
def test_surfaces_that_are_no_longer_wanted_leave_nothing(ui, node, widget, large, leave):
    person.click(ui.show3DButton)
    person.click(ui.show3DButton) if leave == "cancel" else slicer.mrmlScene.RemoveNode(node)
    person.wait_until(lambda: not widget.panel.display3D.isRunning())
    assert "Cancelled" in ui.segmentStatusLabel.text
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    assert not list(pathlib.Path(slicer.app.temporaryPath).glob("MgImplantSeg-*"))


def test_without_a_segmentation_the_tooltips_say_what_is_missing(ui):
    assert not ui.show3DButton.enabled and "a segmentation" in ui.show3DButton.toolTip


def test_roles_that_the_user_has_given_count_in_3d_too(ui, node, widget, tmp_path):
    from MgImplantSegSections.work.measureWork import setRole

    from MgImplantSegLib.grids.labels import Role

    rename_segment(node.GetSegmentation(), "bone", "s1", "Segment_1")
    setRole(node, "s1", Role.BONE)
    ui.boneOpacitySlider.value = 0.7
    assert node.GetDisplayNode().GetSegmentOpacity3D("s1") == pytest.approx(0.7)
    ui.surfaceColorSelector.activated(0)
    person.choose(ui.surfaceColorSelector, "Contact")
    ui.surfaceColorSelector.activated(1)
    assert ui.segmentStatusLabel.text == ""
    for segment_id in ("degradation_layer", "residual_material"):
        node.GetDisplayNode().SetSegmentVisibility(segment_id, False)
    widget.panel.display3D.takePicture(tmp_path / "bone.png")
    assert (tmp_path / "bone.png").exists(), ui.segmentStatusLabel.text


def test_a_task_whose_node_left_before_its_first_step_is_cancelled(node):
    from MgImplantSegSections.engine.engineRun import sceneOf

    from MgImplantSegLib.base.errors import Cancelled

    assert sceneOf(node) is not None
    slicer.mrmlScene.RemoveNode(node)
    with pytest.raises(Cancelled):
        sceneOf(node)
