"""Environments: Pythons come and go, a test says what they have, versions and citation."""

import pathlib
import sys

from harness import person
from PySide6 import QtCore

from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.environment_file import save_environment


def test_an_added_python_is_offered_in_sections_3_and_7_and_can_be_forgotten(widget, ui):
    widget.panel.environments.add(pathlib.Path(sys.executable))
    name = person.rows_of(ui.environmentsTable)[1][0]
    assert name in person.texts_of(ui.runInSelector) and name in person.texts_of(ui.trainingEnvironmentSelector)
    ui.environmentsTable.selectRow(1)
    person.click(ui.removeEnvironmentButton)
    assert name not in person.texts_of(ui.runInSelector)
    assert len(person.rows_of(ui.environmentsTable)) == 1


def test_a_host_added_on_the_command_line_is_offered_when_the_user_comes_back_to_the_module(widget, ui):
    save_environment(Environment("host", Kind.SSH, "~/python", host="gpu-server"))
    widget.exit()
    widget.enter()
    assert person.rows_of(ui.environmentsTable)[1] == ["host", "host (SSH)", "gpu-server: ~/python"]
    assert "host" in person.texts_of(ui.runInSelector)
    person.choose(ui.trainingEnvironmentSelector, "host")
    widget.enter()
    assert widget.panel.training.environment() == "host"


def test_virtual_environments_are_named_by_the_project_they_stand_in(widget, tmp_path):
    from MgImplantSegSections.engine import pythons

    for project in ("screws", "plates"):
        program = tmp_path / project / ".venv" / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.symlink_to(sys.executable)
        widget.panel.environments.add(program)
    assert sorted(pythons.names()[1:]) == ["plates", "screws"]


def test_an_added_python_is_selected_tested_and_taken_if_it_has_all(widget, ui, tmp_path):
    program = tmp_path / "screws" / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    program.chmod(0o755)
    widget.panel.environments.add(program)
    assert ui.environmentsTable.currentRow() == 1
    person.wait_until(lambda: "✓" in ui.environmentStatusLabel.text or "✗" in ui.environmentStatusLabel.text)
    isReady = "✗" not in ui.environmentStatusLabel.text
    assert (widget.panel.segmentation.runIn() == "screws") == isReady


def test_a_text_file_is_no_python(widget, ui, tmp_path):
    (tmp_path / "notes.txt").write_text("where the scans lie", "utf-8")
    widget.panel.environments.add(tmp_path / "notes.txt")
    assert "Expected a Python executable" in ui.environmentStatusLabel.text
    assert len(person.rows_of(ui.environmentsTable)) == 1


def test_a_section_that_is_unfolded_comes_into_view(widget, ui):
    import qt
    from harness.values import unwrap

    area = qt.QScrollArea()
    area.setWidget(widget.parent)
    area.widgetResizable = True
    native = unwrap(area)
    native.resize(420, 500)
    native.setAttribute(QtCore.Qt.WidgetAttribute.WA_DontShowOnScreen, True)
    native.show()
    person.process_events()
    widget.panel.sections.open(ui.environmentsSection)
    person.process_events()
    section = unwrap(ui.environmentsSection)
    top = section.mapTo(native.viewport(), QtCore.QPoint(0, 0)).y()
    assert 0 <= top < native.viewport().height()
    native.takeWidget()


def test_a_program_that_is_not_there_is_refused(widget, ui, tmp_path):
    widget.panel.environments.add(tmp_path / "no" / "python")
    assert "Expected a Python executable" in ui.environmentStatusLabel.text


def test_slicers_own_python_cannot_be_forgotten(widget, ui):
    ui.environmentsTable.selectRow(0)
    assert "other than Slicer's own Python" in ui.removeEnvironmentButton.toolTip


