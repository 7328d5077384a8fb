"""The command line: `main`, and one file a command with NAME, HELP, `add_arguments`, `run` and, maybe, `report`.

Importing this imports nothing else, so that Ctrl-C in the first moments meets a program that answers it.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

__all__ = ["main"]

CANCELLED = 130
CANCELLED_AT_START = b"mgimplantseg: cancelled; no partial files were left.\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, by default that of this process's command line; returns the exit code, see `application`."""
    if argv is not None:
        return _application_main(argv)
    before = signal.signal(signal.SIGINT, _leave) if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN else None
    try:
        from MgImplantSegLib.cli.bus_error import one_line_for_shortened_files

        one_line_for_shortened_files()
        return _application_main(sys.argv[1:])
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _application_main(argv: Sequence[str]) -> int:
    from MgImplantSegLib.cli.application import main as application_main

    return application_main(argv)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End at once: no work has begun, and an exception in the middle of an import may get lost in it."""
    os.write(2, CANCELLED_AT_START)
    os._exit(CANCELLED)
