"""batch on several environments at once: samples go where a place is free, and none is lost with a host."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_cases import (
    IMPATIENT,
    WORDS,
    Gate,
    arrays,
    residual_mm3,
    start_batch,
    states,
    table,
    wait_during,
    write_study,
)
from job_cases import wait_for
from services import SshServer

from MgImplantSegLib.cli import main
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.environment_file import save_environment

TOGETHER = ("--environment", "near", "--environment", "far", "--scans-per-task", "2")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals and servers of Unix")]


@pytest.fixture
def place(batch_place) -> Path:
    """A folder with a model and six scans."""
    write_study(batch_place, 6)
    return batch_place


@pytest.fixture
def other_host(sshd, tmp_path) -> Iterator[SshServer]:
    """A second SSH server."""
    server = SshServer(tmp_path / "other-host")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def host(name: str, server: SshServer, place: Path) -> Gate:
    """An environment on a server, with a folder of its own; its tasks wait at their first scan."""
    gate = Gate(place / f"gate of {name}", "scan *")
    settings = {"host": server.ALIAS, "ssh_config": str(server.client_config), "root": str(place / f"root of {name}")}
    save_environment(Environment(name, Kind.SSH, python=str(gate.python), **settings))
    return gate


def correct(place: Path) -> bool:
    """Whether the table has the right volume of every sample."""
    rows = table(place)
    volumes = [float(rows[f"scan {number:02d}"]["V_r [mm³], implant"]) for number in range(1, len(rows) + 1)]
    return volumes == pytest.approx([residual_mm3(number) for number in range(1, len(rows) + 1)])


@pytest.mark.services
def test_two_hosts_share_the_samples_and_what_one_had_when_it_died_is_done_by_the_other(place, sshd, other_host):
    near, far = host("near", sshd, place), host("far", other_host, place)
    batch = start_batch(*TOGETHER, program=("-c", IMPATIENT))
    wait_during(batch, lambda: near.is_reached() and far.is_reached(), "both to work at the same time")
    near.open()
    wait_during(batch, lambda: list(states(place).values()).count("done") == 4, "the other host's rest")
    (owed,) = [array["tasks"][0] for array in arrays(place) if array["environment"] == "far"]
    other_host.cut_off()
    error = batch.communicate()[1]
    assert batch.returncode == 0, error
    assert "far is left out for now" in error
    assert set(states(place).values()) == {"done"} and correct(place)
    before = {path: path.stat().st_mtime_ns for path in (place / "out").glob("*/*")}
    far.open()
    there = place / "root of far" / "jobs"
    wait_for(lambda: len(list(there.glob("*/exit.json"))) == 1, "the end of the job on the host that was cut off")
    assert [len(list(there.glob(f"*/results/out/{name}/sample.json"))) for name in owed] == [1, 1]
    assert {path: path.stat().st_mtime_ns for path in (place / "out").glob("*/*")} == before


@pytest.mark.services
def test_ctrl_c_leaves_the_jobs_of_all_hosts_and_the_same_command_collects_them(place, sshd):
    near, far = host("near", sshd, place), host("far", sshd, place)
    batch = start_batch(*TOGETHER)
    wait_during(batch, lambda: near.is_reached() and far.is_reached(), "both to work")
    batch.send_signal(signal.SIGINT)
    error = batch.communicate()[1]
    assert batch.returncode == 130 and all(f"1 jobs in {name} go on" in error for name in ("near", "far"))
    first = [array["name"] for array in arrays(place)]
    near.open()
    far.open()
    for name in ("near", "far"):
        there = place / f"root of {name}" / "jobs"
        wait_for(lambda there=there: len(list(there.glob("*/exit.json"))) == 1, "the end of the jobs")
    assert main(["batch", "study.csv", "out", *WORDS, *TOGETHER]) == 0
    assert set(states(place).values()) == {"done"} and correct(place)
    jobs = [path.name for name in ("near", "far") for path in (place / f"root of {name}" / "jobs").glob("batch-*")]
    assert len(jobs) == 3 and {f"{name}-0" for name in first} < set(jobs), "the four that were begun are not done anew"


def test_an_environment_whose_jobs_all_end_badly_is_left_out(place):
    gate = Gate(place / "gate", "scan *")
    bad = place / "bad python"
    bad.write_text(f'#!/bin/sh\ncase "$*" in *leash.py*) exit 9;; esac\nexec "{sys.executable}" "$@"\n', "utf-8")
    bad.chmod(0o755)
    for name, python in (("good", gate.python), ("bad", bad)):
        save_environment(Environment(name, Kind.LOCAL, python=str(python), root=str(place / f"root of {name}")))
    batch = start_batch("--environment", "good", "--environment", "bad", "--scans-per-task", "3")
    wait_during(batch, gate.is_reached, "the good one to work")
    wait_during(batch, lambda: len(list((place / "root of bad" / "jobs").glob("batch-*"))) == 2, "two bad jobs")
    gate.open()
    error = batch.communicate()[1]
    assert batch.returncode == 0, error
    assert "bad is left out for now" in error and "It is tried once more" in error
    assert set(states(place).values()) == {"done"} and correct(place)


def test_an_environment_that_is_named_twice_is_refused(place, capsys):
    assert main(["batch", "study.csv", "out", *WORDS, "--environment", "this", "--environment", "this"]) == 2
    assert "got 'this' again" in capsys.readouterr().err and not Path("out").exists()
