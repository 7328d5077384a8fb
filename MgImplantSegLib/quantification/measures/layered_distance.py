"""Exact squared distances from a class up to a limit, layer by layer in threads, so that no volume of them is kept.

The squared distance is the least sum of the squared steps along z, y and x. Along z the nearest voxel of the class is
known from the layers before and behind; along y and x each is a minimum over the steps that the limit allows
(T. Saito and J. Toriwaki, Pattern Recognition 27 (1994)). On isotropic grids all is whole numbers of 16 bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from MgImplantSegLib.base.typed import triple

ISOTROPIC = 1e-9
LAYERS_PER_CHUNK, MOST_THREADS = 16, 8
LARGEST_UINT16 = 65535
VALUES_PER_BLOCK, STEPS_BETWEEN_LOOKS = 1 << 17, 16
Found = TypeVar("Found")


@dataclass(frozen=True)
class SquareUnit:
    """How squared distances are stored: `dtype`, the square of a step along z, y, x, and of a mm; all saturate."""

    dtype: np.dtype
    step_zyx: tuple[float, float, float]
    of_mm2: float
    saturated: float

    @classmethod
    def of(cls, spacing_zyx_mm: tuple[float, float, float], limit_mm: float) -> SquareUnit:
        """Whole numbers in voxels where the grid is isotropic and the limit small enough, else single precision."""
        finest_mm = min(spacing_zyx_mm)
        steps = triple((spacing / finest_mm) ** 2 for spacing in spacing_zyx_mm)
        limit = (limit_mm / finest_mm) ** 2
        is_isotropic = max(steps) <= 1 + ISOTROPIC
        if is_isotropic and 2 * (limit + 1) <= LARGEST_UINT16:
            return cls(np.dtype(np.uint16), (1.0, 1.0, 1.0), finest_mm**-2, float(int(limit) + 1))
        return cls(np.dtype(np.float32), steps, finest_mm**-2, float(np.float32(limit * (1 + 1e-6) + 1)))

    def square(self, length_mm: float) -> float:
        """The largest stored square of a distance up to a length: larger ones are beyond it."""
        square = length_mm**2 * self.of_mm2
        return float(int(square)) if self.dtype == np.uint16 else square


def map_layers(
    inside: Callable[[int], np.ndarray],
    shape_zyx: tuple[int, int, int],
    unit: SquareUnit,
    measure: Callable[[int, np.ndarray], Found],
    check: Callable[[], None] = lambda: None,
) -> list[Found]:
    """``measure(z, squares)`` of every layer, in order.

    Parameters
    ----------
    inside : callable
        From a layer's index to the bool array (y, x) of the class.
    shape_zyx : tuple of int
        Layers, rows and columns.
    unit : SquareUnit
        How squares are stored; they are exact below `unit.saturated`.
    measure : callable
        Gets the index of a layer and its squared distances (y, x), which it may not keep.
    check : callable
        Called before every chunk; may raise to cancel.
    """
    chunks = [range(z, min(z + LAYERS_PER_CHUNK, shape_zyx[0])) for z in range(0, shape_zyx[0], LAYERS_PER_CHUNK)]
    before = _nearest(inside, chunks, shape_zyx, 1)
    behind = _nearest(inside, chunks, shape_zyx, -1)

    def measured(number: int) -> list[Found]:
        check()
        squares_z = _squares_along_z(inside, chunks[number], before[number], behind[number], shape_zyx[0], unit)
        return [
            measure(z, _squares_in_plane(square, unit)) for z, square in zip(chunks[number], squares_z, strict=True)
        ]

    with ThreadPoolExecutor(min(len(chunks), MOST_THREADS, os.cpu_count() or 1)) as threads:
        return [found for part in threads.map(measured, range(len(chunks))) for found in part]


def _nearest(
    inside: Callable[[int], np.ndarray], chunks: list[range], shape_zyx: tuple[int, int, int], sense: int
) -> list[np.ndarray]:
    """For each chunk, steps (y, x) from its first layer to the nearest layer before it, in a sense, with the class.

    As many steps as there are layers, or more, stand for none.
    """
    none = shape_zyx[0]
    steps = np.full(shape_zyx[1:], none, dtype=np.int16 if none < 1 << 14 else np.int32)
    found = []
    for chunk in chunks[::sense]:
        found.append(steps.copy())
        for z in chunk[::sense]:
            steps[inside(z)] = 0
            np.minimum(steps + 1, none, out=steps)
    return found[::sense]


def _squares_along_z(
    inside: Callable[[int], np.ndarray],
    chunk: range,
    before: np.ndarray,
    behind: np.ndarray,
    none: int,
    unit: SquareUnit,
) -> Iterator[np.ndarray]:
    """Squared distances along z of the layers of a chunk; `none` steps or more stand for no voxel of the class."""
    masks = [inside(z) for z in chunk]
    down: list[np.ndarray] = []
    up: list[np.ndarray] = []
    for steps, order, out in ((before, masks, down), (behind, masks[::-1], up)):
        for mask in order:
            steps = np.where(mask, 0, steps)
            out.append(steps)
            steps = steps + 1
    table = np.minimum(np.arange(none + 1.0) ** 2 * unit.step_zyx[0], unit.saturated).astype(unit.dtype)
    table[none] = unit.saturated
    for a, b in zip(down, up[::-1], strict=True):
        yield table[np.minimum(np.minimum(a, b), none)]


def _squares_in_plane(along_z: np.ndarray, unit: SquareUnit) -> np.ndarray:
    """Squared distances (y, x) of a layer, from those along z."""
    if along_z.min() >= unit.saturated:
        return along_z
    along_y = _least_in_blocks(along_z, unit, unit.step_zyx[1])
    return _least_in_blocks(along_y.T, unit, unit.step_zyx[2]).T


def _least_in_blocks(start: np.ndarray, unit: SquareUnit, step: float) -> np.ndarray:
    """Least start value plus squared steps along the first axis, in contiguous blocks that stay in the cache."""
    out = np.empty(start.shape, dtype=unit.dtype)
    width = max(1, VALUES_PER_BLOCK // len(start))
    for first in range(0, start.shape[1], width):
        part = np.ascontiguousarray(start[:, first : first + width])
        out[:, first : first + width] = _least(part, unit, step)
    return out


def _least(start: np.ndarray, unit: SquareUnit, step: float) -> np.ndarray:
    """Least start value plus squared steps along the first axis."""
    largest, least = float(start.max()), float(start.min())
    if least >= unit.saturated or largest == least:
        return start
    out, moved = start.copy(), np.empty_like(start)
    for k in range(1, len(start)):
        square = k * k * step
        if k % STEPS_BETWEEN_LOOKS == 0:
            largest = float(out.max())
        if square + least >= largest:
            break
        np.add(start, unit.dtype.type(square), out=moved)
        np.minimum(out[k:], moved[:-k], out=out[k:])
        np.minimum(out[:-k], moved[k:], out=out[:-k])
    return out
