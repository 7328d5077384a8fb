"""Files that a library in C reads are tried in a process of their own, which a damaged file may end.

This file starts such a process and distinguishes a crash caused by the file's contents from all other ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows
CRASH_SIGNALS = tuple(
    int(getattr(signal, name)) for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE") if hasattr(signal, name)
)
CRASH_CODES_OF_WINDOWS = (
    0xC0000005,  # access violation
    0xC0000006,  # a page that cannot be read
    0xC000001D,  # illegal instruction, after a jump to nowhere
    0xC0000094,  # division by zero
    0xC00000FD,  # stack overflow
    0xC0000374,  # damaged heap
    0xC0000409,  # abort
)


def python_command(file: str, *arguments: str) -> list[str]:
    """Command that runs a Python file with the packages that this process finds, not with what lies beside the file.

    The engine is found also where this process has it from its working folder.
    """
    found = [entry for entry in sys.path if entry]
    if str(PACKAGE.parent) not in found:
        found.insert(0, str(PACKAGE.parent))
    start = f"import sys; sys.path[:] = {found!r}; import runpy; runpy.run_path({file!r}, None, '__main__')"
    return [sys.executable, "-c", start, *arguments]


def run_child(command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Run a command that reads a file to its end, with one thread, no input and no window of its own.

    Raises subprocess.TimeoutExpired if it takes longer; OSError if it cannot be started.
    """
    return subprocess.run(
        command,
        env={**os.environ, **ONE_THREAD},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
        creationflags=NO_WINDOW,
    )


def is_crash(exit_code: int) -> bool:
    """Whether a process with that exit code was ended by a fault in its own instructions.

    A process that was killed, ran out of memory, was stopped or ended with an error does not count.
    """
    if sys.platform == "win32":
        return exit_code & 0xFFFFFFFF in CRASH_CODES_OF_WINDOWS
    return -exit_code in CRASH_SIGNALS


def limit_memory(largest_bytes: int) -> None:
    """Let this process fail instead of filling the computer's memory, and leave no core file, where that can be set."""
    if sys.platform == "win32":
        _no_dialogue_after_a_crash()
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform.startswith("linux"):
        _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = largest_bytes if hard == resource.RLIM_INFINITY else min(largest_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _no_dialogue_after_a_crash() -> None:
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x0001 | 0x0002)
