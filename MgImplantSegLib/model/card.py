"""What a model is, expects and is good for: `ModelCard`, plain data that needs no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from MgImplantSegLib import __version__
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import json_ready
from MgImplantSegLib.base.expected_iou import Calibration
from MgImplantSegLib.base.option_kinds import OneOf
from MgImplantSegLib.base.options import option, require_valid
from MgImplantSegLib.base.settings import settings_from_dict
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.networks import network_spec
from MgImplantSegLib.planes.plane_sets import PLANE_SETS
from MgImplantSegLib.preprocessing.preprocess import Preprocessing

FORMAT_VERSION = 1
WEIGHT_DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class ModelCard:
    """What a model is, what it expects and what it is good for.

    Raises InputError if a part does not fit the others, such as the number of classes.

    Parameters
    ----------
    network : dict
        Plain data of the network's specification, see `MgImplantSegLib.networks.network_spec`.
    preprocessing : Preprocessing
        What is done to a volume before the network sees it.
    label_scheme : LabelScheme
        The classes; output i of the network is ``label_scheme.labels[i]``.
    training_planes : tuple of str
        Names of the slicing planes whose slices the network was trained on.
    default_planes, default_fusion, default_postprocessing : str
        Choices used when the user makes none.
    metrics, training : dict
        What the model reaches and on what, and how it was trained; free plain data.
    calibration : dict
        How good a segmentation is likely to be, see `MgImplantSegLib.base.expected_iou`; empty: not calibrated.
    weights_dtype : str
        ``float32`` or ``float16``: how weights of convolutions are stored.
    software_version, licence, intended_use, created : str
        Version of MgImplantSeg that wrote the file, licence of the weights, what the model is for, date.
    """

    name: str
    network: dict[str, Any]
    preprocessing: Preprocessing
    label_scheme: LabelScheme = field(default_factory=LabelScheme)
    training_planes: tuple[str, ...] = ("rc", "cp", "pr")
    default_planes: str = option("", OneOf(PLANE_SETS), "3")
    default_fusion: str = option("", OneOf("MgImplantSegLib.inference.fusion:FUSIONS"), "soft")
    default_postprocessing: str = option("", OneOf("MgImplantSegLib.inference.postprocess:POSTPROCESSING"), "none")
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    weights_dtype: str = "float32"
    software_version: str = __version__
    licence: str = ""
    intended_use: str = "Research use only."
    created: str = ""
    format_version: int = FORMAT_VERSION
    calibration: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "training_planes", tuple(self.training_planes))
        if self.format_version != FORMAT_VERSION:
            raise InputError(f"Expected format version {FORMAT_VERSION}, got {self.format_version!r}.")
        require_valid(self)
        Calibration.from_dict(self.calibration)
        if self.weights_dtype not in WEIGHT_DTYPES:
            raise InputError(f"Expected a weights_dtype of {', '.join(WEIGHT_DTYPES)}, got {self.weights_dtype!r}.")
        classes = network_spec(self.network).classes
        if classes != len(self.label_scheme.labels):
            raise InputError(f"Expected {classes} labels for {classes} outputs, got {len(self.label_scheme.labels)}.")
        if not all(0 <= value <= 255 for value in self.label_scheme.values):
            raise InputError(f"Expected label values of 0–255 in a model, got {self.label_scheme.values}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; undefined numbers become null."""
        data = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        if not self.calibration:
            del data["calibration"]  # older versions of the software do not know the key
        data |= {"preprocessing": asdict(self.preprocessing), "label_scheme": self.label_scheme.to_dict()}
        return json_ready(data)

    def to_json(self) -> str:
        """The text of `card.json`."""
        return json.dumps(self.to_dict(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelCard:
        """The card of `to_dict`'s data. Raises InputError if a key is missing or unknown, or a value does not fit."""
        if not isinstance(data, dict):
            raise InputError(f"Expected a table of keys in the card, got {type(data).__name__}.")
        if data.get("format_version") != FORMAT_VERSION:
            raise InputError(f"Expected format version {FORMAT_VERSION}, got {data.get('format_version')!r}.")
        try:
            card = settings_from_dict(cls, data, Path())
            card.to_json().encode("utf-8")
        except (TypeError, OverflowError, UnicodeEncodeError, RecursionError) as error:
            raise InputError(f"Expected a model card with valid values, got: {error}.") from error
        return card

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the card's JSON."""
        return hashlib.sha256(self.to_json().encode("utf-8")).hexdigest()[:16]
