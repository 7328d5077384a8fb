"""SHA-256 of large files, remembered with size and time of the last change, so that they are not read again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from MgImplantSegLib.files import atomic_output
from MgImplantSegLib.jobs.environment_file import configuration_folder

FILE_NAME = "file-digests.json"
LEAST_BYTES = 1 << 20
MOST_ENTRIES = 20_000


class DigestCache:
    """Digests by path; a file that has changed in size or time is not known."""

    def __init__(self) -> None:
        self._file = configuration_folder() / FILE_NAME
        self._known = self._read()
        self._is_changed = False

    def get(self, path: Path, stat: os.stat_result) -> str | None:
        """The digest of the file as it is now; None if it has to be read."""
        entry = self._known.get(str(path))
        return entry[-1] if entry and entry[:-1] == _state(stat) else None

    def put(self, path: Path, stat: os.stat_result, sha256: str) -> None:
        """Remember the digest of the file as it was when `stat` was taken."""
        if stat.st_size >= LEAST_BYTES:
            self._known[str(path)] = [*_state(stat), sha256]
            self._is_changed = True

    def save(self) -> None:
        """Write what is new; the oldest entries go when there are too many."""
        if self._is_changed:
            kept = dict(list(self._known.items())[-MOST_ENTRIES:])
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_output(self._file) as temporary:
                temporary.write_text(json.dumps(kept, ensure_ascii=True), "ascii")

    def _read(self) -> dict[str, list]:
        try:
            found = json.loads(self._file.read_text("ascii"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _state(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]
