"""Losses by name: `LOSSES`, readable without torch; the functions themselves are in `loss_functions`.

A new loss is a function there and an entry here, which has the numbers that a configuration may change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.choices import Registry, find_object
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import IMPLANT_ROLES, LabelScheme

if TYPE_CHECKING:
    import torch

IGNORE = 255


@dataclass(frozen=True)
class Loss:
    """A loss.

    Parameters
    ----------
    name, definition : str
        What it is called, and its formula.
    function : str
        ``module:name`` of the function.
    options : mapping
        Numbers that it takes, with their defaults.
    needs_implant : bool
        Whether the function takes ``implant_channels``.
    """

    name: str
    definition: str
    function: str
    options: Mapping[str, float] = field(default_factory=dict)
    needs_implant: bool = False


FUNCTIONS = "MgImplantSegLib.training.loop.loss_functions"
LOSSES: Registry[Loss] = Registry(
    "a loss",
    {
        "cross_entropy": Loss(
            "cross-entropy", "mean of −log p of the true class over all known pixels", f"{FUNCTIONS}:cross_entropy"
        ),
        "cross_entropy_dice": Loss(
            "cross-entropy and Dice",
            "cross-entropy + weight × (1 − mean soft Dice of the classes present)",
            f"{FUNCTIONS}:cross_entropy_dice",
            {"weight": 1.0},
        ),
        "cross_entropy_smooth": Loss(
            "cross-entropy with smooth boundaries",
            "cross-entropy + weight × length of the predicted boundaries",
            f"{FUNCTIONS}:cross_entropy_smooth",
            {"weight": 0.1},
        ),
        "cross_entropy_surface": Loss(
            "cross-entropy near the implant's surface",
            "cross-entropy in which pixels within reach_px of the implant's surface count weight times, + Dice",
            f"{FUNCTIONS}:cross_entropy_surface",
            {"weight": 3.0, "reach_px": 3.0},
            needs_implant=True,
        ),
    },
)


def require_loss(name: str, options: Mapping[str, float]) -> Loss:
    """The loss of that name, whose options these may be.

    Raises InputError if the name or an option is unknown, or an option is not a finite number.
    """
    loss = LOSSES.find(name)
    for key, value in options.items():
        if key not in loss.options:
            known = ", ".join(loss.options) or "none"
            raise InputError(f"Expected options of the loss {name!r} ({known}), got {key!r}.")
        if not math.isfinite(value):
            raise InputError(f"Expected a finite {key} for the loss {name!r}, got {value!r}.")
    return loss


def build_loss(
    name: str,
    options: Mapping[str, float],
    scheme: LabelScheme,
    total: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The loss `name` as a function of logits and target, whose channels mean what `scheme` lists.

    `total` is as in `loss_functions`; without it a batch is the whole one. Raises InputError if the name or an option
    is unknown.
    """
    loss = require_loss(name, options)
    given: dict[str, Any] = {**loss.options, **options} | ({} if total is None else {"total": total})
    if loss.needs_implant:
        given["implant_channels"] = [i for i, label in enumerate(scheme.labels) if label.role in IMPLANT_ROLES]
    function = find_object(loss.function)
    return lambda logits, target: function(logits, target, **given)
