"""Oriented boxes as regions of interest, and Slicer's markups ROI files (`.mrk.json`)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.text_files import read_json
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.base.units import mm_of_unit
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry

MARKUPS_SUFFIX = ".mrk.json"
MARKUPS_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
IDENTITY_AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
FACE_TOLERANCE = 1e-6
ALONG_AXIS = 1e-3
VOXELS_PER_SLAB = 1 << 22
LARGEST_MM = 1e7
MOST_BYTES = 1 << 26
MOST_CHARACTERS = 80


def rows(matrix: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    """The rows of a 3×3 matrix."""
    return tuple(triple(float(number) for number in row) for row in matrix)


@dataclass(frozen=True)
class OrientedBox:
    """A box of any orientation in LPS space.

    Raises InputError if a size is not positive or the axes are not perpendicular unit vectors.

    Parameters
    ----------
    centre_lps_mm : tuple of float
        Centre (L, P, S) in millimetres.
    axes_lps : tuple of tuple of float
        3×3 matrix whose columns are the unit vectors of the box's three edges in LPS.
    size_mm : tuple of float
        Edge lengths along the three columns of `axes_lps` in millimetres.
    """

    centre_lps_mm: tuple[float, float, float]
    axes_lps: tuple[tuple[float, float, float], ...] = IDENTITY_AXES
    size_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    name: str = "ROI"

    def __post_init__(self) -> None:
        axes = np.asarray(self.axes_lps, dtype=float)
        axes = axes.reshape(3, 3) if axes.size == 9 else np.zeros((3, 3))
        object.__setattr__(self, "centre_lps_mm", tuple(float(c) for c in self.centre_lps_mm))
        object.__setattr__(self, "size_mm", tuple(float(s) for s in self.size_mm))
        object.__setattr__(self, "axes_lps", rows(axes))
        if len(self.centre_lps_mm) != 3 or not all(math.isfinite(c) for c in self.centre_lps_mm):
            raise InputError(f"Expected a centre of three finite numbers in mm, got {self.centre_lps_mm}.")
        if len(self.size_mm) != 3 or not all(math.isfinite(s) and s > 0 for s in self.size_mm):
            raise InputError(
                f"Expected three positive edge lengths of the ROI {self.name!r}, got {self.size_mm}.",
                "Set the size of the ROI along all three axes.",
            )
        if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3):
            raise InputError(
                f"Expected perpendicular unit vectors as axes of the ROI {self.name!r}, got {axes.tolist()}.",
                "Save the ROI in Slicer again, without shearing transforms.",
            )
        if max(map(abs, (*self.centre_lps_mm, *self.size_mm))) > LARGEST_MM:
            raise InputError(
                f"Expected an ROI within {LARGEST_MM:g} mm, got the centre {self.centre_lps_mm} and the size "
                f"{self.size_mm} of {self.name!r}.",
                "Check the unit of the ROI file.",
            )

    @classmethod
    def from_matrix(cls, object_to_lps: np.ndarray, size_mm: Iterable[float], name: str = "ROI") -> OrientedBox:
        """The box of a 4×4 matrix from box to LPS coordinates; scaling in the matrix goes into the size.

        Raises InputError if the matrix shears the box.
        """
        matrix = np.asarray(object_to_lps, dtype=float)
        scale = np.linalg.norm(matrix[:3, :3], axis=0)
        if not np.all(scale > 0):
            raise InputError(f"Expected an invertible matrix for the ROI {name!r}, got {matrix.tolist()}.")
        size = np.asarray(tuple(size_mm), dtype=float) * scale
        return cls(tuple(matrix[:3, 3]), rows(matrix[:3, :3] / scale), tuple(size), name)

    @property
    def axes_matrix(self) -> np.ndarray:
        """3×3 array; columns are the unit vectors of the box's edges in LPS."""
        return np.array(self.axes_lps)

    @property
    def volume_mm3(self) -> float:
        """Volume of the box in mm³."""
        return math.prod(self.size_mm)

    @property
    def corners_lps_mm(self) -> np.ndarray:
        """The eight corners, shape (8, 3), in LPS mm."""
        signs = np.array(np.meshgrid((-0.5, 0.5), (-0.5, 0.5), (-0.5, 0.5), indexing="ij")).reshape(3, -1).T
        return (signs * self.size_mm) @ self.axes_matrix.T + self.centre_lps_mm

    def grid_bounds(self, geometry: Geometry) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """First index and number of voxels (z, y, x) of the grid's smallest box around it; it may reach outside."""
        corners_zyx = geometry.index_zyx_from_lps(self.corners_lps_mm)
        start = np.floor(corners_zyx.min(axis=0)).astype(int)
        stop = np.ceil(corners_zyx.max(axis=0)).astype(int) + 1
        return triple(int(s) for s in start), triple(int(n) for n in stop - start)

    def index_bounds(self, geometry: Geometry) -> tuple[slice, slice, slice]:
        """Slices (z, y, x) of the grid's voxels that can lie inside; empty where the box lies outside the grid."""
        start, shape = self.grid_bounds(geometry)
        low = [min(max(s, 0), n) for s, n in zip(start, geometry.shape_zyx, strict=True)]
        high = [min(max(s + k, 0), n) for s, k, n in zip(start, shape, geometry.shape_zyx, strict=True)]
        return triple(slice(a, b) for a, b in zip(low, high, strict=True))

    def mask(self, geometry: Geometry) -> np.ndarray:
        """Boolean array (z, y, x), True where a voxel's centre lies inside.

        Centres exactly on a face belong to the box on one of the two sides only, so the number of voxels
        matches the volume and boxes that share a face share no voxel.
        """
        inside = np.empty(geometry.shape_zyx, dtype=bool)
        for slab in slabs(geometry.shape_zyx, VOXELS_PER_SLAB):
            part = inside[slab]
            part[...] = self._inside(geometry.cropped((slab.start, 0, 0), part.shape))
        return inside

    def _inside(self, geometry: Geometry) -> np.ndarray:
        to_box = self.axes_matrix.T
        zyx_mm = to_box @ geometry.index_xyz_to_lps_mm[:3, :3][:, ::-1]
        start_mm = to_box @ (np.array(geometry.origin_lps_mm) - self.centre_lps_mm)
        tolerance_mm = FACE_TOLERANCE * min(geometry.spacing_zyx_mm)
        zyx_mm[np.abs(zyx_mm) * geometry.shape_zyx < ALONG_AXIS * tolerance_mm] = 0
        inside = np.ones(geometry.shape_zyx, dtype=bool)
        for edge, size_mm in enumerate(self.size_mm):
            z, y, x = (
                (zyx_mm[edge, axis] * np.arange(n if zyx_mm[edge, axis] else 1)).reshape((-1,) + (1,) * (2 - axis))
                for axis, n in enumerate(geometry.shape_zyx)
            )
            along_mm = (start_mm[edge] + z) + y + x  # of one layer, row or column where the edge runs along an axis
            inside &= (along_mm >= -size_mm / 2 - tolerance_mm) & (along_mm < size_mm / 2 - tolerance_mm)
        return inside


