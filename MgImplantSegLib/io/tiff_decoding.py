"""Pages of a TIFF file whose compression tifffile cannot decode alone, decoded by the library in SimpleITK.

SimpleITK reads neither tiles nor packed bits nor 64-bit floats. So the compressed pieces of a page are put into a
temporary TIFF file of plain bytes, whose strips they are, and what comes out is put together here.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.io.itk_image import read_with_itk

CCITT = (2, 3, 4)
LZW, JPEG, PACKBITS = 5, 7, 32773
DEFLATE = (8, 32946, 50013)
HORIZONTAL, FLOATING_POINT = 2, 3
KEPT_TAGS = {266: "H", 292: "I", 293: "I", 347: "B"}  # fill order, options of fax, tables of JPEG
TAG_TYPES = {"B": 7, "H": 3, "I": 4}
BIT, BYTE = 1, 8


def page_voxels(page: Any, read: Any, path: Path) -> np.ndarray:
    """The voxels (rows, columns) of a page of grey values, in the type that the file stores and native byte order.

    Raises DependencyError if the compression is not known here; InputError if the page has a layout that cannot be
    decoded, or is damaged.

    Parameters
    ----------
    read : callable
        ``read(offset, size)`` gives bytes of the file.
    """
    frame = page.keyframe
    known = (*CCITT, LZW, JPEG, PACKBITS, *DEFLATE)
    if frame.compression not in known or (frame.bitspersample % BYTE and frame.bitspersample != BIT):
        name = getattr(frame.compression, "name", frame.compression)
        raise DependencyError(
            f"Expected a TIFF compression that can be decoded here, got {path}, compressed with {name} at "
            f"{frame.bitspersample} bits a sample.",
            "Save it with deflate or without compression, or pip install imagecodecs.",
        )
    shapes = _piece_shapes(frame)
    packed = [read(offset, size) for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if len(packed) != len(shapes) or not all(packed):
        raise InputError(
            f"Expected {len(shapes)} compressed pieces of a slice in {path}, got {sum(map(bool, packed))}.",
            "Copy or export it again.",
        )
    pieces = _decoded(frame, packed, shapes, path)
    return _put_together(frame, pieces)


def _piece_shapes(frame: Any) -> list[tuple[int, int]]:
    """Rows and columns of each strip or tile."""
    if frame.is_tiled:
        down, across = -(-frame.imagelength // frame.tilelength), -(-frame.imagewidth // frame.tilewidth)
        return [(frame.tilelength, frame.tilewidth)] * (down * across)
    rows = max(1, min(frame.rowsperstrip, frame.imagelength))
    return [(min(rows, frame.imagelength - start), frame.imagewidth) for start in range(0, frame.imagelength, rows)]


def _decoded(frame: Any, packed: Sequence[bytes], shapes: Sequence[tuple[int, int]], path: Path) -> list[np.ndarray]:
    row_bytes = -(-shapes[0][1] * frame.bitspersample // BYTE)
    if frame.compression in DEFLATE:
        rows = np.concatenate(
            [_inflated(piece, (shape[0], row_bytes), path) for piece, shape in zip(packed, shapes, strict=True)]
        )
    else:
        rows = _through_libtiff(frame, packed, shapes, row_bytes, path)
    samples = _samples(frame, rows, shapes[0][1])
    return np.split(samples, np.cumsum([shape[0] for shape in shapes])[:-1])


def _inflated(piece: bytes, shape: tuple[int, int], path: Path) -> np.ndarray:
    decoder = zlib.decompressobj()
    try:
        content = decoder.decompress(piece, shape[0] * shape[1])
    except zlib.error as error:
        raise _damaged(path, str(error)) from error
    if len(content) < shape[0] * shape[1]:
        raise _damaged(path, "a compressed piece is too short")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _through_libtiff(
    frame: Any, packed: Sequence[bytes], shapes: Sequence[tuple[int, int]], row_bytes: int, path: Path
) -> np.ndarray:
    """All pieces below each other as rows of bytes, decoded by SimpleITK from a temporary file of strips."""
    of_bits = frame.compression in CCITT
    height, width = (
        sum(shape[0] for shape in shapes),
        shapes[0][1] if of_bits or frame.compression == JPEG else row_bytes,
    )
    tags: dict[int, tuple[str, Sequence[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [BIT if of_bits else BYTE]),
        259: ("H", [int(frame.compression)]),
        262: ("H", [1]),
        277: ("H", [1]),
        278: ("I", [shapes[0][0]]),
    }
    for tag, kind in KEPT_TAGS.items():
        if tag in frame.tags:
            value = frame.tags[tag].value
            tags[tag] = (kind, list(value) if isinstance(value, bytes) else [int(value)])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "strips.tif")
        file.write_bytes(_tiff_of_strips(tags, packed))
        try:
            rows = read_with_itk(file)
        except InputError as error:
            raise _damaged(path, "its compressed voxels cannot be decoded") from error
    if of_bits:
        bits = (rows if rows.ndim == 2 else rows[..., 0]) > 0
        return np.packbits(bits, axis=1)
    if rows.shape != (height, width) or rows.dtype != np.uint8:
        raise _damaged(path, f"{rows.shape} values of {rows.dtype} instead of {(height, width)} bytes")
    return rows


def _tiff_of_strips(tags: dict[int, tuple[str, Sequence[int]]], strips: Sequence[bytes]) -> bytes:
    """A little-endian TIFF file with one page of these tags and strips."""
    offsets = np.cumsum([8, *(len(strip) for strip in strips)])[:-1]
    tags = {**tags, 273: ("I", offsets.tolist()), 279: ("I", [len(strip) for strip in strips])}
    body = b"".join(strips) + bytes(sum(map(len, strips)) % 2)
    directory_at = 8 + len(body)
    extra_at = directory_at + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        content = struct.pack(f"<{len(values)}{kind}", *values)
        if len(content) > 4:
            place, extra = struct.pack("<I", extra_at + len(extra)), extra + content + bytes(len(content) % 2)
        else:
            place = content.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, TAG_TYPES[kind], len(values)) + place
    head = b"II" + struct.pack("<HI", 42, directory_at)
    return head + body + struct.pack("<H", len(tags)) + entries + bytes(4) + extra


def _samples(frame: Any, rows: np.ndarray, columns: int) -> np.ndarray:
    """Voxels of rows of bytes: bits unpacked, byte order and differences undone."""
    if frame.bitspersample == BIT:
        return np.unpackbits(rows, axis=1)[:, :columns].astype(bool)
    dtype = frame.dtype.newbyteorder(frame.parent.byteorder)
    if frame.predictor == FLOATING_POINT:
        sums = np.cumsum(rows, axis=1, dtype=np.uint8)
        planes = sums.reshape(len(rows), dtype.itemsize, columns)  # most significant bytes first
        return (
            np.ascontiguousarray(planes.transpose(0, 2, 1))
            .view(dtype.newbyteorder(">"))[..., 0]
            .astype(dtype.newbyteorder("="))
        )
    samples = np.ascontiguousarray(rows).view(dtype).astype(dtype.newbyteorder("="))
    if frame.predictor == HORIZONTAL:
        whole = samples.view(f"u{dtype.itemsize}")
        np.cumsum(whole, axis=1, dtype=whole.dtype, out=whole)
    return samples


def _put_together(frame: Any, pieces: Sequence[np.ndarray]) -> np.ndarray:
    if not frame.is_tiled:
        return np.concatenate(pieces)
    across = -(-frame.imagewidth // frame.tilewidth)
    rows = [np.concatenate(pieces[start : start + across], axis=1) for start in range(0, len(pieces), across)]
    return np.concatenate(rows)[: frame.imagelength, : frame.imagewidth]


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"Expected a complete TIFF file, got {path}: {reason}.", "Copy or export it again.")
