"""What a configuration says of the samples: `SampleSettings` and `DataSettings`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from MgImplantSegLib.base.settings import require, require_choice
from MgImplantSegLib.grids.labels import CLASS_OF_ROLE, LabelScheme, Role, parse_roles
from MgImplantSegLib.planes.plane_sets import axis_planes

IGNORED = "ignore"
SPLITS = ("train", "validation", "test")
CACHE_TYPES = ("uint8", "float16")


@dataclass(frozen=True)
class LabelledScan:
    """A scan with its labels.

    Parameters
    ----------
    image, labels : Path
        The scan and its label map or segmentation, which may cover a part of the scan only.
    name : str
        For messages and the model's card.
    roles : dict
        Label value → role or "ignore", for example ``{1 = "bone", 7 = "residual_material", 255 = "ignore"}``; default:
        as the file says, otherwise 0–3 as in the paper.
    roi : Path, optional
        Markups ROI.
    dataset, labels_dataset : str, optional
        Path inside HDF5 files.
    spacing_um : float, optional
        Voxel size in µm where the files have none.
    """

    image: Path
    labels: Path
    name: str = ""
    roles: dict[str, str] = field(default_factory=dict)
    roi: Path | None = None
    dataset: str | None = None
    labels_dataset: str | None = None
    spacing_um: float | None = None

    def __post_init__(self) -> None:
        for role in self.roles.values():
            require_choice(role, (*(role.value for role in Role), IGNORED), "roles")
        require(self.spacing_um is None or self.spacing_um > 0, "a positive spacing_um", self.spacing_um)

    def scheme_with(self, ignore_value: int | None) -> LabelScheme | None:
        """The label scheme of these files, with the value that says "nothing known here"; None for the default one."""
        if not self.roles:
            return None if ignore_value is None else LabelScheme(ignore_value=ignore_value)
        roles = dict(self.roles) if ignore_value is None else {**self.roles, str(ignore_value): IGNORED}
        return parse_roles(",".join(f"{value}={role}" for value, role in roles.items()))


@dataclass(frozen=True)
class SampleSettings(LabelledScan):
    """One sample, or many: with one ``*`` in `image`, each match is a sample and `labels` has its ``*`` replaced.

    Outside the boxes of `roi` nothing is known.

    Parameters
    ----------
    group : str
        Samples of one group (one animal, one implant) never part in cross-validation; default: the file's name.
    split : str
        "train", "validation" or "test".
    ignore_value : int, optional
        Label value that says "nothing known here".
    """

    group: str = ""
    split: str = "train"
    ignore_value: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.split, SPLITS, "split")

    def scheme(self) -> LabelScheme | None:
        """The label scheme of this sample's files, None for the default one."""
        return self.scheme_with(self.ignore_value)


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
        require(
            0 <= self.lower_percentile < self.upper_percentile <= 100,
            "percentiles in 0–100 in ascending order",
            (self.lower_percentile, self.upper_percentile),
        )
        for role in self.classes:
            require_choice(role, tuple(role.value for role in Role), "classes")
        require(len(set(self.classes)) == len(self.classes) > 1, "two or more different classes", self.classes)
        axis_planes(self.planes)
        require(0 < self.validation_share < 1, "a validation_share between 0 and 1", self.validation_share)
        require_choice(self.cache_type, CACHE_TYPES, "cache_type")

    @property
    def scheme(self) -> LabelScheme:
        """The classes of the network, in the order of its channels."""
        return LabelScheme(tuple(CLASS_OF_ROLE[Role(role)] for role in self.classes))
