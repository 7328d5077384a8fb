"""Lines that plug-ins and wrappers of a cluster print among its answers; its programs are stood in for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from job_cases import a_description

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.jobs.agent.agent import Agent
from MgImplantSegLib.jobs.agent.scheduler import Interruption
from MgImplantSegLib.jobs.agent.slurm import SlurmScheduler
from MgImplantSegLib.jobs.connection import agent_settings
from MgImplantSegLib.jobs.environment import Environment, Kind

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")
NOISE = "echo 'sbatch: Notice: your quota is 42 %'; echo 17 jobs; echo; echo '1|2|3'; echo 'JobId=9 JobState=FAILED'"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Makes the programs of a cluster, shell lines each, and gives its agent."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def make(**programs: str) -> Agent:
        for name, text in {"squeue": "exit 0", "scancel": f"echo $* >> '{tmp_path}/cancelled'", **programs}.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        agent = Agent(agent_settings(Environment("x", Kind.SLURM, sys.executable, root=str(tmp_path / "root"))))
        agent.hello()
        return agent

    return make


def submit(agent: Agent) -> dict:
    """A job is handed to the cluster."""
    return agent.submit("job", a_description(scheduler="slurm", submission="s").to_dict(), {})


@pytest.mark.parametrize(
    "printed",
    [
        "echo 123",
        f"{NOISE}; echo 123",
        f"echo 123; {NOISE}",
        f"{NOISE}; echo '  123 '; {NOISE}",
        "printf '123\\r\\n'",
        "echo 'Submitted batch job 123'",
        "echo 42; echo '123;cluster'; echo 7",
        'for i in 1 2 3; do echo "WARNING: plugin: line $i of a long text" >&2; done; echo 123',
    ],
)
def test_the_jobs_number_is_found_among_other_lines(cluster, printed):
    agent = cluster(sbatch=printed, squeue=f"{NOISE}; echo '123|RUNNING|None'; {NOISE}")
    status = submit(agent)
    assert (status["queue_job"], status["state"]) == ("123", "running")


def test_a_cluster_that_is_named_is_asked_and_told(cluster, tmp_path):
    asked = f"echo $* >> '{tmp_path}/asked'; echo 'CLUSTER: far'; echo '123|PENDING|Priority'"
    agent = cluster(sbatch="echo '123;far'", squeue=asked)
    assert submit(agent)["reason"] == "The queue says: Priority."
    assert "--clusters=far" in (tmp_path / "asked").read_text().splitlines()[-1]


def test_of_several_numbers_the_one_that_the_queue_knows_counts(cluster, tmp_path):
    squeue = f"""
case "$*" in
  *-t*-n*mgis-job*) echo 'note'; echo '123|{tmp_path}/root/jobs/job' ;;
  *-j*) echo '123|PENDING|Resources' ;;
esac"""
    assert submit(cluster(sbatch="echo 42; echo 123; echo 7", squeue=squeue))["queue_job"] == "123"


@pytest.mark.parametrize("printed", ["", "echo 42; echo 123", "echo done", "echo 'job 123 was queued'", "echo -5"])
def test_without_a_number_the_answer_is_shown_and_nothing_stays_in_the_queue(cluster, tmp_path, printed):
    agent = cluster(sbatch=printed)
    with pytest.raises(InputError, match=r"a job's number from sbatch, got: .*sbatch --parsable"):
        submit(agent)
    assert agent.list()["jobs"] == []
    assert (tmp_path / "cancelled").read_text() == "--name=mgis-job\n"


def test_a_refusal_at_the_end_of_many_lines_is_what_is_told(cluster):
    lines = 'i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo "lua: note $i" >&2; done'
    refusal = "echo 'sbatch: error: Batch job submission failed: Invalid account or account/partition' >&2; exit 1"
    with pytest.raises(InputError, match=r"^SLURM refused: Batch job submission failed: Invalid account") as found:
        submit(cluster(sbatch=f"{lines}; {refusal}"))
    assert len(found.value.message) < 350
    noise = "printf '\\033[31m' >&2; seq 1 5000 >&2; exit 1"
    with pytest.raises(InputError, match=r"5000\.? *$") as found:
        submit(cluster(sbatch=noise))
    assert len(found.value.message) < 350 and found.value.message.isprintable()


def test_a_queue_that_cannot_be_asked_does_not_make_a_job_lost(cluster):
    agent = cluster(sbatch="echo 123", squeue="exit 0")
    assert submit(agent)["state"] == "lost", "the queue answers, and does not know it"
    cluster(squeue="echo 'squeue: error: Protocol authentication error' >&2; exit 1")
    told = agent.status("job")
    assert (told["state"], "authentication" in told["reason"]) == ("pending", True)
    cluster(squeue="echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert agent.status("job")["state"] == "lost"


@pytest.mark.parametrize(
    ("shown", "cause"),
    [
        ("JobState=RUNNING PreemptTime=2026-01-01T00:00:00 Restarts=0", Interruption.PREEMPTED),
        ("JobState=PENDING PreemptTime=None Restarts=0", Interruption.PREEMPTED),
        ("JobState=RUNNING Reason=TimeLimit PreemptTime=None Restarts=0", Interruption.OUT_OF_TIME),
        ("JobState=CANCELLED Reason=None PreemptTime=None Restarts=0", Interruption.CANCELLED),
        ("JobState=RUNNING PreemptTime=None Restarts=0 Command=/a/JobState=PENDING", Interruption.CANCELLED),
    ],
)
def test_why_a_job_is_stopped_is_found_among_other_lines(cluster, shown, cause):
    line = f"echo 'JobId=123 JobName=mgis-job {shown}'"
    cluster(scontrol=f"{NOISE}; echo 'JobId=1234 JobState=PENDING'; {line}; {NOISE}")
    allocation = SlurmScheduler.allocation({"SLURM_JOB_ID": "123", "SLURM_JOB_NODELIST": "n1"})
    assert allocation.interruption(is_time_over=False) is cause


def test_a_job_whose_cluster_is_not_here_hides_no_other(cluster, tmp_path, monkeypatch):
    agent = cluster(sbatch="echo 123", squeue="echo '123|PENDING|None'")
    submit(agent)
    Path(tmp_path, "squeue").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    (status,) = agent.list()["jobs"]
    assert (status["state"], "squeue" in status["reason"]) == ("unknown", True)
