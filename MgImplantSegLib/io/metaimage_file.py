"""MetaImage files: .mha and .mhd are read mapped or decompressed once; .mha is written by SimpleITK."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.io.image_data import ImageData, ReadOptions, frame_from_affine, require_three_axes
from MgImplantSegLib.io.itk_image import write_with_itk
from MgImplantSegLib.io.raw_data import RawData
from MgImplantSegLib.io.units import mm_of_unit
from MgImplantSegLib.volume import Geometry

LONGEST_HEADER_LINES = 1000
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
SPACING_KEYS = ("ElementSpacing", "ElementSize")
ORIGIN_KEYS = ("Offset", "Position", "Origin")
DIRECTION_KEYS = ("TransformMatrix", "Rotation", "Orientation")


def read_metaimage(path: Path, options: ReadOptions) -> ImageData:
    """The image of a .mha or .mhd file.

    Raises
    ------
    InputError
        If it is no MetaImage, is 2D or a colour image, or is damaged.
    """
    header, data_offset = _header(path)
    try:
        sizes = tuple(int(n) for n in header["DimSize"].split())
        require_three_axes(sizes, path)
        raw = _raw_data(path, header, data_offset, sizes)
        frame = _frame(header)
    except (KeyError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    return ImageData(raw.load(), **frame)


def write_metaimage(
    path: Path, array: np.ndarray, geometry: Geometry, *, compress: bool, keys: Mapping[str, str]
) -> None:
    """Write an array (z, y, x) as .mha in LPS; `keys` are not written."""
    write_with_itk(path, array, geometry, compress=compress)


def _header(path: Path) -> tuple[dict[str, str], int]:
    """The fields of the header and the number of bytes before the voxels of a .mha."""
    fields: dict[str, str] = {}
    with open(path, "rb") as file:
        for _ in range(LONGEST_HEADER_LINES):
            line = file.readline(1 << 16)
            name, equals, value = line.decode("utf-8", "replace").partition("=")
            if not equals:
                break
            fields[name.strip()] = value.strip()
            if name.strip() == "ElementDataFile":
                return fields, file.tell()
    raise InputError(
        f"Expected a MetaImage header that ends with ElementDataFile, got {path} without one.",
        "Export the image again as .mha or .nrrd.",
    )


def _raw_data(path: Path, header: dict[str, str], data_offset: int, sizes: tuple[int, ...]) -> RawData:
    kind = header["ElementType"].upper()
    channels = int(header.get("ElementNumberOfChannels", "1"))
    if kind not in DTYPE_OF_TYPE or channels != 1:
        raise InputError(
            f"Expected one number per voxel, got {channels} channels of {kind} in {path}.",
            "Save one channel as a 3D image; colour images hold no grey values.",
        )
    if not _is_true(header, "BinaryData", "True") or int(header.get("HeaderSize", "0")) > 0:
        raise _damaged(path, "voxels as text or behind a header of their own")
    big = _is_true(header, "BinaryDataByteOrderMSB") or _is_true(header, "ElementByteOrderMSB")
    dtype = np.dtype((">" if big else "<") + DTYPE_OF_TYPE[kind])
    data_path, offset = path, data_offset
    if header["ElementDataFile"].upper() != "LOCAL":
        data_path, offset = path.parent / header["ElementDataFile"], 0
    if not data_path.is_file():
        raise InputError(
            f"Expected the voxels of {path} in one file {data_path}, got no such file.",
            "Copy both files, or save the image as one .mha.",
        )
    if not _is_true(header, "CompressedData") and header.get("HeaderSize") == "-1":
        offset = -1
    return RawData(data_path, offset, dtype, sizes[::-1], "zlib" if _is_true(header, "CompressedData") else "raw")


def _frame(header: dict[str, str]) -> dict[str, Any]:
    """Spacing, origin and direction; a MetaImage lists the direction of one axis after the other."""
    spacing_xyz = _numbers(header, SPACING_KEYS, 3)
    axes = _numbers(header, DIRECTION_KEYS, 9)
    origin = _numbers(header, ORIGIN_KEYS, 3)
    factor = mm_of_unit(header.get("DistanceUnits", "mm")) or 1.0
    frame = {
        "spacing_zyx_mm": None if spacing_xyz is None else tuple(float(s) * factor for s in spacing_xyz[::-1]),
        "origin_lps_mm": (0.0, 0.0, 0.0) if origin is None else tuple(float(o) * factor for o in origin),
    }
    if axes is not None:
        frame["direction_lps"] = frame_from_affine(np.c_[axes.reshape(3, 3).T, np.zeros(3)])["direction_lps"]
    return frame


def _numbers(header: dict[str, str], keys: tuple[str, ...], count: int) -> np.ndarray | None:
    text = next((header[key] for key in keys if key in header), None)
    if text is None:
        return None
    numbers = np.array([float(part) for part in text.split()])
    if numbers.size != count:
        raise ValueError(f"{count} numbers expected, got {text!r}")
    return numbers


def _is_true(header: dict[str, str], key: str, default: str = "False") -> bool:
    return header.get(key, default).strip().lower() in ("true", "1", "yes")


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"Expected a complete MetaImage header in {path}, got: {reason}.", "Export the image again.")
