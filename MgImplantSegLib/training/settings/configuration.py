"""All settings of a training run, as frozen dataclasses read from TOML and saved with the run."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.settings import (
    read_toml,
    require,
    require_choice,
    settings_from_dict,
    settings_to_dict,
)
from MgImplantSegLib.base.toml_writer import toml_text
from MgImplantSegLib.model.card import WEIGHT_DTYPES
from MgImplantSegLib.networks import network_options, network_spec
from MgImplantSegLib.networks.spec import UNetSpec
from MgImplantSegLib.training.settings.augmentation_settings import AugmentationSettings
from MgImplantSegLib.training.settings.data_settings import DataSettings
from MgImplantSegLib.training.settings.loop_settings import LoopSettings, ValidationSettings
from MgImplantSegLib.training.settings.study_settings import CrossValidationSettings, ScalingSettings


@dataclass(frozen=True)
class TrainingConfig:
    """A whole training run.

    Parameters
    ----------
    name : str
        Of the run and of the exported model file.
    output : Path
        Folder of the runs; this one writes to ``output/name``.
    seed : int
        Of weights, patches and augmentation.
    base_model : Path, optional
        A model file, or the name of a bundled model, whose weights training starts from (fine-tuning).
    weights_dtype : str
        "float32", or "float16" for a model file of half the size.
    description, licence, intended_use : str
        Go into the model card.
    network : dict
        The name of a network and its options, see `NETWORKS`; by default those of the paper.
    """

    name: str
    data: DataSettings
    output: Path = Path("runs")
    seed: int = 0
    base_model: Path | None = None
    weights_dtype: str = "float32"
    description: str = ""
    licence: str = ""
    intended_use: str = "Research use only."
    network: dict[str, Any] = field(default_factory=dict)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    training: LoopSettings = field(default_factory=LoopSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    crossvalidation: CrossValidationSettings = field(default_factory=CrossValidationSettings)
    scaling: ScalingSettings = field(default_factory=ScalingSettings)

    def __post_init__(self) -> None:
        require(
            bool(self.name) and not set(self.name) & set('/\\:*?"<>|') and self.name.strip(". ") == self.name,
            "a name that can be a file's name",
            self.name,
        )
        require_choice(self.weights_dtype, WEIGHT_DTYPES, "weights_dtype")
        object.__setattr__(self, "network", network_options(self.network, len(self.data.classes)))
        multiple = self.network_spec.size_multiple
        require(
            self.training.input_size % multiple == 0,
            f"an input_size that is a multiple of 2^depth = {multiple}",
            self.training.input_size,
        )

    @property
    def network_dict(self) -> dict[str, Any]:
        """The network as plain data for `build_network`."""
        return {**self.network, "classes": len(self.data.classes)}

    @property
    def network_spec(self) -> UNetSpec:
        """The network's specification."""
        return network_spec(self.network_dict)

    @property
    def run_folder(self) -> Path:
        """Where checkpoints, metrics and the model file of this run go."""
        return self.output / self.name

    @classmethod
    def from_dict(cls, data: dict[str, Any], folder: str | Path = ".") -> TrainingConfig:
        """The configuration of plain data; relative paths are taken from `folder`.

        Raises InputError if a key is unknown, missing or holds what it may not.
        """
        folder = Path(folder).absolute()
        config = settings_from_dict(cls, data, folder)
        data_settings = replace(config.data, cache=_normal(folder / config.data.cache))
        return replace(config, output=_normal(folder / config.output), data=data_settings)

    @classmethod
    def read(cls, path: str | Path) -> TrainingConfig:
        """The configuration in a TOML file; relative paths are taken from the file's folder."""
        return cls.from_dict(read_toml(path), Path(path).absolute().parent)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `from_dict` gives the same configuration again."""
        return settings_to_dict(self)

    def to_toml(self) -> str:
        """The configuration as the text of a TOML file."""
        return toml_text(self.to_dict())


def _normal(path: Path) -> Path:
    """The path without ``..``, as messages show it."""
    return Path(os.path.normpath(path))
