"""`train`: from a configuration to a model file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_output, output_errors, require_folder_place, require_writable_folder
from MgImplantSegLib.base.resources import bundled_models
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.inference.device import keep_freed_memory
from MgImplantSegLib.model.file import load_model
from MgImplantSegLib.networks import build_network
from MgImplantSegLib.planes.plane_sets import axis_planes
from MgImplantSegLib.training.data.augmentation import Augmentation
from MgImplantSegLib.training.data.cache import CachedSample, cache_samples
from MgImplantSegLib.training.data.patches import PatchBatches, PatchSettings
from MgImplantSegLib.training.data.sample_files import expanded_samples
from MgImplantSegLib.training.data.split import with_validation_samples
from MgImplantSegLib.training.loop.checkpoint import load_checkpoint
from MgImplantSegLib.training.loop.distributed import World, joined_world
from MgImplantSegLib.training.loop.export import (
    CONFIGURATION_FILE,
    export_run,
    preprocessing_of,
    require_same_network,
    write_facts,
)
from MgImplantSegLib.training.loop.learner import Learner
from MgImplantSegLib.training.loop.precision import choose_arithmetic
from MgImplantSegLib.training.loop.process import StopRequest, silent
from MgImplantSegLib.training.loop.trainer import LAST, STOPPED, Trainer, TrainingData
from MgImplantSegLib.training.loop.validation import ValidationSlices
from MgImplantSegLib.training.settings.configuration import TrainingConfig
from MgImplantSegLib.training.trained_samples import remember_samples, require_same_samples

FREE_ON_RESUME = (
    "iterations",
    "time_limit_minutes",
    "early_stopping_iterations",
    "device",
    "workers",
    "compile",
    "checkpoint_minutes",
    "precision",
    "accumulate",
)


@dataclass(frozen=True)
class TrainingOutcome:
    """How a run ended.

    Attributes
    ----------
    reason : str
        Why it ended.
    finished : bool
        False if it was stopped on request and can continue with `resume`.
    run_folder : Path
        Holds checkpoints, metrics and configuration.
    model : Path, optional
        The exported model file of a finished run.
    iterations : int
        Optimisation steps done.
    validation : dict
        Loss and IoU of the best validation.
    """

    reason: str
    finished: bool
    run_folder: Path
    model: Path | None
    iterations: int
    validation: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**vars(self), "run_folder": str(self.run_folder), "model": self.model and str(self.model)}


def train(config: TrainingConfig | str | Path, events: Events, resume: str | Path | None = None) -> TrainingOutcome:
    """Train a network and export it as a model file.

    Raises InputError if configuration or data cannot be used, or the loss is no longer finite; OutputError if the run's
    folder or the cache cannot be written.

    Parameters
    ----------
    resume : path, optional
        Folder of an interrupted run of this configuration, to be continued.
    """
    config = config if isinstance(config, TrainingConfig) else TrainingConfig.read(config)
    config = with_all_samples(config)
    if resume is not None:
        config = replace(config, output=Path(resume).absolute().parent, name=Path(resume).absolute().name)
    state = load_checkpoint(config.run_folder / LAST) if resume is not None else None
    if state is not None:
        require_same_configuration(config, with_all_samples(TrainingConfig.from_dict(state["configuration"])))
    for folder in (config.run_folder, config.data.cache):
        require_folder_place(folder)
    keep_freed_memory()
    arithmetic = choose_arithmetic(config.training.device, config.training.precision)
    with joined_world(arithmetic.device) as world, StopRequest(config.run_folder).on_signals() as stop:
        events = events if world.is_main else silent(events)
        _prepare_folder(config, world, is_new=state is None)
        network = _first_network(config, events, with_base_model=state is None)
        data = _training_data(config, _samples(config, world, events), world)
        learner = Learner(network, config.training, _augmentation(config), arithmetic, world, config.data.scheme)
        trainer = Trainer(config, learner, data, stop, events)
        if state is not None:
            trainer.load_state(state)
        reason = trainer.run()
        return _outcome(config, trainer, reason, world)


def with_all_samples(config: TrainingConfig) -> TrainingConfig:
    """The configuration with every sample listed singly, and its split: what is saved with the run."""
    samples = with_validation_samples(expanded_samples(config.data.samples), config.data.validation_share, config.seed)
    return replace(config, data=replace(config.data, samples=samples))


def _outcome(config: TrainingConfig, trainer: Trainer, reason: str, world: World) -> TrainingOutcome:
    finished = reason != STOPPED
    model = None
    if finished and world.is_main:
        model = export_run(config.run_folder)
    progress = trainer.progress
    validation = {"loss": progress.best_loss, **progress.best_scores}
    return world.gather(TrainingOutcome(reason, finished, config.run_folder, model, progress.iteration, validation))[0]


def _prepare_folder(config: TrainingConfig, world: World, is_new: bool) -> None:
    """Make the run's folder with the configuration in it; a folder with another run stays as it is."""
    if not world.is_main:
        return
    folder = config.run_folder
    if is_new and (folder / LAST).exists():
        raise InputError(
            f"Expected a new run, got the folder {folder} with checkpoints.",
            "Resume that run [[resume]], or choose another name or output.",
        )
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    require_writable_folder(folder)
    if not is_new:
        require_same_samples(config)
    with atomic_output(folder / CONFIGURATION_FILE) as temporary:
        temporary.write_text(config.to_toml(), encoding="utf-8")
    if is_new:
        remember_samples(config)


