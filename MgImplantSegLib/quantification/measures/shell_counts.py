"""Voxels of each class in shells around the implant, and in regions within them, counted layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.typed import present
from MgImplantSegLib.grids.boxes import Box, intersection, shape_of
from MgImplantSegLib.quantification.codes import UNKNOWN, implant_in
from MgImplantSegLib.quantification.measures.layered_distance import SquareUnit, map_layers
from MgImplantSegLib.quantification.region_masks import Region

CODES = UNKNOWN + 1


@dataclass(frozen=True, eq=False)
class ShellCounts:
    """What lies around the implant.

    Parameters
    ----------
    edges_mm : float array (n + 1,)
        Limits of the shells.
    by_shell : int array (n, 5)
        Voxels of each code in each shell, low < distance ≤ high.
    by_region : int array (regions, 5)
        Voxels of each code of the regions in all shells together.
    touches_border : bool
        Whether a shell reaches the border of the volume.
    """

    edges_mm: np.ndarray
    by_shell: np.ndarray
    by_region: np.ndarray
    touches_border: bool


class Explant(Protocol):
    """What is asked of the explant: a `MeasureContext` has it."""

    codes: np.ndarray
    events: Events

    @property
    def shell_box(self) -> Box | None:
        """The smallest box around the implant and its shell."""

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        """Voxel size."""


def shell_counts(
    context: Explant, edges_mm: np.ndarray, tolerance_mm: float, regions: tuple[Region, ...]
) -> ShellCounts:
    """Count the voxels between distances from the implant; an edge belongs to the shell within it."""
    box = present(context.shell_box)
    codes = context.codes[box]
    unit = SquareUnit.of(context.spacing_zyx_mm, float(edges_mm[-1]) + tolerance_mm)
    squares = np.array([0.0, *(unit.square(float(edge) + tolerance_mm) for edge in edges_mm[1:])])
    row_of = RowOfSquare(squares, unit)
    by_shell = np.zeros((len(squares) + 1) * CODES, dtype=np.int64)
    by_region = np.zeros((len(regions), CODES), dtype=np.int64)
    lock = Lock()

    def count(z: int, square: np.ndarray) -> bool:
        found = np.bincount((row_of(square) + codes[z]).ravel(), minlength=by_shell.size)
        layer = (slice(box[0].start + z, box[0].start + z + 1), *box[1:])
        inside = (square > 0) & (square <= squares[-1])
        in_regions = [_in_region(region, layer, inside, codes[z]) for region in regions]
        with lock:
            np.add(by_shell, found, out=by_shell)
            for row, counts in zip(by_region, in_regions, strict=True):
                row += counts
        return _at_border(context, layer, inside)

    at_border = map_layers(lambda z: implant_in(codes[z]), shape_of(box), unit, count, context.events.check_cancelled)
    return ShellCounts(edges_mm, by_shell.reshape(-1, CODES)[1:-1], by_region, any(at_border))


class RowOfSquare:
    """Where the row of a squared distance begins in a table of all codes; the first is of 0, the last of all beyond."""

    def __init__(self, squares: np.ndarray, unit: SquareUnit) -> None:
        self._squares = squares
        self._table = None
        if unit.dtype == np.uint16:
            self._table = self._rows(np.arange(int(unit.saturated) + 1))

    def __call__(self, square: np.ndarray) -> np.ndarray:
        return self._rows(square) if self._table is None else self._table[square]

    def _rows(self, square: np.ndarray) -> np.ndarray:
        return (np.searchsorted(self._squares, square) * CODES).astype(np.int32)


def _in_region(region: Region, layer: Box, inside: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Voxels of each code of a region in a layer of the shell box, shape (5,)."""
    common = intersection(layer, region.box)
    if min(shape_of(common)) < 1:
        return np.zeros(CODES, dtype=np.int64)
    part = tuple(slice(c.start - a.start, c.stop - a.start) for c, a in zip(common[1:], layer[1:], strict=True))
    return np.bincount(codes[part][region.mask_of(common)[0] & inside[part]], minlength=CODES)


def _at_border(context: Explant, layer: Box, inside: np.ndarray) -> bool:
    """Whether voxels of a layer lie on the border of the volume."""
    depth, *size = context.codes.shape
    if layer[0].start in (0, depth - 1):
        return bool(inside.any())
    for axis, (part, n) in enumerate(zip(layer[1:], size, strict=True)):
        if part.start == 0 and np.take(inside, 0, axis).any():
            return True
        if part.stop == n and np.take(inside, -1, axis).any():
            return True
    return False
