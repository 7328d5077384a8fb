"""The meaning of label values as a key in the header of an image file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.labels import LabelScheme
from MgImplantSegLib.text_files import json_from

SCHEME_KEY = "MgImplantSeg_LabelScheme"


def keys_of_scheme(scheme: LabelScheme) -> dict[str, str]:
    """The key and its text."""
    return {SCHEME_KEY: json.dumps(scheme.to_dict())}


def scheme_of_keys(keys: Mapping[str, Any], path: object) -> LabelScheme | None:
    """The scheme in the keys of a header; None if it has none.

    Raises
    ------
    InputError
        If the text is no scheme.
    """
    text = keys.get(SCHEME_KEY)
    if text is None:
        return None
    try:
        return LabelScheme.from_dict(json_from(str(text)))
    except ValueError as error:
        raise InputError(f"Expected a label scheme in {path}, got {str(text)[:200]!r} ({error}).") from error
