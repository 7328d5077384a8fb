"""Reading and writing segmentations: `read_label_map`, `write_label_map`."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events
from MgImplantSegLib.files import atomic_output
from MgImplantSegLib.io.image_data import ImageData, ReadOptions, Segment
from MgImplantSegLib.io.nrrd_file import SCHEME_KEY
from MgImplantSegLib.io.segmentation_file import extents_of_values, write_segmentation
from MgImplantSegLib.io.terminology import IGNORE_ID, is_ignored, role_of_segment
from MgImplantSegLib.io.volumes import read_image, writable_array, writable_format, write_image
from MgImplantSegLib.labels import BACKGROUND, CLASS_OF_ROLE, DEFAULT_SCHEME, Label, LabelScheme, Role
from MgImplantSegLib.slabs import slabs
from MgImplantSegLib.volume import LabelMap

logger = logging.getLogger(__name__)
SEGMENTATION_SUFFIX = ".seg.nrrd"
MOST_COUNTED_VALUES = 16
ROLES_REMEDY = (
    "Say what the values mean with --roles, for example --roles 1=bone,2=degradation_layer,3=residual_material,"
    "255=ignore (roles: background, bone, degradation_layer, residual_material, ignore)."
)


def read_label_map(
    path: str | Path,
    scheme: LabelScheme | None = None,
    *,
    dataset: str | None = None,
    spacing_um: float | Sequence[float] | None = None,
    events: Events | None = None,
) -> LabelMap:
    """Read a segmentation: a label map in any of `FORMATS`, or 3D Slicer's .seg.nrrd.

    Parameters
    ----------
    path : str or Path
        The file, or a folder with one file per slice.
    scheme : LabelScheme, optional
        What the values mean. Without it the segments of a .seg.nrrd tell by segment ID, else by terminology, else by
        name; other files follow the scheme stored in them, or `DEFAULT_SCHEME`.
    dataset, spacing_um, events
        As in `read_volume`.

    Raises
    ------
    InputError
        If the voxels are no whole numbers, or a value has no role.
    """
    data, entry = read_image(path, ReadOptions(dataset, events or Events()))
    array = whole_numbers(data.array, path)
    found = values_in(array)
    if scheme is None and data.segments:
        scheme = _scheme_of_segments(data.segments, found, path)
    scheme = scheme or data.scheme or DEFAULT_SCHEME
    _require_known_values(found, scheme, data, path)
    provenance = {"path": str(path), "format": entry.name, **data.notes}
    return LabelMap(array, data.geometry(spacing_um), scheme, provenance)


def write_label_map(label_map: LabelMap, path: str | Path) -> None:
    """Write a segmentation, compressed, in the format of the suffix; ``.seg.nrrd`` is 3D Slicer's segmentation.

    NRRD keeps the meaning of the values too. The other formats keep the values alone.

    Raises
    ------
    InputError
        If the suffix is unknown.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    if path.name.lower().endswith(SEGMENTATION_SUFFIX):
        _write_segmentation(label_map, path)
        return
    array = writable_array(label_map.array)
    if writable_format(path).name != "NRRD" and label_map.scheme != DEFAULT_SCHEME:
        logger.warning("%s keeps the label values but not what they mean; give --roles when it is read.", path)
    keys = {SCHEME_KEY: json.dumps(label_map.scheme.to_dict())}
    write_image(path, array, label_map.geometry, compress=True, keys=keys)


def whole_numbers(array: np.ndarray, path: object) -> np.ndarray:
    """The same values in an integer type; floating-point arrays are accepted when they hold whole numbers.

    Raises
    ------
    InputError
        If a value has a fraction, is not finite or needs more than 32 bits.
    """
    if array.dtype == bool:
        return array.view(np.uint8)
    if array.dtype.kind in "iu":
        return array
    lowest = highest = 0.0
    for part in slabs(array.shape):
        slab = array[part]
        if not (np.isfinite(slab).all() and (slab == np.round(slab)).all()):
            raise InputError(
                f"Expected whole numbers as label values, got fractions, NaN or infinity in {path}.",
                "Give the label map, not the image or a probability map; resample labels by nearest neighbour.",
            )
        lowest, highest = min(lowest, float(slab.min())), max(highest, float(slab.max()))
    if lowest < -(2**31) or highest >= 2**32:
        raise InputError(f"Expected label values of at most 32 bits, got {lowest:g} to {highest:g} in {path}.")
    dtype = np.result_type(np.min_scalar_type(int(lowest)), np.min_scalar_type(int(highest)))
    return array.astype(dtype)


