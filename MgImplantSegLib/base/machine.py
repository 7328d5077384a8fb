"""What the computer has: packages, processor cores and memory, with the limits of a container taken into account."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
CGROUP_USAGE = (Path("/sys/fs/cgroup/memory.current"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"))


def core_count() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def package_version(name: str) -> str | None:
    """The version of a Python package; None if it is not installed."""
    import importlib.metadata  # takes long, and is needed rarely

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def thread_count() -> int:
    """As many threads as torch would take: those that OMP_NUM_THREADS allows, else one a core."""
    with suppress(ValueError):
        return max(1, min(int(os.environ.get("OMP_NUM_THREADS", "")), core_count()))
    return core_count()


def total_memory_bytes() -> int | None:
    """Memory that this process may use at all; None where it cannot be known."""
    return _smallest(_system_memory()[0], _first_number(CGROUP_LIMITS))


def available_memory_bytes() -> int | None:
    """Memory that is free now without pushing others out; None where it cannot be known."""
    limit, used = _first_number(CGROUP_LIMITS), _first_number(CGROUP_USAGE)
    left = max(0, limit - used) if limit is not None and used is not None else None
    return _smallest(_system_memory()[1], left)


def resident_bytes() -> int | None:
    """Memory that this process has now; None where it cannot be known."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _smallest(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _system_memory() -> tuple[int | None, int | None]:
    if sys.platform == "win32":
        return _windows_memory()
    with suppress(OSError, KeyError, ValueError):
        lines = (line.split() for line in Path("/proc/meminfo").read_text("ascii").splitlines())
        kilobytes = {words[0]: int(words[1]) for words in lines}
        return kilobytes["MemTotal:"] * 1024, kilobytes["MemAvailable:"] * 1024
    with suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), None
    return None, None


def _windows_memory() -> tuple[int | None, int | None]:
    if sys.platform != "win32":
        return None, None
    import ctypes

    class MemoryStatus(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "available", "page", "page_available", "virtual", "virtual_available", "extended")
        ]

    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return status.total, status.available


def _first_number(paths: tuple[Path, ...]) -> int | None:
    """The number in the first file that has one; ``max`` and the huge value of "no limit" are none."""
    for path in paths:
        with suppress(OSError, ValueError):
            number = int(path.read_text("ascii"))
            return number if number < 1 << 60 else None
    return None


def is_running(process: int) -> bool:
    """Whether a process of that number runs on this computer; one that has ended but was not waited for does not."""
    if sys.platform == "win32":
        return _runs_on_windows(process)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] != "Z"
    return True


def _runs_on_windows(process: int) -> bool:
    if sys.platform != "win32":
        return False
    import ctypes

    query, still_active = 0x1000, 259
    handle = ctypes.windll.kernel32.OpenProcess(query, False, process)
    if not handle:
        return ctypes.windll.kernel32.GetLastError() == 5  # access denied: it is another user's
    code = ctypes.c_ulong()
    ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
    ctypes.windll.kernel32.CloseHandle(handle)
    return code.value == still_active
