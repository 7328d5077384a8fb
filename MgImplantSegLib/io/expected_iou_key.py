"""The expected IoU of a segmentation as a key in the header of its file."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from MgImplantSegLib.base.expected_iou import KEY, ExpectedIoU
from MgImplantSegLib.base.text_files import json_from

logger = logging.getLogger(__name__)
HEADER_KEY = "MgImplantSeg_ExpectedIoU"


def keys_of_expected_iou(provenance: Mapping[str, Any]) -> dict[str, str]:
    """The key and its text; nothing where nothing is expected."""
    return {HEADER_KEY: json.dumps(provenance[KEY])} if KEY in provenance else {}


def notes_of_keys(keys: Mapping[str, Any], path: object) -> dict[str, Any]:
    """What belongs into the provenance; a damaged text is left out with a warning, as everything else can be read."""
    text = keys.get(HEADER_KEY)
    if text is None:
        return {}
    try:
        data = json_from(str(text))
        ExpectedIoU.from_dict(data)
    except ValueError as error:
        logger.warning("%s: the expected IoU in its header cannot be read and is left out (%s).", path, error)
        return {}
    return {KEY: data}
