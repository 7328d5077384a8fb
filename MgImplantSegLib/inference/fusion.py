"""Fusion rules: how the predictions of several planes become one label. A new rule is one entry of `FUSIONS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.inference.accumulator import Accumulator


@dataclass(frozen=True)
class FusionRule:
    """A way to decide.

    Parameters
    ----------
    name, definition : str
        What it is called and what it does.
    needs_votes : bool
        Whether the accumulator has to count votes.
    decide : callable
        Labels (z, y, x), uint8, of a slab of an accumulator.
    """

    name: str
    definition: str
    needs_votes: bool
    decide: Callable[[Accumulator, slice], np.ndarray]


def _soft(accumulator: Accumulator, slab: slice) -> np.ndarray:
    return _most_probable(accumulator, accumulator.sums(slab))


def _majority(accumulator: Accumulator, slab: slice) -> np.ndarray:
    more_than_any_sum = 2 * accumulator.scale * accumulator.plane_count
    return _most_probable(accumulator, accumulator.votes(slab) * more_than_any_sum + accumulator.sums(slab))


def _most_probable(accumulator: Accumulator, counts: np.ndarray) -> np.ndarray:
    counts[0] += accumulator.rounding
    return counts.argmax(axis=0).astype(np.uint8)


FUSIONS: dict[str, FusionRule] = {
    "soft": FusionRule(
        "soft voting",
        "mean of the probabilities of all planes, then the most probable class; the lower value if two are the same",
        False,
        _soft,
    ),
    "majority": FusionRule(
        "majority voting",
        "the label that most planes give; a tie goes to the tied class with the larger mean probability, and to the "
        "lower value if that ties too",
        True,
        _majority,
    ),
}


def fusion_rule(name: str) -> FusionRule:
    """The registered rule of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in FUSIONS:
        raise InputError(f"Expected a fusion rule of {', '.join(FUSIONS)}, got {name!r}.")
    return FUSIONS[name]
