"""The hard cases of a cluster: refusals, time limits, cancellation by others, a controller that is down."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from job_cases import (
    LONG,
    metrics,
    run_to_end,
    still_running,
    submit_and_wait_for_metric,
    wait_for,
    wait_until_final,
    worker_request,
)

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.agent.slurm_commands import ControllerDown
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment import Environment

SECONDS_FOR_REQUEUE = 150


@pytest.fixture
def environment(make_environment, tmp_path) -> Environment:
    """The cluster with an empty root folder."""
    return make_environment("slurm", root=str(tmp_path / "root"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"partition": "nowhere; $(true)"}, "invalid partition.*gpu, high, low"),
        ({"gpus": 99}, "Requested node configuration is not available.*fewer GPUs"),
        ({"sbatch_options": ("--nonsense",)}, "nonsense"),
    ],
)
def test_a_refusal_says_why_and_leaves_nothing_behind(environment, settings, words):
    with Backend(replace(environment, **settings)) as backend:
        with pytest.raises(InputError, match=f"(?s){words}"):
            backend.submit(worker_request("count", "1"), Events())
        assert backend.list() == []


def test_the_test_of_the_environment_asks_the_queue(environment):
    with Backend(replace(environment, partition="nowhere")) as backend:
        checks = {check["name"]: check for check in backend.test()}
    assert not checks["SLURM"]["ok"]
    assert "gpu, high, low" in checks["SLURM"]["remedy"]


def test_set_up_lines_and_variables_reach_the_command_and_so_do_gpus(environment, tmp_path):
    script = tmp_path / "show.py"
    script.write_text("import json, os; json.dump(dict(os.environ), open('environment.json', 'w'))")
    chosen = replace(environment, gpus=2, cpus=2, setup=("export FROM_SETUP='set up'",), variables={"MINE": "a b; $x"})
    with Backend(chosen) as backend:
        status = run_to_end(backend, replace(worker_request("count", "1"), program=script))
        backend.fetch(status.job, tmp_path / "results", Events())
    found = json.loads((tmp_path / "results" / "environment.json").read_text())
    assert (found["FROM_SETUP"], found["MINE"]) == ("set up", "a b; $x")
    assert found["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert "PYTEST_CURRENT_TEST" not in found


def test_a_job_at_its_time_limit_goes_on_later_and_one_without_a_checkpoint_ends(environment):
    """The signal comes at the earliest some seconds before 15 s, in each attempt; 500 steps take 25 s."""
    limited = replace(environment, time_minutes=1, sbatch_options=("--signal=B:USR1@45", "--nodelist=n2"))
    with Backend(limited) as backend:
        hopeless = backend.submit(replace(worker_request("count", LONG), checkpoint="", resume_words=()), Events())
        status = submit_and_wait_for_metric(backend, worker_request("count", "500"))
        assert wait_until_final(backend, status.job, SECONDS_FOR_REQUEUE).state is State.DONE
        attempts = [r["resumed"] for r in backend.read_events(status.job)[0] if r["event"] == "attempt"]
        assert attempts[:2] == [False, True]
        assert [record["iteration"] for record in metrics(backend, status.job)] == list(range(500))
        assert not still_running(status)
        ended = wait_until_final(backend, hopeless.job, SECONDS_FOR_REQUEUE)
        assert ended.state is State.FAILED
        assert "before a checkpoint" in ended.reason
        assert "more time" in ended.remedy


def test_a_preempted_job_gives_way_and_goes_on_later(make_environment, slurm, tmp_path):
    environment = make_environment(
        "slurm through ssh", root=str(tmp_path / "root"), partition="low", sbatch_options=("--exclusive",)
    )
    with Backend(environment) as backend:
        status = submit_and_wait_for_metric(backend, worker_request("count", "400"))
        slurm.run("sbatch", "--partition=high", "--exclusive", "--wrap=sleep 1", "--output=/dev/null")
        wait_for(lambda: backend.status(status.job).state is State.PENDING, "the preemption", SECONDS_FOR_REQUEUE)
        assert not still_running(status)
        assert wait_until_final(backend, status.job, SECONDS_FOR_REQUEUE).state is State.DONE
        assert [record["iteration"] for record in metrics(backend, status.job)] == list(range(400))


def test_scancel_by_somebody_else_is_a_cancelled_job(environment, slurm):
    with Backend(environment) as backend:
        status = submit_and_wait_for_metric(backend, worker_request("count", LONG))
        slurm.run("scancel", status.slurm_job)
        ended = wait_until_final(backend, status.job)
        assert ended.state is State.CANCELLED
        assert "SLURM" in ended.reason
        wait_for(lambda: not still_running(status), "the end of all processes")
        assert (Path(status.folder) / "results" / "checkpoint.json").exists()


def test_a_job_that_waits_is_taken_out_of_the_queue(environment):
    with Backend(replace(environment, sbatch_options=("--begin=now+1hour",))) as backend:
        status = backend.submit(worker_request("count", "1"), Events())
        assert status.state is State.PENDING
        wait_for(lambda: "BeginTime" in backend.status(status.job).reason, "the queue's reason")
        assert backend.cancel(status.job).state is State.CANCELLED


def test_a_job_that_ignores_polite_signals_is_killed(environment):
    with Backend(replace(environment, grace_s=1.0)) as backend:
        status = submit_and_wait_for_metric(backend, worker_request("stubborn", LONG))
        assert backend.cancel(status.job).state is State.CANCELLED
        assert not still_running(status)


def test_a_submitter_that_died_before_noting_the_number_loses_nothing(environment):
    with Backend(environment) as backend:
        status = submit_and_wait_for_metric(backend, worker_request("count", LONG))
        (Path(status.folder) / "slurm.json").unlink()
        assert backend.status(status.job).state is State.RUNNING
        assert backend.cancel(status.job).state is State.CANCELLED
        assert not still_running(status)


def test_jobs_go_on_while_the_controller_is_down(environment, slurm):
    with Backend(environment) as backend:
        running = submit_and_wait_for_metric(backend, worker_request("count", "300"))
        slurm.controller.stop()
        try:
            seen = len(metrics(backend, running.job))
            status = backend.status(running.job)
            assert status.state is State.RUNNING
            assert "controller does not answer" in status.reason
            with pytest.raises(ControllerDown, match="try again later"):
                backend.submit(worker_request("count", "1"), Events())
            wait_for(lambda: len(metrics(backend, running.job)) > seen, "events without the controller")
        finally:
            slurm.controller.start()
        assert wait_until_final(backend, running.job).state is State.DONE
        assert run_to_end(backend, worker_request("count", "1")).state is State.DONE
        assert len(backend.list()) == 2
