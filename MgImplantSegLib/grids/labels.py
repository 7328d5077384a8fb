"""What the values of a label map mean: `Role`, `Label`, `LabelScheme`. The mapping is data, not code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from numbers import Integral
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple


class Role(str, Enum):
    """What a class is for the measures."""

    BACKGROUND = "background"
    BONE = "bone"
    DEGRADATION_LAYER = "degradation_layer"
    RESIDUAL_MATERIAL = "residual_material"


@dataclass(frozen=True)
class Code:
    """One entry of a terminology: coding scheme, value and meaning, as DICOM has them."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One class: value in the label map, segment ID, names, colour (RGB 0–1), role, terminology."""

    value: int
    segment_id: str
    name: str
    role: Role
    color_rgb: tuple[float, float, float]
    short_name: str = ""
    category: Code = Code("SCT", "260787004", "Physical object")
    type: Code = Code("SCT", "40388003", "Implant")

    @property
    def word(self) -> str:
        """What a user writes for the class: its role, or that it is a crack or canal."""
        return self.segment_id.partition("_")[0] if self.is_opening else self.role.value

    @property
    def is_opening(self) -> bool:
        """Whether it is a crack or canal: background for the measures, and a segment of its own."""
        return self.role is Role.BACKGROUND and self.segment_id.partition("_")[0] in OPENING_OF_ID


BACKGROUND = Label(0, "background", "background", Role.BACKGROUND, (0.0, 0.0, 0.0), "BG")
BONE = Label(
    1,
    "bone",
    "bone",
    Role.BONE,
    (0.945, 0.839, 0.569),
    "bone",
    Code("SCT", "85756007", "Tissue"),
    Code("SCT", "3138006", "Bone"),
)
DEGRADATION_LAYER = Label(
    2,
    "degradation_layer",
    "degradation layer",
    Role.DEGRADATION_LAYER,
    (0.290, 0.620, 0.900),
    "DL",
    type=Code("99MGIMPLANTSEG", "DL", "Degradation layer of implant"),
)
RESIDUAL_MATERIAL = Label(
    3,
    "residual_material",
    "residual material",
    Role.RESIDUAL_MATERIAL,
    (0.870, 0.420, 0.230),
    "RM",
    type=Code("99MGIMPLANTSEG", "RM", "Residual material of implant"),
)
CRACK = Label(
    4,
    "crack",
    "crack",
    Role.BACKGROUND,
    (0.850, 0.100, 0.550),
    "crack",
    type=Code("99MGIMPLANTSEG", "CRACK", "Crack in implant"),
)
CANAL = Label(
    5,
    "canal",
    "canal",
    Role.BACKGROUND,
    (0.200, 0.700, 0.400),
    "canal",
    Code("SCT", "91723000", "Anatomical structure"),
    Code("99MGIMPLANTSEG", "CANAL", "Canal in bone"),
)
OPENINGS = (CRACK, CANAL)  # what measures take as background and people see as segments
OPENING_OF_ID: dict[str, Label] = {label.segment_id: label for label in OPENINGS}
CLASSES = (BACKGROUND, BONE, DEGRADATION_LAYER, RESIDUAL_MATERIAL)
CLASS_OF_ROLE = {label.role: label for label in CLASSES}


def template_of(role: Role, *names: str) -> Label:
    """The usual class of a role; a crack or a canal if it is background and one of its names begins with that."""
    if role is Role.BACKGROUND:
        for label in OPENINGS:
            if any(re.match(rf"{label.segment_id}s?([ _]|$)", name.strip().lower()) for name in names):
                return label
    return CLASS_OF_ROLE[role]


def class_of_word(word: Role | str) -> Label:
    """The usual class of a role, or of ``"crack"`` or ``"canal"``; ValueError for another word."""
    return OPENING_OF_ID.get(word) or CLASS_OF_ROLE[Role(word)]


IMPLANT_ROLES = (Role.DEGRADATION_LAYER, Role.RESIDUAL_MATERIAL)


