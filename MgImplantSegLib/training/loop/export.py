"""A finished run becomes a model file with a full card."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from MgImplantSegLib import __version__
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.settings import settings_to_dict
from MgImplantSegLib.base.text_files import read_json
from MgImplantSegLib.inference.openvino_export import add_openvino_where_possible
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.model.file import save_model
from MgImplantSegLib.networks import network_spec
from MgImplantSegLib.planes.plane_sets import axis_planes
from MgImplantSegLib.preprocessing.preprocess import Preprocessing
from MgImplantSegLib.training.data.cache import CachedSample
from MgImplantSegLib.training.loop.checkpoint import load_checkpoint
from MgImplantSegLib.training.loop.trainer import BEST
from MgImplantSegLib.training.settings.configuration import TrainingConfig
from MgImplantSegLib.training.settings.data_settings import DataSettings

CONFIGURATION_FILE = "configuration.toml"
FACTS_FILE = "run.json"


def preprocessing_of(data: DataSettings) -> Preprocessing:
    """What is done to a volume before the network sees it."""
    return Preprocessing(data.spacing_um, data.lower_percentile, data.upper_percentile)


def export_run(run_folder: Path, path: Path | None = None) -> Path:
    """Write the best weights of a run, finished or not, as a model file; returns its path.

    Raises InputError if there is no run, or it has not come to a first validation; OutputError if the file cannot be
    written.

    Parameters
    ----------
    path : Path, optional
        Default: ``NAME.mgmodel`` in the run's folder.
    """
    state = load_checkpoint(run_folder / BEST)
    config = TrainingConfig.read(run_folder / CONFIGURATION_FILE)
    path = path or run_folder / f"{config.name}.mgmodel"
    save_model(path, _card(config, state["progress"], read_facts(run_folder)), state["weights"])
    add_openvino_where_possible(path)
    return path


def _card(config: TrainingConfig, progress: dict[str, Any], facts: dict[str, Any]) -> ModelCard:
    training = {
        "commands": facts["commands"],
        "description": config.description,
        "seed": config.seed,
        "iterations": progress["iteration"],
        "elapsed_minutes": round(progress["elapsed_s"] / 60, 1),
        "data": facts["data"],
        "augmentation": settings_to_dict(config.augmentation),
        "settings": settings_to_dict(config.training),
        "base_model": config.base_model.name if config.base_model else None,
    }
    return ModelCard(
        config.name,
        config.network_dict,
        preprocessing_of(config.data),
        config.data.scheme,
        training_planes=tuple(plane.name for plane in axis_planes(config.data.planes)),
        metrics={"validation": {"loss": progress["best_loss"], **progress["best_scores"]}},
        training=training,
        weights_dtype=config.weights_dtype,
        licence=config.licence,
        intended_use=config.intended_use,
        created=datetime.now(UTC).date().isoformat(),
    )


def write_facts(config: TrainingConfig, samples: Sequence[CachedSample]) -> None:
    """Note the command and the data in the run's folder; commands of earlier parts of the run are kept."""
    path = config.run_folder / FACTS_FILE
    commands = read_facts(config.run_folder)["commands"] if path.exists() else []
    facts = {
        "commands": [*commands, command_line()],
        "software_version": __version__,
        "data": summary_of_data(samples, config.data.classes),
    }
    with atomic_output(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")


def read_facts(run_folder: Path) -> dict[str, Any]:
    """What `write_facts` has noted. Raises InputError if there is nothing readable."""
    try:
        return read_json(run_folder / FACTS_FILE)
    except (OSError, ValueError) as error:
        raise InputError(f"Expected {FACTS_FILE} in the folder of a run, got {run_folder}: {error}.") from error


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
    if network_spec(card.network) != config.network_spec:
        raise InputError(
            f"Expected a base model with the network {config.network_dict}, got {card.network}.",
            "Copy the base model's network into [network], or choose another base model.",
        )
    roles = [label.role.value for label in card.label_scheme.labels]
    if roles != list(config.data.classes):
        raise InputError(f"Expected a base model with the classes {list(config.data.classes)}, got {roles}.")
