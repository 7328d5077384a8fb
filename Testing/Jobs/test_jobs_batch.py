"""batch --environment: one array of jobs on a cluster, results as they come, the same command after anything."""

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
from job_cases import wait_for

from MgImplantSegLib.cli import main
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io import write_volume
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment_file import find_environment, save_environment

CHECKOUT = Path(__file__).parents[2]
WORDS = ("--model", "thresholds.mgmodel", "--planes", "1", "--device", "cpu")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and servers of Unix")


@pytest.fixture
def place(tmp_path, monkeypatch, thresholds) -> Path:
    """A folder with a model, three scans and one that is no image, and a manifest of two groups."""
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    shutil.copy(thresholds, tmp_path)
    (tmp_path / "scans").mkdir()
    for index, name in enumerate("abc"):
        scan(tmp_path / "scans" / f"{name}.nrrd", index + 1)
    (tmp_path / "scans" / "broken.nrrd").write_text("no image")
    lines = [f"scans/{name}.nrrd,{name} é,{'Mg' if name == 'a' else 'Ti'},28" for name in ("a", "b", "c", "broken")]
    (tmp_path / "study.csv").write_text("\n".join(["image,name,group,time point", *lines]), "utf-8")
    return tmp_path


def scan(path: Path, metal: int) -> None:
    array = np.zeros((16, 16, 16), np.uint8)
    array[4:12, 4:12, 4:12], array[6 : 6 + metal, 6:10, 6:10], array[:, 13:, :] = 170, 255, 100
    write_volume(Volume(array, Geometry((16, 16, 16), (0.02,) * 3)), path)


def table(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "out" / "batch.csv", newline="", encoding="utf-8") as stream:
        return {row["sample"]: row for row in csv.DictReader(stream)}


def jobs_of(name: str) -> list:
    with Backend(find_environment(name)) as backend:
        return backend.list()


@pytest.mark.parametrize("name", ["this", "slurm through ssh"])
def test_a_batch_elsewhere_is_as_if_done_here_and_what_failed_alone_is_done_again(
    name, make_environment, place, capsys
):
    save_environment(make_environment(name, root=str(place / "far away")))
    words = ["batch", "study.csv", "out", *WORDS, "--environment", f"test {name}", "--at-once", "2"]
    assert main([*words, "--json", "r.json"]) == 2
    assert "got 1 that failed: broken é" in capsys.readouterr().err
    rows = table(place)
    assert [row["state"] for row in rows.values()] == ["done", "done", "done", "failed"]
    assert "Expected an NRRD file" in rows["broken é"]["problem"]
    assert [row["group"] for row in rows.values()] == ["Mg", "Ti", "Ti", "Ti"]
    volumes = [float(rows[f"{sample} é"]["V_r [mm³], implant"]) for sample in "abc"]
    assert volumes == pytest.approx([count * 16 * 0.02**3 for count in (1, 2, 3)])
    before = {path: path.stat().st_mtime_ns for path in (place / "out").glob("*/segmentation.seg.nrrd")}
    scan(place / "scans" / "broken.nrrd", 4)
    assert main(["batch", "study.csv", "out", *WORDS, "--only", "a é"]) == 0, "results from there count here"
    count = len(jobs_of(f"test {name}"))
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(jobs_of(f"test {name}")) == count + 1
    assert main(words) == 0
    assert len(jobs_of(f"test {name}")) == count + 1, "what is done is not submitted again"
    assert not list((place / "out").glob(".partial-*"))


@pytest.mark.services
@pytest.mark.slow
def test_ctrl_c_leaves_the_array_and_the_same_command_collects_it(make_environment, place, slurm):
    environment = make_environment("slurm", root=str(place / "root"), queue_options=("--hold",))
    save_environment(environment)
    (place / "scans" / "broken.nrrd").unlink()
    lines = (place / "study.csv").read_text("utf-8").splitlines()
    (place / "study.csv").write_text("\n".join(lines[:-1]), "utf-8")
    words = ["batch", "study.csv", "out", *WORDS, "--environment", "test slurm"]
    command = [sys.executable, "-m", "MgImplantSegLib", *words]
    batch = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    array = wait_for(lambda: arrays(place), "the submission")[0]
    wait_for(lambda: slurm.run("squeue", "-h", "-r", "-n", f"mgis-{array['name']}", "-o", "%i").split(), "the queue")
    assert main(["batch", "study.csv", "out", *WORDS, "--status"]) == 0
    time.sleep(2)
    batch.send_signal(signal.SIGINT)
    _, error = batch.communicate()
    assert batch.returncode == 130 and "3 jobs in test slurm go on" in error
    queued = slurm.run("squeue", "-h", "-r", "-n", f"mgis-{array['name']}", "-o", "%i").split()
    assert len(queued) == 3
    number = queued[0].split("_")[0]
    slurm.run("scancel", f"{number}_1")  # somebody takes one task out of the queue
    slurm.run("scontrol", "release", number)
    save_environment(make_environment("slurm", root=str(place / "root")))
    assert main(words) == 0, "the two are collected, the third is submitted again"
    assert {row["state"] for row in table(place).values()} == {"done"}
    assert [len(array["tasks"]) for array in arrays(place)] == [3, 1]


