"""MetaImage files: .mha and .mhd, read with the header as SimpleITK reads it; `metaimage_writer` writes .mha.

SimpleITK does not say where the voxels lie, so that is looked up here. They are mapped from disk where they lie there
as they are.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.units import mm_of_unit
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.io.header_keys import said_in_keys
from MgImplantSegLib.io.image_data import ImageData, ReadOptions
from MgImplantSegLib.io.itk_image import Information, read_information
from MgImplantSegLib.io.label_scheme_key import scheme_of_keys
from MgImplantSegLib.io.metaimage_writer import DTYPE_OF_TYPE
from MgImplantSegLib.io.numbered_files import numbered_names
from MgImplantSegLib.io.raw_data import RawData, load_joined, voxel_file
from MgImplantSegLib.io.raw_slices import raw_slices

LONGEST_HEADER_BYTES = 1 << 24
LONGEST_VALUE = 1 << 15
MOST_AXES = tuple(str(n) for n in range(1, 11))
LAST_FIELD = "ElementDataFile"
FIELD = re.compile(r"\s*(\w+)\s*[=:]\s*(.*?)\s*")
LIST = re.compile(r"LIST(?:\s+(\d+)D?)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Place:
    """The fields that say where the voxels lie, the bytes up to behind the header, and the lines behind it."""

    fields: dict[str, str]
    data_offset: int
    listed: tuple[str, ...] = ()

    def is_true(self, name: str, default: str = "False") -> bool:
        """Whether a field says yes."""
        return self.fields.get(name, default)[:1].lower() in ("t", "y", "1")

    def require_shape(self, shape_zyx: tuple[int, int, int]) -> None:
        """Raise ValueError unless the lengths are whole numbers; SimpleITK cuts fractions off."""
        words = self.fields.get("DimSize", "").split()
        if [word.lstrip("0+") for word in words[:3]] != [str(n) for n in shape_zyx[::-1]]:
            raise ValueError(f"DimSize {' '.join(words)}")

    @property
    def unit(self) -> str:
        """The unit of length as the file spells it."""
        return self.fields.get("DistanceUnits", "")


@dataclass(frozen=True)
class MetaImageHeader:
    """The header of a .mha or .mhd file: what SimpleITK reads of it, and where the voxels lie."""

    path: Path
    information: Information
    place: _Place

    @classmethod
    def read(cls, path: Path) -> MetaImageHeader:
        """Raises `InputError` if it is not a MetaImage file, is 2D or a colour image, or is damaged."""
        place, information = _place(path), read_information(path, "MetaImageIO")
        try:
            place.require_shape(information.shape_zyx)
        except ValueError as error:
            raise _damaged(path, str(error)) from error
        return cls(path, information, place)

    @property
    def scheme(self) -> LabelScheme | None:
        """The meaning of label values, if the file carries it."""
        return scheme_of_keys(self.information.keys, self.path)

    def voxels(self) -> list[RawData]:
        """Where the voxels lie, in one file or one after the other, the slowest axis first."""
        try:
            return _parts(self.path, self.place, self.information.shape_zyx)
        except ValueError as error:
            raise _damaged(self.path, str(error)) from error

    def frame(self) -> dict[str, Any]:
        """Spacing, origin and direction as `ImageData` takes them."""
        return _frame(self.information, self.place)


def read_metaimage(path: Path, options: ReadOptions) -> ImageData:
    """The image of a .mha or .mhd file.

    Raises InputError if it is not a MetaImage file, is 2D or a colour image, or is damaged.
    """
    header = MetaImageHeader.read(path)
    load = raw_slices if options.by_slices else load_joined
    array = load(header.voxels(), header.information.shape_zyx, path)
    said = said_in_keys(header.information.keys, path)
    return ImageData(array, **header.frame(), scheme=header.scheme, **said)


def _place(path: Path) -> _Place:
    fields: dict[str, str] = {}
    with open(path, "rb") as file:
        while file.tell() < LONGEST_HEADER_BYTES:
            line = file.readline(LONGEST_HEADER_BYTES)
            if not line:
                break
            match = FIELD.fullmatch(_text(line))
            if match:
                _require_safe(path, match[1], match[2])
                fields[match[1]] = match[2]
            if match and match[1] == LAST_FIELD:
                offset = file.tell()
                listed = _text(file.read(LONGEST_HEADER_BYTES)).splitlines() if LIST.fullmatch(match[2]) else []
                return _Place(fields, offset, tuple(name.strip() for name in listed if name.strip()))
            if not match and line.strip():
                break
    raise InputError(
        f"Expected a MetaImage header that ends with {LAST_FIELD}, got {path} without one.",
        "Export the image again as .mha or .nrrd.",
    )


def _require_safe(path: Path, name: str, value: str) -> None:
    """Raise `InputError` for what ends the process inside SimpleITK instead of being refused by it."""
    is_safe = value in MOST_AXES if name == "NDims" else len(value) <= LONGEST_VALUE
    if not is_safe:
        raise _damaged(path, f"{name} of {value[:40]!r}")


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _parts(path: Path, place: _Place, shape_zyx: tuple[int, int, int]) -> list[RawData]:
    """The voxels in one file, or in one after the other."""
    kind = place.fields.get("ElementType", "").upper()
    if kind not in DTYPE_OF_TYPE:
        raise ValueError(f"the element type {kind!r}")
    big = place.is_true("BinaryDataByteOrderMSB") or place.is_true("ElementByteOrderMSB")
    dtype = np.dtype((">" if big else "<") + DTYPE_OF_TYPE[kind])
    files, dimensions = _files(path, place)
    shape = _shape_of_one(shape_zyx, len(files), dimensions)
    encoding = "text" if not place.is_true("BinaryData", "True") else "zlib"
    if encoding == "zlib" and not place.is_true("CompressedData"):
        encoding = "raw"
    skip = int(place.fields.get("HeaderSize", "0"))
    parts = []
    for file in files:
        offset = place.data_offset if file == path else 0
        if skip == -1:
            offset = -1 if encoding == "raw" else offset
        elif skip > 0:
            offset = offset + skip
        parts.append(RawData(file, offset, dtype, shape, encoding))
    return parts


def _files(path: Path, place: _Place) -> tuple[list[Path], int]:
    """The files in order, and how many axes the voxels of one have."""
    name = place.fields[LAST_FIELD]
    if name.upper() == "LOCAL":
        return [path], 3
    is_list = LIST.fullmatch(name)
    if is_list:
        return [voxel_file(path, entry) for entry in place.listed], int(is_list[1] or 2)
    names = [] if (path.parent / name).is_file() else numbered_names(name)
    if names:
        return [voxel_file(path, entry) for entry in names], 2
    return [voxel_file(path, name)], 3


def _shape_of_one(shape_zyx: tuple[int, int, int], files: int, dimensions: int) -> tuple[int, ...]:
    if dimensions == 3 and files and shape_zyx[0] % files == 0:
        return (shape_zyx[0] // files, *shape_zyx[1:])
    if 0 < dimensions < 3 and files == math.prod(shape_zyx[: 3 - dimensions]):
        return shape_zyx[3 - dimensions :]
    raise ValueError(f"{files} files for {shape_zyx[0]} slices")


def _frame(information: Information, place: _Place) -> dict[str, Any]:
    """Spacing, origin and direction in millimetres; no spacing where the file gives none or an unknown unit."""
    frame, unit = information.frame, place.unit
    factor = mm_of_unit(unit) if unit else 1.0
    spacing_is_given = any(name in place.fields for name in ("ElementSpacing", "ElementSize"))
    origin = tuple(float(x) * (factor or 1.0) for x in frame["origin_lps_mm"])
    spacing = None
    if factor and spacing_is_given:
        spacing = tuple(s * factor for s in frame["spacing_zyx_mm"])
    return {**frame, "origin_lps_mm": origin, "spacing_zyx_mm": spacing}


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"Expected a complete MetaImage header in {path}, got: {reason}.", "Export the image again.")
