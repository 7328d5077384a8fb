"""A model's card in two lines: what it was trained on and how good it is; what not to report from it."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from MgImplantSegLib.model.card import ModelCard

LONGEST = 200
TRAINED_ON = re.compile(r"\btrained on (.+?)(?:[.;]|$)", re.IGNORECASE)
NOT_TO_REPORT = {"mgimplantseg-sim20": "BIC"}  # README, "What the bundled model can and cannot do"


def cardText(card: ModelCard):
    """For example ``Trained on simulated explants only, 20 µm; mean IoU 0.85.`` and what not to report."""
    first = _("{origin}, {um:g} µm").format(origin=_origin(card), um=card.preprocessing.spacing_um)
    quality = _quality(card)
    if quality is not None:
        first = _("{text}; mean IoU {iou:.2f}").format(text=first, iou=quality)
    return f"{first}.\n{_limits(card)}"


def _origin(card: ModelCard):
    description = card.training.get("description")
    description = " ".join(description.split())[:LONGEST] if isinstance(description, str) else ""
    found = TRAINED_ON.search(description)
    if found:
        return _("Trained on {data}").format(data=found[1])
    return description.rstrip(".") or _("Training data not documented")


def _limits(card: ModelCard):
    first = card.intended_use.split(". ")[0].strip().rstrip(".")
    return " ".join(text for text in (notToReport(card), f"{first}." if first else "") if text)


def notToReport(card: ModelCard):
    """What must not be reported from a model's results; empty if nothing is known of that."""
    measures = NOT_TO_REPORT.get(card.name)
    return _("Do not report {measures} from it.").format(measures=measures) if measures else ""


def _quality(card: ModelCard):
    """The mean IoU that says most: on scans kept apart, on unseen scans of the model's voxel size, in validation."""
    tables: dict[str, Any] = {name: table for name, table in card.metrics.items() if isinstance(table, dict)}
    unseen = _within(tables, f"unseen_families_{card.preprocessing.spacing_um:g}_um", "mean")
    candidates = [
        _within(tables.get("held_out"), "after", "mean"),
        _within(unseen, "mean_iou"),
        card.metrics.get("mean_iou"),
        _within(tables.get("validation"), "mean_iou"),
    ]
    return next((value for value in candidates if isNumber(value) and 0 <= value <= 1), None)


def isNumber(value: Any):
    """Whether something in a card, which may come from anywhere, is a number that can be shown."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _within(table: Any, *keys):
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table
