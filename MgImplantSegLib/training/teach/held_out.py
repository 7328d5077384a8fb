"""Labelled slices that are kept from learning for a while, so that what is measured on them is honest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from MgImplantSegLib.training.loop.losses import IGNORE
from MgImplantSegLib.training.loop.score import confusion_matrix, iou_per_class, mean_defined
from MgImplantSegLib.training.teach.scan import GREY_LEVELS, LabelledScan
from MgImplantSegLib.training.teach.slices import SliceName

FEWEST_SLICES, SLICES_PER_HELD_OUT = 3, 4
NEAR_VOXELS = 4  # a slice so near another one of its orientation shows much the same
TOO_FEW = f"fewer than {FEWEST_SLICES} labelled slices: no slice can be held out for evaluation"
TOO_NEAR = "no slice can be held out: the labelled slices are neighbours, or a class occurs on only one of them"
ALL_LEARNED = "all labelled slices, or their neighbours, were learned from in an earlier round: label another one"
Predict = Callable[[torch.Tensor], torch.Tensor]
Held = tuple[int, SliceName]  # number of the scan, slice on the model's grid


@dataclass(frozen=True)
class HeldOut:
    """The slices that are measured on, the neighbours kept away with them, and why there are none.

    Attributes
    ----------
    measured, kept_away : tuple of (int, SliceName)
        Number of the scan and slice.
    reason : str
        Why nothing is held out; empty if something is.
    """

    measured: tuple[Held, ...] = ()
    kept_away: tuple[Held, ...] = ()
    reason: str = ""

    def removed_from(self, scans: Sequence[LabelledScan]) -> list[LabelledScan]:
        """The scans as they are learned from while the slices are held out; a scan without labels left is left out."""
        away = (*self.measured, *self.kept_away)
        rest = [scan.without([entry for n, entry in away if n == number]) for number, scan in enumerate(scans)]
        return [scan for scan in rest if sum(scan.voxels_per_class)]

    def names(self, scans: Sequence[LabelledScan]) -> list[str]:
        """``scan z:40`` for every measured slice, as it was painted."""
        return [
            f"{scans[number].name} {scans[number].painted_as[scans[number].slices.index(entry)]}"
            for number, entry in self.measured
        ]


def choose_held_out(
    scans: Sequence[LabelledScan], turn: int, learned_before: Sequence[Sequence[SliceName] | None] = ()
) -> HeldOut:
    """One labelled slice in four, in turn another one; those with most classes first.

    A slice that the model has learned from in an earlier round, or a neighbour of one, is none. No class loses its
    last labels by it. Without three slices, or where that is impossible, there is none.

    Parameters
    ----------
    scans : sequence of LabelledScan
        All that is labelled.
    turn : int
        0, 1, 2, …: which of the slices that are possible comes first.
    learned_before : sequence of sequence of SliceName
        For every scan the slices that earlier rounds learned from; None: labels all over it.
    """
    slices = [(number, entry) for number, scan in enumerate(scans) for entry in dict.fromkeys(scan.slices)]
    if len(slices) < FEWEST_SLICES:
        return HeldOut(reason=TOO_FEW)
    new = [held for held in slices if _is_new(held, learned_before)]
    if not new:
        return HeldOut(reason=ALL_LEARNED)
    order = sorted(new, key=lambda held: -_classes_on(scans, held))
    start = turn % len(order)
    wanted, chosen = max(1, len(slices) // SLICES_PER_HELD_OUT), HeldOut(reason=TOO_NEAR)
    for candidate in order[start:] + order[:start]:
        measured = (*chosen.measured, candidate)
        near = tuple(held for held in slices if held not in measured and any(_is_near(held, m) for m in measured))
        tried = HeldOut(measured, near)
        if len(slices) - len(measured) - len(near) >= 2 and _same_classes(scans, tried):
            chosen = tried
        if len(chosen.measured) == wanted:
            break
    return chosen


def _is_new(held: Held, learned_before: Sequence[Sequence[SliceName] | None]) -> bool:
    number = held[0]
    before = learned_before[number] if number < len(learned_before) else ()
    return before is not None and not any(_is_near(held, (number, other)) for other in before)


def _is_near(held: Held, other: Held) -> bool:
    (scan, entry), (other_scan, other_entry) = held, other
    same = scan == other_scan and entry.axis == other_entry.axis
    return same and abs(entry.index - other_entry.index) <= NEAR_VOXELS


def _classes_on(scans: Sequence[LabelledScan], held: Held) -> int:
    number, entry = held
    return len(np.setdiff1d(scans[number].channels[entry.place], [IGNORE]))


def _same_classes(scans: Sequence[LabelledScan], held_out: HeldOut) -> bool:
    return _classes(held_out.removed_from(scans)) == _classes(scans)


def _classes(scans: Sequence[LabelledScan]) -> set[int]:
    return {channel for scan in scans for channel, count in enumerate(scan.voxels_per_class) if count}


def measure(
    predict: Predict, scans: Sequence[LabelledScan], slices: Sequence[Held], multiple: int, device: torch.device
) -> list[float]:
    """IoU of every class over the labelled pixels of slices, each predicted in its own plane.

    Parameters
    ----------
    predict : callable
        Images (1, 1, rows, columns) → logits.
    multiple : int
        Slices are padded with zeros to multiples of this.
    """
    classes = scans[0].classes
    confusion = torch.zeros((classes, classes), dtype=torch.int64)
    for number, entry in slices:
        grey, truth = scans[number].image[entry.place], scans[number].channels[entry.place]
        rows, columns = grey.shape
        padded = np.pad(grey.astype(np.float32) / GREY_LEVELS, [(0, -size % multiple) for size in grey.shape])
        logits = predict(torch.from_numpy(padded)[None, None].to(device))
        found = logits.argmax(1)[0, :rows, :columns].cpu()
        confusion += confusion_matrix(found, torch.from_numpy(np.ascontiguousarray(truth)), classes)
    return iou_per_class(confusion)


def named(iou: Sequence[float], roles: Sequence[str]) -> dict[str, Any]:
    """IoU by role, and the mean of those that are defined."""
    return {**dict(zip(roles, iou, strict=True)), "mean": mean_defined(list(iou))}
