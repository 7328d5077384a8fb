"""Errors of a file library that mean a damaged file, as opposed to faults of this program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from MgImplantSegLib.base.errors import InputError

OWN_PACKAGE = __name__.partition(".")[0]


@contextmanager
def damaged_as_input_error(path: object, what: str, library: str, kinds: tuple[type[Exception], ...]) -> Iterator[None]:
    """Within the block an error of one of `kinds` that `library` raised becomes an `InputError` about `path`.

    Errors that arise in this program itself pass through: they are faults, and a copy of the file would not help.
    Raises InputError if the library found the file damaged.
    """
    try:
        yield
    except kinds as error:
        if not _arose_in(error, library):
            raise
        raise damaged(path, what, str(error)) from error


def damaged(path: object, what: str, reason: str) -> InputError:
    """The error about a file that is not whole; `what` is its kind with an article."""
    return InputError(f"Expected {what}, got {path}: {reason.strip().rstrip('.')}.", "Copy or export it again.")


def _arose_in(error: Exception, library: str) -> bool:
    """Whether code of the library, or code that it called, raised the error."""
    trace: TracebackType | None = error.__traceback__
    arose_in_library = False
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", "")) or trace.tb_frame.f_code.co_filename
        package = module.replace("/", ".").partition(".")[0]
        if package in (library, OWN_PACKAGE):
            arose_in_library = package == library
        trace = trace.tb_next
    return arose_in_library