@dataclass(frozen=True)
class LabelScheme:
    """The classes that a label map may hold, and the value for "nothing known here".

    Raises InputError if two classes share a value or a segment ID, or a class has the ignore value.
    """

    labels: tuple[Label, ...] = CLASSES
    ignore_value: int | None = None

    def __post_init__(self) -> None:
        values = [label.value for label in self.labels]
        ids = [label.segment_id for label in self.labels]
        if len(set(values)) != len(values) or len(set(ids)) != len(ids):
            raise InputError(f"Expected one value and one segment ID per class, got values {values} and IDs {ids}.")
        if not all(map(_is_whole, values)) or not (self.ignore_value is None or _is_whole(self.ignore_value)):
            raise InputError(
                f"Expected whole numbers as label values, got the values {values} and the ignore value "
                f"{self.ignore_value!r}."
            )
        if self.ignore_value in values:
            raise InputError(f"Expected an ignore value that no class has, got {self.ignore_value}.")

    @property
    def values(self) -> tuple[int, ...]:
        """The values of all classes, as listed."""
        return tuple(label.value for label in self.labels)

    @property
    def segments(self) -> tuple[Label, ...]:
        """The classes that are segments in Slicer: all but the background; openings are segments."""
        return tuple(label for label in self.labels if label.role is not Role.BACKGROUND or label.is_opening)

    def by_value(self, value: int) -> Label:
        """The class with that value; KeyError if there is none."""
        return {label.value: label for label in self.labels}[int(value)]

    @classmethod
    def from_roles(cls, roles: Mapping[int, Role | str], ignore_value: int | None = None) -> LabelScheme:
        """A scheme for a group's own numbering, for example ``{1: "bone", 7: "residual_material"}``.

        The value 0 is background unless the mapping says otherwise. Several values may share a role. ``"crack"`` and
        ``"canal"`` are openings.
        """
        class_of = {int(value): class_of_word(role) for value, role in roles.items()}
        if 0 not in class_of and ignore_value != 0:
            class_of = {0: BACKGROUND, **class_of}
        labels = []
        for value, template in class_of.items():
            shared = sum(other is template for other in class_of.values()) > 1
            suffix = f"_{value}" if shared else ""
            labels.append(replace(template, value=value, segment_id=template.segment_id + suffix))
        return cls(tuple(labels), ignore_value)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: values, segment IDs, names, roles, colours and the ignore value."""
        labels = [
            {
                "value": label.value,
                "segment_id": label.segment_id,
                "name": label.name,
                "role": label.role.value,
                "color_rgb": list(label.color_rgb),
            }
            for label in self.labels
        ]
        return {"labels": labels, "ignore_value": self.ignore_value}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LabelScheme:
        """The scheme of `to_dict`'s data. Raises InputError if a key is missing or a role is unknown."""
        try:
            labels = tuple(
                replace(
                    template_of(Role(entry["role"]), str(entry["segment_id"])),
                    value=_whole(entry["value"]),
                    segment_id=str(entry["segment_id"]),
                    name=str(entry["name"]),
                    color_rgb=triple(float(c) for c in entry["color_rgb"]),
                )
                for entry in data["labels"]
            )
            ignored = data.get("ignore_value")
            return cls(labels, None if ignored is None else _whole(ignored))
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(f"Expected a label scheme with labels and roles, got {data!r} ({error}).") from error


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _whole(value: object) -> int:
    """A whole number of JSON, which may have been written as 3.0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise TypeError(f"the value {value!r}")
    return int(value)


DEFAULT_SCHEME = LabelScheme()


def parse_roles(text: str) -> LabelScheme:
    """The scheme of a text like ``1=bone,2=degradation_layer,3=residual_material,255=ignore``.

    Raises InputError if a part is not VALUE=ROLE or a role is unknown.
    """
    roles: dict[int, str] = {}
    ignore_value = None
    words = [*(role.value for role in Role), *OPENING_OF_ID, "ignore"]
    known = ", ".join(words)
    for part in _parts(text):
        match = re.fullmatch(r"\s*(-?\d+)\s*=\s*(\w+)\s*", part)
        role = match.group(2).lower() if match else ""
        if match is None or role not in words:
            raise InputError(f"Expected VALUE=ROLE with a role of {known}, got {part!r}.")
        value = int(match.group(1))
        if value in roles or value == ignore_value:
            raise InputError(f"Expected one role for each value, got {value} twice in {text!r}.")
        if role == "ignore":
            ignore_value = value
        else:
            roles[value] = role
    return LabelScheme.from_roles(roles, ignore_value)


def _parts(text: str) -> Iterable[str]:
    parts = [part for part in text.split(",") if part.strip()]
    if not parts:
        raise InputError(f"Expected roles like 1=bone,2=degradation_layer, got {text!r}.")
    return parts
