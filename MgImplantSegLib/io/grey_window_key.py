"""Which grey values the numbers of a prepared scan stand for, as a key in the header of its file."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from MgImplantSegLib.base.grey_window import KEY, GreyWindow
from MgImplantSegLib.base.text_files import json_from

logger = logging.getLogger(__name__)
HEADER_KEY = "MgImplantSeg_GreyWindow"
WIDTH = 320  # as long before as after the voxels are counted, so that the header can be written again


def keys_of_window(window: GreyWindow, counts: Mapping[str, int]) -> dict[str, str]:
    """The key and its text, always of one length; `counts` are numbers of voxels that the window changed."""
    return {HEADER_KEY: json.dumps({**window.to_dict(), **counts}).ljust(WIDTH)}


def window_of_keys(keys: Mapping[str, Any], path: object) -> dict[str, Any]:
    """What belongs into the provenance; a damaged text is left out with a warning, as the numbers can be used."""
    text = keys.get(HEADER_KEY)
    if text is None:
        return {}
    try:
        data = json_from(str(text))
        GreyWindow.from_dict(data)
    except ValueError as error:
        logger.warning("%s: the grey-value window in its header cannot be read and is left out (%s).", path, error)
        return {}
    return {KEY: data}
