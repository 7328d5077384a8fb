"""Training as a job: two processes under torchrun through every backend; stopped, resumed, on two nodes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from job_cases import metrics, still_running, wait_for, wait_until_final

from MgImplantSegLib.events import Events
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend, JobStatus
from MgImplantSegLib.jobs.training_request import training_request
from MgImplantSegLib.model_file import read_card
from MgImplantSegLib.training.configuration import TrainingConfig

sys.path.append(str(Path(__file__).parents[1] / "Engine"))
from training_cases import SMALL, write_samples

SHORT, LONG = 24, 120
SECONDS_FOR_TRAINING = 300


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> Path:
    """A folder with odd characters: two small labelled scans in its folder ``samples``."""
    folder = tmp_path_factory.mktemp("data") / "scans; $(touch pwned) é"
    write_samples(folder / "samples", 2)
    return folder


@pytest.fixture
def submit(samples, make_environment) -> Callable[..., tuple[Backend, JobStatus]]:
    """Submits a training of so many iterations, with two processes."""
    backends = []

    def submit(name: str, iterations: int, **settings) -> tuple[Backend, JobStatus]:
        configuration = write_configuration(samples, f"run {iterations} {name}", iterations)
        backends.append(Backend(make_environment(name, **{"processes": 2, **settings})))
        return backends[-1], backends[-1].submit(training_request(configuration), Events())

    yield submit
    for backend in backends:
        backend.__exit__()


def write_configuration(folder: Path, name: str, iterations: int) -> Path:
    """A configuration beside the samples, which it names by a pattern."""
    settings = {**SMALL, "name": name, "training": {**SMALL["training"], "iterations": iterations}}
    path = folder / f"{name}.toml"
    path.write_text(TrainingConfig.from_dict(settings, folder).to_toml(), "utf-8")
    return path


def curve(backend: Backend, status: JobStatus) -> list[dict]:
    """The validations so far, as the GUI draws them."""
    return [record for record in metrics(backend, status.job) if "validation_loss" in record]


def attempts(backend: Backend, status: JobStatus) -> list[bool]:
    """Whether each attempt so far went on from a checkpoint."""
    return [record["resumed"] for record in backend.read_events(status.job)[0] if record["event"] == "attempt"]


def assert_model_comes_back(backend: Backend, status: JobStatus, folder: Path) -> None:
    ended = wait_until_final(backend, status.job, SECONDS_FOR_TRAINING)
    assert ended.state is State.DONE, backend.read_log(status.job).decode("utf-8", "replace")
    assert not still_running(status)
    models = [path for path in backend.fetch(status.job, folder, Events()) if path.suffix == ".mgmodel"]
    assert [read_card(path).network["name"] for path in models] == ["unet"]


def test_on_this_computer_it_is_stopped_with_a_checkpoint_and_goes_on(submit, tmp_path):
    backend, status = submit("this", LONG, grace_s=60.0)
    wait_for(lambda: curve(backend, status), "a live curve", SECONDS_FOR_TRAINING)
    assert backend.cancel(status.job).state is State.CANCELLED
    assert not still_running(status)
    done_before = curve(backend, status)[-1]["iteration"]
    backend.resume(status.job)
    wait_for(lambda: curve(backend, status)[-1]["iteration"] > done_before, "the curve to go on", SECONDS_FOR_TRAINING)
    assert attempts(backend, status) == [False, True]
    iterations = [record["iteration"] for record in curve(backend, status)]
    assert iterations == sorted(set(iterations))
    assert_model_comes_back(backend, status, tmp_path)


def test_in_another_python(submit, tmp_path):
    backend, status = submit("local", SHORT)
    assert_model_comes_back(backend, status, tmp_path)
    assert [record["iteration"] for record in curve(backend, status)] == [4, 8, 12, 16, 20, 24]


def test_on_a_host_with_samples_that_are_copied(submit, tmp_path):
    backend, status = submit("ssh", SHORT)
    assert_model_comes_back(backend, status, tmp_path)
    text = (Path(status.folder) / "inputs" / "training.toml").read_text("utf-8")
    assert "/sets/" in text
    assert "touch pwned" not in text


def test_on_two_nodes_of_a_cluster_it_is_stopped_with_a_checkpoint_and_goes_on(submit, tmp_path):
    backend, status = submit("slurm", LONG, nodes=2, processes=1, grace_s=60.0)
    wait_for(lambda: curve(backend, status), "a live curve", SECONDS_FOR_TRAINING)
    assert backend.cancel(status.job).state is State.CANCELLED
    assert not still_running(status)
    backend.resume(status.job)
    assert_model_comes_back(backend, status, tmp_path)
    assert attempts(backend, status) == [False, True]
    iterations = [record["iteration"] for record in curve(backend, status)]
    assert iterations == sorted(set(iterations))


def test_on_a_cluster_behind_a_login_node(submit, tmp_path):
    backend, status = submit("slurm through ssh", SHORT, cpus=2)
    assert_model_comes_back(backend, status, tmp_path)
