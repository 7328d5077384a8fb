"""The hard cases of an LSF cluster, against a stand-in that runs, queues and kills: what IBM documents, no more."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from job_cases import (
    LONG,
    a_description,
    attempts,
    metrics,
    run_to_end,
    still_running,
    submit_and_wait_for_metric,
    wait_for,
    wait_until_final,
    worker_request,
)
from lsf import FOLDER, MINUTE, change, records

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.jobs import backend as backend_module
from MgImplantSegLib.jobs.agent import lsf as lsf_scheduler
from MgImplantSegLib.jobs.agent.agent import Agent
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, QueueRecord, State
from MgImplantSegLib.jobs.agent.lsf import LsfScheduler
from MgImplantSegLib.jobs.agent.lsf.commands import LsfAllocation
from MgImplantSegLib.jobs.agent.scheduler import QueueDown
from MgImplantSegLib.jobs.agent.settings import AgentSettings
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment import Environment

HELD = ("-H",)


@pytest.fixture
def environment(make_environment, tmp_path) -> Environment:
    """The cluster with an empty root folder."""
    return make_environment("lsf", root=str(tmp_path / "root"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"partition": "nowhere; $(true)"}, "No such queue.*gpu, normal"),
        ({"cpus": 99}, "Too many processors.*fewer cores"),
        ({"queue_options": ("-R rusage[mem",)}, "Bad resource requirement"),
        ({"queue_options": ("-nonsense",)}, "illegal option"),
    ],
)
def test_a_refusal_says_why_and_leaves_nothing_behind(environment, settings, words):
    with Backend(replace(environment, **settings)) as backend:
        with pytest.raises(InputError, match=f"(?s)LSF refused: .*{words}"):
            backend.submit(worker_request("count", "1"), Events())
        assert backend.list() == []


def test_the_test_of_the_environment_asks_the_queue(environment):
    with Backend(replace(environment, python="/no/such/python")) as backend:
        checks = {check["name"]: check for check in backend.test()}
    assert checks["LSF"]["found"] == "IBM Spectrum LSF Standard 10.1.0.12, Oct 05 2021"
    with Backend(replace(environment, partition="nowhere", python="/no/such/python")) as backend:
        checks = {check["name"]: check for check in backend.test()}
    assert not checks["LSF"]["ok"] and "gpu, normal" in checks["LSF"]["remedy"]


def test_set_up_lines_variables_and_cores_reach_the_command(environment, lsf, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # one that is set counts, and other tests may have set it
    script = tmp_path / "show.py"
    script.write_text("import json, os; json.dump(dict(os.environ), open('environment.json', 'w'))")
    chosen = replace(environment, cpus=3, gpus=2, setup=("export FROM_SETUP='set up'",), variables={"MINE": "a b; $x"})
    with Backend(chosen) as backend:
        status = run_to_end(backend, replace(worker_request("count", "1"), program=script))
        backend.fetch(status.job, tmp_path / "results", Events())
    found = json.loads((tmp_path / "results" / "environment.json").read_text())
    assert (found["FROM_SETUP"], found["MINE"], found["OMP_NUM_THREADS"]) == ("set up", "a b; $x", "3")
    record = change(lsf.folder, int(status.queue_job))
    assert (record["n"], record["gpu"], record["R"]) == (3, "num=2", ["span[hosts=1]"])


def test_bkill_by_somebody_else_is_a_cancelled_job(environment, lsf):
    with Backend(environment) as backend:
        status = submit_and_wait_for_metric(backend, worker_request("count", LONG))
        lsf.run("bkill", status.queue_job)
        ended = wait_until_final(backend, status.job)
        assert ended.state is State.CANCELLED
        assert "bkill" in ended.reason
        wait_for(lambda: not still_running(status), "the end of all processes")
        assert (Path(status.folder) / "results" / "checkpoint.json").exists()


def test_a_job_that_waits_says_why_and_is_taken_out_of_the_queue(environment):
    with Backend(replace(environment, queue_options=HELD)) as backend:
        status = backend.submit(worker_request("count", "1"), Events())
        assert (status.state, status.reason) == (State.PENDING, "LSF has suspended it.")
        assert backend.cancel(status.job).state is State.CANCELLED
        assert backend.status(status.job).reason == "Stopped on request."


def test_a_job_that_ignores_polite_signals_is_killed(environment):
    with Backend(replace(environment, grace_s=1.0)) as backend:
        status = submit_and_wait_for_metric(backend, worker_request("stubborn", LONG))
        assert backend.cancel(status.job).state is State.CANCELLED
        assert not still_running(status)


def test_a_submitter_that_died_before_noting_the_number_loses_nothing(environment):
    with Backend(environment) as backend:
        status = submit_and_wait_for_metric(backend, worker_request("count", LONG))
        (Path(status.folder) / "lsf.json").unlink()
        assert backend.status(status.job).state is State.RUNNING
        assert backend.cancel(status.job).state is State.CANCELLED
        assert not still_running(status)


def test_jobs_go_on_while_lsf_does_not_answer(environment, lsf, monkeypatch):
    with Backend(environment) as backend:
        running = submit_and_wait_for_metric(backend, worker_request("count", LONG))
        (lsf.folder / "down").touch()
        try:
            seen = len(metrics(backend, running.job))
            status = backend.status(running.job)
            assert (status.state, "does not answer" in status.reason) == (State.RUNNING, True)
            wait_for(lambda: len(metrics(backend, running.job)) > seen, "events without the queue")
            monkeypatch.setattr(backend_module, "SECONDS_OF_PATIENCE", 0)
            with pytest.raises(QueueDown, match="try again later"):
                backend.submit(worker_request("count", "1"), Events())
            assert len(backend.list()) == 1
        finally:
            (lsf.folder / "down").unlink()
        assert backend.cancel(running.job).state is State.CANCELLED


def test_a_submission_whose_answer_was_lost_is_found_in_the_queue(environment, lsf, monkeypatch):
    real, lost = lsf_scheduler.run_lsf, []

    def answer_is_lost_once(command, *arguments):
        answer = real(command, *arguments)
        if command[0] == "bsub" and not lost:
            lost.append(answer)
            raise QueueDown("LSF's controller does not answer: no answer in 120 s.")
        return answer

    monkeypatch.setattr(lsf_scheduler, "run_lsf", answer_is_lost_once)
    with Backend(replace(environment, queue_options=HELD)) as backend:
        status = backend.submit(worker_request("count", "3"), Events())
        assert f"<{status.queue_job}>" in lost[0]
        lsf.run("bresume", status.queue_job)
        assert wait_until_final(backend, status.job).state is State.DONE
        assert attempts(backend, status) == [False]


def test_a_job_that_reaches_its_time_limit_is_queued_again_and_goes_on_from_its_checkpoint(
    environment, monkeypatch, lsf
):
    monkeypatch.setenv(MINUTE, "4")  # LSF warns after 2 of 3 minutes
    with Backend(replace(environment, time_minutes=3)) as backend:
        status = run_to_end(backend, worker_request("half", "40"))
        assert status.state is State.DONE
        assert attempts(backend, status) == [False, True]
        assert [record["iteration"] for record in metrics(backend, status.job)] == list(range(40))
        assert not still_running(status)
    assert change(lsf.folder, int(status.queue_job))["wt"] == "1"


def test_a_time_limit_without_a_checkpoint_ends_the_job(environment, monkeypatch):
    monkeypatch.setenv(MINUTE, "2")
    with Backend(replace(environment, time_minutes=2)) as backend:
        ended = run_to_end(backend, replace(worker_request("count", LONG), checkpoint="", resume_words=()))
        assert ended.state is State.FAILED
        assert "before a checkpoint" in ended.reason and "more time" in ended.remedy
        assert attempts(backend, ended) == [False]


def test_a_job_that_is_requeued_by_somebody_goes_on(environment, lsf):
    with Backend(environment) as backend:
        status = submit_and_wait_for_metric(backend, worker_request("half", "20"))
        lsf.run("brequeue", status.queue_job)
        assert wait_until_final(backend, status.job).state is State.DONE
        assert attempts(backend, status) == [False, True]


def test_a_driver_is_asked_for_on_a_computing_node(environment, lsf, tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text(
        '#!/bin/sh\n[ -n "$LSB_JOBID" ] || exit 9\ncase "$*" in *compute_cap*) echo 8.0;; '
        "*) echo 'CUDA Version: 12.4';; esac\n"
    )
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with Backend(environment) as backend:
        assert backend.driver() == ((12, 4), (8, 0))


def test_what_a_job_asks_for_is_said_in_bsubs_words():
    settings = AgentSettings("/r", "/p", "lsf", partition="gpu", account="me", nodes=2, cpus=8, gpus=4)
    settings = replace(settings, memory_gb=1.5, time_minutes=90, queue_options=("-x", "-R select[type == any]"))
    assert LsfScheduler(settings).resource_options() == [
        *("-q", "gpu", "-P", "me", "-n", "16", "-R", "span[ptile=8]", "-gpu", "num=4"),
        *("-R", "rusage[mem=1536MB]", "-W", "90", "-x", "-R", "select[type == any]"),
    ]
    assert LsfScheduler(AgentSettings("/r", "/p", "lsf")).resource_options() == []


def test_a_job_knows_its_machines_and_starts_its_command_on_each():
    variables = {"LSB_JOBID": "7", "LSB_MCPU_HOSTS": "host2 4 host1 8 "}
    allocation = LsfAllocation.of_this_process(variables)
    assert (allocation.number, allocation.cores()) == ("7", 4)
    assert allocation.prefix(2) == ["blaunch", "-no-shell", "-z", "host2 host1"]
    assert LsfAllocation.of_this_process({"LSB_JOBID": "7"}) is None
    assert LsfScheduler.allocation({}).queued is None


@pytest.mark.parametrize(
    ("line", "state", "words"),
    [
        ("7|PEND|-|-|Not enough hosts;", State.PENDING, "The queue says: Not enough hosts."),
        ("7|PEND|-|-|-", State.PENDING, ""),
        ("7|PSUSP|-|-|-", State.PENDING, "LSF has suspended it."),
        ("7|USUSP|-|-|-", State.PENDING, "LSF has suspended it."),
        ("7|SSUSP|-|-|-", State.PENDING, "LSF has suspended it."),
        ("7|RUN|-|-|-", State.RUNNING, ""),
        ("7|UNKWN|-|-|-", State.RUNNING, "LSF cannot reach"),
        ("7|DONE|-|-|-", State.LOST, "LSF has no record"),
        ("7|ZOMBI|-|-|-", State.FAILED, "killed before it could report"),
        ("7|EXIT|137|-|-", State.FAILED, "killed before it could report (exit code 137)"),
        ("7|EXIT|140|TERM_RUNLIMIT: job killed after reaching LSF run time limit|-", State.FAILED, "time limit"),
        ("7|EXIT|130|TERM_OWNER: job killed by owner|-", State.CANCELLED, "bkill"),
        (
            "7|EXIT|1|TERM_MEMLIMIT: job killed after reaching LSF memory usage limit|-",
            State.FAILED,
            "memory asked for",
        ),
        ("note: 8 jobs\n7|RUN|-|-|-\n8|EXIT|1|-|-", State.RUNNING, ""),
        ("", State.LOST, "LSF has no record"),
    ],
)
def test_lsfs_words_for_states_are_understood(line, state, words, tmp_path, monkeypatch):
    (tmp_path / "bjobs").write_text(f"#!/bin/sh\ncat <<'END'\n{line}\nEND\n")
    (tmp_path / "bjobs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    outcome = LsfScheduler(AgentSettings("/r", "/p", "lsf")).ask(QueueRecord("7"))
    assert (outcome.state, words in outcome.reason) == (state, True)


@pytest.mark.parametrize("printed", ["", "echo 7", "echo 'Job <7> is submitted'; echo 'Job 8'"])
def test_without_a_number_the_answer_is_shown_and_nothing_stays_in_the_queue(tmp_path, monkeypatch, printed):
    for name, text in {"bsub": printed, "bjobs": "exit 0", "bkill": f"echo $* > '{tmp_path}/killed'"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    agent = Agent(AgentSettings(str(tmp_path / "root"), "/p", "lsf"))
    with pytest.raises(InputError, match="a job's number from bsub, got: "):
        agent.submit("job", a_description(scheduler="lsf").to_dict(), {})
    assert (tmp_path / "killed").read_text().startswith("-J mgis-job-")
    assert agent.list()["jobs"] == []


def test_lines_around_the_number_are_skipped(tmp_path, monkeypatch):
    noise = "echo '*** quota: 42 ***'; echo; echo 'Job <9> was yours'"
    bsub = f"{noise}; echo 'Job <7> is submitted to default queue <normal>.'; {noise}"
    for name, text in {"bsub": bsub, "bjobs": "echo '7|RUN|-|-|-'"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    scheduler = LsfScheduler(AgentSettings(str(tmp_path), "/p", "lsf"))
    job = JobFolder.create(tmp_path / "job", a_description(scheduler="lsf"), {})
    assert scheduler.submit(job, tmp_path / "start.sh") == QueueRecord("7")


def test_the_stand_in_keeps_to_its_cores(lsf, tmp_path):
    assert os.environ[FOLDER] == str(lsf.folder)
    first, second = (lsf.run("bsub", "-n", "8", "sleep 30").split("<")[1].split(">")[0] for _ in range(2))
    wait_for(lambda: {record["stat"] for record in records(lsf.folder) if str(record["jobid"]) == first} == {"RUN"}, "")
    assert change(lsf.folder, int(second))["stat"] == "PEND"
    lsf.run("bkill", first, second)
    wait_for(lambda: change(lsf.folder, int(second))["stat"] == "EXIT", "the end")