def arrays(folder: Path) -> list[dict]:
    path = folder / "out" / "batch-jobs.json"
    return json.loads(path.read_text("utf-8"))["arrays"] if path.exists() else []


@pytest.mark.services
@pytest.mark.slow
def test_ctrl_c_cancels_where_that_was_chosen_and_chunks_hold_several_scans(make_environment, place, slurm, capsys):
    save_environment(make_environment("slurm", root=str(place / "root"), queue_options=("--hold",)))
    words = ["batch", "study.csv", "out", *WORDS, "--environment", "test slurm", "--scans-per-task", "3"]
    command = [sys.executable, "-m", "MgImplantSegLib", *words, "--when-stopped", "cancel"]
    batch = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    array = wait_for(lambda: arrays(place), "the submission")[0]
    assert [len(task) for task in array["tasks"]] == [3, 1]
    wait_for(lambda: slurm.run("squeue", "-h", "-r", "-n", f"mgis-{array['name']}", "-o", "%i").split(), "the queue")
    time.sleep(1)
    batch.send_signal(signal.SIGTERM)
    batch.communicate()
    assert batch.returncode == 130
    assert slurm.run("squeue", "-h", "-r", "-n", f"mgis-{array['name']}", "-o", "%i").split() == []


@pytest.mark.services
def test_a_refusal_of_the_cluster_is_one_line_and_leaves_no_jobs(make_environment, place, capsys):
    save_environment(make_environment("slurm", root=str(place / "root"), partition="nowhere"))
    assert main(["batch", "study.csv", "out", *WORDS, "--environment", "test slurm"]) == 2
    assert "invalid partition" in capsys.readouterr().err
    assert jobs_of("test slurm") == []


@pytest.mark.services
@pytest.mark.slow
def test_a_task_that_is_killed_is_told_and_costs_its_own_samples(make_environment, place, slurm):
    """One task is held by its environment's set-up until it is killed; the others are done."""
    hold = 'case "$3" in *batch*) [ "$SLURM_ARRAY_TASK_ID" = 1 ] && [ ! -e "$3-1/again" ] && sleep 600;; esac'
    save_environment(make_environment("slurm", root=str(place / "root"), setup=(hold,)))
    command = [
        sys.executable,
        "-m",
        "MgImplantSegLib",
        "batch",
        "study.csv",
        "out",
        *WORDS,
        "--environment",
        "test slurm",
    ]
    batch = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    array = wait_for(lambda: arrays(place), "the submission")[0]
    name = f"mgis-{array['name']}"
    held = wait_for(
        lambda: [
            n for n in slurm.run("squeue", "-h", "-r", "-t", "R", "-n", name, "-o", "%i").split() if n.endswith("_1")
        ],
        "the held task",
    )[0]
    wait_for(lambda: table(place)["c é"]["state"] == "done", "the others' results while one is held")
    slurm.run("scancel", "--signal=KILL", "--full", held)
    batch.communicate(timeout=240)
    assert batch.returncode == 2
    rows = table(place)
    assert [rows[f"{sample} é"]["state"] for sample in ("a", "b", "c", "broken")] == [
        "done",
        "failed",
        "done",
        "failed",
    ]
    assert f"test slurm/{array['name']}-1" in rows["b é"]["problem"]


def test_an_environment_that_nobody_knows_is_told_before_anything_is_written(place, capsys):
    assert main(["batch", "scans", "out", *WORDS, "--environment", "nowhere"]) == 2
    assert "'nowhere'" in capsys.readouterr().err and not Path("out").exists()
