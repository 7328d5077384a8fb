"""A file that is cut off while it is mapped into memory ends the program with one line, not with a bare bus error.

Scans are mapped from disk. When another program shortens such a file, reading what is gone raises the signal SIGBUS,
which Python cannot handle: its handlers run after the instruction, which would be tried again without end. So the
handler is installed by the C library and leaves at once. Temporary files go at the next start.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

BAD_INPUT = 2
MESSAGE = (
    b"\nmgimplantseg: error: Expected files to stay as they are while they are read, got one that another program has "
    b"shortened. Start again when its copy is complete.\n"
)

_kept: list[object] = []  # the handler must live as long as the process


def one_line_for_shortened_files() -> None:
    """Install the handler, where there is such a signal; once a process."""
    if _kept or not hasattr(signal, "SIGBUS") or sys.platform == "win32":
        return
    handler_type = ctypes.CFUNCTYPE(None, ctypes.c_int)
    try:
        install = ctypes.CDLL(None).signal
    except (OSError, AttributeError):
        return
    handler = handler_type(_leave)
    install.argtypes, install.restype = [ctypes.c_int, handler_type], ctypes.c_void_p
    install(signal.SIGBUS, handler)
    _kept.append(handler)


def _leave(_number: int) -> None:
    os.write(2, MESSAGE if not _is_at_line_start() else MESSAGE[1:])
    os._exit(BAD_INPUT)


def _is_at_line_start() -> bool:
    """A bar is drawn on terminals alone; elsewhere whole lines are written."""
    return not os.isatty(2)
