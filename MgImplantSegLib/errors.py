"""Errors that reach a user: one line that says what was expected, what came and what to do."""

from __future__ import annotations

import re

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
        What to do about it, in one line; may be empty.
    """

    kind = "error"

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = " ".join(readable(str(message)).split())
        self.remedy = " ".join(readable(str(remedy)).split())
        super().__init__(f"{self.message} {self.remedy}".strip())

    def __reduce__(self):
        return type(self), (self.message, self.remedy)


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
