"""Everything a training run is told, as frozen dataclasses read from TOML and saved with the run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.labels import CLASS_OF_ROLE, LabelScheme, Role
from MgImplantSegLib.training.settings_file import (
    nearest_name,
    read_toml,
    settings_from_dict,
    settings_to_dict,
    toml_text,
)

SPLITS = ("train", "validation", "test")
SCHEDULES = ("plateau", "cosine", "constant")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
CACHE_TYPES = ("uint8", "float16")
PATCH_SCALES = ("input", "slice")


def require(holds: bool, expected: str, got: Any) -> None:
    """Raise InputError unless `holds`."""
    if not holds:
        raise InputError(f"Expected {expected}, got {got!r}.")


def require_choice(value: str, known: tuple[str, ...], key: str) -> None:
    """Raise InputError with the nearest valid name unless `value` is one of `known`."""
    if value not in known:
        raise InputError(f"Expected one of {', '.join(known)} for {key!r}, got {value!r}.", nearest_name(value, known))


@dataclass(frozen=True)
class SampleSettings:
    """One sample, or many: with one ``*`` in `image`, each match is a sample and `labels` has its ``*`` replaced.

    Parameters
    ----------
    image, labels : Path
        The scan and its label map; the label map may cover a part of the scan only.
    name, group : str
        Samples of one group (one animal, one implant) never part in cross-validation; default: the file's name.
    split : str
        "train", "validation" or "test".
    roles : dict
        Label value → role, for example ``{"1" = "bone", "7" = "residual_material"}``; default 0–3 as in the paper.
    ignore_value : int, optional
        Label value that says "nothing known here".
    roi : Path, optional
        Markups ROI; outside of its boxes nothing is known.
    dataset, labels_dataset : str, optional
        Path inside HDF5 files.
    spacing_um : float, optional
        Voxel size in µm where the files have none.
    """

    image: Path
    labels: Path
    name: str = ""
    group: str = ""
    split: str = "train"
    roles: dict[str, str] = field(default_factory=dict)
    ignore_value: int | None = None
    roi: Path | None = None
    dataset: str | None = None
    labels_dataset: str | None = None
    spacing_um: float | None = None

    def __post_init__(self) -> None:
        require_choice(self.split, SPLITS, "split")
        known = [role.value for role in Role]
        for role in self.roles.values():
            require_choice(role, tuple(known), "roles")
        require(self.spacing_um is None or self.spacing_um > 0, "a positive spacing_um", self.spacing_um)

    def scheme(self) -> LabelScheme | None:
        """The label scheme of this sample's files, None for the default one."""
        if not self.roles and self.ignore_value is None:
            return None
        if not self.roles:
            return LabelScheme(ignore_value=self.ignore_value)
        try:
            return LabelScheme.from_roles({int(v): r for v, r in self.roles.items()}, self.ignore_value)
        except ValueError as error:
            raise InputError(f"Expected whole numbers as label values in roles, got {self.roles}.") from error


@dataclass(frozen=True)
class DataSettings:
    """The samples and what is done with them before training.

    Parameters
    ----------
    samples : tuple of SampleSettings
        At least one with split "train".
    spacing_um : float
        Voxel size in µm that all samples are resampled to.
    lower_percentile, upper_percentile : float
        Grey values outside are clipped.
    classes : tuple of str
        Roles in the order of the network's channels; background first.
    planes : str
        Plane set whose slices are learned from.
    validation_share : float
        Share of the groups set apart for validation when no sample has split "validation".
    cache : Path
        Folder of the preprocessed volumes; may be shared by several runs.
    cache_type : str
        "uint8" or "float16".
    """

    samples: tuple[SampleSettings, ...]
    spacing_um: float = 5.0
    lower_percentile: float = 0.5
    upper_percentile: float = 99.9
    classes: tuple[str, ...] = tuple(role.value for role in Role)
    planes: str = "3"
    validation_share: float = 0.2
    cache: Path = Path("cache")
    cache_type: str = "uint8"

    def __post_init__(self) -> None:
        require(len(self.samples) > 0, "at least one sample", self.samples)
        require(self.spacing_um > 0, "a positive spacing_um", self.spacing_um)
        require(0 <= self.lower_percentile < self.upper_percentile <= 100, "percentiles in 0–100 in ascending order",
                (self.lower_percentile, self.upper_percentile))  # fmt: skip
        for role in self.classes:
            require_choice(role, tuple(role.value for role in Role), "classes")
        require(len(set(self.classes)) == len(self.classes) > 1, "two or more different classes", self.classes)
        require(0 < self.validation_share < 1, "a validation_share between 0 and 1", self.validation_share)
        require_choice(self.cache_type, CACHE_TYPES, "cache_type")

    @property
    def scheme(self) -> LabelScheme:
        """The classes of the network, in the order of its channels."""
        return LabelScheme(tuple(CLASS_OF_ROLE[Role(role)] for role in self.classes))


