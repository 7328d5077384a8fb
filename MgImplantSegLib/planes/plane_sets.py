"""Slicing planes: which slices of a volume there are, how one is read, and how predictions come back.

The axes of a volume V(p, r, c) are called as in Baltruschat et al. 2021 (doi 10.1038/s41598-021-03542-y): p, r and c
are the array axes 0, 1 and 2 (z, y, x). A set of slices has the name of its in-plane axes, rows first:
``rc`` (slices along p), ``cp`` (along r), ``pr`` (along c).

The paper's nine planes add the slices of the volume rotated by 45° about each axis. A rotation about an axis of the
volume is a 2D rotation in the other two, so such a slice is read straight from V by linear interpolation, and no
rotated volume exists. ``cp@p45`` is set cp of the volume rotated about p. The rows of such a slice run along the
diagonal, its columns along the axis of rotation, and it ends where it leaves V. A point that lies less than one voxel
outside V has the value of the nearest voxel.

Predictions come back by the transpose rule: a voxel at slice coordinate u gets ``max(0, 1 - |u - n|)`` of slice n,
taken at its place in that slice by linear interpolation. Its weights sum to 1. `settle` does this for all voxels
between consecutive slices at once, so every voxel is finished once for each plane and only one slice is kept back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from MgImplantSegLib.base.choices import Registry
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.planes.diagonal_plane import DiagonalPlane, Place, Shape, with_neighbours

AXIS_NAMES = "prc"


class SlicingPlane(Protocol):
    """A set of parallel slices that covers the volume."""

    @property
    def name(self) -> str:
        """Its in-plane axes, and the rotation if there is one."""

    @property
    def overlap(self) -> int:
        """How many slices have to be handed to `settle` again with the next ones: 0 or 1."""

    def slice_count(self, shape_zyx: Shape) -> int:
        """How many slices cover a volume of that shape."""

    def slice_shape(self, shape_zyx: Shape, index: int) -> tuple[int, int]:
        """Rows and columns of slice `index`."""

    def read(self, array_zyx: np.ndarray, index: int) -> np.ndarray:
        """Slice `index` as a new float32 array (rows, columns)."""

    def read_block(self, array_zyx: np.ndarray, start: int, stop: int, context: int = 0) -> list[np.ndarray]:
        """The slices from `start` up to but not including `stop`; faster than one by one.

        With `context` each has its neighbours before and behind it, see `with_neighbours`, on its own rows and columns:
        shape (2 · context + 1, rows, columns).
        """

    def view(self, array: np.ndarray) -> np.ndarray:
        """The last three axes (z, y, x) of an array in the order that `settle` counts in, without a copy."""

    def settle(self, shape_zyx: Shape, start: int, slices: Sequence[np.ndarray]) -> tuple[list[Place], np.ndarray]:
        """What the slices from `start` on say about the voxels on and between them.

        Parameters
        ----------
        shape_zyx : tuple of int
            Shape of the volume.
        start : int
            Index of the first of the slices.
        slices : sequence of array
            Consecutive slices, each of shape (classes, rows, columns).

        Returns
        -------
        places : list of (index, part)
            ``view(volume)[index]`` are the voxels of ``values[:, part]``; all blocks of slices together visit each
            voxel once.
        values : array
            Shape (classes, voxels or slices, ...).
        """


@dataclass(frozen=True)
class AxisPlane:
    """Slices perpendicular to an axis of the array; rows and columns are the two axes in `name`."""

    name: str
    overlap = 0

    @property
    def axes(self) -> Shape:
        """Array axes along which slices, rows and columns follow each other."""
        rows, columns = (AXIS_NAMES.index(letter) for letter in self.name)
        return 3 - rows - columns, rows, columns

    def slice_count(self, shape_zyx: Shape) -> int:
        """How many slices a volume of that shape has."""
        return shape_zyx[self.axes[0]]

    def slice_shape(self, shape_zyx: Shape, index: int) -> tuple[int, int]:
        """Rows and columns of every slice."""
        return shape_zyx[self.axes[1]], shape_zyx[self.axes[2]]

    def read(self, array_zyx: np.ndarray, index: int) -> np.ndarray:
        """Slice `index` as a new float32 array (rows, columns)."""
        return np.array(self.view(array_zyx)[index], dtype=np.float32, order="C")

    def read_block(self, array_zyx: np.ndarray, start: int, stop: int, context: int = 0) -> list[np.ndarray]:
        """The slices from `start` up to but not including `stop` as float32 arrays, see `SlicingPlane`."""
        slices = self.view(array_zyx)
        if not context:
            return list(np.array(slices[start:stop], dtype=np.float32, order="C"))
        numbers = with_neighbours(start, stop, context, len(slices))
        block = np.stack([np.asarray(slices[number], dtype=np.float32) for number in numbers])
        return [block[n : n + 2 * context + 1] for n in range(stop - start)]

    def view(self, array: np.ndarray) -> np.ndarray:
        """The last three axes (z, y, x) of an array in the order slices, rows, columns, without a copy."""
        return np.moveaxis(array, [axis - 3 for axis in self.axes], (-3, -2, -1))

    def settle(self, shape_zyx: Shape, start: int, slices: Sequence[np.ndarray]) -> tuple[list[Place], np.ndarray]:
        """The slices themselves."""
        return [((slice(start, start + len(slices)),), slice(None))], np.stack(slices, axis=1)


RC, CP, PR = AxisPlane("rc"), AxisPlane("cp"), AxisPlane("pr")
DIAGONALS = (
    DiagonalPlane("cp@p45", rotation_axis=0, sign=-1),
    DiagonalPlane("pr@p45", rotation_axis=0, sign=+1),
    DiagonalPlane("rc@r45", rotation_axis=1, sign=-1),
    DiagonalPlane("pr@r45", rotation_axis=1, sign=+1),
    DiagonalPlane("rc@c45", rotation_axis=2, sign=-1),
    DiagonalPlane("cp@c45", rotation_axis=2, sign=+1),
)


class PlaneSet(tuple[SlicingPlane, ...]):
    """Slicing planes that are used together, with a name and a definition."""

    name: str
    definition: str

    def __new__(cls, name: str, definition: str, planes: Sequence[SlicingPlane]) -> PlaneSet:
        """The planes in this order."""
        made = super().__new__(cls, planes)
        made.name, made.definition = name, definition
        return made


PLANE_SETS: Registry[PlaneSet] = Registry(
    "a plane set",
    {
        "1": PlaneSet("1 plane (preview)", "slices along the first axis only", (RC,)),
        "3": PlaneSet("3 planes", "slices along each axis", (RC, CP, PR)),
        "9": PlaneSet("9 planes (best)", "slices along each axis and the six diagonals", (RC, CP, PR, *DIAGONALS)),
        "rc": PlaneSet("rc: slices along the first axis", "the slices of the scan", (RC,)),
        "cp": PlaneSet("cp: slices along the second axis", "slices that contain the first and third axes", (CP,)),
        "pr": PlaneSet("pr: slices along the third axis", "slices that contain the first and second axes", (PR,)),
    },
)


def plane_set(planes: str | Sequence[SlicingPlane]) -> tuple[SlicingPlane, ...]:
    """The planes of a key of `PLANE_SETS`, or the planes themselves.

    Raises
    ------
    InputError
        If the key is unknown or there is no plane.
    """
    planes = PLANE_SETS.find(planes) if isinstance(planes, str) else tuple(planes)
    if not planes:
        raise InputError("Expected at least one slicing plane, got none.")
    return planes


def axis_planes(name: str) -> tuple[AxisPlane, ...]:
    """The planes of a key of `PLANE_SETS` that has no oblique ones, whose labels would have to be interpolated.

    Raises
    ------
    InputError
        If the key is unknown or the set has oblique planes.
    """
    sets = {key: planes for key, planes in PLANE_SETS.items() if all(isinstance(plane, AxisPlane) for plane in planes)}
    found = Registry("a set of axis planes", sets).find(name)
    return tuple(plane for plane in found if isinstance(plane, AxisPlane))
