"""batch on a real cluster where things go wrong: scans, tasks, nodes, limits, the controller, the disk."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from batch_cases import WORDS, Gate, arrays, residual_mm3, start_batch, states, table, wait_during, write_study
from job_cases import wait_for

from MgImplantSegLib.cli import main
from MgImplantSegLib.jobs.environment_file import save_environment

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="servers of Unix")]


def number_of(slurm, job: str) -> str:
    """The job's number in the queue."""
    array, _, index = job.rpartition("-")
    wait_for(lambda: slurm.run("squeue", "-h", "-r", "-n", f"mgis-{array}", "-o", "%i").split(), "the queue")
    return next(
        entry
        for entry in slurm.run("squeue", "-h", "-r", "-n", f"mgis-{array}", "-o", "%i").split()
        if entry.endswith(f"_{index}")
    )


def finished_there(job: Path) -> dict[str, int]:
    """When each sample of a job was finished where it ran."""
    return {path.parent.name: path.stat().st_mtime_ns for path in job.glob("results/out/[!.]*/sample.json")}


def attempts(job: Path) -> int:
    """How often a job was begun."""
    lines = (job / "events.jsonl").read_text("utf-8").splitlines()
    return sum(json.loads(line)["event"] == "attempt" for line in lines if line)


def test_thirty_scans_one_of_which_fails_while_the_controller_restarts_and_somebody_looks_on(
    batch_place, make_environment, slurm, capsys
):
    place = batch_place
    names = write_study(place, 30, broken=9)
    gate = Gate(place / "gate", "scan 04")
    save_environment(make_environment("slurm", root=str(place / "root"), python=str(gate.python)))
    batch = start_batch("--environment", "test slurm", "--scans-per-task", "6", "--at-once", "2")
    wait_during(batch, gate.is_reached, "the scan at which the first task waits")
    wait_during(batch, lambda: [states(place)[name] for name in names[:3]] == ["done"] * 3, "the first results")
    assert [len(array["tasks"]) for array in arrays(place)] == [4, 1], "the cluster takes four tasks in an array"
    with slurm.controller_away():
        assert main(["batch", "study.csv", "out", *WORDS, "--status", "--json", "seen.json"]) == 0
        seen = {row["sample"]: row["state"] for row in json.loads(Path("seen.json").read_text("utf-8"))["samples"]}
        assert [seen[name] for name in names[:3]] == ["done"] * 3 and seen["scan 04"] in ("running", "waiting")
        assert main(["batch", "study.csv", "out", *WORDS]) == 2
        assert "that no other batch is using" in capsys.readouterr().err
    gate.open()
    error = batch.communicate()[1]
    assert batch.returncode == 2 and "got 1 that failed: scan 09" in error
    rows = table(place)
    assert "Expected an NRRD file" in rows["scan 09"]["problem"]
    done = {name: float(row["V_r [mm³], implant"]) for name, row in rows.items() if row["state"] == "done"}
    expected = {name: residual_mm3(number) for number, name in enumerate(names, start=1) if number != 9}
    assert done == pytest.approx(expected)
    jobs = sorted((place / "root" / "jobs").glob("batch-*"))
    assert len(jobs) == 5 and all(attempts(job) == 1 for job in jobs), "nothing was done twice"


def requeue(slurm, number: str) -> None:
    slurm.run("scontrol", "requeue", number)


def cut_power(slurm, number: str) -> None:
    slurm.cut_power(slurm.run("squeue", "-h", "-j", number, "-o", "%N").strip())


@contextmanager
def all_nodes(slurm) -> Iterator[None]:
    """Gives power to the nodes that have none at the end."""
    try:
        yield
    finally:
        for node in set(slurm.run("sinfo", "-h", "-N", "-t", "down", "-o", "%N").split()):
            slurm.give_power(node)


