"""The voxels of a file: mapped from disk where they lie there as they are, read once into one array elsewhere."""

from __future__ import annotations

import bz2
import gzip
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from MgImplantSegLib.errors import InputError, ResourceError

LARGEST_DEFLATE_RATIO = 1032
CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class RawData:
    """Where the voxels of an image lie.

    Parameters
    ----------
    path : Path
        The file.
    offset : int
        Bytes before the voxels; -1 when the voxels are the last bytes of the file.
    dtype : np.dtype
        Type of one voxel with its byte order.
    shape : tuple of int
        Lengths of the axes, slowest first.
    encoding : str
        A key of `DECODERS`, or ``"raw"``.
    skip : int
        Bytes before the voxels inside the compressed stream.
    """

    path: Path
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    encoding: str = "raw"
    skip: int = 0

    @property
    def size_bytes(self) -> int:
        """Bytes that the voxels take when they are not compressed."""
        return math.prod(self.shape) * self.dtype.itemsize

    def load(self) -> np.ndarray:
        """The voxels in native byte order: mapped copy-on-write if they are raw, else read into one new array.

        Raises
        ------
        InputError
            If the file is shorter than its header says, or damaged.
        ResourceError
            If the array is larger than the memory of this computer.
        """
        array = self._map() if self.encoding == "raw" else self._decode()
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))

    def _map(self) -> np.ndarray:
        file_bytes = os.path.getsize(self.path)
        offset = file_bytes - self.size_bytes if self.offset == -1 else self.offset
        if offset < 0 or file_bytes - offset < self.size_bytes:
            raise _too_short(self.path, self.size_bytes, max(0, file_bytes - max(0, offset)))
        return np.asarray(np.memmap(self.path, dtype=self.dtype, mode="c", offset=offset, shape=self.shape))

    def _decode(self) -> np.ndarray:
        compressed_bytes = os.path.getsize(self.path) - self.offset
        if self.encoding != "bzip2" and self.size_bytes > compressed_bytes * LARGEST_DEFLATE_RATIO:
            raise _too_short(self.path, self.size_bytes, compressed_bytes, "compressed ")
        array = allocate(self.shape, self.dtype, self.path)
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            try:
                stream = DECODERS[self.encoding](file)
                _skip(stream, self.skip)
                filled = _fill(stream, memoryview(array.reshape(-1).view(np.uint8)))
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(
                    f"Expected intact compressed voxels in {self.path}, got a damaged or truncated file ({error}).",
                    "Copy or export it again.",
                ) from error
        if filled < self.size_bytes:
            raise _too_short(self.path, self.size_bytes, filled)
        return array


def allocate(shape: tuple[int, ...], dtype: np.dtype, path: object) -> np.ndarray:
    """An empty array for the voxels of `path`.

    Raises
    ------
    ResourceError
        If it is larger than the memory of this computer.
    """
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    remedy = "Save it uncompressed as .nrrd or .mha, which is read from disk bit by bit, or crop it."
    if size_bytes > _memory_bytes():
        raise ResourceError(
            f"Expected a volume that fits into memory ({_memory_bytes() / 1e9:.1f} GB), "
            f"got {size_bytes / 1e9:.1f} GB in {path}.",
            remedy,
        )
    try:
        return np.empty(shape, dtype)
    except MemoryError as error:
        raise ResourceError(f"Expected {size_bytes / 1e9:.1f} GB of free memory for {path}.", remedy) from error


def _memory_bytes() -> float:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return math.inf  # Windows: the allocation itself fails
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _skip(stream: Any, count: int) -> None:
    if count:
        stream.readinto(memoryview(bytearray(count)))


def _fill(stream: Any, target: memoryview) -> int:
    """Read into `target` until it is full or the stream ends; the number of bytes read."""
    filled = 0
    while filled < len(target):
        count = stream.readinto(target[filled : filled + CHUNK_BYTES])
        if not count:
            return filled
        filled += count
    _compare_check_sum(stream)
    return filled


def _compare_check_sum(stream: Any) -> None:
    """Read on behind the voxels, where check sums are compared; bytes that are no gzip there do no harm."""
    try:
        stream.readinto(memoryview(bytearray(1)))
    except gzip.BadGzipFile as error:
        if "CRC" in str(error) or "length" in str(error):
            raise


class _ZlibStream:
    """A readable stream of what a file's zlib data hold."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._decoder = file, zlib.decompressobj(wbits=47)

    def readinto(self, target: memoryview) -> int:
        plain = b""
        while not plain and not self._decoder.eof:
            packed = self._decoder.unconsumed_tail or self._file.read(CHUNK_BYTES)
            if not packed:
                break
            plain = self._decoder.decompress(packed, len(target))
        target[: len(plain)] = plain
        return len(plain)


def _too_short(path: Path, expected_bytes: int, got_bytes: int, what: str = "") -> InputError:
    return InputError(
        f"Expected {expected_bytes} bytes of voxels after the header of {path}, got {got_bytes} {what}bytes.",
        "The file is truncated or its header is wrong: copy or export it again.",
    )


DECODERS = {"gzip": lambda file: gzip.GzipFile(fileobj=file), "bzip2": bz2.BZ2File, "zlib": _ZlibStream}
