"""Processes of a job: recognised beyond doubt, tied to their parent's life, and ended without leaving any behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

MARKER = "MGIMPLANTSEG_JOB"
PROC = Path("/proc")
HAS_PROC = sys.platform == "linux" and PROC.is_dir()
SET_PARENT_DEATH_SIGNAL, SET_CHILD_SUBREAPER = 1, 36
SECONDS_TO_DIE = 5.0


def identity(pid: int) -> str | None:
    """Text that belongs to this process alone (number, start, boot of the machine); None if it is not running."""
    started = _started(pid)
    return None if started is None else f"{pid} {started} {_boot()}"


def is_alive(process: str) -> bool:
    """Whether the process of that identity still runs; one that has ended but was not waited for does not."""
    return identity(int(process.split(" ", 1)[0])) == process


def tie_to_parent() -> None:
    """Ask the kernel to send this process SIGTERM when its parent dies (Linux; elsewhere nothing)."""
    _prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent dies (Linux; elsewhere nothing)."""
    _prctl(SET_CHILD_SUBREAPER, 1)


def own_session() -> dict[str, Any]:
    """What `subprocess.Popen` needs for a process in a session of its own that ends with its parent."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True, "preexec_fn": tie_to_parent}


def marked(token: str) -> list[int]:
    """Processes of this user, other than the calling one, that carry the job's marker in their environment."""
    if not HAS_PROC:
        return []
    wanted = f"{MARKER}={token}".encode("utf-8", "surrogateescape")
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit() and _carries(entry, wanted)]


def end_marked(token: str) -> int:
    """Send SIGTERM to what carries the marker, some seconds later SIGKILL to what is left; how many there were."""
    found = marked(token)
    _signal_all(found, signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_DIE
    while marked(token) and time.monotonic() < deadline:
        time.sleep(0.1)
    kill_marked(token)
    return len(found)


def kill_marked(token: str) -> None:
    """Send SIGKILL until nothing carries the marker any more."""
    for _ in range(50):
        found = marked(token)
        if not found:
            return
        _signal_all(found, signal.SIGKILL)
        time.sleep(0.05)


def ask_to_end(process: subprocess.Popen) -> None:
    """The polite signal to one process."""
    with suppress(OSError):
        if sys.platform == "win32":
            process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            process.send_signal(signal.SIGTERM)


def kill_tree(process: subprocess.Popen) -> None:
    """Kill a process that was started in a session of its own, with all its descendants that can be found."""
    if os.name == "nt":
        subprocess.run(["taskkill", "/PID", str(process.pid), "/T", "/F"], capture_output=True, check=False)
        return
    _signal_all(_descendants(process.pid), signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        process.kill()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(option, int(value), 0, 0, 0)


def _signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _carries(entry: Path, wanted: bytes) -> bool:
    try:
        is_other = int(entry.name) != os.getpid()
        return (
            is_other
            and wanted in (entry / "environ").read_bytes().split(b"\0")
            and _started(int(entry.name)) is not None
        )
    except OSError:
        return False


def _started(pid: int) -> str | None:
    if HAS_PROC:
        return _started_linux(pid)
    return _started_windows(pid) if os.name == "nt" else _started_ps(pid)


def _started_linux(pid: int) -> str | None:
    try:
        stat = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def _started_ps(pid: int) -> str | None:
    found = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = found.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else "_".join(started.split())


def _started_windows(pid: int) -> str | None:
    if sys.platform != "win32":
        return None
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.windll.kernel32
    kernel.OpenProcess.restype = wintypes.HANDLE
    handle = kernel.OpenProcess(0x1000, False, pid)
    if not handle:
        return None
    times = [wintypes.FILETIME() for _ in range(4)]
    code = wintypes.DWORD()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.GetProcessTimes(handle, *(ctypes.byref(entry) for entry in times))
    kernel.CloseHandle(handle)
    return f"{times[0].dwHighDateTime}-{times[0].dwLowDateTime}" if code.value == 259 else None


def _boot() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return "-"


def _descendants(pid: int) -> list[int]:
    pairs = _parents_linux() if HAS_PROC else _parents_ps()
    found = [pid]
    for parent in found:
        found.extend(child for child, its_parent in pairs if its_parent == parent)
    return found[1:]


def _parents_linux() -> list[tuple[int, int]]:
    """Every process and its parent; images of containers often have no ``ps``."""
    pairs = []
    for entry in PROC.iterdir():
        with suppress(OSError, ValueError):
            stat = (entry / "stat").read_text("utf-8", "replace")
            pairs.append((int(entry.name), int(stat.rpartition(")")[2].split()[1])))
    return pairs


def _parents_ps() -> list[tuple[int, int]]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False).stdout
    return [(int(pid), int(parent)) for pid, parent in (line.split() for line in listing.splitlines())]
