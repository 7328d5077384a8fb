"""The header of an NRRD file: fields, key/value pairs, geometry, and where the voxels lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.errors import DependencyError, InputError
from MgImplantSegLib.io.image_data import frame_from_affine
from MgImplantSegLib.io.raw_data import RawData
from MgImplantSegLib.io.units import mm_of_unit

LONGEST_HEADER_BYTES = 1 << 24
ENCODINGS = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
LPS_SIGNS_OF_SPACE = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
DTYPE_OF_TYPE = {
    name: dtype
    for names, dtype in (
        (("signed char", "int8", "int8_t"), "i1"),
        (("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
        (("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
        (("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
        (("int", "signed int", "int32", "int32_t"), "i4"),
        (("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
        (
            ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
            "i8",
        ),
        (("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
        (("float",), "f4"),
        (("double",), "f8"),
    )
    for name in names
}
SPATIAL_KINDS = {"domain", "space", "???", "none", ""}


@dataclass(frozen=True)
class NrrdHeader:
    """The parsed header of one NRRD file.

    Parameters
    ----------
    path : Path
        The header's file.
    fields : dict
        Fields and key/value pairs as pynrrd parses them.
    data_offset : int
        Number of bytes up to the end of the header's blank line.
    """

    path: Path
    fields: dict[str, Any]
    data_offset: int

    @classmethod
    def read(cls, path: Path) -> NrrdHeader:
        """Parse the header of `path`.

        Raises
        ------
        InputError
            If it is no NRRD file or the header is damaged.
        DependencyError
            If pynrrd is missing, as in Slicer's own Python before it is installed there.
        """
        nrrd = _pynrrd()
        lines, data_offset = _header_lines(path)
        try:
            sizes = _sizes(lines)
            fields = {**nrrd.read_header(lines), "sizes": sizes}
            str(fields["type"]), str(fields["encoding"]), int(fields["dimension"])
        except (nrrd.NRRDError, ValueError, KeyError, TypeError, IndexError, OverflowError, StopIteration) as error:
            raise _damaged(path, f"{type(error).__name__}: {error}") from error
        if len(fields["sizes"]) != fields["dimension"]:
            raise _damaged(path, f"{fields['dimension']} axes but the sizes {fields['sizes']}")
        if len(fields.get("kinds", fields["sizes"])) != fields["dimension"]:
            raise _damaged(path, f"{fields['dimension']} axes but the kinds {fields['kinds']}")
        if min(fields["sizes"], default=0) < 1:
            raise InputError(f"Expected voxels along every axis, got the sizes {fields['sizes']} in {path}.")
        return cls(path, fields, data_offset)

    @property
    def is_segmentation(self) -> bool:
        """Whether 3D Slicer wrote segments into the header."""
        return "Segment0_ID" in self.fields or "Segmentation_MasterRepresentation" in self.fields

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """The axes of the array, fastest first, along which space runs: not the channels, layers or time points."""
        kinds = [str(kind).lower() for kind in self.fields.get("kinds", [])] or [""] * self.fields["dimension"]
        directions = self._directions()
        return tuple(
            axis
            for axis, kind in enumerate(kinds)
            if kind in SPATIAL_KINDS and (directions is None or not np.isnan(directions[axis]).all())
        )

    def raw_data(self) -> RawData:
        """Where the voxels lie, shape slowest axis first.

        Raises
        ------
        InputError
            If the type or the encoding is none that holds one number per voxel as bytes.
        """
        kind = str(self.fields["type"]).lower()
        if kind not in DTYPE_OF_TYPE:
            raise InputError(f"Expected one number per voxel, got the type {kind!r} in {self.path}.")
        encoding = str(self.fields["encoding"]).lower()
        if encoding not in ENCODINGS:
            raise InputError(
                f"Expected the encoding raw, gzip or bzip2, got {encoding!r} in {self.path}.",
                "Save it again in 3D Slicer.",
            )
        order = ">" if str(self.fields.get("endian", "little")).lower() == "big" else "<"
        path, offset = self._data_file_and_offset(encoding)
        dtype = np.dtype(order + DTYPE_OF_TYPE[kind])
        return RawData(path, offset, dtype, self.fields["sizes"][::-1], ENCODINGS[encoding])

    def frame(self) -> dict[str, Any]:
        """Spacing, origin and direction as `ImageData` takes them, of the three spatial axes."""
        axes = list(self.spatial_axes)
        directions = self._directions()
        if directions is None:
            return {"spacing_zyx_mm": self._spacing_zyx_mm(axes)}
        affine = np.zeros((3, 4))
        affine[:, :3] = directions[axes].T
        affine[:, 3] = self._vector("space origin", 0.0)
        signs = LPS_SIGNS_OF_SPACE.get(str(self.fields.get("space", "lps")).lower(), (1, 1, 1))
        return frame_from_affine(affine * self._mm_of_space_units()[:, None] * np.array(signs)[:, None])

    def _directions(self) -> np.ndarray | None:
        """One vector (3,) for each axis of the array, fastest first, NaN for an axis without; None without any."""
        if "space directions" not in self.fields:
            return None
        vectors = [np.full(3, np.nan) if vector is None else vector for vector in self.fields["space directions"]]
        try:
            directions = np.array(vectors, dtype=float)
        except (TypeError, ValueError) as error:
            raise _damaged(self.path, f"space directions {self.fields['space directions']}") from error
        if directions.shape != (self.fields["dimension"], 3):
            raise InputError(
                f"Expected a 3D volume in 3D space, got {self.fields['dimension']} axes with directions of shape "
                f"{directions.shape} in {self.path}.",
                "Give a 3D image.",
            )
        return directions

    def _vector(self, name: str, default: float) -> np.ndarray:
        vector = np.array(self.fields.get(name, [default] * 3), dtype=float)
        if vector.shape != (3,):
            raise _damaged(self.path, f"{name} {self.fields[name]}")
        return vector

    def _mm_of_space_units(self) -> np.ndarray:
        units = list(self.fields.get("space units", []))
        return np.array([mm_of_unit(str(unit)) or 1.0 for unit in units] if len(units) == 3 else [1.0] * 3)

    def _spacing_zyx_mm(self, axes: list[int]) -> tuple[float, ...] | None:
        spacings = np.array(self.fields.get("spacings", []), dtype=float)
        if spacings.size != self.fields["dimension"] or np.isnan(spacings[axes]).all():
            return None
        units = list(self.fields.get("units", [])) or ["mm"] * spacings.size
        factors = [mm_of_unit(str(unit)) or 1.0 for unit in units]
        return tuple(float(spacings[axis] * factors[axis]) for axis in axes[::-1])

    def _data_file_and_offset(self, encoding: str) -> tuple[Path, int]:
        name = str(self.fields.get("data file", self.fields.get("datafile", "")))
        skip, line_skip = (int(self.fields.get(key, self.fields.get(key.replace(" ", ""), 0))) for key in SKIPS)
        if name.upper().startswith("LIST") or "%" in name or line_skip or skip < -1 or (skip and encoding != "raw"):
            raise InputError(
                f"Expected the voxels of {self.path} in one file without skipped lines, got data file {name!r}, "
                f"byte skip {skip}, line skip {line_skip}.",
                "Save it again as one .nrrd in 3D Slicer.",
            )
        path = self.path.parent / name if name else self.path
        if not path.is_file():
            raise InputError(f"Expected the voxels of {self.path} in {path}, got no such file.", "Copy both files.")
        return path, skip if skip == -1 else skip + (0 if name else self.data_offset)


SKIPS = ("byte skip", "line skip")


def _pynrrd() -> Any:
    try:
        import nrrd
    except ImportError as error:
        raise DependencyError(f"Expected pynrrd for NRRD files, got: {error}.", "Run: pip install pynrrd") from error
    return nrrd


def _sizes(lines: list[str]) -> tuple[int, ...]:
    """The lengths of the axes; pynrrd would cut fractions off."""
    text = next(line.partition(":")[2] for line in lines if line.startswith("sizes:"))
    return tuple(int(part) for part in text.split())


def _header_lines(path: Path) -> tuple[list[str], int]:
    """The lines of the header and the number of bytes up to the voxels."""
    lines, size = [], 0
    with open(path, "rb") as file:
        while size < LONGEST_HEADER_BYTES:
            line = file.readline(LONGEST_HEADER_BYTES)
            size += len(line)
            if not lines and not line.startswith(b"NRRD"):
                raise _not_nrrd(path, line)
            text = _decoded(line).rstrip("\r\n")
            if not text.strip():
                return lines, size
            if not text.startswith("#"):
                lines.append(text)
    raise _damaged(path, "a header without an end")


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _not_nrrd(path: Path, line: bytes) -> InputError:
    if os.path.getsize(path) == 0:
        return InputError(f"Expected an NRRD file, got the empty file {path}.", "Copy or export it again.")
    return InputError(
        f"Expected an NRRD file that begins with NRRD000, got {path} that begins with {line[:16]!r}.",
        "Export the image as .nrrd, or give the file its right suffix.",
    )


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"Expected a complete NRRD header in {path}, got: {reason}.", "Save it again in 3D Slicer.")
