"""A scan that is too large for Slicer is looked at, imported beside the GUI, and loaded."""

import numpy as np
import pytest
import slicer
from harness import person
from module_cases import left_behind

from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io import write_volume


@pytest.fixture
def scan(tmp_path):
    """A bright box in noise, in a file."""
    values = np.random.default_rng(0).normal(100, 5, (30, 40, 50))
    values[10:20, 12:28, 14:36] += 500
    path = tmp_path / "raw.nii.gz"
    write_volume(Volume(values.astype(np.uint16), Geometry(values.shape, (0.01,) * 3)), path)
    return path


@pytest.fixture
def dialog(widget, ui):
    """The dialog that a click on the button opens."""
    ui.advancedSection.collapsed = False
    person.process_events()
    person.click(ui.importScanButton)
    return widget.panel.importScan.opened


def wait(dialog):
    person.wait_until(lambda: not dialog.isRunning())


def test_every_field_and_button_has_a_tooltip_and_says_what_is_missing(dialog):
    form = dialog.form
    fields = [form.scanEdit, form.datasetEdit, form.spacingSpinBox, form.targetSpinBox, form.cropSelector, form.boxEdit]
    fields += [form.outEdit, form.outButton, form.folderButton, form.fileButton, dialog.closeButton]
    assert all(field.toolTip for field in fields)
    assert not dialog.lookButton.enabled and "a scan" in dialog.importButton.toolTip
    form.scanEdit.text = "/data/reco"
    assert dialog.lookButton.enabled and form.outEdit.placeholderText == "/data/reco_prepared.nrrd"
    person.choose(form.cropSelector, "A box")
    assert "a box" in dialog.importButton.toolTip and form.boxEdit.enabled


def test_a_look_shows_three_slices_the_box_and_what_it_takes_and_writes_nothing(dialog, scan, tmp_path):
    dialog.form.scanEdit.text = str(scan)
    dialog.form.targetSpinBox.value = 20.0
    person.choose(dialog.form.cropSelector, "The sample")
    person.click(dialog.lookButton)
    wait(dialog)
    text = dialog.lookLabel.text
    assert "50 × 40 × 30 voxels of 10 µm, uint16" in text and "of 20 µm" in text and "Takes about" in text
    assert dialog.pictureLabel.pixmap.width() > 300
    assert dialog.form.boxEdit.text.count(":") == 3 and dialog.form.boxEdit.text in text
    assert sorted(path.name for path in tmp_path.glob("raw*")) == ["raw.nii.gz"] and not left_behind()


def test_an_import_makes_the_file_and_chooses_the_volume(dialog, scan, widget, tmp_path):
    dialog.form.scanEdit.text = str(scan)
    person.choose(dialog.form.cropSelector, "A box")
    dialog.form.boxEdit.text = "10:40, 8:32, 6:24"
    person.click(dialog.importButton)
    wait(dialog)
    node = widget.panel.workbench.parameters.inputVolume
    assert node is not None, dialog.statusLabel.text
    assert node.GetImageData().GetDimensions() == (30, 24, 18)
    assert not dialog.dialog.visible and (tmp_path / "raw_prepared.nrrd").exists() and not left_behind()


def roi_around(low_xyz_mm, high_xyz_mm, turned_deg=0.0):
    """An ROI node on a box in LPS, under a transform; turned around its third axis."""
    import vtk

    centre = (np.add(low_xyz_mm, high_xyz_mm) / 2) * (-1, -1, 1)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Where it matters")
    node.SetSize(*np.subtract(high_xyz_mm, low_xyz_mm))
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    moved = vtk.vtkTransform()
    moved.Translate(*centre)
    moved.RotateZ(turned_deg)
    transform.SetMatrixTransformToParent(moved.GetMatrix())
    node.SetAndObserveTransformNodeID(transform.GetID())
    return node


