"""Rows of numbered files as headers name them: ``slice%03d.raw 0 99 1`` in NRRD and MetaImage."""

from __future__ import annotations

import re

NUMBERED = re.compile(r"(?P<name>.*%0?\d{0,3}[diu].*?)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+(?P<axes>\d+))?")
MOST_FILES = 1 << 20


def numbered_names(text: str) -> list[str]:
    """The names of a row: pattern, first number, last number, step; empty if `text` is not a row."""
    match = NUMBERED.fullmatch(text)
    if not match or match["name"].count("%") != 1:
        return []
    first, last, step = (int(number) for number in match.groups()[1:4])
    numbers = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
    return [match["name"] % number for number in numbers] if len(numbers) <= MOST_FILES else []


def axes_of_one_file(text: str, default: int) -> int:
    """The number of axes that the voxels of one file have, which may stand behind the step."""
    match = NUMBERED.fullmatch(text)
    return int(match["axes"]) if match and match["axes"] else default
