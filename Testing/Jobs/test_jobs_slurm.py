"""The hard cases of a cluster: refusals, time limits, cancellation by others, a controller that is down."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from job_cases import (
    LONG,
    attempts,
    metrics,
    run_to_end,
    still_running,
    submit_and_wait_for_metric,
    wait_for,
    wait_until_final,
    worker_request,
)

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.jobs import backend as backend_module
from MgImplantSegLib.jobs.agent import slurm as slurm_scheduler
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.agent.scheduler import QueueDown
from MgImplantSegLib.jobs.agent.slurm import commands as slurm_commands
from MgImplantSegLib.jobs.backend import Backend, JobStatus
from MgImplantSegLib.jobs.environment import Environment

pytestmark = pytest.mark.services

SECONDS_FOR_REQUEUE = 600


@pytest.fixture
def environment(make_environment, tmp_path) -> Environment:
    """The cluster with an empty root folder."""
    return make_environment("slurm", root=str(tmp_path / "root"))


def with_time_limit(make_environment, tmp_path_factory, minutes: int) -> Backend:
    """The cluster with a time limit, which jobs reach while other tests run."""
    root = str(tmp_path_factory.mktemp("limited") / "root")
    return Backend(make_environment("slurm", root=root, time_minutes=minutes, queue_options=("--nodelist=n2",)))


@pytest.fixture(scope="module", autouse=True)
def hopeless(make_environment, tmp_path_factory) -> Iterator[tuple[Backend, JobStatus]]:
    """A job without checkpoints that reaches its time limit."""
    with with_time_limit(make_environment, tmp_path_factory, 1) as backend:
        request = replace(worker_request("count", LONG), checkpoint="", resume_words=())
        yield backend, backend.submit(request, Events())


@pytest.fixture(scope="module", autouse=True)
def interrupted(make_environment, tmp_path_factory) -> Iterator[tuple[Backend, JobStatus]]:
    """A job with checkpoints that reaches its time limit; SLURM warns up to a minute early, of one minute at once."""
    with with_time_limit(make_environment, tmp_path_factory, 2) as backend:
        yield backend, backend.submit(worker_request("half", "40"), Events())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"partition": "nowhere; $(true)"}, "invalid partition.*gpu, high, low"),
        ({"gpus": 99}, "Requested node configuration is not available.*fewer GPUs"),
        ({"queue_options": ("--nonsense",)}, "nonsense"),
    ],
)
def test_a_refusal_says_why_and_leaves_nothing_behind(environment, settings, words):
    with Backend(replace(environment, **settings)) as backend:
        with pytest.raises(InputError, match=f"(?s){words}"):
            backend.submit(worker_request("count", "1"), Events())
        assert backend.list() == []


def test_the_test_of_the_environment_asks_the_queue(environment):
    with Backend(replace(environment, partition="nowhere", python="/no/such/python")) as backend:
        checks = {check["name"]: check for check in backend.test()}
    assert not checks["SLURM"]["ok"]
    assert not checks["python"]["ok"]
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


def test_scancel_by_somebody_else_is_a_cancelled_job(environment, slurm):
    with Backend(environment) as backend:
        status = submit_and_wait_for_metric(backend, worker_request("count", LONG))
        slurm.run("scancel", status.queue_job)
        ended = wait_until_final(backend, status.job)
        assert ended.state is State.CANCELLED
        assert "SLURM" in ended.reason
        wait_for(lambda: not still_running(status), "the end of all processes")
        assert (Path(status.folder) / "results" / "checkpoint.json").exists()


def test_a_job_that_waits_is_taken_out_of_the_queue(environment):
    with Backend(replace(environment, queue_options=("--begin=now+1hour",))) as backend:
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


def test_jobs_go_on_while_the_controller_is_down(environment, slurm, monkeypatch):
    with Backend(environment) as backend:
        running = submit_and_wait_for_metric(backend, worker_request("count", LONG))
        with slurm.controller_away():
            seen = len(metrics(backend, running.job))
            status = backend.status(running.job)
            assert status.state is State.RUNNING
            assert "controller does not answer" in status.reason
            wait_for(lambda: len(metrics(backend, running.job)) > seen, "events without the controller")
            monkeypatch.setattr(backend_module, "SECONDS_OF_PATIENCE", 0)
            with pytest.raises(QueueDown, match="try again later"):
                backend.submit(worker_request("count", "1"), Events())
            assert len(backend.list()) == 1
        assert backend.cancel(running.job).state is State.CANCELLED


def test_whoever_needs_the_controller_waits_for_it_longer_than_a_minute(environment, slurm):
    assert min(backend_module.SECONDS_OF_PATIENCE, slurm_commands.SECONDS_OF_PATIENCE) > 60
    with Backend(environment) as backend, ThreadPoolExecutor() as pool:
        stopped, limited = (submit_and_wait_for_metric(backend, worker_request("count", LONG)) for _ in range(2))
        warnings = []
        with slurm.controller_away():
            runner = json.loads((Path(limited.folder) / "runner.json").read_text("utf-8"))
            os.kill(int(runner["process"].split()[0]), signal.SIGUSR1)  # as SLURM does at the time limit
            cancelling = pool.submit(backend.cancel, stopped.job, Events(warnings.append))
            submitting = pool.submit(backend.submit, worker_request("count", "1", name="late"), Events(warnings.append))
            wait_for(lambda: len(warnings) == 2, "both to wait for the controller")
            wait_for(lambda: (Path(limited.folder) / "results" / "checkpoint.json").exists(), "the checkpoint")
            assert backend.status(limited.job).state is State.RUNNING, "it waits to be queued again"
        assert all("Trying again for 120 s" in warning["message"] for warning in warnings)
        assert cancelling.result().state is State.CANCELLED
        late = submitting.result()
        assert wait_until_final(backend, late.job).state is State.DONE
        assert len(slurm.run("squeue", "-h", "-t", "all", "-n", f"mgis-{late.job}", "-o", "%i").split()) == 1
        wait_for(lambda: was_queued_again(backend, limited), "it to be in the queue again")
        assert backend.cancel(limited.job).state is State.CANCELLED


def was_queued_again(backend: Backend, status: JobStatus) -> bool:
    """Whether the job waits for its second attempt, or is in it already."""
    return backend.status(status.job).state is State.PENDING or len(attempts(backend, status)) > 1


def test_a_submission_whose_answer_was_lost_is_found_in_the_queue(environment, slurm, monkeypatch):
    real, lost = slurm_scheduler.run_slurm, []

    def answer_is_lost_once(command, *arguments):
        answer = real(command, *arguments)
        if command[0] == "sbatch" and not lost:
            lost.append(answer)
            raise QueueDown("SLURM's controller does not answer: Socket timed out.")
        return answer

    monkeypatch.setattr(slurm_scheduler, "run_slurm", answer_is_lost_once)
    with Backend(replace(environment, queue_options=("--hold",))) as backend:
        status = backend.submit(worker_request("count", "3"), Events())
        assert status.queue_job == lost[0].strip()
        slurm.run("scontrol", "release", status.queue_job)
        assert wait_until_final(backend, status.job).state is State.DONE
        assert attempts(backend, status) == [False]


def test_a_job_that_reaches_its_time_limit_is_queued_again_and_goes_on_from_its_checkpoint(interrupted):
    backend, status = interrupted
    ended = wait_until_final(backend, status.job, SECONDS_FOR_REQUEUE)
    assert ended.state is State.DONE
    assert attempts(backend, status) == [False, True]
    assert [record["iteration"] for record in metrics(backend, status.job)] == list(range(40))


def test_a_job_that_reaches_its_time_limit_without_a_checkpoint_ends_and_is_not_queued_for_ever(hopeless):
    backend, status = hopeless
    ended = wait_until_final(backend, status.job, SECONDS_FOR_REQUEUE)
    assert ended.state is State.FAILED
    assert "before a checkpoint" in ended.reason
    assert "more time" in ended.remedy
    assert attempts(backend, status) == [False]
