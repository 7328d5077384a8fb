"""Slices that are BMP or PNG pictures: one grey value a pixel, also where it is stored as three equal colours."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.io.image_data import require_three_axes
from MgImplantSegLib.io.itk_image import read_with_itk, write_colours_with_itk

PICTURE_SUFFIXES = (".bmp", ".png")
BMP_HEADER = struct.Struct("<2sIHHIIiiHHII")
MOST_COLOURS = 4
PNG_MARK = b"\x89PNG"
LARGEST_RATIO = 8 * 1032  # pixels of one bit, packed by deflate


def read_picture(path: Path) -> np.ndarray:
    """The grey values (rows, columns) of a picture. Raises InputError if it is damaged, or holds colours."""
    _require_enough_bytes(path)
    one_bit = _one_bit_bmp(path) if path.suffix.lower() == ".bmp" else None
    values = read_with_itk(path) if one_bit is None else one_bit
    if values.ndim == 3 and 3 <= values.shape[-1] <= MOST_COLOURS:
        colours = values[..., :3]
        if (colours == colours[..., :1]).all():
            values = np.ascontiguousarray(colours[..., 0])
    if values.ndim != 2:
        raise InputError(
            f"Expected one grey value per pixel, got a picture in colours of shape {values.shape} in {path}.",
            "Save the slices as grey values of 8 or 16 bits.",
        )
    require_three_axes((2, *values.shape), path)
    return values


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write pixels (rows, columns, red green blue), uint8, in the format of the suffix, whole or not at all.

    Raises OutputError if the file cannot be written.
    """
    with atomic_output(path) as temporary:
        write_colours_with_itk(temporary, pixels)


def _require_enough_bytes(path: Path) -> None:
    """Check that a picture can hold as many pixels as its header says, before memory is taken for them."""
    with open(path, "rb") as stream:
        head = stream.read(BMP_HEADER.size)
    size = None
    if head[:2] == b"BM" and len(head) == BMP_HEADER.size:
        size = BMP_HEADER.unpack(head)[6:8]
    elif head.startswith(PNG_MARK) and len(head) >= 24:
        size = struct.unpack(">II", head[16:24])
    if size and abs(size[0] * size[1]) > path.stat().st_size * LARGEST_RATIO:
        raise InputError(
            f"Expected a complete picture, got {path}, {path.stat().st_size} bytes for {size[0]} × {size[1]} pixels.",
            "Copy or export it again.",
        )


def _one_bit_bmp(path: Path) -> np.ndarray | None:
    """Pixels of a BMP of black and white as 0 and 255; None if it is another kind, which SimpleITK reads."""
    content = path.read_bytes()
    if len(content) < BMP_HEADER.size:
        return None
    mark, _, _, _, start, header, width, height, _, bits, packing, _ = BMP_HEADER.unpack_from(content)
    if mark != b"BM" or bits != 1 or packing or header < 40 or width < 1 or not height:
        return None
    rows, row_bytes = abs(height), (width + 31) // 32 * 4
    palette = (
        np.frombuffer(content, np.uint8, 8, 14 + header).reshape(2, 4)[:, :3] if len(content) >= 22 + header else None
    )
    if palette is None or len(content) < start + rows * row_bytes:
        raise InputError(
            f"Expected a complete BMP picture, got {path}, which is too short.", "Copy or export it again."
        )
    packed = np.frombuffer(content, np.uint8, rows * row_bytes, start).reshape(rows, row_bytes)
    pixels = palette[np.unpackbits(packed, axis=1)[:, :width]]
    return pixels if height < 0 else pixels[::-1]
