"""A model's card in two lines: what it was trained on and how good it is; what not to report from it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from MgImplantSegLib.model.card import ModelCard

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
    description = str(card.training.get("description") or "").strip()
    found = TRAINED_ON.search(description)
    if found:
        return _("Trained on {data}").format(data=found[1])
    return description.rstrip(".") or _("Training data not documented")


def _limits(card: ModelCard):
    first = card.intended_use.split(". ")[0].strip().rstrip(".")
    measures = NOT_TO_REPORT.get(card.name)
    warning = _("Do not report {measures} from it").format(measures=measures) if measures else ""
    return " ".join(f"{text}." for text in (warning, first) if text)


def _quality(card: ModelCard):
    """The mean IoU that says most: on scans kept apart, on unseen scans of the model's voxel size, in validation."""
    tables: dict[str, Any] = {name: table for name, table in card.metrics.items() if isinstance(table, dict)}
    unseen = tables.get(f"unseen_families_{card.preprocessing.spacing_um:g}_um", {}).get("mean")
    candidates = [
        _within(tables.get("held_out"), "after", "mean"),
        _within(unseen, "mean_iou"),
        card.metrics.get("mean_iou"),
        _within(tables.get("validation"), "mean_iou"),
    ]
    return next((value for value in candidates if isinstance(value, (int, float))), None)


def _within(table: Any, *keys):
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table
