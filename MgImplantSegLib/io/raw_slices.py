"""Slices of raw or compressed voxels, read one by one: `raw_slices`, for files that cannot be mapped as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from MgImplantSegLib.base.mapped_memory import give_back_pages
from MgImplantSegLib.io.decoders import DECODERS, bytes_behind, fill_from, skip
from MgImplantSegLib.io.raw_data import TEXT_ENCODINGS, RawData, intact, load_joined, too_short
from MgImplantSegLib.io.slices_on_disk import ReadSlice, SlicesOnDisk

BYTES_BEFORE_GIVING_BACK = 1 << 26


def raw_slices(parts: Sequence[RawData], shape_zyx: tuple[int, int, int], path: Path) -> np.ndarray:
    """The voxels of one image, in one file or one after the other, without reading them into one array.

    Mapped for reading only if they are raw, of native byte order and in one file, read slice by slice if each file
    holds whole slices, else loaded. Raises InputError if a file is shorter than its header says; damage inside is found
    when a slice is read.
    """
    slice_voxels = math.prod(shape_zyx[1:])
    counts = [math.prod(part.shape) for part in parts]
    is_mapped = len(parts) == 1 and parts[0].encoding == "raw" and parts[0].dtype.isnative
    is_cut = any(count % slice_voxels for count in counts) or sum(counts) != math.prod(shape_zyx)
    if is_cut or parts[0].encoding in TEXT_ENCODINGS:
        return load_joined(parts, shape_zyx, path).reshape(shape_zyx)
    for part in parts:
        part.warn_of_more()
        part.require_enough()
    if is_mapped:
        return parts[0].mapped("r").reshape(shape_zyx)
    readers: list[tuple[int, ReadSlice]] = []
    for part, count in zip(parts, counts, strict=True):
        kind = _MappedSlices if part.encoding == "raw" else _DecodedSlices
        reader: Any = kind(part, (count // slice_voxels, *shape_zyx[1:]))
        readers += [(z, reader) for z in range(count // slice_voxels)]
    dtype = parts[0].dtype.newbyteorder("=")
    along = 1 if parts[0].encoding == "raw" else max(counts) // slice_voxels
    return SlicesOnDisk(shape_zyx, dtype, lambda z: readers[z][1](readers[z][0]), read_along=along).as_array()


class _MappedSlices:
    """Slices of raw voxels of the other byte order; pages that were read are given back."""

    def __init__(self, part: RawData, shape: tuple[int, int, int]) -> None:
        self._part, self._shape = part, shape
        self._mapped: np.ndarray | None = None
        self._read_bytes = 0

    def __call__(self, z: int) -> np.ndarray:
        if self._mapped is None:
            self._mapped = self._part.mapped("r").reshape(self._shape)
        if self._read_bytes >= BYTES_BEFORE_GIVING_BACK:
            give_back_pages(self._mapped)
            self._read_bytes = 0
        values = self._mapped[z]
        self._read_bytes += values.nbytes
        return np.array(values, values.dtype.newbyteorder("="))


class _DecodedSlices:
    """Slices of compressed voxels: the stream is read on, and begun again where an earlier slice is asked for."""

    def __init__(self, part: RawData, shape: tuple[int, int, int]) -> None:
        self._part, self._shape, self._next = part, shape, 0
        self._file: BinaryIO | None = None
        self._stream: Any = None

    def __call__(self, z: int) -> np.ndarray:
        values = np.empty(self._shape[1:], self._part.dtype)
        with intact(self._part.path):
            if self._file is None or z < self._next:
                self._begin()
            while self._next <= z:
                target = values.reshape(-1).view(np.uint8).data
                count = fill_from(self._stream, target)
                if count < len(target):
                    raise too_short(self._part.path, self._part.size_bytes, self._next * values.nbytes + count)
                self._next += 1
            if self._next == self._shape[0]:
                self._end(values.nbytes)
        return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))

    def _begin(self) -> None:
        self._close()
        self._file = open(self._part.path, "rb")  # noqa: SIM115 - closed behind the last slice
        self._file.seek(max(0, self._part.offset))
        self._stream, self._next = DECODERS[self._part.encoding](self._file), 0
        skip(self._stream, self._part.skip)

    def _end(self, slice_bytes: int) -> None:
        """Compare the check sum behind the last slice, and close."""
        bytes_behind(self._stream, slice_bytes)
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._stream = None

    def __del__(self) -> None:
        self._close()
