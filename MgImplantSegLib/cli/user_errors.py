"""Errors in words that help a user, whoever raises them."""

from __future__ import annotations

import errno

from MgImplantSegLib.base.errors import InputError, MgImplantSegError, OutputError, ResourceError

OUT_OF_MEMORY = ("bad allocation", "bad_alloc", "Failed to allocate", "can't allocate memory", "out of memory")


def as_user_error(error: Exception) -> MgImplantSegError | None:
    """The error in words that help a user; None for a fault of the program itself."""
    if isinstance(error, MgImplantSegError):
        return error
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
    ):
        return ResourceError(
            f"Expected enough free memory, got: {' '.join(str(error).split())[:200] or 'memory exhausted'}.",
            "Close other programs, work on a region [[roi]], or use a machine with more memory.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"Expected free disk space, got: {error}.", "Free disk space or choose another disk.")
    if isinstance(error, OSError) and error.filename is not None:
        return InputError(
            f"Expected to read or write {error.filename}, got: {error.strerror}.",
            "Check the path and its permissions.",
        )
    return None
