"""Segmenting: progress and Cancel, and that nothing is left behind however it ends."""

import os
import sys

import pytest
from harness import person
from module_cases import left_behind, segmentations
from slow_engine import LAUNCHER, WAYS_TO_LEAVE, leave_by, wait_for_the_end_of


def test_progress_shows_stage_and_time_left_and_cancel_leaves_nothing(ready, widget, slow_engine):
    pids = slow_engine()
    person.click(ready.segmentButton)
    person.wait_until(lambda: "41 s left" in ready.segmentStatusLabel.text)
    assert "plane 1/3" in ready.segmentStatusLabel.text and ready.segmentProgressBar.value == 250
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert "Cancelled" in ready.segmentStatusLabel.text
    wait_for_the_end_of(pids())
    assert not left_behind() and not segmentations()


def test_an_engine_that_does_not_listen_is_ended_with_all_it_has_started(ready, widget, slow_engine, monkeypatch):
    from MgImplantSegSections.engine import childProcess, engineRun

    for holder in (childProcess, engineRun):
        monkeypatch.setattr(holder, "POLITE_SECONDS", 0.3)
    pids = slow_engine(stubborn=True)
    person.click(ready.segmentButton)
    person.wait_until(lambda: "plane" in ready.segmentStatusLabel.text)
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    wait_for_the_end_of(pids())
    assert not left_behind()


def test_the_engine_is_asked_politely_although_slicers_launcher_passes_no_signal_on(
    ready, widget, slow_engine, tmp_path, monkeypatch
):
    from MgImplantSegSections.engine import engineRun

    monkeypatch.setattr(engineRun, "POLITE_SECONDS", 60)
    pids = slow_engine(launcher=(sys.executable, "-c", LAUNCHER))
    person.click(ready.segmentButton)
    person.wait_until(lambda: "plane" in ready.segmentStatusLabel.text)
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    assert (tmp_path / "pids.asked").exists()
    wait_for_the_end_of(pids())
    assert not left_behind()


@pytest.mark.skipif(os.name == "nt", reason="the engine gets no signals there anyway")
def test_an_engine_that_gets_no_signals_as_on_windows_stops_by_itself(ready, widget, monkeypatch):
    from MgImplantSegSections.engine import engineRun, pythons

    own = pythons.python()
    deaf = ("sh", "-c", 'trap "" TERM; exec "$@"', "sh", *own.words)
    monkeypatch.setattr(pythons, "python", lambda name=None: engineRun.EnginePython(deaf, own.environment, own.folder))
    monkeypatch.setattr(engineRun, "POLITE_SECONDS", 3600)
    person.click(ready.segmentButton)
    person.wait_until(left_behind)
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning(), 300)
    assert "Cancelled" in ready.segmentStatusLabel.text and not left_behind() and not segmentations()


@pytest.mark.parametrize("leave", WAYS_TO_LEAVE)
def test_leaving_while_it_runs_leaves_no_process_no_file_and_no_half_result(ready, widget, slow_engine, leave):
    pids = slow_engine()
    person.click(ready.segmentButton)
    person.wait_until(lambda: "plane" in ready.segmentStatusLabel.text)
    section = widget.panel.segmentation
    leave_by(leave, widget, ready.inputVolumeSelector.currentNode())
    person.wait_until(lambda: not section.isRunning())
    wait_for_the_end_of(pids())
    assert not left_behind() and not segmentations()