@pytest.mark.parametrize("happens", [requeue, cut_power])
def test_a_task_that_is_begun_again_keeps_the_scans_that_it_has_finished(batch_place, make_environment, slurm, happens):
    place = batch_place
    names = write_study(place, 4)
    gate = Gate(place / "gate", "scan 03")
    save_environment(make_environment("slurm", root=str(place / "root"), python=str(gate.python), grace_s=1.0))
    with all_nodes(slurm):
        batch = start_batch("--environment", "test slurm", "--scans-per-task", "4")
        wait_during(batch, gate.is_reached, "the scan at which the task waits")
        job = place / "root" / "jobs" / f"{arrays(place)[0]['name']}-0"
        before = finished_there(job)
        assert sorted(before) == names[:2]
        happens(slurm, number_of(slurm, job.name))
        wait_during(batch, lambda: attempts(job) == 2, "the task to be begun again")
        gate.open()
        error = batch.communicate()[1]
    assert batch.returncode == 0, error
    assert set(states(place).values()) == {"done"} and attempts(job) == 2
    assert {name: time for name, time in finished_there(job).items() if name in before} == before
    assert [len(array["tasks"]) for array in arrays(place)] == [1], "nobody submitted it again"


def test_a_task_that_reaches_its_time_limit_goes_on_after_the_scans_that_it_has_finished(
    batch_place, make_environment, slurm
):
    place = batch_place
    names = write_study(place, 3)
    gate = Gate(place / "gate", "scan 02")
    save_environment(make_environment("slurm", root=str(place / "root"), python=str(gate.python), grace_s=1.0))
    batch = start_batch("--environment", "test slurm", "--scans-per-task", "3")
    wait_during(batch, gate.is_reached, "the scan at which the task waits")
    job = place / "root" / "jobs" / f"{arrays(place)[0]['name']}-0"
    before = finished_there(job)
    assert sorted(before) == names[:1]
    slurm.run("scancel", "--signal=USR1", "--batch", number_of(slurm, job.name))  # as SLURM does before the limit
    wait_during(batch, lambda: attempts(job) == 2, "the task to be begun again")
    gate.open()
    error = batch.communicate()[1]
    assert batch.returncode == 0, error
    assert set(states(place).values()) == {"done"} and attempts(job) == 2
    assert finished_there(job)[names[0]] == before[names[0]]


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk that is soon full."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all that is free on a disk; the file that does so."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(1 << 12))
    return filler


def test_a_disk_that_is_full_where_the_tasks_run_costs_the_scans_that_met_it_and_no_others(
    batch_place, make_environment, small_disk
):
    place = batch_place
    names = write_study(place, 4)
    gate = Gate(place / "gate", "scan 03")
    save_environment(make_environment("slurm", root=str(small_disk / "root"), python=str(gate.python)))
    words = ("--environment", "test slurm", "--scans-per-task", "4")
    batch = start_batch(*words)
    wait_during(batch, gate.is_reached, "the scan at which the task waits")
    wait_during(batch, lambda: [states(place)[name] for name in names[:2]] == ["done"] * 2, "the first results")
    filler = fill(small_disk)
    gate.open()
    error = batch.communicate()[1]
    assert batch.returncode == 2, error
    assert [states(place)[name] for name in names[:2]] == ["done"] * 2
    assert states(place)[names[3]] == "failed" and table(place)[names[3]]["problem"]
    before = {path: path.stat().st_mtime_ns for path in (place / "out").glob("*/sample.json")}
    filler.unlink()
    assert main(["batch", "study.csv", "out", *WORDS, *words]) == 0
    assert set(states(place).values()) == {"done"}
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_disk_that_is_full_here_is_told_and_the_same_command_collects_what_was_done_meanwhile(
    batch_place, make_environment, small_disk
):
    place = batch_place
    write_study(place, 3)
    (place / "out").symlink_to(small_disk / "out")
    (small_disk / "out").mkdir()
    gate = Gate(place / "gate", "scan 02")
    save_environment(make_environment("slurm", root=str(place / "root"), python=str(gate.python)))
    words = ("--environment", "test slurm", "--scans-per-task", "3")
    batch = start_batch(*words)
    wait_during(batch, gate.is_reached, "the scan at which the task waits")
    wait_during(batch, lambda: states(place)["scan 01"] == "done", "the first result")
    filler = fill(small_disk)
    gate.open()
    error = batch.communicate()[1]
    assert batch.returncode == 2 and "No space left" in error
    filler.unlink()
    assert main(["batch", "study.csv", "out", *WORDS, *words]) == 0
    assert set(states(place).values()) == {"done"}
    assert len(list((place / "root" / "jobs").glob("batch-*"))) == 1, "nothing was submitted again"