def read_roi_markups(path: str | Path) -> tuple[OrientedBox, ...]:
    """The ROI boxes of a Slicer markups file, in LPS.

    Raises InputError if the file is missing, not a markups file, or holds no usable ROI.
    """
    path = Path(path)
    rois = [markup for markup in _markups_of(path) if isinstance(markup, dict) and markup.get("type") == "ROI"]
    if not rois:
        raise InputError(f"Expected a markups file with an ROI, found none in {path}.", "Save an ROI node from Slicer.")
    name = path.name.removesuffix(MARKUPS_SUFFIX).removesuffix(".json")
    names = [name] if len(rois) == 1 else [f"{name} {number}" for number in range(1, len(rois) + 1)]
    return tuple(_box_of(roi, label, path) for roi, label in zip(rois, names, strict=True))


def _markups_of(path: Path) -> list[Any]:
    remedy = "Save the ROI in Slicer as .mrk.json."
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"Expected a Slicer markups file, got more than {MOST_BYTES >> 20} MB in {path}.", remedy)
        markups = read_json(path)["markups"]
    except OSError as error:
        raise InputError(
            f"Expected a Slicer markups file, could not read {path}: {error.strerror}.", "Check the path."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"Expected a Slicer markups file, got other contents in {path}.", remedy) from error
    if not isinstance(markups, list):
        raise InputError(f"Expected a Slicer markups file, got other contents in {path}.", remedy)
    return markups


