"""A finished run becomes a model file with a full card."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.model_card import ModelCard
from MgImplantSegLib.model_file import save_model
from MgImplantSegLib.preprocess import Preprocessing
from MgImplantSegLib.training.cache import CachedSample
from MgImplantSegLib.training.checkpoint import load_checkpoint
from MgImplantSegLib.training.configuration import TrainingConfig
from MgImplantSegLib.training.data_settings import DataSettings
from MgImplantSegLib.training.patches import axis_planes
from MgImplantSegLib.training.settings_file import settings_to_dict
from MgImplantSegLib.training.trainer import BEST

CONFIGURATION_FILE = "configuration.toml"
DATA_FILE = "data.json"


def network_dict(config: TrainingConfig) -> dict[str, Any]:
    """The network of the configuration as plain data for `build_network`."""
    return {**settings_to_dict(config.network), "classes": len(config.data.classes)}


def preprocessing_of(data: DataSettings) -> Preprocessing:
    """What is done to a volume before the network sees it."""
    return Preprocessing(data.spacing_um, data.lower_percentile, data.upper_percentile)


def export_model(config: TrainingConfig, data_summary: dict[str, Any], path: Path | None = None) -> Path:
    """Write the best weights of a run as a model file; returns its path.

    Parameters
    ----------
    config : TrainingConfig
        Of the run.
    data_summary : dict
        Of `summary_of_data`.
    path : Path, optional
        Default: ``NAME.mgmodel`` in the run's folder.

    Raises
    ------
    InputError
        If the run has not come to a first validation.
    """
    state = load_checkpoint(config.run_folder / BEST)
    progress = state["progress"]
    metrics = {"validation": {"loss": progress["best_loss"], **progress["best_scores"]}}
    training = {
        "command": command_line(),
        "description": config.description,
        "seed": config.seed,
        "iterations": progress["iteration"],
        "elapsed_minutes": round(progress["elapsed_s"] / 60, 1),
        "data": data_summary,
        "augmentation": asdict(config.augmentation),
        "settings": settings_to_dict(config.training),
        "base_model": config.base_model.name if config.base_model else None,
    }
    card = ModelCard(
        config.name, network_dict(config), preprocessing_of(config.data), config.data.scheme,
        training_planes=tuple(plane.name for plane in axis_planes(config.data.planes)),
        metrics=metrics, training=training, licence=config.licence, intended_use=config.intended_use,
        created=datetime.now(UTC).date().isoformat(),
    )  # fmt: skip
    path = path or config.run_folder / f"{config.name}.mgmodel"
    save_model(path, card, state["weights"])
    return path


def summary_of_data(samples: Sequence[CachedSample], classes: Sequence[str]) -> dict[str, Any]:
    """Number of samples and voxels per class of every split, and the samples' names."""
    summary: dict[str, Any] = {}
    for split in dict.fromkeys(sample.settings.split for sample in samples):
        chosen = [sample for sample in samples if sample.settings.split == split]
        voxels = [sum(counts) for counts in zip(*(sample.voxels_per_class for sample in chosen), strict=True)]
        summary[split] = {
            "samples": len(chosen),
            "voxels": sum(math.prod(sample.shape_zyx) for sample in chosen),
            "voxels_per_class": dict(zip(classes, voxels, strict=True)),
            "names": [sample.name for sample in chosen],
        }
    return summary


def command_line() -> str:
    """What was typed to start this process, without the path of the program."""
    return shlex.join(["mgimplantseg", *sys.argv[1:]]) if len(sys.argv) > 1 else "mgimplantseg train"


def require_same_network(config: TrainingConfig, card: ModelCard) -> None:
    """Raise InputError unless the weights of `card` fit the network and classes of `config`."""
    if card.network != network_dict(config):
        raise InputError(
            f"Expected a base model with the network {network_dict(config)}, got {card.network}.",
            "Write the base model's depth and width into [network], or choose another base model.",
        )
    roles = [label.role.value for label in card.label_scheme.labels]
    if roles != list(config.data.classes):
        raise InputError(f"Expected a base model with the classes {list(config.data.classes)}, got {roles}.")
