"""Fusion rules: how the predictions of several planes become one label. A new rule is one entry of `FUSIONS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.choices import Registry
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
    scores : callable
        Whole numbers (classes, z, y, x) of a slab of an accumulator; the class with the largest wins, the lower one
        of two that are the same.
    """

    name: str
    definition: str
    needs_votes: bool
    scores: Callable[[Accumulator, slice], np.ndarray]


def _mean_probability(accumulator: Accumulator, slab: slice) -> np.ndarray:
    scores = accumulator.sums(slab)
    scores[0] += accumulator.rounding
    return scores


def _votes_then_mean_probability(accumulator: Accumulator, slab: slice) -> np.ndarray:
    more_than_any_sum = 2 * accumulator.scale * accumulator.plane_count
    return accumulator.votes(slab) * more_than_any_sum + _mean_probability(accumulator, slab)


FUSIONS: Registry[FusionRule] = Registry(
    "a fusion rule",
    {
        "soft": FusionRule(
            "soft voting",
            "mean of the probabilities of all planes, then the most probable class; a tie goes to the lower value",
            False,
            _mean_probability,
        ),
        "majority": FusionRule(
            "majority voting",
            "the label predicted by most planes; a tie goes to the tied class with the larger mean probability, and to "
            "the lower value if that ties too",
            True,
            _votes_then_mean_probability,
        ),
    },
)
