"""Segment without torch in Slicer's Python: install it here, or use another Python; then it goes on by itself."""

import sys

import pytest
from harness import person
from module_cases import segmentations

PROGRAM_THAT_LACKS_ALL = f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n'


@pytest.fixture
def without_torch(ready, monkeypatch):
    """A panel whose own Python lacks torch, after a click on Segment; names of what is installed by and by."""
    from MgImplantSegSections.engine import pythons

    installed = {"torch": None}
    monkeypatch.setattr(pythons, "version", lambda package: installed.get(package, "1"))
    person.choose(ready.planesSelector, "1 plane")
    person.click(ready.segmentButton)
    assert not ready.missingLabel.isHidden()
    return installed


def program(folder, text):
    path = folder / "bones" / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    path.chmod(0o755)
    return path


def choose(monkeypatch, path):
    """What the person will answer in the file dialog."""
    import qt

    monkeypatch.setattr(qt.QFileDialog.native, "getOpenFileName", lambda *_words: str(path))


def test_another_python_is_chosen_tested_taken_and_segmenting_goes_on(
    without_torch, ready, widget, tmp_path, monkeypatch
):
    path = program(tmp_path, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    choose(monkeypatch, path)
    person.click(ready.chooseEnvironmentButton)
    person.wait_until(lambda: segmentations() or "✗" in ready.segmentStatusLabel.text)
    if "✗" in ready.segmentStatusLabel.text:
        pytest.skip(f"this Python is not complete: {ready.segmentStatusLabel.text}")
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert widget.panel.segmentation.runIn() == "bones" and ready.runInSelector.currentText == "bones"
    assert "Done" in ready.segmentStatusLabel.text and ready.missingLabel.isHidden()


def test_a_preview_that_was_clicked_goes_on_as_a_preview(ready, widget, monkeypatch):
    from MgImplantSegSections.engine import pythons

    installed = {"torch": None}
    monkeypatch.setattr(pythons, "version", lambda package: installed.get(package, "1"))
    person.click(ready.previewButton)
    monkeypatch.setattr(widget.logic, "installPackages", lambda packages: installed.update(torch="2"))
    person.click(ready.installPackagesButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert "Preview of one slice" in ready.segmentStatusLabel.text


def test_after_installing_here_segmenting_goes_on(without_torch, ready, widget, monkeypatch):
    monkeypatch.setattr(widget.logic, "installPackages", lambda packages: without_torch.update(torch="2"))
    person.click(ready.installPackagesButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert len(segmentations()) == 1 and ready.missingLabel.isHidden()


def test_a_python_that_lacks_packages_too_is_told_and_both_ways_stay(without_torch, ready, widget, tmp_path):
    widget.panel.segmentation._setUp.use(program(tmp_path, PROGRAM_THAT_LACKS_ALL))
    assert not ready.chooseEnvironmentButton.enabled
    person.wait_until(lambda: ready.chooseEnvironmentButton.enabled)
    assert "missing: " in ready.segmentStatusLabel.text and "torch" in ready.segmentStatusLabel.text
    assert not ready.missingLabel.isHidden() and not widget.panel.segmentation.isRunning()
    assert widget.panel.segmentation.runIn() == "this"


def test_a_file_that_is_no_python_is_told_and_nothing_is_added(without_torch, ready, widget, tmp_path, monkeypatch):
    notes = tmp_path / "notes.txt"
    notes.write_text("where the scans lie", "utf-8")
    choose(monkeypatch, notes)
    person.click(ready.chooseEnvironmentButton)
    assert "Expected a Python executable" in ready.segmentStatusLabel.text
    assert ready.chooseEnvironmentButton.enabled and len(person.rows_of(ready.environmentsTable)) == 1


def test_no_file_chosen_changes_nothing(without_torch, ready, monkeypatch):
    choose(monkeypatch, "")
    person.click(ready.chooseEnvironmentButton)
    assert not ready.missingLabel.isHidden() and ready.chooseEnvironmentButton.enabled


def test_a_python_that_is_known_already_is_not_listed_twice(without_torch, ready, widget, tmp_path):
    path = program(tmp_path, PROGRAM_THAT_LACKS_ALL)
    for _turn in range(2):
        widget.panel.segmentation._setUp.use(path)
        person.wait_until(lambda: ready.chooseEnvironmentButton.enabled)
    assert [row[0] for row in person.rows_of(ready.environmentsTable)] == ["Slicer's Python", "bones"]
