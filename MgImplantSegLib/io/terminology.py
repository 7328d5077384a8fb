"""Terminology of segments: the text that 3D Slicer keeps with a segment, and the role that a segment's words mean."""

from __future__ import annotations

import re

from MgImplantSegLib.io.image_data import Segment
from MgImplantSegLib.labels import CLASSES, Code, Label, Role

CONTEXT_NAME = "MgImplantSeg explant"
ANATOMIC_CONTEXT_NAME = "Anatomic codes - DICOM master list"
TERMINOLOGY_TAG = "TerminologyEntry"
IGNORE_ID = "ignore"
ROLE_OF_TYPE = {
    ("SCT", "3138006"): Role.BONE,
    ("SCT", "272673000"): Role.BONE,
    ("99MGIMPLANTSEG", "DL"): Role.DEGRADATION_LAYER,
    ("99MGIMPLANTSEG", "RM"): Role.RESIDUAL_MATERIAL,
    ("SCT", "40388003"): Role.RESIDUAL_MATERIAL,
}
ROLE_OF_NAME = {
    name: role
    for role, names in {
        Role.BACKGROUND: ("background", "bg", "air", "soft tissue"),
        Role.BONE: ("bone", "mineralised bone", "mineralized bone"),
        Role.DEGRADATION_LAYER: (
            "dl",
            "degradation layer",
            "degraded layer",
            "corrosion layer",
            "degradation",
            "corrosion",
        ),
        Role.RESIDUAL_MATERIAL: (
            "rm",
            "residual material",
            "residual metal",
            "residual implant",
            "metal",
            "implant",
            "screw",
        ),
    }.items()
    for name in names
}
IGNORE_NAMES = {"ignore", "ignored", "unlabelled", "unlabeled", "not labelled", "not labeled"}


def terminology_tag(label: Label) -> str:
    """The tag of a segment as 3D Slicer writes it: ``TerminologyEntry:context~category~type~…|``."""
    parts = [CONTEXT_NAME, _code_text(label.category), _code_text(label.type), "^^", ANATOMIC_CONTEXT_NAME, "^^", "^^"]
    return f"{TERMINOLOGY_TAG}:{'~'.join(parts)}|"


def terminology_entry(tags: str) -> str:
    """The terminology among a segment's tags ``"name:value|name:value|"``, or an empty text."""
    for tag in tags.split("|"):
        name, _, value = tag.partition(":")
        if name.rpartition(".")[2] == TERMINOLOGY_TAG:
            return value
    return ""


def role_of_segment(segment: Segment) -> Role | None:
    """The role that a segment's ID means, else its terminology, else its name; None if none of them is known."""
    return _role_of_id(segment) or _role_of_terminology(segment) or ROLE_OF_NAME.get(_words(segment.name))


def is_ignored(segment: Segment) -> bool:
    """Whether the segment marks voxels of which nothing is known."""
    return segment.segment_id == IGNORE_ID or _words(segment.name) in IGNORE_NAMES


def _role_of_id(segment: Segment) -> Role | None:
    return {label.segment_id: label.role for label in CLASSES}.get(segment.segment_id)


def _role_of_terminology(segment: Segment) -> Role | None:
    parts = segment.terminology.split("~")
    type_code = tuple(parts[2].split("^")[:2]) if len(parts) > 2 else ()
    return ROLE_OF_TYPE.get(type_code)


def _words(name: str) -> str:
    """The name in lower case without punctuation and abbreviation in brackets: ``Residual_material (RM)``."""
    return " ".join(re.findall(r"[^\W_]+", re.sub(r"\(.*?\)", "", name).lower()))


def _code_text(code: Code) -> str:
    return f"{code.scheme}^{code.value}^{code.meaning}"