def test_an_roi_of_the_scene_is_kept_where_it_stands_in_the_world(widget, ui, scan):
    box = roi_around((0.095, 0.075, 0.055), (0.395, 0.315, 0.235))  # faces between voxels of 0.01 mm
    person.click(ui.importScanButton)
    dialog = widget.panel.importScan.opened
    dialog.form.scanEdit.text = str(scan)
    person.choose(dialog.form.cropSelector, "An ROI")
    assert person.texts_of(dialog.form.roiSelector) == ["Where it matters"] and dialog.form.boxEdit.isHidden()
    assert dialog.form.roiLabel.isHidden()
    person.click(dialog.importButton)
    wait(dialog)
    node = widget.panel.workbench.parameters.inputVolume
    assert node is not None, dialog.statusLabel.text
    bounds, roi_bounds = np.zeros(6), np.zeros(6)
    node.GetBounds(bounds)
    box.GetRASBounds(roi_bounds)
    np.testing.assert_allclose(bounds, roi_bounds, atol=1e-6)
    assert node.GetImageData().GetDimensions() == (30, 24, 18) and not left_behind()


def test_a_rotated_roi_is_said_to_keep_the_box_around_it_and_a_scene_without_one_that_it_is_missing(widget, ui):
    person.click(ui.importScanButton)
    form = widget.panel.importScan.opened.form
    form.scanEdit.text = "/data/reco"
    person.choose(form.cropSelector, "An ROI")
    assert "an ROI in the scene" in widget.panel.importScan.opened.importButton.toolTip
    person.click(widget.panel.importScan.opened.closeButton)
    roi_around((0, 0, 0), (1, 2, 3), turned_deg=30.0)
    widget.panel.importScan.opened.show()
    assert "rotated" in form.roiLabel.text and not form.roiLabel.isHidden()
    assert widget.panel.importScan.opened.importButton.enabled


def test_what_is_wrong_is_told_in_the_dialog_which_stays_open(dialog, tmp_path):
    dialog.form.scanEdit.text = str(tmp_path / "nowhere")
    person.click(dialog.lookButton)
    wait(dialog)
    assert "does not exist" in dialog.statusLabel.text and dialog.dialog.visible
    assert dialog.lookButton.enabled and not left_behind()


def test_a_missing_package_is_named_with_the_way_to_install_it(dialog, scan, monkeypatch):
    from MgImplantSegSections.engine import pythons

    monkeypatch.setattr(pythons, "version", lambda package: None)
    dialog.form.scanEdit.text = str(scan)
    person.click(dialog.importButton)
    assert "lacks pynrrd, tifffile, h5py" in dialog.statusLabel.text and not dialog.isRunning()


def test_cancel_stops_the_engine_and_closing_leaves_nothing(dialog, scan, slow_engine):
    slow_engine()
    dialog.form.scanEdit.text = str(scan)
    person.click(dialog.importButton)
    assert dialog.importButton.text == "Cancel" and not dialog.lookButton.enabled
    person.click(dialog.importButton)
    wait(dialog)
    assert "Cancelled" in dialog.statusLabel.text and dialog.importButton.text == "Import"
    person.click(dialog.importButton)
    assert dialog.isRunning()
    person.click(dialog.closeButton)
    assert not dialog.isRunning() and not left_behind()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_files_and_folders_are_chosen_by_buttons(dialog, tmp_path, monkeypatch):
    import qt

    chosen = {"getExistingDirectory": "/a/slices", "getOpenFileName": "/a/scan.h5", "getSaveFileName": "/b/out.nrrd"}
    for name, path in chosen.items():
        monkeypatch.setattr(qt.QFileDialog.native, name, lambda *_words, path=path: path)
    form = dialog.form
    person.click(form.folderButton)
    assert form.scanEdit.text == "/a/slices"
    person.click(form.fileButton)
    assert form.scanEdit.text == "/a/scan.h5"
    person.click(form.outButton)
    form.datasetEdit.text, form.spacingSpinBox.value, form.targetSpinBox.value = "recon", 2.4, 5.0
    request = form.request()
    words = ["prepare", "/a/scan.h5", "/b/out.nrrd", "--spacing-um", "2.4", "--target-um", "5", "--dataset", "recon"]
    assert request.words() == words


def test_a_dialog_that_is_opened_again_takes_the_place_of_the_former_one(dialog, widget, ui):
    import qt

    dialog.onClose()
    person.click(ui.importScanButton)
    person.process_events(50)
    assert widget.panel.importScan.opened is not dialog
    assert len(ui.AdvancedPanel.window().findChildren(qt.QDialog)) == 1
