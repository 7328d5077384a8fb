"""The voxels of files: mapped from disk where they lie there as they are, read once into one array elsewhere.

Nothing is allocated before the files are large enough for what their header promises.
"""

from __future__ import annotations

import bz2
import logging
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Literal

import numpy as np

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.base.machine import total_memory_bytes
from MgImplantSegLib.grids.slabs import VOXELS_PER_SLAB, slabs
from MgImplantSegLib.io.decoders import CHUNK_BYTES, DECODERS, bytes_behind, fill_from, skip

logger = logging.getLogger(__name__)
LARGEST_RATIO = {"gzip": 1032, "zlib": 1032, "text": 0.5, "hex": 0.5}  # bytes of voxels for one byte of the file
TEXT_ENCODINGS = ("text", "hex")


@dataclass(frozen=True)
class RawData:
    """Where the voxels of an image lie.

    Parameters
    ----------
    offset : int
        Bytes before the voxels; -1 when the voxels are the last bytes of the file.
    dtype : np.dtype
        Type of one voxel with its byte order.
    shape : tuple of int
        Lengths of the axes, slowest first.
    encoding : str
        A key of `DECODERS`, or one of `TEXT_ENCODINGS`.
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

        Raises InputError if the file is shorter than its header says, or damaged; ResourceError if the array is larger
        than the memory of this computer.
        """
        self.require_enough()
        if self.encoding in TEXT_ENCODINGS:
            array = self._parse()
        else:
            array = self.mapped() if self.encoding == "raw" else self._decode()
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))

    def require_enough(self) -> None:
        """Raise `InputError` if the file is too short for the voxels that its header promises."""
        file_bytes = os.path.getsize(self.path)
        stored_bytes = file_bytes - max(0, self.offset)
        if self.encoding == "raw":
            if stored_bytes < self.size_bytes:
                raise too_short(self.path, self.size_bytes, max(0, stored_bytes))
        elif self.encoding == "bzip2":
            self._require_bytes_of_bzip2(stored_bytes)
        elif self._fewest_stored_bytes > stored_bytes:
            raise too_short(self.path, self.size_bytes, max(0, stored_bytes), f"{self.encoding} ")

    def warn_of_more(self) -> None:
        """Log a warning if whole slices follow the voxels, in files that hold nothing else: is the header right?"""
        if self.encoding == "raw" and self.offset >= 0:
            self._warn_of(os.path.getsize(self.path) - self.offset - self.size_bytes)

    def _warn_of(self, more_bytes: int) -> None:
        if more_bytes >= self._slice_bytes > 0:
            logger.warning(
                "%s contains %s more than its header states; they are not read. Check the number of slices and the "
                "type of the voxels in the header.",
                self.path,
                f"{more_bytes} bytes" if self.encoding == "raw" else "at least one slice",
            )

    @property
    def _slice_bytes(self) -> int:
        return self.size_bytes // max(1, self.shape[0]) if self.shape else 0

    @property
    def _fewest_stored_bytes(self) -> float:
        if self.encoding == "text":  # one digit and one blank for each number
            return 2 * math.prod(self.shape) - 1
        return (self.size_bytes + self.skip) / LARGEST_RATIO[self.encoding]

    def _require_bytes_of_bzip2(self, stored_bytes: int) -> None:
        """Count what the stream holds where it promises much: bzip2 packs a thousand times better than gzip."""
        if self.size_bytes <= max(CHUNK_BYTES, 100 * stored_bytes):
            return
        scratch = memoryview(bytearray(CHUNK_BYTES))
        with open(self.path, "rb") as file, intact(self.path):
            file.seek(self.offset)
            stream, filled = bz2.BZ2File(file), 0
            while filled < self.size_bytes + self.skip:
                count = stream.readinto(scratch)
                if not count:
                    raise too_short(self.path, self.size_bytes, max(0, filled - self.skip))
                filled += count

    def mapped(self, mode: Literal["c", "r"] = "c") -> np.ndarray:
        """Raw voxels mapped copy-on-write or for reading only, in the byte order of the file."""
        file_bytes = os.path.getsize(self.path)
        offset = file_bytes - self.size_bytes if self.offset == -1 else self.offset
        return np.asarray(np.memmap(self.path, dtype=self.dtype, mode=mode, offset=offset, shape=self.shape))

    def _decode(self) -> np.ndarray:
        array = allocate(self.shape, self.dtype, self.path)
        for _part in self.fill(array):
            pass
        return array

    def fill(self, array: np.ndarray, voxels_per_part: int = VOXELS_PER_SLAB) -> Iterator[slice]:
        """Read binary voxels into a contiguous array of this shape and type; yields each part of it that is filled.

        Raises InputError if the file is shorter than its header says, or damaged.
        """
        self.require_enough()
        filled = 0
        with open(self.path, "rb") as file, intact(self.path):
            file.seek(max(0, os.path.getsize(self.path) - self.size_bytes) if self.offset == -1 else self.offset)
            stream = DECODERS[self.encoding](file)
            skip(stream, self.skip)
            for part in slabs(self.shape, voxels_per_part):
                target = array[part].reshape(-1).view(np.uint8).data
                count = fill_from(stream, target)
                filled += count
                if count < len(target):
                    raise too_short(self.path, self.size_bytes, filled)
                yield part
            if self.encoding != "raw":
                self._warn_of(bytes_behind(stream, self._slice_bytes))

    def _parse(self) -> np.ndarray:
        """Voxels that are written as text: numbers, or two hexadecimal digits a byte."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            text = file.read()
        try:
            if self.encoding == "hex":
                plain = bytes.fromhex(text.decode("ascii"))
                self._warn_of(len(plain) - self.size_bytes)
                return np.frombuffer(plain[: self.size_bytes], self.dtype).reshape(self.shape).copy()
            words, count = text.replace(b",", b" ").split(), math.prod(self.shape)
            self._warn_of((len(words) - count) * self.dtype.itemsize)
            number = float if self.dtype.kind == "f" else int
            return np.array([number(word) for word in words[:count]], self.dtype).reshape(self.shape)
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"Expected {math.prod(self.shape)} numbers of type {self.dtype.name} as {self.encoding} in "
                f"{self.path}, got: {error}.",
                "Export the image again, without text as encoding.",
            ) from error


@contextmanager
def intact(path: Path) -> Iterator[None]:
    """Errors of a decoder in words."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"Expected intact compressed voxels in {path}, got a damaged or truncated file ({error}).",
            "Copy or export it again.",
        ) from error


