"""Kinds of values that options have: how one is read from a word, written as a word, and checked."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.choices import described, find_object, nearest
from MgImplantSegLib.base.errors import InputError

ALL = "all"

if TYPE_CHECKING:
    SystemPath = Path
else:
    SystemPath = type(Path())  # in Python 3.11 Path itself has no subclasses of ours


class Kind:
    """Any text; other kinds say what they expect, read and check.

    Parameters
    ----------
    metavar : str
        What stands for a value in the help.
    """

    def __init__(self, metavar: str) -> None:
        self._metavar = metavar

    @property
    def expected(self) -> str:
        """What a value has to be."""
        return "a text"

    @property
    def help(self) -> str:
        """What the help says about the values."""
        return ""

    @property
    def metavar(self) -> str:
        """What stands for a value in the help."""
        return self._metavar

    def read(self, text: str) -> Any:
        """The value of a word; ValueError if it is not one."""
        return text

    def is_valid(self, value: Any) -> bool:
        """Whether an option of this kind may have the value."""
        return isinstance(value, (str, Path))

    def nearest(self, wrong: Any) -> str:
        """A valid word that was perhaps meant, or an empty text."""
        return ""

    def word(self, value: Any) -> str:
        """The word for a value; `read` gives the value again."""
        return str(value)

    def parse(self, text: str) -> Any:
        """The value of a word of the command line. Raises ArgumentTypeError, saying what was expected."""
        try:
            value = self.read(text)
            if self.is_valid(value):
                return value
        except ValueError:
            pass
        near = self.nearest(text)
        guess = f". Did you mean {near}?" if near else ""
        raise argparse.ArgumentTypeError(f"expected {self.expected}, got {text!r}{guess}")

    def check(self, name: str, value: Any) -> None:
        """Raise InputError if the option of that name may not have the value."""
        if not self.is_valid(value):
            near = self.nearest(value)
            guess = f"Did you mean {near!r}?" if near else ""
            raise InputError(f"Expected {self.expected} for {name}, got {value!r}.", guess)


class File(Kind):
    """The path of a file or folder that is read."""

    expected = "a path"

    def read(self, text: str) -> Path:
        """The path."""
        return Path(text)


class ResultPath(SystemPath):
    """The path of a file that a command writes."""


class ResultFile(File):
    """The path of a file that is written."""

    expected = "the path of a file to write"
    path_type: type[Path] = ResultPath

    def read(self, text: str) -> Path:
        """The path, which says that it is one of a result."""
        if not text.strip():
            raise ValueError(text)
        return self.path_type(text)


class ResultFolderPath(SystemPath):
    """The path of a folder that a command writes into."""


class ResultFolder(ResultFile):
    """The path of a folder for results."""

    expected = "the path of a folder for the results"
    path_type = ResultFolderPath


class Yes(Kind):
    """An option that is there or not."""

    expected = "true or false"

    def __init__(self) -> None:
        super().__init__("")

    def is_valid(self, value: Any) -> bool:
        """Whether it is true or false."""
        return isinstance(value, bool)


class Number(Kind):
    """A finite number above zero, or from zero on, in a unit.

    Parameters
    ----------
    unit : str
        As in a message, ``mm``.
    zero : bool
        Whether it may be 0.
    metavar : str
        What stands for a value in the help.
    offered_up_to : float
        The largest number that the panel offers; it is not a limit of the engine.
    """

    def __init__(self, unit: str, *, zero: bool = False, metavar: str = "X", offered_up_to: float = 1e6) -> None:
        super().__init__(metavar)
        self.unit, self.zero, self.offered_up_to = unit, zero, offered_up_to

    @property
    def expected(self) -> str:
        """What a value has to be."""
        return f"a number {'of 0 or more' if self.zero else 'above 0'} in {self.unit}"

    def read(self, text: str) -> float:
        """The number."""
        return float(text)

    def is_valid(self, value: Any) -> bool:
        """Whether it is a finite number in range."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return is_number and (value > 0 or (value == 0 and self.zero))

    def word(self, value: Any) -> str:
        """The number, without digits that are only rounding."""
        return f"{value:.10g}"


class WholeNumber(Kind):
    """A whole number from `lowest` on."""

    def __init__(self, lowest: int, metavar: str = "N") -> None:
        super().__init__(metavar)
        self.lowest = lowest

    @property
    def expected(self) -> str:
        """What a value has to be."""
        return f"a whole number of {self.lowest} or more"

    def read(self, text: str) -> int:
        """The number."""
        return int(text)

    def is_valid(self, value: Any) -> bool:
        """Whether it is a whole number in range."""
        return isinstance(value, int) and not isinstance(value, bool) and value >= self.lowest


class OneOf(Kind):
    """A key of a registry, or of any table.

    Parameters
    ----------
    choices : Registry, mapping of keys, or str
        The table, or ``module:NAME`` of one whose module is imported when it is needed.
    """

    def __init__(self, choices: Mapping[str, Any] | str, metavar: str = "") -> None:
        super().__init__(metavar)
        self._choices = choices

    @property
    def choices(self) -> Mapping[str, Any]:
        """The table."""
        return find_object(self._choices) if isinstance(self._choices, str) else self._choices

    @property
    def metavar(self) -> str:
        """All keys."""
        return self._metavar or "|".join(self.choices)

    @property
    def expected(self) -> str:
        """What a value has to be."""
        return f"one of {', '.join(self.choices)}"

    @property
    def help(self) -> str:
        """All keys with what they mean."""
        return described(self.choices)

    def is_valid(self, value: Any) -> bool:
        """Whether it is a key."""
        return isinstance(value, str) and value in self.choices

    def nearest(self, wrong: Any) -> str:
        """The nearest key."""
        return nearest(wrong, self.choices)


class SomeOf(OneOf):
    """Several keys of a registry, separated by commas, or ``all``."""

    def __init__(self, choices: Mapping[str, Any] | str) -> None:
        super().__init__(choices, f"NAME,...|{ALL}")

    @property
    def expected(self) -> str:
        """What a value has to be."""
        return f"names of {', '.join(self.choices)}"

    def read(self, text: str) -> tuple[str, ...]:
        """The keys."""
        return tuple(self.choices) if text == ALL else tuple(part.strip() for part in text.split(",") if part.strip())

    def is_valid(self, value: Any) -> bool:
        """Whether they are keys, one or more."""
        return (
            isinstance(value, (tuple, list))
            and len(value) > 0
            and all(super(SomeOf, self).is_valid(key) for key in value)
        )

    def nearest(self, wrong: Any) -> str:
        """The key nearest to the first that is none."""
        keys = self.read(wrong) if isinstance(wrong, str) else wrong if isinstance(wrong, (tuple, list)) else ()
        return next((nearest(key, self.choices) for key in keys if not super(SomeOf, self).is_valid(key)), "")

    def word(self, value: Any) -> str:
        """The keys, separated by commas."""
        return ALL if list(value) == list(self.choices) else ",".join(value)
