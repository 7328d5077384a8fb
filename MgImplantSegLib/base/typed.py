"""What is known of a value but not from its type: that there are three of them, or that it is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def triple(values: Iterable[Item]) -> tuple[Item, Item, Item]:
    """Three values, one for each axis; ValueError if there are more or fewer."""
    found = tuple(values)
    if len(found) != 3:
        raise ValueError(f"{len(found)} values where three belong")
    return found


def present(value: Item | None) -> Item:
    """A value that is there because an earlier check has said so; ValueError if it is None."""
    if value is None:
        raise ValueError("Expected a value that is there, got None.")
    return value