@dataclass(frozen=True)
class NetworkSettings:
    """Which network: a name of the registry `NETWORKS`, number of encoder blocks, channels of the first one."""

    name: str = "unet"
    depth: int = 5
    width: int = 64

    def __post_init__(self) -> None:
        require(1 <= self.depth <= 8, "a depth of 1–8", self.depth)
        require(self.width >= 1, "a positive width", self.width)


@dataclass(frozen=True)
class AugmentationSettings:
    """How patches are varied. A probability or strength of 0 switches a variation off.

    Parameters
    ----------
    patch_scale : str
        "input": a patch covers `patch_area` × input_size² voxels, so voxels keep their size as in inference.
        "slice": a patch covers `patch_area` × the whole slice, as in the paper.
    patch_area, patch_aspect : tuple of float
        Range of the share of the area, and of width : height; the patch is resized to the input size.
    unresampled_share : float
        Share of patches cut out voxel by voxel (flips and right-angle turns only), so that the network also
        sees noise that no interpolation has smoothed.
    flip_probability : float
        Probability of a horizontal flip.
    rotation_deg : float
        Patches are turned by a random angle up to this, either way.
    elastic_probability, elastic_px, elastic_grid_px : float
        Random displacement, standard deviation and distance of its nodes in voxels.
    brightness, contrast : float
        Largest shift, and largest relative change of the deviation from the mean, either way.
    gamma, curve : float
        Grey-value curve: standard deviation of the logarithm of the exponent, and of the slopes of a
        piecewise linear monotone curve.
    inversion_probability : float
        Probability of black and white exchanged.
    blur_probability, blur_sigma_px, sharpen : float, tuple, float
        Gaussian blur, or edges enhanced by up to `sharpen` as phase contrast does.
    noise_probability, noise : float
        Standard deviation is uniform in 0–`noise`; half of the noise is spatially correlated.
    rings_probability, rings : float
        Ring artefacts about a random centre; standard deviation up to `rings`.
    crack_probability, crack_width_px : float
        Simulated cracks in the degradation layer, labelled background; largest half-width in voxels.
    """

    patch_scale: str = "input"
    patch_area: tuple[float, float] = (0.85, 1.0)
    patch_aspect: tuple[float, float] = (0.75, 4 / 3)
    unresampled_share: float = 0.25
    flip_probability: float = 0.5
    rotation_deg: float = 90.0
    elastic_probability: float = 0.5
    elastic_px: float = 3.0
    elastic_grid_px: float = 32.0
    brightness: float = 0.1
    contrast: float = 0.2
    gamma: float = 0.0
    curve: float = 0.0
    inversion_probability: float = 0.0
    blur_probability: float = 0.0
    blur_sigma_px: tuple[float, float] = (0.3, 1.0)
    sharpen: float = 0.0
    noise_probability: float = 0.0
    noise: float = 0.05
    rings_probability: float = 0.0
    rings: float = 0.03
    crack_probability: float = 0.0
    crack_width_px: float = 1.5

    def __post_init__(self) -> None:
        require_choice(self.patch_scale, PATCH_SCALES, "patch_scale")
        for key in ("patch_area", "patch_aspect", "blur_sigma_px"):
            low, high = getattr(self, key)
            require(0 < low <= high, f"two positive numbers in ascending order for {key!r}", (low, high))
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name.endswith(("probability", "share")):
                require(0 <= value <= 1, f"{entry.name!r} in 0–1", value)
            elif isinstance(value, float):
                require(value >= 0, f"{entry.name!r} of 0 or more", value)
        require(self.elastic_grid_px >= 1, "'elastic_grid_px' of 1 or more", self.elastic_grid_px)
        require(self.contrast < 1, "'contrast' below 1", self.contrast)


