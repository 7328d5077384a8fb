"""The queue of a batch: hundreds of rows at little cost, batches of other programs, the same command going on."""

import json
import os
import time
from dataclasses import replace

import numpy as np
import pytest
from harness import person
from harness.values import unwrap
from module_cases import geometry

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.batch_board import Board, batch_lock
from MgImplantSegLib.cli.batch_record import Record
from MgImplantSegLib.cli.batch_table import DONE, FAILED, OVERVIEW, RUNNING, Row
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io import write_label_map, write_volume

MANY = 400
COLUMNS = 5
MARGINS_PX = 6  # beside the text of a cell
MOST_CPU_S_A_CHANGE = 0.06
BIC = {"symbol": "BIC", "unit": "%", "region": "implant", "value": 12.5}
HOSTILE = "<img src='x'>\u202e=1"


def many(folder, count=MANY):
    """What a batch of many samples leaves: the first three are done, the fourth has failed, the others wait."""
    rows = [Row(f"scan {number:03d}", f"/scans/{number:03d}.nrrd") for number in range(count)]
    folder.mkdir()
    with Board(rows, folder, "batch", Events()) as board:
        for number, row in enumerate(rows[:3]):
            (folder / row.sample).mkdir()
            Record("key", row.image, 3.0 - number, [BIC], {}).write(folder / row.sample)
            board.set(replace(row, state=DONE, seconds=3.0 - number, where="lab-pc"))
        board.set(replace(rows[3], state=FAILED, problem=HOSTILE))
    return folder


def look(widget, ui, folder):
    """Open the section, choose the folder of the results, and wait for the state of the batch there."""
    ui.batchSection.collapsed = False
    ui.batchOutputEdit.currentPath = str(folder)
    person.wait_until(lambda: not widget.panel.batch.isLooking())


@pytest.fixture
def table(module):
    """A queue table of many rows, and how many of its cells have changed so far."""
    import qt
    from MgImplantSegSections.sections.queueTable import Entry, QueueTable

    native, changes = qt.QTableWidget(), []
    queue = QueueTable(native, ["Name", "State", "Time"], (0,), lambda: None)
    queue.replace(entry(Entry, number) for number in range(MANY))
    unwrap(native).cellChanged.connect(lambda row, column: changes.append(row))
    return queue, native, changes, Entry


def entry(kind, number, state="waiting", seconds=None):
    name = f"scan {number:03d}"
    return kind(name, (name, state, "" if seconds is None else f"{seconds} s"), state, (name, state, seconds))


def test_a_change_touches_the_cells_of_its_row_alone(table):
    queue, native, changes, kind = table
    queue.put(entry(kind, 7, "running"))
    assert set(changes) == {7} and person.rows_of(native)[7] == ["scan 007", "running", ""]
    del changes[:]
    queue.put(entry(kind, 7, "running"))
    assert changes == []


def test_changes_of_hundreds_of_rows_keep_nobody_waiting(table):
    queue, _native, _changes, kind = table
    start = time.process_time()
    for number in range(50):
        queue.put(entry(kind, number, "done", number))
        person.process_events(1)
    assert (time.process_time() - start) / 50 < MOST_CPU_S_A_CHANGE


def test_rows_are_sorted_by_a_click_and_stay_selected_when_they_move(table):
    queue, native, _changes, kind = table
    for number, seconds in ((5, 30), (9, 4), (2, 200)):
        queue.put(entry(kind, number, "done", seconds))
    queue.select(["scan 009"])
    click_header(native, 2)
    assert queue.keys[:4] == ("scan 009", "scan 005", "scan 002", "scan 000"), "by number, those without one last"
    assert queue.selected() == ["scan 009"]
    click_header(native, 2)
    assert queue.keys[:4] == ("scan 002", "scan 005", "scan 009", "scan 000")
    queue.put(entry(kind, 300, "done", 1000))
    assert queue.keys[0] == "scan 300" and queue.selected() == ["scan 009"]
    click_header(native, 2)
    assert queue.keys == tuple(f"scan {number:03d}" for number in range(MANY))


def click_header(table, column):
    unwrap(table).horizontalHeader().sectionClicked.emit(column)


def test_the_state_of_a_batch_is_read_from_the_folder_of_its_results_alone(widget, ui, tmp_path):
    look(widget, ui, many(tmp_path / "results"))
    rows = person.rows_of(ui.batchTable)
    assert len(rows) == MANY and rows[0] == ["scan 000", "done", "lab-pc", "3 s", "BIC 12.5 %"]
    assert ui.batchCountsLabel.text == f"{MANY - 4} waiting, 3 done, 1 failed."
    person.select_rows(ui.batchTable, 0, 2)
    assert ui.openBatchButton.enabled
    assert not ui.batchAgainButton.enabled and "started from this panel" in ui.batchAgainButton.toolTip
    assert "a folder with scans" in ui.batchStartButton.toolTip


