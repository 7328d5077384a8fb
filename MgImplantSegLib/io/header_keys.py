"""What a file's header says of an image apart from voxels and labels: expected IoU, grey-value window, warnings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from MgImplantSegLib.io.expected_iou_key import keys_of_expected_iou, notes_of_keys
from MgImplantSegLib.io.grey_window_key import window_of_keys
from MgImplantSegLib.io.label_scheme_key import keys_of_remarks, remarks_of_keys


def keys_of_provenance(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Keys and their texts."""
    return keys_of_expected_iou(provenance) | keys_of_remarks(provenance)


def said_in_keys(keys: Mapping[str, Any], path: object) -> dict[str, Any]:
    """`notes` and `remarks` for `ImageData`.

    Raises InputError if the warnings are not a list of sentences.
    """
    notes = {**notes_of_keys(keys, path), **window_of_keys(keys, path)}
    return {"notes": notes, "remarks": remarks_of_keys(keys, path)}
