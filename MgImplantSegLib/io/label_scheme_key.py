"""The meaning of label values, and what was warned of, as keys in the header of an image file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.remarks import remarks_of
from MgImplantSegLib.base.text_files import json_from
from MgImplantSegLib.grids.labels import LabelScheme

SCHEME_KEY = "MgImplantSeg_LabelScheme"
WARNINGS_KEY = "MgImplantSeg_Warnings"
LONGEST_WARNINGS = 8000  # characters; far below what SimpleITK takes in one field


def keys_of_scheme(scheme: LabelScheme) -> dict[str, str]:
    """The key and its text."""
    return {SCHEME_KEY: json.dumps(scheme.to_dict())}


def scheme_of_keys(keys: Mapping[str, Any], path: object) -> LabelScheme | None:
    """The scheme in the keys of a header; None if it has none. Raises InputError if the text is not a scheme."""
    text = keys.get(SCHEME_KEY)
    if text is None:
        return None
    try:
        return LabelScheme.from_dict(json_from(str(text)))
    except ValueError as error:
        raise InputError(f"Expected a label scheme in {path}, got {str(text)[:200]!r} ({error}).") from error


def keys_of_remarks(provenance: Mapping[str, Any]) -> dict[str, str]:
    """The key and its text for the warnings about data with this provenance; nothing without any."""
    kept: list[str] = []
    for sentence in remarks_of(provenance):
        if len(json.dumps([*kept, sentence])) > LONGEST_WARNINGS:
            break
        kept.append(sentence)
    return {WARNINGS_KEY: json.dumps(kept)} if kept else {}


def remarks_of_keys(keys: Mapping[str, Any], path: object) -> tuple[str, ...]:
    """The warnings that were stored with a file, as what it shows was made.

    Raises InputError if the text is not a list of sentences.
    """
    text = keys.get(WARNINGS_KEY)
    if text is None:
        return ()
    try:
        stored = json_from(str(text))
    except ValueError as error:
        raise InputError(f"Expected a list of warnings in {path}, got {str(text)[:200]!r} ({error}).") from error
    if not isinstance(stored, list) or not all(isinstance(sentence, str) for sentence in stored):
        raise InputError(f"Expected a list of warnings in {path}, got {str(text)[:200]!r}.")
    return tuple(stored)
