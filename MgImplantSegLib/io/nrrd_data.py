"""Where the voxels of an NRRD file lie: behind the header, in one other file, or in a list or numbered row of files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.io.numbered_files import axes_of_one_file, numbered_names
from MgImplantSegLib.io.raw_data import TEXT_ENCODINGS, RawData, voxel_file

ENCODINGS = {
    "raw": "raw",
    "gzip": "gzip",
    "gz": "gzip",
    "bzip2": "bzip2",
    "bz2": "bzip2",
    "text": "text",
    "txt": "text",
    "ascii": "text",
    "hex": "hex",
}
LIST = re.compile(r"LIST(?:\s+(\d+))?", re.IGNORECASE)


@dataclass(frozen=True)
class _Skips:
    lines: int
    bytes: int


def nrrd_parts(
    header: Path, fields: Mapping[str, Any], dtype: np.dtype, data_offset: int, listed: Sequence[str]
) -> list[RawData]:
    """The voxels as one or several pieces, the slowest axis first.

    Raises InputError if the encoding is unknown, or a file is missing or lies elsewhere.

    Parameters
    ----------
    fields : mapping
        As pynrrd gives them, with the lengths of the axes, fastest first, as ``sizes``.
    dtype : np.dtype
        Of one voxel.
    data_offset : int
        Bytes of the header, for voxels in the same file.
    listed : sequence of str
        The names after ``data file: LIST``.
    """
    encoding, skips = _encoding(header, fields), _skips(header, fields)
    name = str(fields.get("data file", fields.get("datafile", "")))
    if not name:
        return [_part(header, data_offset, dtype, fields["sizes"][::-1], encoding, skips)]
    files, dimensions = _files(header, name, listed, len(fields["sizes"]))
    shape = _shape_of_one(header, fields["sizes"], len(files), dimensions)
    return [_part(file, 0, dtype, shape, encoding, skips) for file in files]


def _encoding(header: Path, fields: Mapping[str, Any]) -> str:
    encoding = str(fields["encoding"]).lower()
    if encoding not in ENCODINGS:
        raise InputError(
            f"Expected one of the encodings {', '.join(ENCODINGS)}, got {encoding!r} in {header}.",
            "Save it again in 3D Slicer.",
        )
    return ENCODINGS[encoding]


def _skips(header: Path, fields: Mapping[str, Any]) -> _Skips:
    lines, count = (int(fields.get(f"{kind} skip", fields.get(f"{kind}skip", 0))) for kind in ("line", "byte"))
    is_raw = _encoding(header, fields) == "raw"
    if lines < 0 or count < -1 or (count == -1 and not is_raw):
        raise InputError(
            f"Expected numbers of lines and bytes to skip, got line skip {lines} and byte skip {count} in {header}.",
            "Save it again in 3D Slicer.",
        )
    return _Skips(lines, count)


def _files(header: Path, name: str, listed: Sequence[str], dimension: int) -> tuple[list[Path], int]:
    """The files in order, and how many axes the voxels of one have."""
    is_list = LIST.fullmatch(name)
    if is_list:
        names, axes = list(listed), int(is_list[1] or dimension - 1)
    else:
        names = [] if (header.parent / name).is_file() else numbered_names(name)
        axes = axes_of_one_file(name, dimension - 1)
    if not names and not is_list:
        return [voxel_file(header, name)], dimension
    return [voxel_file(header, entry) for entry in names], axes


def _shape_of_one(header: Path, sizes: Sequence[int], files: int, dimensions: int) -> tuple[int, ...]:
    """The shape of the voxels of one of several files, slowest axis first."""
    if 0 < dimensions < len(sizes) and files == math.prod(sizes[dimensions:]):
        return tuple(sizes[:dimensions][::-1])
    if dimensions == len(sizes) and files and sizes[-1] % files == 0:
        return (sizes[-1] // files, *sizes[:-1][::-1])
    raise InputError(
        f"Expected files for the {' × '.join(map(str, sizes))} voxels of {header}, got {files} of {dimensions} axes.",
        "Correct the list of files in the header.",
    )


def _part(path: Path, offset: int, dtype: np.dtype, shape: tuple[int, ...], encoding: str, skips: _Skips) -> RawData:
    """One piece; lines are skipped in the file, bytes in what it holds once it is decoded."""
    if skips.bytes == -1:
        return RawData(path, -1, dtype, shape, encoding)
    if skips.lines:
        offset = _after_lines(path, offset, skips.lines)
    if encoding in ("raw", *TEXT_ENCODINGS):
        return RawData(path, offset + skips.bytes, dtype, shape, encoding)
    return RawData(path, offset, dtype, shape, encoding, skip=skips.bytes)


def _after_lines(path: Path, offset: int, count: int) -> int:
    with open(path, "rb") as file:
        file.seek(offset)
        for _ in range(count):
            if not file.readline():
                raise InputError(
                    f"Expected {count} lines before the voxels of {path}, got fewer.", "Correct `line skip`."
                )
        return file.tell()
