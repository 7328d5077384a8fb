"""The label map as one byte per voxel that says what is there, whatever values the group uses."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import LabelMap

BACKGROUND, BONE, LAYER, METAL, UNKNOWN = range(5)
IMPLANT = (LAYER, METAL)
CODE_OF_ROLE = {
    Role.BACKGROUND: BACKGROUND,
    Role.BONE: BONE,
    Role.DEGRADATION_LAYER: LAYER,
    Role.RESIDUAL_MATERIAL: METAL,
}
NO_ROLE = 255


def role_codes(label_map: LabelMap, field_of_view: np.ndarray | None = None, *, may_share: bool = False) -> np.ndarray:
    """uint8 array (z, y, x) of BACKGROUND, BONE, LAYER, METAL, and UNKNOWN for ignored or not scanned voxels.

    Raises InputError if a value has no role, or the field of view has another shape.

    Parameters
    ----------
    label_map : LabelMap
        Any integer values; its scheme says what they mean.
    field_of_view : bool array (z, y, x), optional
        True where the scanner has seen something.
    may_share : bool
        Whether the label map's own array may come back, to be read only, where its values are the codes.
    """
    if field_of_view is not None and field_of_view.shape != label_map.array.shape:
        raise InputError(
            f"Expected a field of view of the label map's shape {label_map.array.shape}, got {field_of_view.shape}.",
            "Resample the field of view to the label map's grid.",
        )
    code_of_value = {label.value: CODE_OF_ROLE[label.role] for label in label_map.scheme.labels}
    if label_map.scheme.ignore_value is not None:
        code_of_value[label_map.scheme.ignore_value] = UNKNOWN
    if may_share and field_of_view is None and _are_codes(label_map.array, code_of_value):
        return label_map.array
    codes = np.empty(label_map.array.shape, dtype=np.uint8)
    for part in slabs(codes.shape):
        codes[part] = _codes_of(label_map.array[part], code_of_value)
        if field_of_view is not None:
            codes[part][~field_of_view[part]] = UNKNOWN
    return codes


def implant_in(codes: np.ndarray) -> np.ndarray:
    """Boolean array, True in the implant: degradation layer and residual material."""
    return (codes == LAYER) | (codes == METAL)


def count_codes(codes: np.ndarray) -> np.ndarray:
    """Number of voxels of each code, shape (5,)."""
    counts = np.zeros(UNKNOWN + 1, dtype=np.int64)
    for part in slabs(codes.shape):
        counts[1:] += [np.count_nonzero(codes[part] == code) for code in range(1, UNKNOWN + 1)]
    counts[0] = codes.size - counts.sum()
    return counts


def _are_codes(values: np.ndarray, code_of_value: dict[int, int]) -> bool:
    """Whether the values, each with a role, are the codes themselves."""
    if values.dtype != np.uint8 or not values.flags.c_contiguous:
        return False
    if any(code_of_value.get(code, code) != code for code in range(UNKNOWN + 1)):
        return False
    known = max((value for value, code in code_of_value.items() if value == code), default=-1)
    return set(range(known + 1)) <= set(code_of_value) and all(
        int(values[part].max(initial=0)) <= known for part in slabs(values.shape)
    )


def _codes_of(values: np.ndarray, code_of_value: dict[int, int]) -> np.ndarray:
    if values.dtype == bool:
        values = values.view(np.uint8)
    codes = np.full(values.shape, NO_ROLE, dtype=np.uint8)
    limits = np.iinfo(values.dtype)
    for value, code in code_of_value.items():
        if limits.min <= value <= limits.max:
            codes[values == value] = code
    if codes.max(initial=0) == NO_ROLE:
        strange = [int(v) for v in np.unique(values[codes == NO_ROLE])[:5]]
        raise InputError(
            f"Expected label values of the scheme, {sorted(code_of_value)}, got {strange} too.",
            "State what they mean [[roles]], for example 1=bone,2=degradation_layer,3=residual_material,4=background.",
        )
    return codes
