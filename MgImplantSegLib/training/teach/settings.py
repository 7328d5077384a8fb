"""What a round of teaching is told: the scans with their labels, and how long and how it learns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.settings import read_toml, require, require_choice, settings_from_dict
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.training.settings.augmentation_settings import AugmentationSettings
from MgImplantSegLib.training.settings.data_settings import LabelledScan
from MgImplantSegLib.training.teach.slices import parse_slices

LABELLED = ("auto", "slices", "painted", "all")
AUGMENTATION = AugmentationSettings(
    patch_area=(0.7, 1.3),
    unresampled_share=0.4,
    elastic_probability=0.3,
    elastic_px=2.0,
    brightness=0.05,
    contrast=0.15,
    gamma=0.1,
    noise_probability=0.2,
    noise=0.03,
)


@dataclass(frozen=True)
class Pair(LabelledScan):
    """One scan with labels on a part of it; inside the boxes of `roi` all is labelled.

    Parameters
    ----------
    done_slices : str
        Slices that are labelled wholly, ``"z:40,y:12"``: axis and index of the image's array.
    labelled : str
        What counts as labelled where neither `done_slices` nor `roi` say so, see `labelled_mask`.
    unlabelled : int, optional
        Label value that says "not labelled".
    """

    done_slices: str = ""
    labelled: str = "auto"
    unlabelled: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.labelled, LABELLED, "labelled")
        parse_slices(self.done_slices)
        object.__setattr__(self, "name", self.name or Path(self.image).name.split(".")[0])

    def scheme(self) -> LabelScheme | None:
        """The label scheme of these files, None for the default one."""
        return self.scheme_with(self.unlabelled)


@dataclass(frozen=True)
class TeachSettings:
    """How a model is taught; the defaults are what Testing/Benchmarks/teach.py found best.

    Parameters
    ----------
    minutes : float
        Wall-clock time from start to model file; 0: no limit.
    iterations : int
        Optimisation steps; 0: as many as the time allows. Without a time limit a round can be repeated bit by bit.
    seed : int
        Of patches and augmentation.
    device, precision : str
        As for segmentation.
    patch_px, batch_size : int
        Edge length of the patches in pixels, and how many make a step.
    learning_rate, weight_decay : float
        Of AdamW.
    warmup_iterations : int
        The rate rises linearly over these.
    cooldown_share : float
        Share of a part of the round, its last, over which the rate falls to nothing.
    settled_iterations : int
        It begins to fall early when the loss has not fallen over so many iterations; 0: never. It does so too when
        what is measured on held-out slices no longer rises.
    held_out_share : float
        Share of the round, its first part, that one labelled slice in four is kept from learning, to measure on it.
    replay_share : float
        Share of the patches that come from simulated explants, so that what was learned before is not forgotten.
    balanced_share : float
        Share of the patches placed on a class chosen at random.
    slice_exponent : float
        A slice with n labelled pixels is chosen as often as n to this power: 1 treats voxels alike, more prefers
        slices with much to see.
    loss : str
        A name of `MgImplantSegLib.training.loop.losses.LOSSES`.
    ema_decay : float
        Of the averaged weights.
    statistics_slices : int
        Slices of the scans in each orientation from which the batch norms' statistics are taken anew at the end;
        0: those met in learning stay.
    augmentation : AugmentationSettings
        How patches are varied.
    """

    minutes: float = 5.0
    iterations: int = 0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    patch_px: int = 160
    batch_size: int = 8
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    warmup_iterations: int = 10
    cooldown_share: float = 0.3
    settled_iterations: int = 300
    held_out_share: float = 0.5
    replay_share: float = 0.125
    balanced_share: float = 0.5
    slice_exponent: float = 1.5
    loss: str = "cross_entropy_dice"
    ema_decay: float = 0.98
    statistics_slices: int = 8
    augmentation: AugmentationSettings = AUGMENTATION

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name.endswith("share"):
                require(0 <= value < 1, f"{entry.name!r} of 0 or more and below 1", value)
            elif isinstance(value, (int, float)) and entry.name != "learning_rate":
                require(value >= 0, f"{entry.name!r} of 0 or more", value)
        require(self.minutes > 0 or self.iterations > 0, "minutes or iterations", (self.minutes, self.iterations))
        require(self.learning_rate > 0, "a positive learning_rate", self.learning_rate)


@dataclass(frozen=True)
class _PairsFile:
    pairs: tuple[Pair, ...]


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """The ``[[pairs]]`` of a TOML file; relative paths are taken from its folder.

    Raises
    ------
    InputError
        If a key is unknown or missing, there is no pair, or two have one name.
    """
    pairs = settings_from_dict(_PairsFile, read_toml(path), Path(path).absolute().parent).pairs
    require_distinct(pairs)
    return pairs


def require_distinct(pairs: tuple[Pair, ...]) -> None:
    """Raise InputError unless there is a pair and all have names of their own."""
    if not pairs:
        raise InputError("Expected at least one pair of scan and labels, got none.", "Add a table of pairs.")
    names = [pair.name for pair in pairs]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"Expected unique names, got {', '.join(repeated)} more than once.", "Assign a name to each pair."
        )
