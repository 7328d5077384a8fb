"""The lines of an NRRD header: where they end, and in the form in which pynrrd parses them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from MgImplantSegLib.base.errors import InputError

LONGEST_HEADER_BYTES = 1 << 24
LIST_FIELD = re.compile(r"data ?file\s*:\s*LIST(\s+\d+)?\s*$", re.IGNORECASE)


def sizes_of(lines: list[str]) -> tuple[int, ...]:
    """The lengths of the axes; pynrrd would cut fractions off."""
    text = next(line.partition(":")[2] for line in lines if line.lower().startswith("sizes:"))
    return tuple(int(part) for part in text.split())


def as_pynrrd_wants_them(lines: list[str]) -> list[str]:
    """The lines with names of fields in lower case and without blanks inside vectors, which NRRD allows."""
    wanted = lines[:1]
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon and not value.startswith("="):
            value = re.sub(r"\(([^()]*)\)", lambda vector: f"({''.join(vector[1].split())})", value)
            line = f"{name.lower()}:{value}"
        wanted.append(line)
    return wanted


def header_lines(path: Path) -> tuple[list[str], tuple[str, ...], int]:
    """The lines of the header, the file names after a ``LIST``, and the number of bytes up to the voxels."""
    lines: list[str] = []
    size = 0
    with open(path, "rb") as file:
        while size < LONGEST_HEADER_BYTES:
            line = file.readline(LONGEST_HEADER_BYTES)
            size += len(line)
            if not lines and not line.startswith(b"NRRD"):
                raise _not_nrrd(path, line)
            text = _decoded(line).rstrip("\r\n")
            if not text.strip():
                return lines, (), size
            if LIST_FIELD.match(text):
                names = _decoded(file.read(LONGEST_HEADER_BYTES)).splitlines()
                return [*lines, text], tuple(name.strip() for name in names if name.strip()), 0
            if not text.startswith("#"):
                lines.append(text)
    raise damaged(path, "a header without an end")


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _not_nrrd(path: Path, line: bytes) -> InputError:
    if os.path.getsize(path) == 0:
        return InputError(f"Expected an NRRD file, got the empty file {path}.", "Copy or export it again.")
    return InputError(
        f"Expected an NRRD file that begins with NRRD000, got {path} that begins with {line[:16]!r}.",
        "Export the image as .nrrd, or give the file its correct suffix.",
    )


def damaged(path: Path, reason: str) -> InputError:
    """The error of a header that cannot be used."""
    return InputError(f"Expected a complete NRRD header in {path}, got: {reason}.", "Save it again in 3D Slicer.")
