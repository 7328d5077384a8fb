"""What a file's header says of an image apart from voxels and labels: expected IoU, grey-value window, warnings."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from MgImplantSegLib.base.expected_iou import KEY as EXPECTED_IOU
from MgImplantSegLib.base.expected_iou import ExpectedIoU
from MgImplantSegLib.base.grey_window import KEY as GREY_WINDOW
from MgImplantSegLib.base.grey_window import GreyWindow
from MgImplantSegLib.base.text_files import json_from
from MgImplantSegLib.io.label_scheme_key import keys_of_remarks, remarks_of_keys

logger = logging.getLogger(__name__)
EXPECTED_IOU_KEY, GREY_WINDOW_KEY = "MgImplantSeg_ExpectedIoU", "MgImplantSeg_GreyWindow"
WIDTH = 320  # of a window, as long before as after the voxels are counted, so that the header can be written again
PARTS: tuple[tuple[str, str, str, Callable[[Any], object]], ...] = (
    (EXPECTED_IOU_KEY, EXPECTED_IOU, "expected IoU", ExpectedIoU.from_dict),
    (GREY_WINDOW_KEY, GREY_WINDOW, "grey-value window", GreyWindow.from_dict),
)


def keys_of_provenance(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Keys and their texts: the expected IoU, where there is one, and warnings."""
    expected = {EXPECTED_IOU_KEY: json.dumps(provenance[EXPECTED_IOU])} if EXPECTED_IOU in provenance else {}
    return expected | keys_of_remarks(provenance)


def keys_of_window(window: GreyWindow, counts: Mapping[str, int]) -> dict[str, str]:
    """The key and its text, always of one length; `counts` are numbers of voxels that the window changed."""
    return {GREY_WINDOW_KEY: json.dumps({**window.to_dict(), **counts}).ljust(WIDTH)}


def said_in_keys(keys: Mapping[str, Any], path: object) -> dict[str, Any]:
    """`notes` and `remarks` for `ImageData`.

    Raises InputError if the warnings are not a list of sentences. Another damaged text is left out with a warning, as
    everything else can be read.
    """
    notes = {}
    for key, name, shown, check in PARTS:
        try:
            if keys.get(key) is not None:
                data = json_from(str(keys[key]))
                check(data)
                notes[name] = data
        except ValueError as error:
            logger.warning("%s: the %s in its header cannot be read and is left out (%s).", path, shown, error)
    return {"notes": notes, "remarks": remarks_of_keys(keys, path)}
