"""Whether the directories of a TIFF file come to an end: in damaged ones they run in circles, and so do readers."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from MgImplantSegLib.io.library_errors import damaged

SUB_DIRECTORIES = 330
POINTER_TYPES = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
CLASSIC, BIG = 42, 43
MOST_SUB_DIRECTORIES = 1 << 12


@dataclass(frozen=True)
class _Layout:
    """How numbers are stored: byte order, and the formats of a count of entries, an entry and an offset."""

    order: str
    count: str
    entry: str
    offset: str

    def read(self, stream: BinaryIO, kind: str) -> int:
        """The next number; 0 at the end of the file."""
        size = struct.calcsize(self.order + kind)
        content = stream.read(size)
        return struct.unpack(self.order + kind, content)[0] if len(content) == size else 0


def require_finite_directories(path: Path) -> None:
    """Check that no directory of the TIFF file is reached twice.

    Raises InputError if the directories run in circles.
    """
    with open(path, "rb") as stream:
        layout = _layout(stream)
        if layout is None:
            return
        waiting, seen = [layout.read(stream, layout.offset)], set()
        while waiting:
            offset = waiting.pop()
            while offset:
                if offset in seen:
                    raise damaged(path, "a complete TIFF file", f"its directories form a loop at byte {offset}")
                seen.add(offset)
                below, offset = _directory(stream, layout, offset)
                waiting += below


def _layout(stream: BinaryIO) -> _Layout | None:
    """The layout of the file, its stream standing before the first offset; None if it is no TIFF file."""
    start = stream.read(4)
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order is None or len(start) < 4:
        return None
    version = struct.unpack(order + "H", start[2:])[0]
    if version == BIG:
        stream.read(4)
        return _Layout(order, "Q", "HHQQ", "Q")
    return _Layout(order, "H", "HHII", "I") if version == CLASSIC else None


def _directory(stream: BinaryIO, layout: _Layout, offset: int) -> tuple[list[int], int]:
    """The offsets of directories below the one at `offset`, and of the next one."""
    if offset >= os.fstat(stream.fileno()).st_size:
        return [], 0
    stream.seek(offset)
    size = struct.calcsize(layout.order + layout.entry)
    count = layout.read(stream, layout.count)
    content = stream.read(count * size) if count < 1 << 16 else b""
    if len(content) < count * size:
        return [], 0
    following, below = layout.read(stream, layout.offset), []
    for tag, kind, number, value in struct.iter_unpack(layout.order + layout.entry, content):
        if tag == SUB_DIRECTORIES and kind in POINTER_TYPES:
            below += _pointers(stream, layout, kind, number, value)
    return below, following


def _pointers(stream: BinaryIO, layout: _Layout, kind: int, number: int, value: int) -> list[int]:
    pointer = layout.order + POINTER_TYPES[kind]
    if number == 1 or number * struct.calcsize(pointer) > MOST_SUB_DIRECTORIES * 8:
        return [value]
    inside = struct.calcsize(layout.order + layout.offset)
    if number * struct.calcsize(pointer) <= inside:
        content = struct.pack(layout.order + layout.offset, value)
    elif value >= os.fstat(stream.fileno()).st_size:
        content = b""
    else:
        stream.seek(value)
        content = stream.read(number * struct.calcsize(pointer))
    usable = len(content) // struct.calcsize(pointer) * struct.calcsize(pointer)
    return [entry[0] for entry in struct.iter_unpack(pointer, content[:usable])][:number]
