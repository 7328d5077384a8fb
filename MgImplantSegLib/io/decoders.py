"""Streams of what compressed voxels hold."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

CHUNK_BYTES = 1 << 22


def skip(stream: Any, count: int) -> None:
    """Read over bytes of a stream, as far as it goes."""
    while count > 0:
        read = stream.readinto(memoryview(bytearray(min(count, CHUNK_BYTES))))
        if not read:
            return
        count -= read


def fill_from(stream: Any, target: memoryview) -> int:
    """Read into `target` until it is full or the stream ends; the number of bytes read."""
    filled = 0
    while filled < len(target):
        count = stream.readinto(target[filled : filled + CHUNK_BYTES])
        if not count:
            return filled
        filled += count
    return filled


def bytes_behind(stream: Any, most: int) -> int:
    """How many bytes follow behind the voxels, up to `most` or a few more.

    At the end check sums are compared; bytes that are no gzip there do no harm.
    """
    found, scratch = 0, memoryview(bytearray(max(1, min(most, CHUNK_BYTES))))
    try:
        while found <= most:
            count = stream.readinto(scratch)
            if not count:
                break
            found += count
    except gzip.BadGzipFile as error:
        if "CRC" in str(error) or "length" in str(error):
            raise
    return found


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


DECODERS: dict[str, Callable[[BinaryIO], Any]] = {
    "raw": lambda file: file,
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "bzip2": bz2.BZ2File,
    "zlib": _ZlibStream,
}
