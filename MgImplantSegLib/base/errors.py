"""Errors that reach a user: one line that says what was expected, what came and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable

SETTING = re.compile(r" ?\[\[(\w+)\]\]")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def readable(text: str) -> str:
    """The text in characters that can be written: bytes of names that are not UTF-8 become ``%E9`` and the like."""
    return LONE_SURROGATE.sub(lambda match: f"%{ord(match[0]) & 0xFF:02X}", text)


class MgImplantSegError(Exception):
    """Base of all errors that a user can do something about.

    Parameters
    ----------
    message : str
        What was expected and what came, in one line.
    remedy : str
        What to do about it, in one line; may be empty. ``[[spacing_um]]`` behind a word stands for the place where the
        user sets that option; each way to use the engine fills it in by `advice`, and `remedy` is without it.
    """

    kind = "error"

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = " ".join(readable(str(message)).split())
        self._template = " ".join(readable(str(remedy)).split())
        self.remedy = worded(self._template)
        super().__init__(f"{self.message} {self.remedy}".strip())

    def __reduce__(self):
        return type(self), (self.message, self._template)

    @property
    def template(self) -> str:
        """The remedy with ``[[option]]`` where the place of an option belongs."""
        return self._template

    def advice(self, place_of: Callable[[str], str]) -> str:
        """The remedy with the place of each option that it speaks of, for example its flag, in brackets."""
        return worded(self._template, place_of)


def worded(template: str, place_of: Callable[[str], str] = lambda option: "") -> str:
    """A text with the place of an option in brackets for each ``[[option]]``; nothing where it has no place."""
    return SETTING.sub(lambda match: f" ({place})" if (place := place_of(match[1])) else "", template)


class InputError(MgImplantSegError):
    """A file, an array or an option that cannot be worked with."""

    kind = "input"


class OutputError(MgImplantSegError):
    """A result that cannot be written: folder missing, not writable, disk full."""

    kind = "output"


class DependencyError(MgImplantSegError):
    """A package, driver or program that the requested work needs is missing."""

    kind = "dependency"


class ResourceError(MgImplantSegError):
    """Not enough memory, disk or device for the requested work."""

    kind = "resource"


class Cancelled(Exception):
    """The user asked to stop; not an error."""
