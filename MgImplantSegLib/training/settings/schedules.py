"""Courses of the learning rate: `SCHEDULES`. A new one is an entry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from MgImplantSegLib.base.choices import Registry


@dataclass(frozen=True)
class Schedule:
    """A course of the learning rate.

    ``share(done, halvings, least)`` is the part of the full rate, given the share of the run that is done, how often no
    better validation loss was found for long, and the least share of the configuration.
    """

    name: str
    definition: str
    share: Callable[[float, int, float], float]


def _plateau(_done: float, halvings: int, least: float) -> float:
    return max(0.5**halvings, least)


def _cosine(done: float, _halvings: int, least: float) -> float:
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * done))


def _constant(_done: float, _halvings: int, _least: float) -> float:
    return 1.0


SCHEDULES: Registry[Schedule] = Registry(
    "a schedule",
    {
        "plateau": Schedule(
            "plateau", "halved after plateau_iterations without better validation loss, as in the paper", _plateau
        ),
        "cosine": Schedule("cosine", "falls to least_learning_rate_share over the whole run", _cosine),
        "constant": Schedule("constant", "stays as it is", _constant),
    },
)
