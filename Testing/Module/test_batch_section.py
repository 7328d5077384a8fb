"""Batch: a folder of scans as a queue with states."""

import platform
import re
import shutil

import numpy as np
import pytest
from harness import person
from module_cases import geometry

from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io import write_volume


@pytest.fixture
def folder(tmp_path):
    """Two scans, one of them without voxel size, which is an error."""
    grey = np.random.default_rng(2).integers(0, 255, (12, 14, 16)).astype(np.uint8)
    (tmp_path / "scans").mkdir()
    write_volume(Volume(grey, geometry(grey.shape)), tmp_path / "scans" / "a.nrrd")
    write_volume(Volume(grey, geometry(grey.shape, 1.0)), tmp_path / "scans" / "b.nrrd")
    return tmp_path / "scans"


def test_a_queue_of_two_with_one_failure_goes_on_and_says_why(widget, ui, tiny_model, folder, tmp_path):
    assert not ui.batchStartButton.enabled and "a folder with scans" in ui.batchStartButton.toolTip
    widget.panel.models.add(tiny_model)
    ui.batchSection.collapsed = False
    ui.batchFolderEdit.currentPath = str(folder)
    ui.batchOutputEdit.currentPath = str(tmp_path / "results")
    assert [row[:2] for row in person.rows_of(ui.batchTable)] == [["a", "waiting"], ["b", "waiting"]]
    person.click(ui.batchStartButton)
    assert ui.batchStartButton.text == "Cancel"
    person.wait_until(lambda: not widget.panel.batch.isRunning())
    rows = person.rows_of(ui.batchTable)
    assert [row[1] for row in rows] == ["done", "failed"]
    assert [row[2] for row in rows] == [platform.node()] * 2
    assert re.fullmatch(r"(BIC|BV/TV|DR) \S+ \S+(, (BIC|BV/TV|DR) \S+ \S+)*", rows[0][4]), rows[0][4]
    assert ui.batchCountsLabel.text == "1 done, 1 failed."
    person.select_rows(ui.batchTable, 1)
    assert "voxel size" in ui.batchReasonLabel.text and not ui.batchReasonLabel.isHidden()
    assert all("voxel size" in item.toolTip() for item in person.items_of(ui.batchTable)[-5:])
    person.select_rows(ui.batchTable, 0)
    assert ui.batchReasonLabel.text == "" and ui.batchReasonLabel.isHidden()
    assert (tmp_path / "results" / "batch.csv").is_file()


@pytest.mark.slow
def test_a_second_start_makes_only_what_is_new(widget, ui, tiny_model, folder, tmp_path):
    (folder / "b.nrrd").unlink()
    widget.panel.models.add(tiny_model)
    ui.batchFolderEdit.currentPath = str(folder)
    ui.batchOutputEdit.currentPath = str(tmp_path / "results")

    def start():
        person.click(ui.batchStartButton)
        person.wait_until(lambda: not widget.panel.batch.isRunning())
        assert "Done" in ui.batchStatusLabel.text
        return {path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "results").glob("*/sample.json")}

    first = start()
    shutil.copy(folder / "a.nrrd", folder / "c.nrrd")
    ui.batchFolderEdit.currentPath = ""
    ui.batchFolderEdit.currentPath = str(folder)
    second = start()
    assert set(first) == {"a"} and set(second) == {"a", "c"} and second["a"] == first["a"]
    assert [row[1] for row in person.rows_of(ui.batchTable)] == ["skipped", "done"]


def test_the_command_line_for_another_computer_holds_all_choices(widget, ui, tiny_model, folder, tmp_path):
    from PySide6.QtWidgets import QApplication

    widget.panel.models.add(tiny_model)
    ui.batchFolderEdit.currentPath, ui.batchOutputEdit.currentPath = str(folder), str(tmp_path / "with space")
    person.choose(ui.planesSelector, "9 planes")
    ui.daysSpinBox.value = 56
    person.click(ui.copyBatchCommandButton)
    text = QApplication.clipboard().text()
    assert text.startswith("mgimplantseg batch") and "--planes 9" in text and "--days 56" in text
    assert f"'{tmp_path / 'with space'}'" in text


def test_an_empty_folder_says_what_is_expected(widget, ui, folder):
    shutil.rmtree(folder)
    folder.mkdir()
    ui.batchFolderEdit.currentPath = str(folder)
    assert "Expected at least one image" in ui.batchStatusLabel.text


def test_the_folder_of_last_time_comes_back_with_its_scans(module, widget, ui, folder):
    ui.batchFolderEdit.currentPath = str(folder)
    ui.batchFolderEdit.addCurrentPathToHistory()
    again = module.MgImplantSegWidget()
    again.setup()
    assert len(person.rows_of(again.panel.workbench.ui.batchTable)) == 2
    again.cleanup()


def test_no_folder_is_not_the_folder_that_slicer_runs_in(widget, ui, folder, monkeypatch):
    monkeypatch.chdir(folder)
    ui.batchFolderEdit.currentPath = str(folder)
    ui.batchFolderEdit.currentPath = ""
    assert person.rows_of(ui.batchTable) == []