def _samples(config: TrainingConfig, world: World, events: Events) -> list[CachedSample]:
    """All samples in the cache; rank 0 fills it, the others wait."""
    used = [entry for entry in config.data.samples if entry.split != "test"]
    if world.is_main:
        cache_samples(used, config.data, events)
    world.wait()
    samples = cache_samples(used, config.data, silent(events))
    present = {c for s in samples if s.settings.split == "train" for c, n in enumerate(s.voxels_per_class) if n}
    if len(present) < 2:
        raise InputError("Expected two classes or more in the training samples, got one.", "Check labels and roles.")
    if world.is_main:
        write_facts(config, samples)
    return samples


def _first_network(config: TrainingConfig, events: Events, with_base_model: bool) -> nn.Module:
    """The network with random weights of the seed, or with those of the base model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = build_network(config.network_dict)
    if config.base_model is not None and with_base_model:
        bundled = bundled_models().get(config.base_model.name)
        card, weights = load_model(config.base_model if bundled is None else bundled)
        require_same_network(config, card)
        if card.preprocessing != preprocessing_of(config.data):
            events.warning(
                f"The base model was trained with {card.preprocessing}, not {preprocessing_of(config.data)}."
            )
        network.load_state_dict(weights)
    return network


def _training_data(config: TrainingConfig, samples: list[CachedSample], world: World) -> TrainingData:
    settings, planes, spec = config.training, axis_planes(config.data.planes), config.network_spec
    of_split = {name: [s for s in samples if s.settings.split == name] for name in ("train", "validation")}
    patch_settings = PatchSettings(
        settings.input_size,
        settings.batch_size,
        settings.balanced_share,
        config.augmentation,
        config.seed,
        spec.context,
    )
    return TrainingData(
        PatchBatches(of_split["train"], planes, patch_settings, world),
        ValidationSlices(of_split["validation"], planes, config.validation, spec),
    )


def _augmentation(config: TrainingConfig) -> Augmentation:
    channel = {role: number for number, role in enumerate(config.data.classes)}
    return Augmentation(
        config.augmentation,
        config.training.input_size,
        channel.get(Role.BACKGROUND.value),
        channel.get(Role.DEGRADATION_LAYER.value),
        len(config.data.classes),
    )


def require_same_configuration(new: TrainingConfig, old: TrainingConfig) -> None:
    """Raise InputError if anything differs that the course of the run depends on."""
    new_settings = replace(new.training, **{key: getattr(old.training, key) for key in FREE_ON_RESUME})
    pairs = {
        "network": (new.network, old.network),
        "augmentation": (new.augmentation, old.augmentation),
        "training": (new_settings, old.training),
        "validation": (new.validation, old.validation),
        "seed": (new.seed, old.seed),
        "data": (replace(new.data, cache=old.data.cache), old.data),
    }
    if different := [name for name, (now, then) in pairs.items() if now != then]:
        raise InputError(
            f"Expected the configuration that the run was started with, got a difference in {', '.join(different)}.",
            f"Use {CONFIGURATION_FILE} in the run's folder, or start a new run.",
        )
