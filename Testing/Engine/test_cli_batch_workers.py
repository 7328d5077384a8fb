"""batch --at-once: several processes, one table; whatever ends, the same command goes on."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from MgImplantSegLib.cli import main
from MgImplantSegLib.cli.batch_board import batch_lock
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io import write_volume

CHECKOUT = Path(__file__).resolve().parents[2]
MODEL = ("--model", "thresholds.mgmodel", "--planes", "1")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of Unix")


@pytest.fixture
def scans(tmp_path, monkeypatch, thresholds) -> Path:
    """Five scans; the third is no image."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    shutil.copy(thresholds, tmp_path)
    (tmp_path / "scans").mkdir()
    array = np.zeros((16, 16, 16), np.uint8)
    array[4:12, 4:12, 4:12], array[6:8, 6:10, 6:10], array[:, 13:, :] = 170, 255, 100
    for name in "abde":
        write_volume(Volume(array, Geometry((16, 16, 16), (0.02,) * 3)), tmp_path / "scans" / f"{name}.nrrd")
    (tmp_path / "scans" / "c.nrrd").write_text("no image")
    return tmp_path


def states(folder: Path) -> dict[str, str]:
    with open(folder / "out" / "batch.csv", newline="", encoding="utf-8") as stream:
        return {row["sample"]: row["state"] for row in csv.DictReader(stream)}


def start(*words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "MgImplantSegLib", "batch", "scans", "out", *MODEL, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(is_true, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def workers(folder: Path) -> list[int]:
    """Processes of a batch in this folder that take their samples from another one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"--worker" in words and os.readlink(entry / "cwd") == str(folder):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def held_with_two_running(batch: subprocess.Popen, folder: Path) -> bool:
    """Hold the batch and its processes, which would go on meanwhile, and ask beside it what they do.

    They go on where fewer than two have a sample that is a scan: a process takes its first when it has been started,
    and its next when the last one is written.
    """
    os.killpg(batch.pid, signal.SIGSTOP)
    assert main(["batch", "scans", "out", *MODEL, "--status", "--json", "s.json"]) == 0
    rows = json.loads((folder / "s.json").read_text())["samples"]
    if len({row["sample"] for row in rows if row["state"] == "running"} - {"c"}) == 2:
        return True
    assert batch.poll() is None and {row["state"] for row in rows} & {"waiting", "running"}, rows
    os.killpg(batch.pid, signal.SIGCONT)
    return False


@pytest.mark.slow
def test_two_processes_do_all_samples_and_one_that_fails_stops_no_other(scans, thresholds, capsys):
    shutil.copy(thresholds, scans)
    assert main(["batch", "scans", "out", *MODEL, "--at-once", "2", "--json", "r.json"]) == 2
    assert "got 1 that failed: c" in capsys.readouterr().err
    assert states(scans) == {"a": "done", "b": "done", "c": "failed", "d": "done", "e": "done"}
    before = {path: path.stat().st_mtime_ns for path in (scans / "out").glob("*/segmentation.seg.nrrd")}
    (scans / "scans" / "c.nrrd").unlink()
    assert main(["batch", "scans", "out", *MODEL]) == 0, "one process knows what several have done"
    assert before == {path: path.stat().st_mtime_ns for path in (scans / "out").glob("*/segmentation.seg.nrrd")}
    assert len(before) == 4 and workers(scans) == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_a_killed_process_costs_its_sample_alone_and_a_killed_batch_nothing(scans):
    batch = start("--at-once", "2")
    wait_for(lambda: held_with_two_running(batch, scans))
    os.kill(workers(scans)[0], signal.SIGKILL)
    os.killpg(batch.pid, signal.SIGCONT)
    _, error = batch.communicate()
    assert batch.returncode == 2 and "ended with signal 9 (SIGKILL)" in error
    assert sorted(states(scans).values()).count("done") == 3

    batch = start("--at-once", "2")
    wait_for(lambda: len(workers(scans)) == 2)
    batch.kill()
    batch.communicate()
    wait_for(lambda: workers(scans) == [], 30)
    (scans / "scans" / "c.nrrd").unlink()
    assert main(["batch", "scans", "out", *MODEL]) == 0
    assert set(states(scans).values()) == {"done"}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_a_second_batch_looks_on_and_ctrl_c_ends_all_processes(scans, capsys):
    batch = start("--at-once", "2")
    wait_for(lambda: held_with_two_running(batch, scans))
    os.killpg(batch.pid, signal.SIGCONT)
    batch.send_signal(signal.SIGINT)
    _, error = batch.communicate()
    assert batch.returncode == 130 and "cancelled" in error
    assert workers(scans) == [] and "running" not in states(scans).values()
    assert not [path for path in (scans / "out").iterdir() if path.name.startswith(".partial-")]


def test_never_two_batches_work_in_one_folder(scans, capsys, monkeypatch):
    (scans / "out").mkdir()
    with batch_lock(scans / "out"):
        monkeypatch.setattr("MgImplantSegLib.cli.batch.batch_lock", lambda folder: batch_lock(folder, 0.1))
        assert main(["batch", "scans", "out", *MODEL]) == 2
        error = capsys.readouterr().err
    assert "Expected a folder that no other batch is using" in error and "--status" in error
    assert not (scans / "out" / "batch.csv").exists()


def test_status_of_a_batch_that_was_never_started_is_waiting(scans, capsys):
    assert main(["batch", "scans", "out", *MODEL, "--status", "--json", "s.json"]) == 0
    assert {row["state"] for row in json.loads((scans / "s.json").read_text())["samples"]} == {"waiting"}
    assert not (scans / "out").exists()


def test_a_sample_can_be_done_alone_and_the_table_stays_as_it_is(scans, capsys):
    assert main(["batch", "scans", "out", *MODEL, "--only", "b", "--only", "d"]) == 0
    assert {path.name for path in (scans / "out").iterdir()} == {"b", "d"}
    assert main(["batch", "scans", "out", *MODEL, "--only", "z"]) == 2
    assert "Expected a sample of scans, got 'z'" in capsys.readouterr().err