def _box_of(roi: dict[str, Any], name: str, path: Path) -> OrientedBox:
    if roi.get("insideOut"):
        raise InputError(
            f"Expected an ROI that selects its inside, got an inside-out one in {path}.", "Untick 'inside out'."
        )
    try:
        to_lps = _file_to_lps(roi)
        with np.errstate(invalid="ignore"):  # infinity is refused below
            centre = to_lps @ _numbers(roi["center"], 3)
        axes = np.sign(np.diag(to_lps))[:, None] * _numbers(roi.get("orientation", IDENTITY_AXES), 9).reshape(3, 3)
        size = abs(to_lps[0, 0]) * _numbers(roi["size"], 3)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise InputError(
            f"Expected centre, orientation and size of an ROI in {path}, got {str(error)[:MOST_CHARACTERS]!r}.",
            "Save the ROI in Slicer again.",
        ) from error
    try:
        return OrientedBox(tuple(centre), axes, tuple(size), _name_of(roi.get("name")) or name)
    except InputError as error:
        remedy = error.template or "Save the ROI in Slicer again."
        raise InputError(f"{error.message.removesuffix('.')} in {path}.", remedy) from error


def _numbers(values: Any, count: int) -> np.ndarray:
    """`count` numbers of a file, nested or not; raises ValueError, TypeError or OverflowError for anything else."""
    found = np.array(values, dtype=float).ravel()
    if found.size != count:
        raise ValueError(f"{found.size} numbers instead of {count}")
    return found


def _name_of(value: Any) -> str:
    """A name of a file as one short line; empty if it is no text."""
    printable = "".join(c if c.isprintable() else " " for c in value) if isinstance(value, str) else ""
    return " ".join(printable.split())[:MOST_CHARACTERS]


def _file_to_lps(roi: dict[str, Any]) -> np.ndarray:
    """3×3 diagonal matrix from the file's coordinates to LPS millimetres."""
    system = roi.get("coordinateSystem", "LPS")
    if system in (0, "0", "RAS"):
        signs = (-1.0, -1.0, 1.0)
    elif system in (1, "1", "LPS"):
        signs = (1.0, 1.0, 1.0)
    else:
        raise ValueError(f"coordinate system {system!r}")
    unit = roi.get("coordinateUnits", "mm")
    unit = unit[0] if isinstance(unit, list) else unit
    factor = mm_of_unit(str(unit))
    if factor is None:
        raise ValueError(f"coordinate units {unit!r}")
    return np.diag(signs) * factor


def write_roi_markups(boxes: Iterable[OrientedBox], path: str | Path) -> None:
    """Write boxes as one Slicer markups file (`.mrk.json`, LPS)."""
    markups = [
        {
            "type": "ROI",
            "coordinateSystem": "LPS",
            "coordinateUnits": "mm",
            "locked": False,
            "name": box.name,
            "roiType": "Box",
            "center": list(box.centre_lps_mm),
            "orientation": [a for row in box.axes_lps for a in row],
            "size": list(box.size_mm),
            "insideOut": False,
            "controlPoints": [
                {"id": "1", "label": "R-1", "position": list(box.centre_lps_mm), "selected": True, "visibility": True}
            ],
        }
        for box in boxes
    ]
    text = json.dumps({"@schema": MARKUPS_SCHEMA, "markups": markups}, indent=1)
    with atomic_output(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
