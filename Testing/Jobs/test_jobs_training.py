"""Training as a job: two processes under torchrun through every backend; stopped, killed, preempted, out of time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from job_cases import attempts, metrics, still_running, wait_for, wait_until_final
from services import SlurmCluster, own_address

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend, JobStatus
from MgImplantSegLib.jobs.training_request import training_request
from MgImplantSegLib.model.file import read_card
from MgImplantSegLib.training.settings.configuration import TrainingConfig

sys.path.append(str(Path(__file__).parents[1] / "Engine"))
from training_cases import SMALL, write_samples

pytestmark = [pytest.mark.services, pytest.mark.slow]

SHORT = {"iterations": 12}
ENDLESS = {"iterations": 1_000_000}  # until it is stopped; `let_it_end` says how far it goes after that
SECONDS_FOR_TRAINING = 900
NO_MORE_JOBS = ("DRAIN", "RESUME")
Command = tuple[str, ...]


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> Path:
    """A folder with odd characters: two small labelled scans in its folder ``samples``."""
    folder = tmp_path_factory.mktemp("data") / "scans; $(touch pwned) é"
    write_samples(folder / "samples", 2)
    return folder


@pytest.fixture(scope="module")
def submit(samples, make_environment) -> Callable[..., tuple[Backend, JobStatus]]:
    """Submits a training with these settings of the loop, by two processes."""
    submitted = []

    def submit(name: str, loop: dict[str, int], **settings) -> tuple[Backend, JobStatus]:
        configuration = write_configuration(samples, f"run {len(submitted)}", loop)
        common = {"processes": 2, "grace_s": 60.0}
        backend = Backend(make_environment(name, **{**common, **settings}))
        submitted.append((backend, backend.submit(training_request(configuration), Events())))
        return submitted[-1]

    yield submit
    for backend, status in submitted:
        backend.cancel(status.job)
        backend.__exit__()


@pytest.fixture(scope="module")
def interrupted(submit, slurm) -> Iterator[dict[str, Future]]:
    """Two trainings on the cluster, through a login node and not, whose interruption goes on beside other tests."""
    limited = submit("slurm", ENDLESS, queue_options=("--nodelist=n2",))
    preempted = submit("slurm through ssh", ENDLESS, partition="low", queue_options=("--exclusive",))
    warn = ("scancel", "--signal=USR1", "--batch", limited[1].queue_job)  # as SLURM does before the time limit
    close, open_ = (("scontrol", "update", "NodeName=n2", f"State={state}", "Reason=test") for state in NO_MORE_JOBS)
    take = ("sbatch", "--partition=high", "--exclusive", "--wrap=sleep 1800", "--output=/dev/null")
    give_back = ("scancel", "--partition=high", "--user=root")
    with ThreadPoolExecutor() as pool:
        yield {
            "limited": pool.submit(interrupt, *limited, slurm, (close, warn), (open_,)),
            "preempted": pool.submit(interrupt, *preempted, slurm, (take,), (give_back,)),
        }


def interrupt(
    backend: Backend, status: JobStatus, slurm: SlurmCluster, causes: Sequence[Command], ends: Sequence[Command]
) -> tuple[Backend, JobStatus]:
    """Interrupt a training that works, and let it go on once it waits in the queue and nothing of it runs."""
    wait_for(lambda: curve(backend, status), "a live curve", SECONDS_FOR_TRAINING)
    try:
        for command in causes:
            slurm.run(*command)
        wait_for(lambda: backend.status(status.job).state is State.PENDING, "the queue", SECONDS_FOR_TRAINING)
        assert not still_running(status)
        let_it_end(backend, status)
    finally:
        for command in ends:
            slurm.run(*command)
    return backend, status


def let_it_end(backend: Backend, status: JobStatus) -> None:
    """Have an endless training that was stopped go on to the second validation from there, and end with it."""
    path = Path(status.folder) / "inputs" / "training.toml"
    endless, last = f"iterations = {ENDLESS['iterations']}", curve(backend, status)[-1]["iteration"]
    text = path.read_text("utf-8")
    assert text.count(endless) == 1
    path.write_text(text.replace(endless, f"iterations = {last + 8}"), "utf-8")


def write_configuration(folder: Path, name: str, loop: dict[str, int]) -> Path:
    """A configuration beside the samples, which it names by a pattern."""
    settings = {**SMALL, "name": name, "training": {**SMALL["training"], **loop}}
    path = folder / f"{name}.toml"
    path.write_text(TrainingConfig.from_dict(settings, folder).to_toml(), "utf-8")
    return path


def curve(backend: Backend, status: JobStatus) -> list[dict]:
    """The validations so far, as the GUI draws them."""
    return [record for record in metrics(backend, status.job) if "validation_loss" in record]


def assert_model_comes_back(backend: Backend, status: JobStatus, folder: Path) -> None:
    ended = wait_until_final(backend, status.job, SECONDS_FOR_TRAINING)
    assert ended.state is State.DONE, backend.read_log(status.job).decode("utf-8", "replace")
    assert not still_running(status)
    models = [path for path in backend.fetch(status.job, folder, Events()) if path.suffix == ".mgmodel"]
    assert [read_card(path).network["name"] for path in models] == ["unet"]


def assert_it_went_on(backend: Backend, status: JobStatus, folder: Path) -> None:
    """The second attempt went on where the first was stopped: every iteration once, and the model is there."""
    assert_model_comes_back(backend, status, folder)
    assert attempts(backend, status) == [False, True]
    iterations = [record["iteration"] for record in curve(backend, status)]
    assert iterations == list(range(4, 4 * len(iterations) + 1, 4))
    assert len(iterations) >= 3


@pytest.mark.skipif(not own_address(), reason="the name of this machine leads to no address: processes could not meet")
@pytest.mark.usefixtures("interrupted")
def test_on_two_nodes_of_a_cluster_it_is_stopped_with_a_checkpoint_and_goes_on(submit, tmp_path):
    backend, status = submit("slurm", ENDLESS, nodes=2, processes=1)
    wait_for(lambda: curve(backend, status), "a live curve", SECONDS_FOR_TRAINING)
    assert backend.cancel(status.job).state is State.CANCELLED
    assert not still_running(status)
    let_it_end(backend, status)
    backend.resume(status.job)
    assert_it_went_on(backend, status, tmp_path)


def test_on_this_computer_it_is_stopped_with_a_checkpoint_and_goes_on(submit, tmp_path):
    backend, status = submit("this", ENDLESS)
    wait_for(lambda: curve(backend, status), "a live curve", SECONDS_FOR_TRAINING)
    assert backend.cancel(status.job).state is State.CANCELLED
    assert not still_running(status)
    let_it_end(backend, status)
    backend.resume(status.job)
    assert_it_went_on(backend, status, tmp_path)


def test_in_another_python_a_process_of_it_is_killed_and_it_goes_on(submit, tmp_path):
    backend, status = submit("local", ENDLESS)
    wait_for(lambda: len(curve(backend, status)) > 1, "a live curve", SECONDS_FOR_TRAINING)
    os.kill(process_of_rank(status, 1), signal.SIGKILL)
    ended = wait_until_final(backend, status.job, SECONDS_FOR_TRAINING)
    assert ended.state is State.FAILED
    assert not still_running(status)
    let_it_end(backend, status)
    backend.resume(status.job)
    assert_model_comes_back(backend, status, tmp_path)
    assert attempts(backend, status) == [False, True]


def process_of_rank(status: JobStatus, rank: int) -> int:
    """Process id of one of the processes that torchrun has started."""
    variables = {pid: Path("/proc", str(pid), "environ").read_bytes().split(b"\0") for pid in still_running(status)}
    return next(pid for pid, found in variables.items() if b"RANK=%d" % rank in found)


def test_on_a_host_with_samples_that_are_copied(submit, tmp_path):
    backend, status = submit("ssh", SHORT)
    assert_model_comes_back(backend, status, tmp_path)
    assert [record["iteration"] for record in curve(backend, status)] == [4, 8, 12]
    text = (Path(status.folder) / "inputs" / "training.toml").read_text("utf-8")
    assert "/sets/" in text
    assert "touch pwned" not in text


@pytest.mark.parametrize("cause", ["limited", "preempted"])
def test_on_a_cluster_it_survives_time_limit_and_preemption(cause, interrupted, tmp_path):
    backend, status = interrupted[cause].result(SECONDS_FOR_TRAINING)
    assert_it_went_on(backend, status, tmp_path)
