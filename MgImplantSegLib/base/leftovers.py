"""Names of temporary files and folders that say whose they are, so that what a killed process left is tidied."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from MgImplantSegLib.base.machine import is_running

TEMPORARY_PREFIX = ".partial-"
NAME = re.compile(re.escape(TEMPORARY_PREFIX) + r"(?:([0-9a-f]{8})-(\d+)-)?[0-9a-f]{8}(?:\..*)?")
OLD_S = 24 * 3600.0

_made_here: set[str] = set()


def temporary_name(suffix: str = "") -> str:
    """A new name with this computer and this process in it."""
    name = f"{TEMPORARY_PREFIX}{_computer()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"
    _made_here.add(name)
    return name


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders in `folder` whose process on this computer has ended.

    Those of other computers stay; names without a process, of earlier versions, go after a day.
    """
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            match = NAME.fullmatch(entry.name)
            if match and entry.name not in _made_here and _is_left(match, entry):
                _remove(entry)


def _is_left(match: re.Match[str], entry: os.DirEntry) -> bool:
    computer, process = match.groups()
    if computer is None:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > OLD_S
    ours = os.getpid()  # a name of this process that it has not made: of an earlier process with its number
    return computer == _computer() and (int(process) == ours or not is_running(int(process)))


def _remove(entry: os.DirEntry) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(entry.path)


@cache
def _computer() -> str:
    """The computer and, in a container, the processes that can be seen from here."""
    seen = ""
    with suppress(OSError):
        seen = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{platform.node()} {seen}".encode("utf-8", "replace")).hexdigest()[:8]
