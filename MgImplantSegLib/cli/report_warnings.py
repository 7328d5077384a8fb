"""Warnings of many samples in few lines: those that differ in their numbers alone are one, with ranges of these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NUMBER = re.compile(r"(?<![\w./-])\d+(?:\.\d+)?(?![\w/-]|\.\w)")

MANY = 5


def warnings_of(said: Iterable[tuple[str, Iterable[str]]]) -> list[tuple[str, str]]:
    """Each warning with the samples that have it, in the order in which they come.

    Parameters
    ----------
    said : iterable of (str, iterable of str)
        Name of a sample and its warnings.

    Returns
    -------
    list of (str, str)
        A warning, ``44.7 to 57.1 %`` in it where its numbers differ, and the names of the samples; ``all 24`` of many.
    """
    said = list(said)
    kinds: dict[str, tuple[list[str], list[str]]] = {}
    for name, sentences in said:
        for sentence in sentences:
            texts, names = kinds.setdefault(NUMBER.sub("#", sentence), ([], []))
            texts.append(sentence)
            names.append(name)
    return [(_of_all(texts), _named(list(dict.fromkeys(names)), len(said))) for texts, names in kinds.values()]


def _named(names: Sequence[str], of_all: int) -> str:
    return f"all {of_all}" if MANY <= of_all == len(names) else ", ".join(names)


def _of_all(texts: Sequence[str]) -> str:
    """One text for several that have different numbers in the same places."""
    columns = iter(zip(*(NUMBER.findall(text) for text in texts), strict=True))
    return NUMBER.sub(lambda _match: _range(next(columns)), texts[0])


def _range(numbers: Sequence[str]) -> str:
    low, high = min(numbers, key=float), max(numbers, key=float)
    return low if float(low) == float(high) else f"{low} to {high}"