def load_joined(parts: Sequence[RawData], shape: tuple[int, ...], path: Path) -> np.ndarray:
    """The voxels of one image that lie in one file after the other, slowest axis first.

    Raises what `RawData.load` raises; InputError also if the parts hold another number of voxels than `shape`.
    """
    if sum(math.prod(part.shape) for part in parts) != math.prod(shape):
        raise InputError(
            f"Expected the {math.prod(shape)} voxels of {path} in its files, got {len(parts)} files of "
            f"{math.prod(parts[0].shape) if parts else 0} voxels.",
            "Correct the list of files in the header.",
        )
    for part in parts:
        part.warn_of_more()
    if len(parts) == 1:
        return parts[0].load().reshape(shape)
    for part in parts:
        part.require_enough()
    array = allocate(shape, parts[0].dtype.newbyteorder("="), path)
    flat, start = array.reshape(-1), 0
    for part in parts:
        plain = part.load().reshape(-1)
        flat[start : start + plain.size] = plain
        start += plain.size
    return array


def voxel_file(header: Path, name: str) -> Path:
    """The file that a detached header names; a relative name begins at the header's folder.

    Raises InputError if the name is an absolute path to another folder, or there is no such file.
    """
    is_absolute = Path(name).is_absolute() or PureWindowsPath(name).is_absolute()
    folder = header.parent.resolve()
    if is_absolute and not Path(name).resolve().is_relative_to(folder):
        raise InputError(
            f"Expected the voxels of {header} beside it, got the absolute path {name!r} to another location.",
            "Move the voxels to the folder of the header and write only their name into it.",
        )
    path = header.parent / name
    try:
        if path.is_file():
            return path
    except (OSError, ValueError):  # a name that no file can have
        pass
    raise InputError(f"Expected the voxels of {header} in {path}, got no such file.", "Copy both files.")


def allocate(shape: tuple[int, ...], dtype: np.dtype, path: object) -> np.ndarray:
    """An empty array for the voxels of `path`.

    Raises ResourceError if it is larger than the memory of this computer.
    """
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    remedy = "Save it uncompressed as .nrrd or .mha, which is read from disk piece by piece, or crop it."
    memory_bytes = total_memory_bytes()
    if memory_bytes is not None and size_bytes > memory_bytes:
        raise ResourceError(
            f"Expected a volume that fits into memory ({memory_bytes / 1e9:.1f} GB), "
            f"got {size_bytes / 1e9:.1f} GB in {path}.",
            remedy,
        )
    try:
        return np.empty(shape, dtype)
    except MemoryError as error:
        raise ResourceError(f"Expected {size_bytes / 1e9:.1f} GB of free memory for {path}.", remedy) from error


def too_short(path: Path, expected_bytes: int, got_bytes: int, what: str = "") -> InputError:
    return InputError(
        f"Expected {expected_bytes} bytes of voxels after the header of {path}, got {got_bytes} {what}bytes.",
        "The file is truncated or its header is wrong: copy or export it again.",
    )
