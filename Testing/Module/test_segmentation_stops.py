"""Section 3: progress and Cancel, and that nothing is left behind however it ends."""

import os
import sys
from pathlib import Path

import pytest
import slicer
from harness import person
from module_cases import left_behind, segmentations

SLOW_ENGINE = """
import json, pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
pathlib.Path({pids!r}).write_text(f"{{__import__('os').getpid()}} {{child.pid}}")
if {stubborn}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
else: signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({pids!r} + ".asked").touch(), child.kill(), sys.exit(130)))
print(json.dumps({{"event": "progress", "stage": "plane 1/3", "done": 1, "total": 4, "eta_s": 41}}), flush=True)
time.sleep(3600)
"""


LAUNCHER = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


@pytest.fixture
def slow_engine(module, monkeypatch, tmp_path):
    """Puts a program that never ends in place of the engine; returns a function that gives its process numbers."""
    from MgImplantSegSections import pythons
    from MgImplantSegSections.engineRun import EnginePython

    pids = tmp_path / "pids"

    def install(stubborn=False, launcher=()):
        program = SLOW_ENGINE.format(pids=str(pids), stubborn=stubborn)
        engine = EnginePython((*launcher, sys.executable, "-c", program), dict(os.environ), tmp_path)
        monkeypatch.setattr(pythons, "python", lambda name=None: engine)
        return lambda: [int(number) for number in pids.read_text().split()]

    return install


def is_alive(pid):
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_for_the_end_of(pids):
    """A process that was killed lasts until it gets its turn, which may take a while on a busy machine."""
    person.wait_until(lambda: not any(is_alive(pid) for pid in pids), 300)


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
    from MgImplantSegSections import childProcess, engineRun

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
    from MgImplantSegSections import engineRun

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
    from MgImplantSegSections import engineRun, pythons

    own = pythons.python()
    deaf = ("sh", "-c", 'trap "" TERM; exec "$@"', "sh", *own.words)
    monkeypatch.setattr(pythons, "python", lambda name=None: engineRun.EnginePython(deaf, own.environment, own.folder))
    monkeypatch.setattr(engineRun, "POLITE_SECONDS", 3600)
    person.click(ready.segmentButton)
    person.wait_until(left_behind)
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning(), 300)
    assert "Cancelled" in ready.segmentStatusLabel.text and not left_behind() and not segmentations()


@pytest.mark.parametrize("leave", ["close the scene", "delete the volume", "reload", "quit"])
def test_leaving_while_it_runs_leaves_no_process_no_file_and_no_half_result(ready, widget, slow_engine, leave):
    pids = slow_engine()
    person.click(ready.segmentButton)
    person.wait_until(lambda: "plane" in ready.segmentStatusLabel.text)
    section = widget.panel.segmentation
    if leave == "close the scene":
        slicer.mrmlScene.Clear(0)
    elif leave == "delete the volume":
        slicer.mrmlScene.RemoveNode(ready.inputVolumeSelector.currentNode())
    elif leave == "reload":
        widget.cleanup()
    else:
        slicer.app._signals.aboutToQuit.emit()
    person.wait_until(lambda: not section.isRunning())
    wait_for_the_end_of(pids())
    assert not left_behind() and not segmentations()
