"""Has this file changed? One answer for all who keep results: by content, read again only where it may differ.

`FileDigests` gives the digest of files' contents and remembers them with size, times of change of content and of inode,
and inode number. A file whose state is the remembered one is not read again. So a file that was copied or touched is
the same as before, and one with equal size and a time of change that was set back is another one: its inode's time
(``ctime``) cannot be set. On Windows there is no such time, and there a file whose time is set back after a change of
equal size counts as unchanged.

A file that was changed within the last two seconds before it was read could change once more without a trace in its
coarse times; its digest is not remembered.

Which files stand behind an input is asked of `MgImplantSegLib.io.companions`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.text_files import read_json

CHUNK_BYTES = 1 << 22
COARSEST_TIME_NS = 2_000_000_000
MOST_ENTRIES = 20_000

State = list[int]


def file_state(path: str | Path) -> State:
    """Size, times and inode of a file: if they are what they were, the content is."""
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def states_digest(paths: Iterable[Path]) -> str:
    """A text that changes when a file changes, or another one comes; no content is read."""
    states = [[str(path), *file_state(path)] for path in sorted(set(paths))]
    return hashlib.sha256(json.dumps(states).encode("ascii")).hexdigest()


class FileDigests:
    """SHA-256 of files, remembered between runs.

    Parameters
    ----------
    known : mapping
        What an earlier `known` was; damaged entries are ignored.
    """

    def __init__(self, known: Mapping[str, Any] | None = None) -> None:
        self.known: dict[str, list] = {
            path: entry
            for path, entry in dict(known or {}).items()
            if isinstance(entry, list) and len(entry) == 5 and isinstance(entry[4], str)
        }
        self._is_changed = False

    @classmethod
    def read(cls, path: Path) -> FileDigests:
        """The digests that `write` has left; none if there is no such file or it is damaged."""
        try:
            known = read_json(path)
        except OSError:
            return cls()
        except ValueError:
            known = None
        found = cls(known if isinstance(known, dict) else None)
        found._is_changed = not isinstance(known, dict)
        return found

    def write(self, path: Path) -> None:
        """Keep what is new for the next run; the oldest go when there are too many."""
        if self._is_changed:
            kept = dict(list(self.known.items())[-MOST_ENTRIES:])
            with atomic_output(path) as temporary:
                temporary.write_text(json.dumps(kept), "ascii")
            self._is_changed = False

    def of(self, path: str | Path, advance: Callable[[int], object] = lambda count: None) -> str:
        """The digest of one file; `advance` gets the number of bytes done. Raises OSError if it cannot be read."""
        key, state = os.path.abspath(path), file_state(path)
        entry = self.known.get(key)
        if entry is not None and entry[:4] == state:
            advance(state[0])
            return entry[4]
        started_ns = time.time_ns()
        digest = _digest(path, advance)
        if file_state(path) == state and max(state[1:3]) + COARSEST_TIME_NS < started_ns:
            self.known[key] = [*state, digest]
            self._is_changed = True
        return digest

    def of_all(self, paths: Iterable[Path]) -> str:
        """One digest of the names and contents of several files, whatever folder they lie in."""
        entries = sorted((os.path.basename(path), self.of(path)) for path in dict.fromkeys(paths))
        return hashlib.sha256(json.dumps(entries).encode("ascii")).hexdigest()

    def only(self, paths: Iterable[Path]) -> dict[str, list]:
        """What is known of these files, to be kept with a result of them."""
        keys = [os.path.abspath(path) for path in paths]
        return {key: self.known[key] for key in keys if key in self.known}


def _digest(path: str | Path, advance: Callable[[int], object]) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()
