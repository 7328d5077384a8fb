"""Hosts and clusters are described, tested, changed and taken off the list in the panel."""

import sys
from dataclasses import fields

import pytest
from harness import person

from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.environment_file import find_environment, save_environment


def opened(widget, ui, button="addHostButton"):
    """The dialog that a click opens."""
    person.click(getattr(ui, button))
    return widget.panel.environments._dialog


def choose_kind(dialog, text):
    person.choose(dialog.kindSelector, text)


def enter(dialog, **values):
    """Type into the fields."""
    for name, value in values.items():
        editor = dialog.form.editors[name]
        for kind in ("plainText", "value", "text"):
            if hasattr(editor, kind):
                setattr(editor, kind, value)
                break


def test_every_setting_of_the_engines_environment_has_a_field_with_a_tooltip(widget, ui):
    dialog = opened(widget, ui)
    assert set(dialog.form.editors) == {entry.name for entry in fields(Environment)} - {"name", "kind"}
    assert all(editor.toolTip for editor in dialog.form.editors.values())


@pytest.mark.parametrize(
    ("kind", "shown", "hidden"),
    [
        ("Python on this computer", {"python", "variables"}, {"host", "partition", "time_minutes"}),
        ("SSH", {"python", "host", "identity_file"}, {"partition", "queue_options"}),
        ("SLURM", {"python", "host", "partition", "gpus", "time_minutes", "queue_options"}, set()),
        ("LSF", {"python", "host", "partition", "gpus", "time_minutes", "queue_options"}, set()),
    ],
)
def test_only_settings_that_a_kind_has_are_shown(widget, ui, kind, shown, hidden):
    dialog = opened(widget, ui)
    choose_kind(dialog, kind)
    visible = {name for name, editor in dialog.form.editors.items() if editor.visible}
    assert shown <= visible and not hidden & visible


@pytest.mark.parametrize("kind", ["Python on this computer", "SSH"])
def test_nothing_entered_is_said_in_words(widget, ui, kind):
    dialog = opened(widget, ui)
    choose_kind(dialog, kind)
    person.click(dialog.saveButton)
    assert dialog.messageLabel.text == "Expected a host, a Python or a name, got none. Enter one of them."


def test_a_cluster_is_saved_with_all_that_was_entered_and_offered_where_work_can_run(widget, ui):
    dialog = opened(widget, ui)
    choose_kind(dialog, "SLURM")
    enter(dialog, host="me@cluster.example.org", python="~/venv/bin/python", partition="gpu", account="bones")
    enter(dialog, time_minutes=90, gpus=2, memory_gb=64.5, port=2222, identity_file="~/.ssh/key")
    enter(dialog, queue_options="--constraint=a100\n\n--exclusive\n", setup="module load cuda")
    enter(dialog, variables="OMP_NUM_THREADS=4", path_map="/data=/mnt/a=b")
    person.click(dialog.saveButton)
    assert find_environment("cluster.example.org") == Environment(
        "cluster.example.org",
        Kind.SLURM,
        "~/venv/bin/python",
        host="me@cluster.example.org",
        port=2222,
        identity_file="~/.ssh/key",
        path_map=(("/data", "/mnt/a=b"),),
        variables={"OMP_NUM_THREADS": "4"},
        setup=("module load cuda",),
        partition="gpu",
        account="bones",
        gpus=2,
        memory_gb=64.5,
        time_minutes=90,
        queue_options=("--constraint=a100", "--exclusive"),
    )
    assert person.rows_of(ui.environmentsTable)[1][1] == "cluster (SLURM)"
    for selector in (ui.runInSelector, ui.trainingEnvironmentSelector):
        assert "cluster.example.org" in person.texts_of(selector)


def test_what_was_entered_for_another_kind_is_not_saved(widget, ui):
    dialog = opened(widget, ui)
    choose_kind(dialog, "SLURM")
    enter(dialog, host="server", python="python3", partition="gpu", queue_options="--exclusive")
    choose_kind(dialog, "SSH")
    person.click(dialog.saveButton)
    assert find_environment("server").partition == "" and find_environment("server").queue_options == ()


@pytest.mark.parametrize(
    ("entered", "message"),
    [
        ({"python": "python3"}, "Expected a host"),
        ({"host": "two words", "python": "python3"}, "Expected a host's name"),
        ({"host": "server"}, "Expected the path of a Python"),
        ({"host": "server", "python": "p", "port": 70000}, "Expected a port up to 65535"),
        ({"host": "server", "python": "p", "variables": "no pair"}, "Expected NAME=VALUE, got 'no pair'"),
        ({"host": "server", "python": "p", "variables": "API_KEY=1"}, "Expected no secret"),
    ],
)
def test_what_cannot_be_an_environment_is_told_in_the_dialog_which_stays_open(widget, ui, entered, message):
    dialog = opened(widget, ui)
    enter(dialog, **entered)
    person.click(dialog.saveButton)
    assert message in dialog.messageLabel.text and dialog.dialog.visible
    assert len(person.rows_of(ui.environmentsTable)) == 1


