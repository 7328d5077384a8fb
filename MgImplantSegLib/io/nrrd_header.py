"""The header of an NRRD file: fields, key/value pairs, geometry, and where the voxels lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.base.units import mm_of_unit
from MgImplantSegLib.io.image_data import frame_from_affine
from MgImplantSegLib.io.nrrd_data import nrrd_parts
from MgImplantSegLib.io.nrrd_lines import as_pynrrd_wants_them, damaged, header_lines, sizes_of
from MgImplantSegLib.io.raw_data import RawData, load_joined

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
ESCAPE = re.compile(r"\\([\\n])")
SPATIAL_KINDS = {"domain", "space", "???", "none", ""}


@dataclass(frozen=True)
class NrrdHeader:
    """The parsed header of one NRRD file.

    Parameters
    ----------
    fields : dict
        Fields and key/value pairs as pynrrd parses them.
    data_offset : int
        Number of bytes up to the end of the header's blank line.
    data_files : tuple of str
        The names after ``data file: LIST``.
    """

    path: Path
    fields: dict[str, Any]
    data_offset: int
    data_files: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> NrrdHeader:
        """Parse the header of `path`.

        Raises InputError if it is not an NRRD file or the header is damaged; DependencyError if pynrrd is missing, as
        in Slicer's own Python before it is installed there.
        """
        nrrd = _pynrrd()
        lines, data_files, data_offset = header_lines(path)
        try:
            sizes = sizes_of(lines)
            fields = {**nrrd.read_header(as_pynrrd_wants_them(lines)), "sizes": sizes}
            fields |= _unescaped(fields, lines)
            str(fields["type"]), str(fields["encoding"]), int(fields["dimension"])
        except (nrrd.NRRDError, ValueError, KeyError, TypeError, IndexError, OverflowError, StopIteration) as error:
            raise damaged(path, f"{type(error).__name__}: {error}") from error
        if len(fields["sizes"]) != fields["dimension"]:
            raise damaged(path, f"{fields['dimension']} axes but the sizes {fields['sizes']}")
        if len(fields.get("kinds", fields["sizes"])) != fields["dimension"]:
            raise damaged(path, f"{fields['dimension']} axes but the kinds {fields['kinds']}")
        if min(fields["sizes"], default=0) < 1:
            raise InputError(f"Expected voxels along every axis, got the sizes {fields['sizes']} in {path}.")
        return cls(path, fields, data_offset, data_files)

    @property
    def is_segmentation(self) -> bool:
        """Whether 3D Slicer wrote segments into the header."""
        return "Segment0_ID" in self.fields or "Segmentation_MasterRepresentation" in self.fields

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """The axes of the array, fastest first, along which space runs: not the channels, layers or time points."""
        kinds = [str(kind).lower() for kind in self.fields.get("kinds", [])] or [""] * self.fields["dimension"]
        directions = self._directions()
        axes = [
            axis
            for axis, kind in enumerate(kinds)
            if kind in SPATIAL_KINDS and (directions is None or not np.isnan(directions[axis]).all())
        ]
        while len(axes) > 3 and self.fields["sizes"][axes[-1]] == 1:  # one time point or channel without a kind
            axes.pop()
        while len(axes) > 3 and self.fields["sizes"][axes[0]] == 1:
            axes.pop(0)
        return tuple(axes)

    @property
    def shape_zyx(self) -> tuple[int, ...]:
        """Lengths of the spatial axes, slowest first."""
        return tuple(self.fields["sizes"][axis] for axis in self.spatial_axes[::-1])

    def voxels(self) -> list[RawData]:
        """Where the voxels lie, in one file or one after the other, the slowest axis first.

        Raises InputError if the type or the encoding does not hold one number per voxel as bytes.
        """
        kind = str(self.fields["type"]).lower()
        if kind not in DTYPE_OF_TYPE:
            raise InputError(f"Expected one number per voxel, got the type {kind!r} in {self.path}.")
        order = ">" if str(self.fields.get("endian", "little")).lower() == "big" else "<"
        dtype = np.dtype(order + DTYPE_OF_TYPE[kind])
        return nrrd_parts(self.path, self.fields, dtype, self.data_offset, self.data_files)

    def load(self) -> np.ndarray:
        """The voxels, shape slowest axis first, as `RawData.load` gives them."""
        return load_joined(self.voxels(), self.fields["sizes"][::-1], self.path)

    def frame(self) -> dict[str, Any]:
        """Spacing, origin and direction as `ImageData` takes them, of the three spatial axes.

        The spacing is None where the header gives none, or gives it in an unknown unit.
        """
        axes = list(self.spatial_axes)
        directions = self._directions()
        if directions is None:
            return self._frame_of_spacings(axes)
        factor = self._mm_of_units("space units", 3)
        affine = np.zeros((3, 4))
        affine[:, :3] = directions[axes].T
        affine[:, 3] = self._vector("space origin", 0.0)
        space = str(self.fields.get("space", "lps")).lower().removesuffix("-time").removesuffix("t")
        signs = LPS_SIGNS_OF_SPACE.get(space, (1, 1, 1))
        frame = frame_from_affine(affine * np.nan_to_num(factor, nan=1.0)[:, None] * np.array(signs)[:, None])
        return {**frame, "spacing_zyx_mm": None} if np.isnan(factor).any() else frame

    def _directions(self) -> np.ndarray | None:
        """One vector (3,) for each axis of the array, fastest first, NaN for an axis without; None without any."""
        if "space directions" not in self.fields:
            return None
        dimension = self.fields["dimension"]
        vectors = [np.full(3, np.nan) if vector is None else vector for vector in self.fields["space directions"]]
        length = max((len(vector) for vector in vectors), default=0)
        if length == 4 and str(self.fields.get("space", "")).lower().endswith(("-time", "t")):
            vectors = [vector[:3] for vector in vectors]  # space and time: the last component is the time's
        try:
            directions = np.array(vectors, dtype=float)
        except (TypeError, ValueError) as error:
            raise damaged(self.path, f"space directions {self.fields['space directions']}") from error
        if directions.shape != (dimension, 3):
            raise InputError(
                f"Expected a 3D volume in 3D space, got {dimension} axes with directions of shape "
                f"{directions.shape} in {self.path}.",
                "Give a 3D image.",
            )
        return directions

    def _vector(self, name: str, default: float) -> np.ndarray:
        vector = np.array(self.fields.get(name, [default] * 3), dtype=float)
        if vector.shape == (4,):
            vector = vector[:3]
        if vector.shape != (3,):
            raise damaged(self.path, f"{name} {self.fields[name]}")
        return vector

    def _mm_of_units(self, name: str, count: int) -> np.ndarray:
        """Millimetres of one unit along each axis: 1 where none is named, NaN where it is unknown."""
        units = [str(unit).strip() for unit in self.fields.get(name, [])]
        if len(units) == count + 1 and count == 3:  # the last is the time's
            units = units[:3]
        if not units:
            return np.ones(count)
        if len(units) != count:
            raise damaged(self.path, f"{len(units)} {name} for {count} axes")
        return np.array([1.0 if unit == "" else mm_of_unit(unit) or np.nan for unit in units])

    def _frame_of_spacings(self, axes: list[int]) -> dict[str, Any]:
        """As `frame`, of a header without directions; a negative spacing runs the other way."""
        dimension = self.fields["dimension"]
        spacings = self._numbers("spacings")[axes]
        factor = self._mm_of_units("units", dimension)[axes]
        if np.isnan(spacings).all() or np.isnan(factor).any():
            return {"spacing_zyx_mm": None}
        starts = np.nan_to_num(self._numbers("axis mins")[axes])
        centred = [str(word).lower() == "cell" for word in self.fields.get("centerings", ["none"] * dimension)]
        starts += np.where(np.array(centred)[axes] & (starts != 0), np.nan_to_num(spacings) / 2, 0.0)
        return frame_from_affine(np.c_[np.diag(spacings * factor), starts * factor])

    def _numbers(self, name: str) -> np.ndarray:
        """One number for each axis of the array, NaN where the header has none."""
        dimension = self.fields["dimension"]
        numbers = np.array(self.fields.get(name, self.fields.get(name.replace(" ", ""), [])), dtype=float)
        if numbers.size not in (0, dimension):
            raise damaged(self.path, f"{numbers.size} {name} for {dimension} axes")
        return numbers if numbers.size else np.full(dimension, np.nan)


def _pynrrd() -> Any:
    try:
        import nrrd
    except ImportError as error:
        raise DependencyError(f"Expected pynrrd for NRRD files, got: {error}.", "Run: pip install pynrrd") from error
    return nrrd


def _unescaped(fields: Mapping[str, Any], lines: Sequence[str]) -> dict[str, str]:
    """The key/value pairs whose values hold NRRD's escapes, ``\\\\`` and ``\\n``, which pynrrd leaves as they are."""
    keys = {line.partition(":=")[0].strip() for line in lines if ":=" in line and "\\" in line}
    return {
        key: ESCAPE.sub(lambda match: "\n" if match[1] == "n" else "\\", value)
        for key, value in fields.items()
        if key in keys and isinstance(value, str)
    }