def values_in(array: np.ndarray) -> tuple[int, ...]:
    """The values that occur in an integer array, rising."""
    found: set[int] = set()
    for part in slabs(array.shape):
        slab = array[part]
        few = len(found) <= MOST_COUNTED_VALUES  # counting the known values is faster than listing all
        if not few or sum(np.count_nonzero(slab == value) for value in found) < slab.size:
            found.update(_distinct(slab))
    return tuple(sorted(found))


def _distinct(slab: np.ndarray) -> list[int]:
    if slab.dtype.kind == "u" and slab.dtype.itemsize <= 2:
        occurs = np.zeros(1 << (8 * slab.dtype.itemsize), dtype=bool)
        occurs[slab.ravel()] = True
        return np.flatnonzero(occurs).tolist()
    return np.unique(slab).tolist()


def _require_known_values(found: tuple[int, ...], scheme: LabelScheme, data: ImageData, path: object) -> None:
    known = {*scheme.values, scheme.ignore_value}
    unknown = [value for value in found if value not in known]
    if unknown:
        few = ", ".join(str(value) for value in unknown[:8]) + (", …" if len(unknown) > 8 else "")
        expected = ", ".join(f"{label.value} ({label.role.value})" for label in scheme.labels)
        raise InputError(
            f"Expected the label values {expected}, got also {few} in {path}{_listed(data.segments)}.", ROLES_REMEDY
        )


def _listed(segments: tuple[Segment, ...] | None) -> str:
    return f" with the segments {', '.join(f'{s.value}: {s.name}' for s in segments)}" if segments else ""


def _scheme_of_segments(segments: tuple[Segment, ...], found: tuple[int, ...], path: object) -> LabelScheme:
    """The scheme that the segments' IDs, terminologies or names mean; empty segments need no meaning."""
    labels, ignore_value, unknown = [BACKGROUND], None, []
    for segment in segments:
        role = role_of_segment(segment)
        if is_ignored(segment):
            ignore_value = segment.value
        elif role is not None:
            labels.append(_label_of_segment(segment, role))
        elif segment.value in found:
            unknown.append(f"{segment.value}: {segment.name}")
    if unknown:
        raise InputError(
            f"Expected segments whose ID, terminology or name tells their role, got {', '.join(unknown)} "
            f"in {path}{_listed(segments)}.",
            ROLES_REMEDY,
        )
    return LabelScheme(tuple(labels), ignore_value)


def _label_of_segment(segment: Segment, role: Role) -> Label:
    clash = segment.segment_id == BACKGROUND.segment_id
    identity = f"{segment.segment_id}_{segment.value}" if clash else segment.segment_id
    return replace(
        CLASS_OF_ROLE[role], value=segment.value, segment_id=identity, name=segment.name, color_rgb=segment.color_rgb
    )


def _write_segmentation(label_map: LabelMap, path: Path) -> None:
    """Write the classes that occur as segments; background becomes 0, what is ignored a segment of its own."""
    found = values_in(writable_array(label_map.array))
    unknown = set(found) - {*label_map.scheme.values, label_map.scheme.ignore_value}
    if unknown:
        raise InputError(f"Expected label values of the scheme, got also {sorted(unknown)} for {path}.", ROLES_REMEDY)
    value_in_file, segments = _segments_to_write(label_map.scheme, found)
    dtype = np.min_scalar_type(max(value_in_file.values(), default=0))
    array = _renumbered(label_map.array, value_in_file, dtype)
    extents = extents_of_values(array, [label.value for label in segments])
    with atomic_output(path) as temporary:
        write_segmentation(temporary, array, label_map.geometry, segments, extents=extents)


def _segments_to_write(scheme: LabelScheme, found: tuple[int, ...]) -> tuple[dict[int, int], list[Label]]:
    """The value in the file for each value of the array, and the segments with the values of the file."""
    labels = [label for label in scheme.segments if label.value in found]
    if scheme.ignore_value in found:
        color = (0.5, 0.5, 0.5)
        labels.append(
            replace(BACKGROUND, value=scheme.ignore_value, segment_id=IGNORE_ID, name="ignore", color_rgb=color)
        )
    kept = {label.value for label in labels if 0 < label.value < 1 << 16}
    free = iter(value for value in range(1, 1 << 16) if value not in kept)
    new = {label.value: label.value if label.value in kept else next(free) for label in labels}
    zeros = {label.value: 0 for label in scheme.labels if label.role is Role.BACKGROUND}
    return zeros | new, [replace(label, value=new[label.value]) for label in labels]


def _renumbered(array: np.ndarray, new_values: dict[int, int], dtype: np.dtype) -> np.ndarray:
    """The array with other values; the very array when nothing changes."""
    if all(old == new for old, new in new_values.items()) and array.dtype == dtype:
        return array
    renumbered = np.zeros(array.shape, dtype)
    for old, new in new_values.items():
        if new:
            renumbered[array == old] = new
    return renumbered
