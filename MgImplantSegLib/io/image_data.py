"""`ImageData`: what an image file says, before it is checked and becomes a `Volume` or a `LabelMap`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.volume import IDENTITY_DIRECTION, Geometry

BLOCK_BYTES = 1 << 29
LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class ReadOptions:
    """How a file is read.

    Parameters
    ----------
    dataset : str or None
        Path of a dataset inside the file.
    events : Events
        Where progress goes and cancelling comes from.
    open_files : ExitStack or None
        If given, voxels that cannot be mapped are read slice by slice when they are asked for, see `SlicesOnDisk`; what
        stays open for that is closed with it.
    block_bytes : int
        About so much is read at one time where a file has no single slices.
    """

    dataset: str | None = None
    events: Events = field(default_factory=Events)
    open_files: ExitStack | None = None
    block_bytes: int = BLOCK_BYTES

    @property
    def by_slices(self) -> bool:
        """Whether voxels are read when they are asked for."""
        return self.open_files is not None


@dataclass(frozen=True)
class Segment:
    """One segment of a segmentation file: its value in the array and what the file calls it."""

    value: int
    segment_id: str
    name: str
    color_rgb: tuple[float, float, float]
    terminology: str = ""


@dataclass(frozen=True)
class ImageData:
    """Array and geometry as a file gives them; the spacing is not checked yet.

    Parameters
    ----------
    array : np.ndarray
        Voxels, axis order (z, y, x), native byte order; may be mapped from the file, or `SlicesOnDisk`.
    spacing_zyx_mm : tuple of float or None
        Voxel size along z, y, x in mm; None when the file does not say.
    origin_lps_mm, direction_lps : tuple of float
        As in `Geometry`.
    segments : tuple of Segment or None
        The segments of a segmentation file; None for every other file.
    scheme : LabelScheme or None
        The meaning of the label values, when the file carries it.
    notes : dict
        What is worth keeping as provenance.
    remarks : tuple of str
        Warnings that were stored with the file when it was made.
    """

    array: np.ndarray
    spacing_zyx_mm: tuple[float, float, float] | None = None
    origin_lps_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction_lps: tuple[float, ...] = IDENTITY_DIRECTION
    segments: tuple[Segment, ...] | None = None
    scheme: LabelScheme | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def spacing_is_known(self) -> bool:
        """False without a spacing, or with the 1 mm along every axis that programs write when they know none."""
        return self.spacing_zyx_mm is not None and any(abs(s - 1.0) > 1e-6 for s in self.spacing_zyx_mm)

    def geometry(self, spacing_um: float | Sequence[float] | None = None) -> Geometry:
        """The checked geometry; `spacing_um` (one number, or z, y, x) replaces the spacing and keeps the origin.

        Raises InputError if a spacing is zero, negative or not finite, or the axes are not perpendicular.
        """
        spacing = self.spacing_zyx_mm if spacing_um is None else spacing_from_um(spacing_um)
        return Geometry(self.array.shape, spacing or (1.0, 1.0, 1.0), self.origin_lps_mm, self.direction_lps)


def spacing_from_um(spacing_um: float | Sequence[float]) -> tuple[float, float, float]:
    """Spacing (z, y, x) in mm of one number or three (z, y, x) in µm.

    Raises InputError if a number is not positive and finite, or there are not one or three.
    """
    try:
        numbers = [float(value) for value in np.ravel(spacing_um)]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (1, 3) or not all(math.isfinite(value) and value > 0 for value in numbers):
        raise InputError(f"Expected a positive voxel size in µm, or three of them (z, y, x), got {spacing_um!r}.")
    return triple(value * 1e-3 for value in (numbers * 3)[:3])


def frame_from_affine(index_xyz_to_lps_mm: np.ndarray) -> dict[str, tuple[float, ...]]:
    """Spacing, origin and direction, as `ImageData` takes them, of a matrix (3 or 4)×4 from index (x, y, z, 1) to LPS.

    An axis of length zero or of NaN gives that as spacing; its direction is the index axis.
    """
    columns = np.asarray(index_xyz_to_lps_mm, dtype=float)[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):  # absurd numbers become infinity, which is refused later
        spacing_xyz = np.linalg.norm(columns, axis=0)
    usable = np.isfinite(spacing_xyz) & (spacing_xyz > 0)
    direction = np.where(usable, columns / np.where(usable, spacing_xyz, 1.0), np.eye(3))
    return {
        "spacing_zyx_mm": tuple(float(s) for s in spacing_xyz[::-1]),
        "origin_lps_mm": tuple(float(o) for o in np.asarray(index_xyz_to_lps_mm, dtype=float)[:3, 3]),
        "direction_lps": tuple(float(d) for d in direction.ravel()),
    }


def require_three_axes(shape: Iterable[int], path: object, what: str = "image") -> None:
    """Raise `InputError` unless `shape` has three axes with voxels along each."""
    shape = tuple(int(n) for n in shape)
    if len(shape) < 3:
        raise InputError(
            f"Expected a 3D volume, got a {len(shape)}D {what} of shape {shape} in {path}.",
            "Give the whole stack of slices as one file, or the folder with all slices.",
        )
    if len(shape) > 3:
        raise InputError(
            f"Expected a 3D volume with one grey value per voxel, got {len(shape)} axes of lengths {shape} in {path}.",
            "Save one channel and one time point as a 3D image.",
        )
    if min(shape) < 1:
        raise InputError(f"Expected voxels along every axis, got the lengths {shape} in {path}.", "Export it again.")
