"""Which role a segment has: by its ID, else by its terminology, else by its name."""

from __future__ import annotations

import re
from typing import Any

from MgImplantSegLib.labels import CLASS_OF_ROLE, Role

TERMINOLOGY_TAG = "TerminologyEntry"
TISSUE_ROLES = (Role.BONE, Role.DEGRADATION_LAYER, Role.RESIDUAL_MATERIAL)
NAMES_OF_ROLE = {
    Role.BONE: {"bone", "trabecular bone", "cortical bone", "mineralised bone", "mineralized bone"},
    Role.DEGRADATION_LAYER: {"degradation layer", "dl", "corrosion layer", "degraded", "corrosion"},
    Role.RESIDUAL_MATERIAL: {"residual material", "rm", "implant", "screw", "metal", "residual metal", "magnesium"},
}


def role_of_segment(segment_id: str, segment: Any) -> Role | None:
    """The role of a `vtkSegment`, or None if nothing tells it."""
    return _role_of_id(segment_id) or _role_of_terminology(segment) or _role_of_name(segment.GetName() or "")


def _role_of_id(segment_id: str) -> Role | None:
    """`bone` and also `bone_7`, as schemes with several values of one role have it."""
    for role in TISSUE_ROLES:
        if re.fullmatch(rf"{role.value}(_\d+)?", segment_id):
            return role
    return None


def _role_of_terminology(segment: Any) -> Role | None:
    parts = segment.GetTerminology().split("~") if segment.HasTerminology() else []
    scheme_and_code = tuple(parts[2].split("^")[:2]) if len(parts) > 2 else ()
    codes = {(CLASS_OF_ROLE[role].type.scheme, CLASS_OF_ROLE[role].type.value): role for role in TISSUE_ROLES}
    return codes.get(scheme_and_code)


def _role_of_name(name: str) -> Role | None:
    words = " ".join(re.split(r"[\s_\-]+", name.strip().lower()))
    return next((role for role, names in NAMES_OF_ROLE.items() if words in names), None)