def test_names_and_reasons_from_files_stay_text(widget, ui, tmp_path):
    from PySide6.QtCore import Qt

    look(widget, ui, many(tmp_path / "results", 5))
    tip = person.items_of(ui.batchTable)[3 * COLUMNS].toolTip()
    assert "&lt;img" in tip and "<img" not in tip and "\u202e" not in tip
    person.select_rows(ui.batchTable, 3)
    assert "<img" in ui.batchReasonLabel.text and unwrap(ui.batchReasonLabel).textFormat() == Qt.TextFormat.PlainText


@pytest.mark.parametrize("content", ["{", '{"samples": [{"sample": "../x", "state": "done"}]}'])
def test_an_overview_that_is_none_shows_no_rows_and_harms_nobody(content, widget, ui, tmp_path):
    (tmp_path / OVERVIEW).write_text(content)
    look(widget, ui, tmp_path)
    assert person.rows_of(ui.batchTable) == [] and not ui.openBatchButton.enabled


def test_a_batch_of_another_program_is_followed_and_left_alone(widget, ui, tiny_model, tmp_path):
    scans(tmp_path)
    widget.panel.models.add(tiny_model)
    ui.batchFolderEdit.currentPath = str(tmp_path / "scans")
    (tmp_path / "results").mkdir()
    rows = [Row("a", "a.nrrd"), Row("b", "b.nrrd")]
    with batch_lock(tmp_path / "results"), Board(rows, tmp_path / "results", "", Events()) as board:
        ui.batchSection.collapsed = False
        ui.batchOutputEdit.currentPath = str(tmp_path / "results")
        person.wait_until(lambda: "Another program" in ui.batchStatusLabel.text)
        assert not ui.batchStartButton.enabled and "the other program" in ui.batchStartButton.toolTip
        board.mark(["b"], RUNNING, "cluster")
        person.wait_until(lambda: [row[1:3] for row in person.rows_of(ui.batchTable)][1] == ["running", "cluster"])
        person.wait_until(lambda: person.rows_of(ui.batchTable)[1][3] not in ("", "0 s"), 30)  # its seconds are counted
    person.wait_until(lambda: not widget.panel.batch.isLooking())
    assert ui.batchStartButton.enabled and "has ended" in ui.batchStatusLabel.text
    assert [row[1] for row in person.rows_of(ui.batchTable)] == ["waiting", "waiting"]


def test_nobody_looks_on_while_the_section_is_folded(widget, ui, tmp_path):
    many(tmp_path / "results", 5)
    ui.batchOutputEdit.currentPath = str(tmp_path / "results")
    assert not widget.panel.batch.isLooking()
    ui.batchSection.collapsed = False
    assert widget.panel.batch.isLooking()
    ui.batchSection.collapsed = True
    assert not widget.panel.batch.isLooking()


def scans(folder, lost=()):
    """Two scans, some of which have no voxel size."""
    (folder / "scans").mkdir(exist_ok=True)
    for name in "ab":
        grey = np.random.default_rng(2).integers(0, 255, (12, 14, 16)).astype(np.uint8)
        size_mm = 1.0 if name in lost else 0.02
        write_volume(Volume(grey, geometry(grey.shape, size_mm)), folder / "scans" / f"{name}.nrrd")


def test_run_failed_again_continues_the_same_command_whatever_was_chosen_since(widget, ui, tiny_model, tmp_path):
    scans(tmp_path, lost="b")
    widget.panel.models.add(tiny_model)
    ui.distanceSpinBox.value = 0.06
    person.choose(ui.planesSelector, "1 plane")
    ui.batchFolderEdit.currentPath, ui.batchOutputEdit.currentPath = str(tmp_path / "scans"), str(tmp_path / "results")
    assert ui.batchAgainButton.text == "Continue" and not ui.batchAgainButton.enabled
    finish(widget, ui.batchStartButton)
    assert ui.batchAgainButton.text == "Run failed again" and ui.batchAgainButton.enabled
    first = json.loads((tmp_path / "results" / OVERVIEW).read_text())["command"]
    scans(tmp_path)
    ui.daysSpinBox.value = 56
    finish(widget, ui.batchAgainButton)
    assert [row[1] for row in person.rows_of(ui.batchTable)] == ["skipped", "done"], ui.batchStatusLabel.text
    assert json.loads((tmp_path / "results" / OVERVIEW).read_text())["command"] == first and "--days" not in first
    assert not ui.batchAgainButton.enabled and "have failed" in ui.batchAgainButton.toolTip


