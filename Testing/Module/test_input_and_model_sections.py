"""Volume and model: what a person reads and can do before segmenting."""

import numpy as np
import pytest
import slicer
from harness import person
from module_cases import TURNED, add_volume, ball_in_half_bone

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.scene.segmentation_reading import label_map_of_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.volumes import add_volume_node, geometry_of_node


def test_the_first_volume_is_chosen_and_described(widget, ui):
    assert "No volume yet" in ui.inputInfoLabel.text
    node = add_volume(slicer.mrmlScene, (12, 14, 16), np.uint16)
    widget.enter()
    assert ui.inputVolumeSelector.currentNode() is node
    assert ui.inputInfoLabel.text == "16×14×12 voxels, 20 µm, 16-bit, 5.4 kB"
    assert ui.inputWarningLabel.text == ""


def test_an_unset_voxel_size_is_warned_of_and_can_be_set(widget, ui):
    node = add_volume(slicer.mrmlScene, spacing_mm=1.0)
    widget.enter()
    assert "1 mm, which usually means that it is not set" in ui.inputWarningLabel.text
    ui.inputSpacingSpinBox.value = 20.0
    person.click(ui.setSpacingButton)
    assert node.GetSpacing() == pytest.approx((0.02,) * 3)
    assert ui.inputWarningLabel.text == ""


@pytest.mark.parametrize("before", ["unset", "set already"])
def test_a_segmentation_painted_before_the_voxel_size_was_set_follows_the_scan_after_a_question(
    widget, ui, monkeypatch, before
):
    labels = ball_in_half_bone(size=20, radius=4)
    grid = Geometry(labels.array.shape, (1.0,) * 3, (1.0, -2.0, 3.0), TURNED)
    scan = add_volume_node(slicer.mrmlScene, Volume(labels.array * 9, grid), "Scan")
    painted = add_segmentation_node(slicer.mrmlScene, LabelMap(labels.array, grid), "Painted", scan)
    other = add_segmentation_node(slicer.mrmlScene, LabelMap(labels.array, grid), "Of another scan")
    widget.enter()
    questions = person.answers(monkeypatch, before == "unset", True)
    ui.inputSpacingSpinBox.value = 20.0
    for _twice in range(1 if before == "unset" else 2):
        person.click(ui.setSpacingButton)
    assert '"Painted"' in questions[0] and "another" not in questions[0]
    back = label_map_of_node(painted)
    assert back.geometry.same_grid(geometry_of_node(scan)) and (back.array == labels.array).all()
    assert label_map_of_node(other).geometry.spacing_zyx_mm == pytest.approx((1.0,) * 3)


def test_voxels_that_are_not_cubes_are_warned_of(widget, ui):
    node = add_volume(slicer.mrmlScene)
    node.SetSpacing(0.02, 0.02, 0.05)
    widget.enter()
    assert "not cubes" in ui.inputWarningLabel.text
    assert "20×20×50 µm" in ui.inputInfoLabel.text


def test_a_scan_far_from_the_models_voxel_size_is_warned_of(widget, ui, tiny_model):
    widget.panel.models.add(tiny_model)
    add_volume(slicer.mrmlScene, spacing_mm=0.0024)
    widget.enter()
    assert "trained with voxels of 20 µm; this scan has 2.4 µm" in ui.inputWarningLabel.text


def test_sample_data_is_loaded_once_with_the_screw_before_implantation(widget, ui):
    person.click(ui.sampleDataButton)
    person.click(ui.sampleDataButton)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert ui.inputInfoLabel.text == "128×128×128 voxels, 20 µm, 8-bit, 2.1 MB"
    assert slicer.util.getFirstNodeByClassByName("vtkMRMLSegmentationNode", "SimulatedMgExplant before implantation")


def test_sample_data_is_registered_with_its_digest_and_a_thumbnail(module):
    import pathlib

    from MgImplantSegSections.work import sampleData
    from SampleData import SampleDataLogic

    SampleDataLogic.sources.clear()
    sampleData.register()
    (source,) = SampleDataLogic.sources
    assert source["checksums"].startswith("SHA256:") and source["uris"].startswith("file://")
    assert pathlib.Path(source["thumbnailFileName"]).is_file()


def test_an_added_model_is_chosen_shown_kept_and_can_be_deleted(widget, ui, tiny_model, monkeypatch):
    widget.panel.models.add(tiny_model)
    assert person.texts_of(ui.modelSelector)[ui.modelSelector.currentIndex] == "tiny"
    assert ui.modelCardLabel.text.splitlines() == [
        "Training data not documented, 20 µm; mean IoU 0.25.",
        "Research use only.",
    ]
    person.click(ui.modelDetailsButton)
    for text in ("20 µm", "degradation layer", "0.25", "Apache-2.0"):
        assert text in widget.panel.models.details.text()
    questions = person.answers(monkeypatch, False, True)
    person.click(ui.deleteModelButton)
    assert "tiny" in person.texts_of(ui.modelSelector) and "Delete the model tiny" in questions[0]
    person.click(ui.deleteModelButton)
    assert "tiny" not in person.texts_of(ui.modelSelector)
    assert tiny_model.is_file()


def test_a_bundled_model_cannot_be_deleted(widget, ui):
    from MgImplantSegLib.base.resources import bundled_models

    if not bundled_models():
        pytest.skip("no model is bundled in this checkout")
    assert not ui.deleteModelButton.enabled
    assert "bundled models are kept" in ui.deleteModelButton.toolTip


def test_a_file_that_is_no_model_is_refused_with_its_name(widget, ui, tmp_path):
    (tmp_path / "wrong.mgmodel").write_bytes(b"no zip")
    widget.panel.models.add(tmp_path / "wrong.mgmodel")
    assert "wrong.mgmodel" in ui.segmentStatusLabel.text
    assert "wrong" not in person.texts_of(ui.modelSelector)
