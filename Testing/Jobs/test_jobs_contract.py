"""What every environment promises, whatever its kind. All of it against the real thing."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

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

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend

ODD_WORDS = (
    *(
        "two words",
        "",
        "-x",
        "--",
        "'",
        '"',
        "a;b",
        "$(touch pwned)",
        "`touch pwned`",
        "$HOME",
        "*",
        "~",
        "\\",
        "é 漢 🦴",
    ),
    *("new\nline", "%j", "&& touch pwned", "!!", "--events"),
)


def test_words_arrive_as_they_are_and_results_come_back_whole_from_a_private_folder(backend, tmp_path):
    status = run_to_end(backend, worker_request("count", "2", *ODD_WORDS, name="Schräube; $(touch pwned) -x"))
    assert status.state is State.DONE, backend.read_log(status.job)
    assert status.name == "Schräube; $(touch pwned) -x"
    files = backend.fetch(status.job, tmp_path / "results", Events())
    assert json.loads((tmp_path / "results" / "words.json").read_text()) == list(ODD_WORDS)
    assert (tmp_path / "results" / "folder with space" / "nämé;$(x) 'q'.bin").read_bytes() == bytes(range(256)) * 5000
    assert len(files) == 2
    assert not list(Path(status.folder).parents[1].rglob("pwned"))
    assert not still_running(status)
    for folder in (Path(status.folder), Path(status.folder).parent, Path(status.folder).parents[1]):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_running_job_is_read_live_by_others_is_one_for_the_same_request_and_is_stopped_politely(backend):
    request = worker_request("count", LONG)
    status = submit_and_wait_for_metric(backend, request)
    assert status.is_new
    with Backend(backend.environment) as other:
        assert_read_live(other, status.job)
        again = other.submit(request, Events())
        assert (again.is_new, again.job) == (False, status.job)
        assert len(still_running(status)) >= 2
        assert other.cancel(status.job).state is State.CANCELLED
        assert not still_running(status)
    assert (Path(status.folder) / "results" / "checkpoint.json").exists()
    assert backend.cancel(status.job).state is State.CANCELLED
    third = backend.submit(request, Events())
    assert third.is_new, "a request that ended badly is started anew"
    assert third.job != status.job
    assert backend.cancel(third.job).state is State.CANCELLED
    backend.remove(third.job)
    assert third.job not in [status.job for status in backend.list()]


def assert_read_live(backend: Backend, job: str) -> None:
    """Events and log come while the job runs, from any offset on."""
    first, offset = backend.read_events(job)
    wait_for(lambda: len(metrics(backend, job)) > len(first) + 3, "more events")
    later, _ = backend.read_events(job, offset)
    everything, _ = backend.read_events(job)
    assert first + later == everything[: len(first) + len(later)]
    assert [r["iteration"] for r in everything if r["event"] == "metric"][:3] == [0, 1, 2]
    assert backend.read_log(job) == b"first step 0\n"
    assert backend.read_log(job, 6) == b"step 0\n"


def test_a_command_that_fails_says_why_and_one_that_is_killed_leaves_nothing(backend):
    jobs = [backend.submit(worker_request(mode, "9"), Events()).job for mode in ("fail", "die")]
    failed, killed = (wait_until_final(backend, job) for job in jobs)
    assert failed.state is killed.state is State.FAILED
    assert (failed.reason, failed.remedy) == ("Expected bone, got stone.", "Bring bone.")
    assert "SIGKILL" in killed.reason
    assert not still_running(killed)


def test_a_killed_runner_takes_its_command_along_and_the_job_goes_on_by_resume(backend):
    status = submit_and_wait_for_metric(backend, worker_request("half", "20"))
    runner = json.loads((Path(status.folder) / "runner.json").read_text())
    os.kill(int(runner["process"].split()[0]), signal.SIGKILL)
    ended = wait_until_final(backend, status.job)
    assert ended.state in (State.LOST, State.FAILED)
    wait_for(lambda: (Path(status.folder) / "results" / "checkpoint.json").exists(), "the command's polite end")
    before = len(metrics(backend, status.job))
    assert backend.resume(status.job).state in (State.PENDING, State.RUNNING)
    assert wait_until_final(backend, status.job).state is State.DONE
    assert [record["iteration"] for record in metrics(backend, status.job)] == list(range(20))
    assert 0 < before <= 10
    assert not still_running(status)


CLIENT = """
import sys
sys.path[:0] = sys.argv[1:3]
from job_cases import Backend, Events, worker_request
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.watch import follow
environment = Environment.from_dict(sys.argv[3], eval(sys.argv[4]))
with Backend(environment) as backend:
    status = backend.submit(worker_request("count", "30", again=sys.argv[5]), Events())
    print(status.job, flush=True)
    follow(backend, status.job, Events())
"""


def test_a_job_outlives_its_client_killed_and_another_one_takes_over(backend, tmp_path):
    engine, here = str(Path(__file__).parents[2]), str(Path(__file__).parent)
    words = [backend.environment.name, repr(backend.environment.to_dict()), str(tmp_path)]
    client = subprocess.Popen([sys.executable, "-c", CLIENT, engine, here, *words], stdout=subprocess.PIPE, text=True)
    job = client.stdout.readline().strip()
    wait_for(lambda: metrics(backend, job), "the first metric")
    client.kill()
    client.wait()
    client.stdout.close()
    assert wait_until_final(backend, job).state is State.DONE
    assert [record["iteration"] for record in metrics(backend, job)] == list(range(30))
