"""Terminology of segments: the text that 3D Slicer keeps with a segment, and the role that a segment's name means."""

from __future__ import annotations

import re
from collections.abc import Mapping

from MgImplantSegLib.grids.labels import CLASS_OF_ROLE, CLASSES, Code, Label, Role
from MgImplantSegLib.io.image_data import Segment

CONTEXT_NAME = "MgImplantSeg explant"
ANATOMIC_CONTEXT_NAME = "Anatomic codes - DICOM master list"
TERMINOLOGY_TAG = "TerminologyEntry"
IGNORE_ID = "ignore"
ROLE_OF_TYPE: dict[tuple[str, ...], Role] = {
    ("SCT", "3138006"): Role.BONE,
    ("SCT", "272673000"): Role.BONE,
    ("99MGIMPLANTSEG", "DL"): Role.DEGRADATION_LAYER,
    ("99MGIMPLANTSEG", "RM"): Role.RESIDUAL_MATERIAL,
    ("SCT", "40388003"): Role.RESIDUAL_MATERIAL,
}
NAMES_OF_ROLE = {
    Role.BACKGROUND: """
        background, bg, air, empty, outside, water, soft tissue, resin, embedding, embedding resin, embedding medium,
        crack, crack in implant, canal, canal in bone
        """,
    Role.BONE: """
        bone, bone tissue, mineralised bone, mineralized bone, mineralised tissue, mineralized tissue, calcified bone,
        calcified tissue, hard tissue, cortical, cortical bone, compact bone, cortex, trabecular, trabecular bone,
        trabecula, trabeculae, cancellous, cancellous bone, spongy bone, new bone, newly formed bone, old bone,
        host bone, native bone, woven bone, lamellar bone, bone matrix
        """,
    Role.DEGRADATION_LAYER: """
        dl, degradation layer, degraded layer, degradation, degraded, degradation product, degradation zone,
        degraded material, degraded metal, degraded implant, degraded screw, degraded magnesium, corrosion layer,
        corroded layer, corrosion, corroded, corrosion product, corrosion zone, corroded material, corroded metal,
        corroded implant, corroded screw, corroded magnesium, product layer
        """,
    Role.RESIDUAL_MATERIAL: """
        rm, residual material, residual metal, residual implant, residual screw, residual magnesium, residual mg,
        residual alloy, remaining material, remaining metal, remaining implant, remaining screw, remaining magnesium,
        metal, metal core, metallic core, metallic implant, implant, implant core, screw, screw core, pin, wire,
        magnesium, mg, magnesium alloy, mg alloy, alloy, mg implant, mg screw, magnesium implant, magnesium screw,
        undegraded material, undegraded metal, uncorroded material, uncorroded metal
        """,
}
ROLE_OF_NAME = {" ".join(name.split()): role for role, names in NAMES_OF_ROLE.items() for name in names.split(",")}
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
    """The role that a segment's name means; None if the name is not known.

    The name is what 3D Slicer shows. Renaming a segment changes neither its ID nor its terminology, so these two, which
    nobody sees, do not count: `contradiction` says where they mean something else.
    """
    return _known(_words(segment.name), ROLE_OF_NAME)


def name_that_tells(label: Label) -> str:
    """The name of a class if it means its role; else the usual name with this one in brackets, ``bone (Knochen)``."""
    is_known = _words(label.name) in IGNORE_NAMES or _known(_words(label.name), ROLE_OF_NAME) is label.role
    if is_known:
        return label.name
    return f"{CLASS_OF_ROLE[label.role].name} ({re.sub('[()]', '', label.name)})"


def is_ignored(segment: Segment) -> bool:
    """Whether the segment's name marks voxels of which nothing is known."""
    return _words(segment.name) in IGNORE_NAMES


def contradiction(segment: Segment, role: Role | None) -> str:
    """A sentence if the ID or the terminology of a segment means another role than `role`; else an empty text."""
    hidden = {"segment ID": _role_of_id(segment), "terminology": _role_of_terminology(segment)}
    other = [
        f"its {what} means {found.value.replace('_', ' ')}"
        for what, found in hidden.items()
        if found not in (None, role)
    ]
    if not other:
        return ""
    taken = "not labelled" if role is None else role.value.replace("_", " ")
    return f"The segment {segment.name!r} is taken as {taken}, as its name says, although {' and '.join(other)}."


def _role_of_id(segment: Segment) -> Role | None:
    return {label.segment_id: label.role for label in CLASSES}.get(segment.segment_id)


def _role_of_terminology(segment: Segment) -> Role | None:
    parts = segment.terminology.split("~")
    type_code = tuple(parts[2].split("^")[:2]) if len(parts) > 2 else ()
    return ROLE_OF_TYPE.get(type_code)


def _words(name: str) -> str:
    """The name in lower case without punctuation and abbreviation in brackets: ``Residual_material (RM)``."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"\(.*?\)", "", name))
    return " ".join(re.findall(r"[^\W_]+", name.lower()))


def _known(words: str, roles: Mapping[str, Role]) -> Role | None:
    """The role of a name, of one of several (``bone 2``), or of a plural."""
    one = re.sub(r"(?<=\D)\s*\d+$", "", words)
    return next((roles[name] for name in (words, one, one.removesuffix("s")) if name in roles), None)


def _code_text(code: Code) -> str:
    return f"{code.scheme}^{code.value}^{code.meaning}"
