"""Writing MetaImage files (.mha) slab by slab, so that a volume of gigabytes needs no second copy in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import output_errors
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry

CHUNK_BYTES = 1 << 25
ZLIB_LEVEL = 3  # packs label maps as fast as 1 does, into two thirds of the bytes
SIZE_FIELD = "CompressedDataSize = "
DIGITS_OF_SIZE = 20
DTYPE_OF_TYPE = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
TYPE_OF_DTYPE = {dtype: name for name, dtype in reversed(DTYPE_OF_TYPE.items())}


def write_metaimage(
    path: Path, array: np.ndarray, geometry: Geometry, *, compress: bool, keys: Mapping[str, str]
) -> None:
    """Write an array (z, y, x) as .mha in LPS, with keys of the header."""
    for _step in metaimage_steps(path, array, geometry, compress=compress, keys=keys):
        pass


def metaimage_steps(
    path: Path, array: Any, geometry: Geometry, *, compress: bool = False, keys: Mapping[str, str] | None = None
) -> Iterator[tuple[int, int]]:
    """As `write_metaimage`, step by step: yields the steps done and their number.

    Raises InputError if MetaImage has no such type of numbers.

    Parameters
    ----------
    array : array-like
        Has `shape`, `dtype`, and gives rows along its first axis by a slice.
    compress : bool
        Whether the voxels are packed with zlib.
    keys : mapping, optional
        Further fields of the header; no value has several lines.
    """
    dtype = np.dtype(array.dtype)
    code = f"{dtype.kind}{dtype.itemsize}"
    if code not in TYPE_OF_DTYPE:
        raise InputError(f"Expected numbers that MetaImage supports, got {dtype}.", "Convert them first.")
    header = _header(TYPE_OF_DTYPE[code], geometry, compress, keys or {})
    parts = list(slabs(array.shape, CHUNK_BYTES // dtype.itemsize))
    with output_errors(path), open(path, "wb") as file:
        file.write(header)
        packer = zlib.compressobj(ZLIB_LEVEL) if compress else None
        for done, part in enumerate(parts, start=1):
            plain = np.ascontiguousarray(array[part], dtype=dtype.newbyteorder("<"))
            file.write(packer.compress(plain.data) if packer else plain.data)
            yield done, len(parts)
        if packer:
            file.write(packer.flush())
            _fill_in_size(file, header)


def _header(type_name: str, geometry: Geometry, compress: bool, keys: Mapping[str, str]) -> bytes:
    numbers: dict[str, Iterable[float]] = {
        "TransformMatrix": geometry.direction_matrix.T.ravel(),
        "Offset": geometry.origin_lps_mm,
        "ElementSpacing": geometry.spacing_zyx_mm[::-1],
    }
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        f"CompressedData = {compress}",
        *([f"{SIZE_FIELD}{'0' * DIGITS_OF_SIZE}"] if compress else []),
        *(f"{name} = {' '.join(f'{n:.17g}' for n in row)}" for name, row in numbers.items()),
        *(f"{name} = {' '.join(value.splitlines())}" for name, value in keys.items()),
        f"DimSize = {' '.join(str(n) for n in geometry.shape_zyx[::-1])}",
        f"ElementType = {type_name}",
        "ElementDataFile = LOCAL",
    ]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _fill_in_size(file: BinaryIO, header: bytes) -> None:
    packed_bytes = file.tell() - len(header)
    file.seek(header.index(SIZE_FIELD.encode()) + len(SIZE_FIELD))
    file.write(f"{packed_bytes:0{DIGITS_OF_SIZE}d}".encode("ascii"))
