"""A training run as a job: its configuration is rewritten so that every path is right where the job runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from MgImplantSegLib.jobs.request import InputText, JobRequest

CONFIGURATION_NAME = "training.toml"
LAST_CHECKPOINT = "last.pt"
RESULTS_FROM_INPUTS = "../results"
CACHE_FROM_INPUTS = "../../../cache"


def training_request(configuration: Path, *, name: str = "", again: str = "") -> JobRequest:
    """The request to train as a TOML file says, on the samples that it names.

    Parameters
    ----------
    configuration : Path
        Read and checked now; later changes of the file do not matter.
    name : str
        For people; default: "train-" and the run's name.
    again : str
        Any text; makes the same configuration run once more.

    Raises
    ------
    InputError
        If the configuration cannot be used.
    """
    from MgImplantSegLib.training.configuration import TrainingConfig

    config = TrainingConfig.read(configuration)

    def compose(path_there: Callable[[Path], str]) -> str:
        samples = tuple(_sample_there(sample, path_there) for sample in config.data.samples)
        data = replace(config.data, samples=samples, cache=Path(CACHE_FROM_INPUTS))
        base_model = config.base_model and Path(path_there(config.base_model))
        return replace(config, output=Path(RESULTS_FROM_INPUTS), data=data, base_model=base_model).to_toml()

    return JobRequest(
        ("train", InputText(CONFIGURATION_NAME, compose)),
        name or f"train-{config.name}",
        is_parallel=True,
        resume_words=("--resume", config.name),
        checkpoint=f"{config.name}/{LAST_CHECKPOINT}",
        again=again,
    )


def _sample_there(sample, path_there: Callable[[Path], str]):
    roi = sample.roi and Path(path_there(sample.roi))
    return replace(sample, image=Path(path_there(sample.image)), labels=Path(path_there(sample.labels)), roi=roi)