def finish(widget, button):
    person.click(button)
    person.wait_until(lambda: not widget.panel.batch.isRunning())


def test_the_folder_of_the_selected_sample_is_shown_and_without_one_that_of_all(widget, ui, tmp_path, monkeypatch):
    import qt

    shown = []
    monkeypatch.setattr(qt.QDesktopServices.native, "openUrl", lambda url: shown.append(url.toLocalFile()))
    assert not ui.batchFolderButton.enabled
    look(widget, ui, many(tmp_path / "results", 5))
    person.click(ui.batchFolderButton)
    person.select_rows(ui.batchTable, 1)
    person.click(ui.batchFolderButton)
    assert shown == [str(tmp_path / "results"), str(tmp_path / "results" / "scan 001")]


def test_closing_the_scene_leaves_a_batch_alone(widget, ui, tiny_model, tmp_path, slow_engine):
    import slicer

    scans(tmp_path)
    widget.panel.models.add(tiny_model)
    ui.batchFolderEdit.currentPath, ui.batchOutputEdit.currentPath = str(tmp_path / "scans"), str(tmp_path / "results")
    slow_engine()
    person.click(ui.batchStartButton)
    slicer.mrmlScene.Clear(0)
    person.process_events(100)
    assert widget.panel.batch.isRunning() and ui.batchStartButton.text == "Cancel"
    finish(widget, ui.batchStartButton)
    assert "Cancelled" in ui.batchStatusLabel.text


@pytest.fixture
def two_places(widget, ui, tiny_model, tmp_path):
    """Scans, and an environment besides Slicer's Python that can share them."""
    import sys

    from MgImplantSegLib.jobs.environment import Environment, Kind
    from MgImplantSegLib.jobs.environment_file import save_environment

    save_environment(Environment("second", Kind.LOCAL, sys.executable, root=str(tmp_path / "jobs")))
    scans(tmp_path)
    widget.panel.models.add(tiny_model)
    person.choose(ui.planesSelector, "1 plane")
    ui.batchFolderEdit.currentPath, ui.batchOutputEdit.currentPath = str(tmp_path / "scans"), str(tmp_path / "results")
    ui.batchSection.collapsed = False
    assert ui.batchEnvironmentsList.isHidden()
    widget.enter()
    return ui


def tick(ui, name):
    """Tick an environment in the list."""
    from PySide6.QtCore import Qt

    places = unwrap(ui.batchEnvironmentsList)
    found = [places.item(row) for row in range(places.count()) if places.item(row).text() == name]
    found[0].setCheckState(Qt.CheckState.Checked)


def test_environments_that_are_ticked_share_the_samples(two_places, widget):
    ui, batch = two_places, widget.panel.batch
    assert "--environment" not in batch.arguments()
    tick(ui, "second")
    assert batch.arguments()[-4:] == ["--environment", "this", "--environment", "second"]
    widget.enter()
    assert batch.arguments()[-1] == "second", "it stays ticked"


def test_slicers_python_needs_its_packages_when_it_shares_the_samples(two_places, widget, monkeypatch):
    from MgImplantSegSections.engine import pythons

    tick(two_places, "second")
    monkeypatch.setattr(pythons, "version", lambda package: None)
    person.click(two_places.batchStartButton)
    assert "lacks" in two_places.batchStatusLabel.text and not widget.panel.batch.isRunning()


@pytest.mark.slow
def test_a_batch_that_is_left_running_goes_on_and_continue_collects_it(two_places, widget, tmp_path):
    ui, batch = two_places, widget.panel.batch
    tick(ui, "second")
    person.click(ui.batchStartButton)
    person.wait_until(lambda: "running" in [row[1] for row in person.rows_of(ui.batchTable)])
    assert {row[2] for row in person.rows_of(ui.batchTable)} == {"this", "second"}
    assert not ui.batchLeaveButton.isHidden()
    person.click(ui.batchLeaveButton)
    person.wait_until(lambda: not batch.isRunning())
    assert "continue without the panel" in ui.batchStatusLabel.text and ui.batchAgainButton.text == "Continue"
    assert {row[2] for row in person.rows_of(ui.batchTable)} == {"this", "second"} and ui.batchLeaveButton.isHidden()
    finish(widget, ui.batchAgainButton)
    assert {row[1] for row in person.rows_of(ui.batchTable)} == {"done"}, ui.batchStatusLabel.text