def test_a_taken_name_is_refused_and_a_free_one_offered(widget, ui):
    save_environment(Environment("server", Kind.SSH, "python3", host="server"))
    dialog = opened(widget, ui)
    enter(dialog, host="server", python="python3")
    assert dialog.nameEdit.placeholderText == "server 2"
    dialog.nameEdit.text = "server"
    person.click(dialog.saveButton)
    assert "which is already in use" in dialog.messageLabel.text


def test_an_environment_is_changed_under_its_name_and_keeps_what_was_not_touched(widget, ui):
    save_environment(Environment("cluster", Kind.LSF, "p", host="a", queue_options=("-P x",), setup=("module load x",)))
    widget.enter()
    ui.environmentsTable.selectRow(1)
    dialog = opened(widget, ui, "editEnvironmentButton")
    assert dialog.nameEdit.readOnly and dialog.nameEdit.text == "cluster"
    enter(dialog, host="b")
    person.click(dialog.saveButton)
    expected = Environment("cluster", Kind.LSF, "p", host="b", queue_options=("-P x",), setup=("module load x",))
    assert find_environment("cluster") == expected
    assert len(person.rows_of(ui.environmentsTable)) == 2


def test_a_closed_dialog_saves_nothing(widget, ui):
    dialog = opened(widget, ui)
    enter(dialog, host="server", python="python3")
    person.click(dialog.cancelButton)
    assert not dialog.dialog.visible and len(person.rows_of(ui.environmentsTable)) == 1


def test_slicers_own_python_cannot_be_changed(widget, ui):
    ui.environmentsTable.selectRow(0)
    assert not ui.editEnvironmentButton.enabled and "other than Slicer's own Python" in ui.editEnvironmentButton.toolTip


@pytest.mark.parametrize("content", ["where the scans lie", ""])
def test_a_text_file_is_no_python_even_if_it_may_be_run(widget, ui, tmp_path, content):
    notes = tmp_path / "python"
    notes.write_text(content, "utf-8")
    notes.chmod(0o755)
    dialog = opened(widget, ui)
    choose_kind(dialog, "Python on this computer")
    enter(dialog, python=str(notes))
    person.click(dialog.saveButton)
    assert "Expected a Python executable" in dialog.messageLabel.text
    widget.panel.environments.add(notes)
    assert "Expected a Python executable" in ui.environmentStatusLabel.text
    assert len(person.rows_of(ui.environmentsTable)) == 1


def test_a_program_that_is_no_python_is_not_kept(widget, ui, tmp_path):
    program = tmp_path / "tools" / "viewer"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho hello\n", "utf-8")
    program.chmod(0o755)
    widget.panel.environments.add(program)
    person.wait_until(lambda: not widget.panel.environments.isTesting())
    assert "is no Python" in ui.environmentStatusLabel.text and len(person.rows_of(ui.environmentsTable)) == 1


def test_a_test_tells_in_the_dialog_what_is_there_before_anything_is_saved(widget, ui):
    dialog = opened(widget, ui)
    choose_kind(dialog, "Python on this computer")
    enter(dialog, python=sys.executable)
    person.click(dialog.testButton)
    person.wait_until(lambda: not dialog.isTesting())
    assert "python: 3" in dialog.messageLabel.text and "✓" in dialog.messageLabel.text
    assert len(person.rows_of(ui.environmentsTable)) == 1


def test_a_test_of_a_closed_dialog_does_not_run_on(widget, ui, slow_engine):
    from slow_engine import wait_for_the_end_of

    processes = slow_engine()
    dialog = opened(widget, ui)
    enter(dialog, host="server", python="python3")
    person.click(dialog.testButton)
    person.wait_until(lambda: _started(processes))
    pids = processes()
    person.click(dialog.cancelButton)
    wait_for_the_end_of(pids)


def _started(processes):
    try:
        return len(processes()) == 2
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("name", ["ssh", "slurm through ssh"])
def test_a_host_described_in_the_dialog_is_tested_and_can_run_work(name, widget, ui, make_environment):
    wanted = make_environment(name)
    dialog = opened(widget, ui)
    choose_kind(dialog, "SLURM" if "slurm" in name else "SSH")
    enter(dialog, host=wanted.host, python=wanted.python, ssh_config=wanted.ssh_config, root=wanted.root)
    enter(dialog, partition=wanted.partition)
    person.click(dialog.testButton)
    person.wait_until(lambda: not dialog.isTesting())
    assert "python: 3" in dialog.messageLabel.text, dialog.messageLabel.text
    person.click(dialog.saveButton)
    person.wait_until(lambda: not widget.panel.environments.isTesting())
    assert "python: 3" in ui.environmentStatusLabel.text
    assert find_environment(wanted.host).root == wanted.root
