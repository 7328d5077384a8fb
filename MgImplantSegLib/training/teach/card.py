"""The card of a taught model: where it comes from, what it was taught on, what it reaches on held-out slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from MgImplantSegLib import __version__
from MgImplantSegLib.base.settings import settings_to_dict
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.training.teach.scan import LabelledScan
from MgImplantSegLib.training.teach.settings import TeachSettings
from MgImplantSegLib.training.teach.slices import AXES, SliceName, parse_slices, slices_text

LINEAGE = "lineage"


@dataclass(frozen=True)
class Round:
    """What is known of a round when it is over.

    Attributes
    ----------
    reason : str
        Why it ended.
    iterations : int
        Steps.
    minutes : float
        From start to model file.
    held_out : dict or None
        Numbers and words on the held-out slices.
    """

    reason: str
    iterations: int
    minutes: float
    held_out: dict[str, Any]


def rounds_of(card: ModelCard) -> list[dict[str, Any]]:
    """The rounds of teaching that a model has had, the first one first."""
    rounds = card.training.get(LINEAGE, [])
    return list(rounds) if isinstance(rounds, list) else []


def learned_before(card: ModelCard, scan: LabelledScan) -> tuple[SliceName, ...] | None:
    """Slices of a scan, on the model's grid, that earlier rounds learned from; None if they had other labels on it."""
    before = [entry for done in rounds_of(card) for entry in done["scans"] if entry.get("scan_digest") == scan.digest]
    if not all(entry["slice_count"] for entry in before):
        return None
    return tuple(dict.fromkeys(name for entry in before for name in parse_slices(entry["slices_on_models_grid"])))


def taught_card(
    parent: ModelCard, name: str, settings: TeachSettings, scans: Sequence[LabelledScan], done: Round, command: str
) -> ModelCard:
    """The parent's card with this round added to its lineage."""
    entry = {
        "parent": parent.name,
        "parent_hash": parent.hash,
        "scans": [labelled_facts(scan, [label.role.value for label in parent.label_scheme.labels]) for scan in scans],
        "iterations": done.iterations,
        "minutes": round(done.minutes, 2),
        "ended": done.reason,
        "held_out": done.held_out,
        "software_version": __version__,
    }
    rounds = [*rounds_of(parent), entry]
    training = {
        "commands": [command],
        "description": f"Taught from {parent.name} on {_scans_text(scans)}.",
        "seed": settings.seed,
        "iterations": done.iterations,
        "elapsed_minutes": round(done.minutes, 2),
        "settings": settings_to_dict(settings),
        "base_model": parent.name,
        LINEAGE: rounds,
        "first_model": parent.training if LINEAGE not in parent.training else parent.training.get("first_model"),
    }
    return replace(
        parent,
        name=name,
        metrics={"held_out": done.held_out},
        calibration={},  # what the parent knew of its own errors no longer holds
        training=training,
        software_version=__version__,
        created=datetime.now(UTC).date().isoformat(),
    )


def labelled_facts(scan: LabelledScan, roles: Sequence[str]) -> dict[str, Any]:
    """What counts as labelled in a scan, as plain data."""
    return {
        "name": scan.name,
        "slices": slices_text(scan.painted_as),
        "slice_count": len(scan.painted_as),
        "slices_on_models_grid": slices_text(scan.slices),
        "scan_digest": scan.digest,
        "orientations": [AXES[axis] for axis in sorted({entry.axis for entry in scan.painted_as})],
        "voxels_per_class": dict(zip(roles, scan.voxels_per_class, strict=True)),
    }


def _scans_text(scans: Sequence[LabelledScan]) -> str:
    slices = sum(len(scan.slices) for scan in scans)
    of_slices = f"{slices} labelled slice{'s' if slices != 1 else ''} of " if slices else "labels in "
    return f"{of_slices}{len(scans)} scan{'s' if len(scans) != 1 else ''}"