@pytest.mark.skipif(os.name == "nt", reason="reads what a signal finds")
def test_the_wish_stands_in_the_stop_file_before_the_signal_comes(module, tmp_path):
    import sys

    from MgImplantSegSections.engine.childProcess import ChildProcess

    program = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(open({str(tmp_path / 'stop')!r}).read())))\n"
        'print(\'{"event": "ready"}\', flush=True)\ntime.sleep(600)\n'
    )
    child = ChildProcess(
        [sys.executable, "-c", program], dict(os.environ), tmp_path, tmp_path / "log", tmp_path / "stop"
    )
    person.wait_until(child.events)
    child.askToStop("leave")
    person.wait_until(lambda: child.events() == [] and child.exitCode() is not None)
    child.end()
    assert "leave" in (tmp_path / "log").read_text()


SCREENS = {"1366x768": (407, 485), "1920x1080": (509, 795)}  # as in test_panel_layout


@pytest.mark.parametrize("screen", SCREENS)
def test_a_queue_of_all_states_with_places_and_a_long_reason_is_uncut_on_both_screens(
    screen, two_places, widget, tmp_path
):
    from test_panel_layout import cut_texts, inner_scrolls, wide

    ui, batch = two_places, widget.panel.batch
    dock = person.Dock(widget, *SCREENS[screen])
    try:
        reason = "Expected a scan with its voxel size, got one with 1 mm or none. " * 3
        states = [(DONE, False), (DONE, True), (FAILED, False), (RUNNING, False), ("waiting", False)]
        batch.queue.show(
            Row(
                f"rabbit {n:02d} left tibia after 12 weeks",
                "",
                state,
                75.0,
                reason if state == FAILED else "",
                [BIC] if state == DONE else [],
                where="gpu-server",
                is_skipped=is_skipped,
            )
            for n, (state, is_skipped) in enumerate(states)
        )
        counts = {"waiting": 388, "running": 2, "done": 8, "skipped": 1, "failed": 1}
        progress = {"event": "progress", "stage": "samples", "done": 10, "total": 400, "eta_s": 7385.0}
        batch.queue.take({**progress, "counts": counts})
        assert ui.batchCountsLabel.text.endswith("1 failed. 2 h 03 min left.")
        person.select_rows(ui.batchTable, 2)
        batch._task = type("Task", (), {"isRunning": True})()
        batch._isElsewhere = True
        batch.refresh()
        person.process_events(50)
        assert not ui.batchLeaveButton.isHidden() and not ui.batchReasonLabel.isHidden()
        assert not cut_texts(dock) and wide(dock) <= 0 and not inner_scrolls(dock)
        person.photograph(ui.BatchPanel, tmp_path / "queue.png", SCREENS[screen][0] - 17)
        assert all(fits(ui.batchTable, item) for item in person.items_of(ui.batchTable)), "no cell is cut"
    finally:
        batch._task = None
        dock.close()


def fits(table, item):
    """Whether the text of a cell has room, wrapped as it is."""
    from PySide6.QtCore import Qt

    native, rect = unwrap(table), unwrap(table).visualItemRect(item)
    flags = Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignLeft
    needed = native.fontMetrics().boundingRect(0, 0, rect.width() - MARGINS_PX, 1000, flags, item.text())
    return needed.height() <= rect.height() and needed.width() <= rect.width() - MARGINS_PX


def test_a_scan_is_opened_with_the_voxel_size_that_the_batch_was_given_and_found_where_it_was(widget, ui, tmp_path):
    import slicer
    from module_cases import ball_in_half_bone

    labels = ball_in_half_bone(size=20, radius=4)
    sizeless = Volume(labels.array * 60, replace(labels.geometry, spacing_zyx_mm=(1.0,) * 3))
    write_volume(sizeless, tmp_path / "scan.nrrd")
    folder = tmp_path / "results" / "a"
    folder.mkdir(parents=True)
    write_label_map(labels, folder / "segmentation.seg.nrrd")
    (folder / "measures.json").write_text(json.dumps({"measures": [], "inputs": {}}))
    Record("", str(tmp_path / "scan.nrrd"), 1.0, [], {}, spacing_um=20.0).write(folder)
    with Board([Row("a", "/elsewhere/scan.nrrd")], folder.parent, "", Events()) as board:
        board.set(replace(board.row("a"), state=DONE, seconds=1.0))
    look(widget, ui, folder.parent)
    person.select_rows(ui.batchTable, 0)
    person.click(ui.openBatchButton)
    (node,) = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") or [None]
    assert node is not None, ui.batchStatusLabel.text
    assert node.GetSpacing() == pytest.approx((0.02,) * 3)