@dataclass(frozen=True)
class LoopSettings:
    """The training loop.

    Parameters
    ----------
    input_size : int
        Edge length of the square patches in pixels; a multiple of 2^depth.
    batch_size : int
        Patches of one optimisation step, over all processes.
    accumulate : int
        Forward passes that one step is divided into; batch statistics are then those of a part.
    iterations, time_limit_minutes : int, float
        Training ends at whichever comes first. With a time limit the schedule follows the share of time spent
        where that is ahead, and a run can no longer be repeated bit by bit.
    learning_rate, betas, weight_decay : float
        Of Adam (AdamW where weight_decay > 0).
    schedule : str
        "plateau": halved after `plateau_iterations` without better validation loss (the paper);
        "cosine": falls to `least_learning_rate_share` over the whole run; "constant".
    warmup_iterations : int
        The rate rises linearly over these.
    early_stopping_iterations : int
        End after so many iterations without better validation loss; 0: never.
    loss : str
        A name of `LOSSES`.
    loss_options : dict
        Its numbers, for example ``{weight = 0.1}``.
    balanced_share : float
        Share of patches placed on a class chosen at random, each class alike.
    precision : str
        "auto": fp16 or bf16 on a GPU, fp32 on a CPU.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    workers : int
        Processes that read patches ahead.
    compile : bool
        Translate the network with torch.compile; needs a C++ compiler on a CPU.
    ema_decay : float
        Of the averaged weights that are then validated and exported; 0: none.
    gradient_norm : float
        Gradients are scaled down to this norm; 0: never.
    checkpoint_minutes : float
        Time between two checkpoints, besides those after each validation.
    """

    input_size: int = 640
    batch_size: int = 32
    accumulate: int = 1
    iterations: int = 1_500_000
    time_limit_minutes: float = 0.0
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: str = "plateau"
    plateau_iterations: int = 10_000
    least_learning_rate_share: float = 0.01
    warmup_iterations: int = 0
    early_stopping_iterations: int = 50_000
    loss: str = "cross_entropy"
    loss_options: dict[str, float] = field(default_factory=dict)
    balanced_share: float = 0.0
    precision: str = "auto"
    device: str = "auto"
    workers: int = 0
    compile: bool = False
    ema_decay: float = 0.0
    gradient_norm: float = 0.0
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        require_choice(self.schedule, SCHEDULES, "schedule")
        require_choice(self.precision, PRECISIONS, "precision")
        for key in ("input_size", "batch_size", "accumulate", "iterations", "plateau_iterations"):
            require(getattr(self, key) >= 1, f"{key!r} of 1 or more", getattr(self, key))
        for key in ("warmup_iterations", "early_stopping_iterations", "workers", "time_limit_minutes", "weight_decay",
                    "gradient_norm", "checkpoint_minutes"):  # fmt: skip
            require(getattr(self, key) >= 0, f"{key!r} of 0 or more", getattr(self, key))
        require(self.learning_rate > 0, "a positive learning_rate", self.learning_rate)
        require(0 < self.least_learning_rate_share <= 1, "least_learning_rate_share in 0–1",
                self.least_learning_rate_share)  # fmt: skip
        require(0 <= self.ema_decay < 1, "ema_decay below 1", self.ema_decay)
        require(0 <= self.balanced_share <= 1, "balanced_share in 0–1", self.balanced_share)
        require(self.batch_size % self.accumulate == 0, "a batch_size that accumulate divides",
                (self.batch_size, self.accumulate))  # fmt: skip


@dataclass(frozen=True)
class ValidationSettings:
    """Validation on slices of the validation samples.

    Parameters
    ----------
    every_iterations : int
        Iterations between two validations.
    crop : int
        Edge length in pixels of the centre crop of a slice; smaller slices are taken whole.
    slices_per_sample : int
        At most so many slices per sample and slicing plane, evenly spaced; 0: all.
    batch_size : int
        Slices in one forward pass.
    """

    every_iterations: int = 1000
    crop: int = 992
    slices_per_sample: int = 20
    batch_size: int = 4

    def __post_init__(self) -> None:
        for key in ("every_iterations", "crop", "batch_size"):
            require(getattr(self, key) >= 1, f"{key!r} of 1 or more", getattr(self, key))
        require(self.slices_per_sample >= 0, "slices_per_sample of 0 or more", self.slices_per_sample)


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
        A model file whose weights training starts from (fine-tuning).
    description, licence, intended_use : str
        Go into the model card.
    """

    name: str
    data: DataSettings
    output: Path = Path("runs")
    seed: int = 0
    base_model: Path | None = None
    description: str = ""
    licence: str = ""
    intended_use: str = "Research use only."
    network: NetworkSettings = NetworkSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    training: LoopSettings = LoopSettings()
    validation: ValidationSettings = ValidationSettings()

    def __post_init__(self) -> None:
        require(bool(self.name) and not set(self.name) & set('/\\:*?"<>|') and self.name.strip(". ") == self.name,
                "a name that can be a file's name", self.name)  # fmt: skip
        multiple = 2**self.network.depth
        require(self.training.input_size % multiple == 0, f"an input_size that is a multiple of 2^depth = {multiple}",
                self.training.input_size)  # fmt: skip

    @property
    def run_folder(self) -> Path:
        """Where checkpoints, metrics and the model file of this run go."""
        return self.output / self.name

    @classmethod
    def from_dict(cls, data: dict[str, Any], folder: str | Path = ".") -> TrainingConfig:
        """The configuration of plain data; relative paths are taken from `folder`.

        Raises
        ------
        InputError
            If a key is unknown, missing or holds what it may not.
        """
        folder = Path(folder).absolute()
        config = settings_from_dict(cls, data, folder)
        data_settings = replace(config.data, cache=folder / config.data.cache)
        return replace(config, output=folder / config.output, data=data_settings)

    @classmethod
    def read(cls, path: str | Path) -> TrainingConfig:
        """The configuration in a TOML file; relative paths are taken from the file's folder."""
        return cls.from_dict(read_toml(path), Path(path).absolute().parent)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `from_dict` gives the same configuration again."""
        return settings_to_dict(self)

    def to_toml(self) -> str:
        """The configuration as the text of a TOML file."""
        return toml_text(json.loads(json.dumps(self.to_dict())))
