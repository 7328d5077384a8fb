"""A training run, or a study of many, as a job: its configuration is rewritten with the paths there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from MgImplantSegLib.jobs.request import InputText, JobRequest

TRAINING_COMMANDS = ("train", "crossvalidate", "scale")
CONFIGURATION_NAME = "training.toml"
LAST_CHECKPOINT = "last.pt"
RESULTS_FROM_INPUTS = "../results"
CACHE_FROM_INPUTS = "../../../cache"


def training_request(
    configuration: Path, *, command: str = "train", words: tuple[str, ...] = (), name: str = "", again: str = ""
) -> JobRequest:
    """The request to train as a TOML file says, on the samples that it names.

    Raises InputError if the configuration cannot be used, a pattern matches nothing or a file of a sample is missing.

    Parameters
    ----------
    configuration : Path
        Read and checked now, patterns of samples replaced by what they match now; later changes do not matter.
    command : str
        One of `TRAINING_COMMANDS`. Studies continue by themselves from what is finished; they run in one process.
    words : tuple of str
        Further words of the command.
    name : str
        For display; default: the command and the run's name.
    again : str
        Any text; makes the same configuration run once more.
    """
    from MgImplantSegLib.training.data.sample_files import expanded_samples
    from MgImplantSegLib.training.settings.configuration import TrainingConfig

    config = TrainingConfig.read(configuration)
    found = expanded_samples(config.data.samples)

    def compose(path_there: Callable[[Path], str]) -> str:
        samples = tuple(_sample_there(sample, path_there) for sample in found)
        data = replace(config.data, samples=samples, cache=Path(CACHE_FROM_INPUTS))
        base_model = config.base_model
        if base_model is not None and base_model.is_file():
            base_model = Path(path_there(base_model))
        return replace(config, output=Path(RESULTS_FROM_INPUTS), data=data, base_model=base_model).to_toml()

    is_single_run = command == "train"
    return JobRequest(
        (command, InputText(CONFIGURATION_NAME, compose), *words),
        name or f"{command}-{config.name}",
        is_parallel=is_single_run,
        resume_words=("--resume", config.name) if is_single_run else (),
        checkpoint=f"{config.name}/{LAST_CHECKPOINT}" if is_single_run else config.name,
        again=again,
    )


def _sample_there(sample, path_there: Callable[[Path], str]):
    roi = sample.roi and Path(path_there(sample.roi))
    return replace(sample, image=Path(path_there(sample.image)), labels=Path(path_there(sample.labels)), roi=roi)
