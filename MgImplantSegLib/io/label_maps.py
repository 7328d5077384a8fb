"""Reading and writing segmentations: `read_label_map`, `write_label_map`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.remarks import remarks_of_reading, with_remarks
from MgImplantSegLib.grids.labels import (
    BACKGROUND,
    CLASS_OF_ROLE,
    DEFAULT_SCHEME,
    Label,
    LabelScheme,
    Role,
    template_of,
)
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io.header_keys import keys_of_provenance
from MgImplantSegLib.io.image_data import ImageData, ReadOptions, Segment
from MgImplantSegLib.io.label_scheme_key import keys_of_scheme
from MgImplantSegLib.io.label_values import values_in, whole_numbers
from MgImplantSegLib.io.terminology import contradiction, is_ignored, role_of_segment
from MgImplantSegLib.io.volumes import read_image, writable_array, writable_format, write_image
from MgImplantSegLib.io.voxel_size import warn_of_voxel_size

logger = logging.getLogger(__name__)
USUAL_ROLES = "1=bone,2=degradation_layer,3=residual_material,255=ignore"


class RolesError(InputError):
    """Values or segments whose role is not known."""


def _roles_remedy(option: str, example: str = USUAL_ROLES) -> str:
    return (
        f"State what the values mean [[{option}]], for example {example} (roles: background, bone, "
        "degradation_layer, residual_material, ignore)."
    )


def read_label_map(
    path: str | Path,
    scheme: LabelScheme | None = None,
    *,
    dataset: str | None = None,
    spacing_um: float | Sequence[float] | None = None,
    events: Events | None = None,
    roles_option: str = "roles",
) -> LabelMap:
    """Read a segmentation: a label map in any of `FORMATS`, or 3D Slicer's .seg.nrrd.

    Raises InputError if the voxels are not whole numbers, or a value has no role.

    Parameters
    ----------
    path : str or Path
        The file, or a folder with one file per slice.
    scheme : LabelScheme, optional
        What the values mean. Without it the names of the segments of a .seg.nrrd decide; other files follow the scheme
        stored in them, or `DEFAULT_SCHEME`, with a warning.
    dataset, spacing_um, events
        As in `read_volume`.
    roles_option : str
        The option with which a user gives the scheme, for advice.
    """
    with remarks_of_reading() as remarks:
        label_map = _read(path, scheme, ReadOptions(dataset, events or Events()), spacing_um, roles_option)
    return replace(label_map, provenance=with_remarks(label_map.provenance, remarks))


def _read(
    path: str | Path,
    scheme: LabelScheme | None,
    options: ReadOptions,
    spacing_um: float | Sequence[float] | None,
    roles_option: str,
) -> LabelMap:
    data, entry = read_image(path, options)
    for sentence in data.remarks:
        logger.warning("%s", sentence)
    array = whole_numbers(data.array, path)
    found = values_in(array)
    if scheme is None and data.segments:
        scheme = _scheme_of_segments(data.segments, found, path, roles_option)
    is_assumed = scheme is None and data.scheme is None and data.segments is None
    scheme = scheme or data.scheme or DEFAULT_SCHEME
    _require_known_values(found, scheme, data, path, roles_option)
    if is_assumed and any(found):
        _tell_assumed_roles(found, scheme, path)
    geometry = data.geometry(spacing_um)
    if spacing_um is not None or data.spacing_is_known:
        warn_of_voxel_size(geometry, path)
    provenance = {"path": str(path), "format": entry.name, **data.notes}
    return LabelMap(array, geometry, scheme, provenance)


def _tell_assumed_roles(found: tuple[int, ...], scheme: LabelScheme, path: str | Path) -> None:
    taken = ", ".join(f"{value} {scheme.by_value(value).name}" for value in found if value != 0)
    logger.warning("%s does not state what its values mean; they are interpreted as %s.", path, taken)


def write_label_map(label_map: LabelMap, path: str | Path) -> None:
    """Write a segmentation, compressed, in the format of the suffix; ``.seg.nrrd`` is 3D Slicer's segmentation.

    NRRD and MetaImage keep the meaning of the values too. The other formats keep the values alone. Raises InputError if
    the suffix is unknown; OutputError if the file cannot be written.
    """
    path = Path(path)
    label_map = replace(label_map, array=writable_array(label_map.array))
    entry = writable_format(path, labels=True)
    if entry.write_labels is not None:
        with atomic_output(path) as temporary:
            entry.write_labels(temporary, label_map)
        return
    if not entry.keeps_keys and label_map.scheme != DEFAULT_SCHEME:
        logger.warning("%s keeps the label values but not what they mean; specify the roles when reading it.", path)
    keys = keys_of_scheme(label_map.scheme) | keys_of_provenance(label_map.provenance)
    write_image(path, label_map.array, label_map.geometry, compress=True, keys=keys)


def _require_known_values(
    found: tuple[int, ...], scheme: LabelScheme, data: ImageData, path: object, roles_option: str
) -> None:
    known = {*scheme.values, scheme.ignore_value}
    unknown = [value for value in found if value not in known]
    if unknown:
        few = ", ".join(str(value) for value in unknown[:8]) + (", …" if len(unknown) > 8 else "")
        expected = ", ".join(f"{label.value} ({label.role.value})" for label in scheme.labels)
        is_mask = len(set(found) | {0}) == 2
        remedy = _roles_remedy(roles_option, *([f"{unknown[0]}=residual_material"] if is_mask else []))
        raise RolesError(
            f"Expected the label values {expected}, got also {few} in {path}{_listed(data.segments)}.", remedy
        )


def _listed(segments: tuple[Segment, ...] | None) -> str:
    return f" with the segments {', '.join(f'{s.value}: {s.name}' for s in segments)}" if segments else ""


def _scheme_of_segments(
    segments: tuple[Segment, ...], found: tuple[int, ...], path: object, roles_option: str
) -> LabelScheme:
    """The scheme that the segments' names mean; empty segments need no meaning."""
    labels, ignore_value, unknown = [BACKGROUND], None, []
    for segment in segments:
        role, ignored = role_of_segment(segment), is_ignored(segment)
        if segment.value in found and (role is not None or ignored):
            _warn_of_contradiction(segment, role, path)
        if ignored:
            ignore_value = segment.value
        elif role is not None:
            labels.append(_label_of_segment(segment, role, {label.segment_id for label in labels}))
        elif segment.value in found:
            unknown.append(f"{segment.value}: {segment.name}")
    if unknown:
        raise RolesError(
            f"Expected segments whose names state their role, got {', '.join(unknown)} in {path}{_listed(segments)}.",
            f"Rename them in 3D Slicer (bone, degradation layer, residual material), or: {_roles_remedy(roles_option)}",
        )
    return LabelScheme(tuple(labels), ignore_value)


def _warn_of_contradiction(segment: Segment, role: Role | None, path: object) -> None:
    sentence = contradiction(segment, role)
    if sentence:
        logger.warning("%s: %s", path, sentence)


def _label_of_segment(segment: Segment, role: Role, taken: set[str]) -> Label:
    """The class of a segment; its ID stays unless it is taken or belongs to another role."""
    template = template_of(role, segment.name)
    roles = {label.segment_id: label.role for label in CLASS_OF_ROLE.values()}
    identity = segment.segment_id
    if (
        roles.get(identity, role) is not role
        or replace(template, segment_id=identity).is_opening != template.is_opening
    ):
        identity = template.segment_id
    if identity in taken:
        identity = f"{identity}_{segment.value}"
    return replace(template, value=segment.value, segment_id=identity, name=segment.name, color_rgb=segment.color_rgb)
