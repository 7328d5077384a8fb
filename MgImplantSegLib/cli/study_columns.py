"""The columns of a manifest that say what a sample is in its study; they change no measure and go into the tables."""

from __future__ import annotations

import argparse
import difflib
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from MgImplantSegLib.base.errors import InputError, readable
from MgImplantSegLib.cli.parser import number

LONGEST_TEXT = 200
NEARLY_EQUAL = 0.85
ANIMAL, GROUP, TIME_POINT, ALLOY, SIDE = "animal", "group", "time_point_days", "alloy", "side"
STUDY_COLUMNS = (ANIMAL, GROUP, TIME_POINT, ALLOY, SIDE)
OTHER_SPELLINGS = {
    "time_point": TIME_POINT,
    "timepoint": TIME_POINT,
    "timepoint_days": TIME_POINT,
    "animal_id": ANIMAL,
    "treatment_group": GROUP,
}
logger = logging.getLogger(__name__)


def canonical_name(name: str | None) -> str:
    """The name of a column as it is known here: ``Time point (days)`` is ``time_point_days``; others stay."""
    text = (name or "").strip()
    plain = re.sub(r"\W+", "_", text.lower()).strip("_")
    return plain if plain in STUDY_COLUMNS else OTHER_SPELLINGS.get(plain, text)


def require_columns(names: Sequence[str], known: Collection[str], where: str) -> None:
    """Check the header of a manifest.

    Raises InputError if the column `image` is missing, a name stands there twice, or one is nearly that of a known
    column that is missing.
    """
    repeated = [name for index, name in enumerate(names) if name and name in names[:index]]
    if repeated:
        raise InputError(f"Expected each column once, got {repeated[0]} twice in {where}.", "Rename one of the two.")
    missing = [name for name in (*known, *STUDY_COLUMNS) if name not in names]
    for name in names:
        near = difflib.get_close_matches(name.lower(), missing, n=1, cutoff=NEARLY_EQUAL)
        if name and name not in (*known, *STUDY_COLUMNS) and near:
            raise InputError(
                f"Expected columns of {', '.join((*known, *STUDY_COLUMNS))}, got {name!r} in {where}. "
                f"Did you mean {near[0]}?",
                "Rename the column; columns with clearly different names are kept as they are.",
            )
    if "image" not in names:
        shown = ", ".join(filter(None, names)) or "none"
        raise InputError(f"Expected a column image, got {shown} in {where}.", "Add it.")


def study_cell(name: str, text: str) -> str:
    """The text of one cell that says what a sample is in its study, in one line.

    Raises ArgumentTypeError if a time point is not a number of days, or the text is too long.
    """
    if name == TIME_POINT and text:
        return f"{number('days', zero=True)(text):.10g}"
    if len(text) > LONGEST_TEXT:
        raise argparse.ArgumentTypeError(f"expected at most {LONGEST_TEXT} characters, got {len(text)}")
    return " ".join(readable(text).split())


def warn_of_spellings(studies: Iterable[Mapping[str, str]]) -> None:
    """Log groups, animals, alloys and sides that differ in case or spaces alone: they count as different ones."""
    studies = list(studies)
    for name in (ANIMAL, GROUP, ALLOY, SIDE):
        texts = sorted({study[name] for study in studies if study.get(name)})
        for first, second in _alike(texts, lambda text: re.sub(r"[\s_-]+", "", text).casefold()):
            logger.warning(
                "In the column %s, %r and %r count as different; is one of them a typing error?", name, first, second
            )


def _alike(texts: Sequence[str], plain: Callable[[str], str]) -> list[tuple[str, str]]:
    seen: dict[str, str] = {}
    found = []
    for text in texts:
        if plain(text) in seen:
            found.append((seen[plain(text)], text))
        seen.setdefault(plain(text), text)
    return found