def test_an_environment_can_be_tested(widget, ui):
    ui.environmentsTable.selectRow(0)
    person.click(ui.testEnvironmentButton)
    person.wait_until(lambda: "Testing" not in ui.environmentStatusLabel.text)
    assert "python: 3" in ui.environmentStatusLabel.text and "✓" in ui.environmentStatusLabel.text


def test_work_can_run_in_another_python_with_the_start_up_environment(widget, module, monkeypatch):
    from MgImplantSegSections.engine import pythons

    monkeypatch.setenv("PYTHONHOME", "/slicers/own")
    widget.panel.environments.add(pathlib.Path(sys.executable))
    other = pythons.python(pythons.names()[1])
    assert other.words[0] == sys.executable and "PYTHONHOME" not in other.environment
    assert other.environment["MALLOC_MMAP_MAX_"] == "0"


def test_remove_downloads_asks_and_deletes_the_added_models_and_nothing_else(widget, ui, tiny_model, monkeypatch):
    from MgImplantSegSections.work import models

    questions = person.answers(monkeypatch, False, True)
    widget.panel.models.add(tiny_model)
    other = models.folder() / "notes.txt"
    other.write_text("where the scans lie", "utf-8")
    person.click(ui.removeDownloadsButton)
    assert "(1, " in questions[0] and [path.name for path in models.added()] == [tiny_model.name]
    person.click(ui.removeDownloadsButton)
    assert models.added() == [] and other.is_file()
    assert ui.diskLabel.text.startswith("Added models: 0 B")
    assert tiny_model.stem not in " ".join(person.texts_of(ui.modelSelector))


def test_versions_and_citation_are_shown(widget, ui):
    from PySide6.QtWidgets import QApplication

    assert "research use only" in ui.versionsLabel.text.lower() and "numpy" in ui.versionsLabel.text
    person.click(ui.copyCitationButton)
    assert "11:24237" in QApplication.clipboard().text()


def test_a_damaged_list_of_environments_leaves_slicers_python_and_is_told(module, tmp_path):
    (tmp_path / "configuration").mkdir()
    (tmp_path / "configuration" / "environments.toml").write_text("[environments", "utf-8")
    widget = module.MgImplantSegWidget()
    widget.setup()
    ui = widget.panel.workbench.ui
    assert person.texts_of(ui.runInSelector) == ["Slicer's Python"]
    assert "Expected TOML" in ui.environmentStatusLabel.text
    widget.cleanup()


def test_an_installation_that_fails_is_told_with_what_to_do(widget, ui, monkeypatch):
    import slicer
    from MgImplantSegSections.engine import pythons

    def fail(requirements):
        raise RuntimeError(f"no network for {requirements}")

    monkeypatch.setattr(slicer.util, "pip_install", fail)
    monkeypatch.setattr(pythons, "version", lambda package: None if package == "pynrrd" else "1")
    person.click(ui.installTorchButton)
    assert "no network for ['pynrrd']" in ui.environmentStatusLabel.text and ui.installTorchButton.enabled


def test_an_installation_is_no_failure_because_the_new_package_cannot_be_imported_yet(widget, ui, monkeypatch):
    import slicer
    from MgImplantSegSections.engine import pythons

    installed = {"torch": "2", "pynrrd": None}

    def install(requirements):
        installed.update(dict.fromkeys(requirements, "1"))
        raise ImportError("restart first")

    monkeypatch.setattr(slicer.util, "pip_install", install)
    monkeypatch.setattr(pythons, "version", lambda package: installed.get(package, "1"))
    person.click(ui.installTorchButton)
    assert "restart first" not in ui.environmentStatusLabel.text


def test_without_the_pytorch_extension_the_way_to_it_is_told(widget, ui, monkeypatch):
    from MgImplantSegSections.engine import pythons

    monkeypatch.setattr(pythons, "version", lambda package: None if package == "torch" else "1")
    person.click(ui.installTorchButton)
    assert "Extensions Manager" in ui.environmentStatusLabel.text
