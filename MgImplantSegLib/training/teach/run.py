"""`teach`: a model and a few labelled slices go in, a model that knows their look comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import require_writable_folder
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.inference.device import keep_freed_memory
from MgImplantSegLib.inference.openvino_export import add_openvino_where_possible
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.model.file import load_model, save_model
from MgImplantSegLib.networks import build_network, network_spec
from MgImplantSegLib.training.loop.distributed import World
from MgImplantSegLib.training.loop.export import command_line
from MgImplantSegLib.training.loop.learner import Learner
from MgImplantSegLib.training.loop.precision import choose_arithmetic
from MgImplantSegLib.training.settings.loop_settings import LoopSettings
from MgImplantSegLib.training.teach.card import Round, labelled_facts, learned_before, rounds_of, taught_card
from MgImplantSegLib.training.teach.course import Course
from MgImplantSegLib.training.teach.held_out import HeldOut, choose_held_out
from MgImplantSegLib.training.teach.learning import Teaching, augmentation_of
from MgImplantSegLib.training.teach.scan import LabelledScan, read_scan
from MgImplantSegLib.training.teach.settings import Pair, TeachSettings, require_distinct

RESERVED_S = 3.0  # for the statistics and for writing the model
ONE_SCAN = "Measured on one scan: results on other scans may differ."
OF_SEVERAL = "Measured on the taught scans: results on other scans may differ."


@dataclass(frozen=True)
class TeachOutcome:
    """What a round gave.

    Attributes
    ----------
    model : Path
        The taught model's file.
    reason : str
        Why it ended.
    iterations : int
        Steps.
    minutes : float
        From start to model file.
    labelled : list of dict
        What counted as labelled, scan by scan.
    held_out : dict
        IoU on the held-out slices before and after, and in words what that says.
    """

    model: Path
    reason: str
    iterations: int
    minutes: float
    labelled: list[dict[str, Any]]
    held_out: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**vars(self), "model": str(self.model), "minutes": round(self.minutes, 2)}


def teach(
    pairs: Sequence[Pair],
    out: Path,
    parent: Path,
    settings: TeachSettings,
    events: Events | None = None,
    started: float | None = None,
    wants_end: Callable[[], bool] = lambda: False,
) -> TeachOutcome:
    """Teach a model the look of scans of which some voxels are labelled, and write it as a model file.

    Parameters
    ----------
    pairs : sequence of Pair
        Scans and labels.
    out : Path
        Model file to write; it appears whole at the end, or not at all.
    parent : Path
        Model file to start from.
    settings : TeachSettings
        How long and how.
    events : Events
        Progress and metrics; cancelling raises `Cancelled`.
    started : float, optional
        `time.monotonic` when the user began to wait; default: now.
    wants_end : callable
        Asked at every step: whether to end now and write the model as it is.

    Raises
    ------
    InputError
        If scans, labels or model cannot be used or do not fit each other.
    OutputError
        If the model file cannot be written.
    """
    events, started = events or Events(), time.monotonic() if started is None else started
    pairs = tuple(pairs)
    require_distinct(pairs)
    _require_out(out, parent)
    keep_freed_memory()
    card, weights = load_model(parent)
    arithmetic = choose_arithmetic(settings.device, settings.precision)
    scans = read_scans(pairs, card, parent, events)
    held_out = _held_out(scans, card, settings)
    settings = with_fitting_patches(settings, scans, network_spec(card.network).size_multiple)
    learner = _learner(card, weights, settings, arithmetic)
    teaching = Teaching(
        settings,
        scans,
        held_out,
        learner,
        card.preprocessing,
        card.label_scheme,
        Course(
            settings, started, RESERVED_S, settings.held_out_share if held_out.measured else 0.0, wants_end=wants_end
        ),
        events,
    )
    reason = teaching.run()
    network = learner.trained_network
    if settings.statistics_slices:
        teaching.renew_statistics(network, settings.statistics_slices)
    minutes = (time.monotonic() - started) / 60
    done = Round(reason, teaching.course.iteration, minutes, held_out_facts(teaching, held_out))
    save_model(out, taught_card(card, out.stem, settings, scans, done, command_line()), network.state_dict())
    add_openvino_where_possible(out)
    roles = [label.role.value for label in card.label_scheme.labels]
    labelled = [labelled_facts(scan, roles) for scan in scans]
    return TeachOutcome(out, reason, done.iterations, minutes, labelled, done.held_out)


def _held_out(scans: Sequence[LabelledScan], card: ModelCard, settings: TeachSettings) -> HeldOut:
    if not settings.held_out_share:
        return HeldOut(reason="switched off")
    turn = len(rounds_of(card)) + settings.seed
    return choose_held_out(scans, turn, [learned_before(card, scan) for scan in scans])


def _require_out(out: Path, parent: Path) -> None:
    if out.suffix != ".mgmodel":
        raise InputError(f"Expected a model file name that ends with .mgmodel, got {out.name}.")
    if out.is_dir():
        raise InputError(f"Expected the name of a model file, got the folder {out}.", "Choose another name.")
    if out.exists() and out.samefile(parent):
        raise InputError(f"Expected a new model file, got {out}, from which teaching starts.", "Choose another name.")
    require_writable_folder(out.absolute().parent, parent.stat().st_size)


def read_scans(pairs: Sequence[Pair], card: ModelCard, parent: Path, events: Events) -> list[LabelledScan]:
    """All scans with their labels.

    Raises
    ------
    InputError
        If one cannot be used, or all labels together are of one class.
    """
    scans = []
    with events.task("reading scans", len(pairs)) as task:
        for pair in pairs:
            scans.append(read_scan(pair, card.preprocessing, card.label_scheme, parent, events))
            task.advance()
    _require_classes(scans, card.label_scheme, events)
    return scans


def _require_classes(scans: Sequence[LabelledScan], scheme: LabelScheme, events: Events) -> None:
    counts = {
        label.role.value: sum(scan.voxels_per_class[channel] for scan in scans)
        for channel, label in enumerate(scheme.labels)
    }
    present = [role for role, count in counts.items() if count]
    if len(present) < 2:
        raise InputError(
            f"Expected labels of two classes or more, got {present[0] if present else 'none'} alone.",
            "Paint the other classes too; in a done slice what is in no segment counts as background.",
        )
    if missing := [role for role, count in counts.items() if not count]:
        events.warning(f"No {' and no '.join(missing)} is labelled: the model learns nothing about it.", "labels")


def with_fitting_patches(settings: TeachSettings, scans: Sequence[LabelledScan], multiple: int) -> TeachSettings:
    """Patches no larger than the largest slice, and a multiple of what the network takes."""
    largest = max(max(scan.shape_zyx) for scan in scans)
    wanted = min(settings.patch_px, largest)
    return replace(settings, patch_px=max(multiple, -(-wanted // multiple) * multiple))


def _learner(card: ModelCard, weights: dict[str, torch.Tensor], settings: TeachSettings, arithmetic) -> Learner:
    network = build_network(card.network)
    network.load_state_dict(weights)
    loop = LoopSettings(
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        loss=settings.loss,
        ema_decay=settings.ema_decay,
        gradient_norm=5.0,
    )
    augment = augmentation_of(settings, card.label_scheme)
    return Learner(network, loop, augment, arithmetic, World(), card.label_scheme)


def held_out_facts(teaching: Teaching, held_out: HeldOut) -> dict[str, Any]:
    """What the held-out slices say, as plain data with the words that belong to it."""
    result = teaching.held_out_result
    if result is None:
        return {"slices": [], "words": f"Not measured: {held_out.reason}."}
    names, after = held_out.names(teaching.scans), result.after
    words = (
        f"On {', '.join(names)}, not yet learned from then: mean IoU {result.before['mean']:.2f} before and "
        f"{after['mean']:.2f} after {result.iteration} steps on the other {result.slices_learned} slices. "
        f"{ONE_SCAN if len(teaching.scans) == 1 else OF_SEVERAL}"
    )
    return {
        "slices": names,
        "before": result.before,
        "after": after,
        "iterations": result.iteration,
        "slices_learned": result.slices_learned,
        "words": words,
    }
