"""A first look at a large scan: some slices, averaged to a small volume, and grey values for percentiles.

Every step-th slice is read, so files with single slices are looked through in seconds; a compressed file is read to its
end. Of each slice the averages over squares of pixels are kept, and every so-many-th pixel as it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.boxes import Box
from MgImplantSegLib.grids.resample import corner_aligned
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.preprocessing.given_back import GivenBack

MOST_SLICES, MOST_PIXELS = 144, 160
VALUES_ACROSS = 256
DISC = 0.9


@dataclass(frozen=True)
class CoarseLook:
    """What was seen.

    Parameters
    ----------
    volume : Volume
        Averages, float32, NaN where nothing was scanned; its grid fills the scan's from corner to corner.
    values : np.ndarray
        Grey values as they are (slice, row, column), float32, spread evenly over the scan.
    seconds_per_slice : float
        Time that reading a slice has taken.
    """

    volume: Volume
    values: np.ndarray
    seconds_per_slice: float

    def percentiles(self, percents: tuple[float, float], box: Box, shape_zyx: tuple[int, int, int]) -> list[float]:
        """Percentiles of the grey values that were scanned inside a box of the scan's voxels.

        Raises InputError if there are no such values, or all are the same.
        """
        parts = [
            slice(int(part.start * n // size), max(int(part.start * n // size) + 1, -(-part.stop * n // size)))
            for part, n, size in zip(box, self.values.shape, shape_zyx, strict=True)
        ]
        values = self.values[tuple(parts)]
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, percents) if values.size else (0.0, 0.0)
        if not high > low:
            got = f"{low:g} at both percentiles {percents[0]:g} and {percents[1]:g}" if values.size else "no numbers"
            raise InputError(
                f"Expected grey values that differ, got {got}.",
                "Choose the scan, not a mask or an empty volume, or other percentiles [[percentiles]].",
            )
        return [float(low), float(high)]


def coarse_look(scan: Volume, events: Events) -> CoarseLook:
    """Look at some slices of a scan. Raises InputError if the file is damaged; Cancelled if the user asks to stop."""
    shape = scan.array.shape
    count = min(shape[0], MOST_SLICES)
    edges = [_edges(n, min(n, MOST_PIXELS)) for n in shape[1:]]
    picked = [_centres(n, min(n, VALUES_ACROSS)) for n in shape[1:]]
    coarse = np.empty((count, *(len(starts) - 1 for starts in edges)), np.float32)
    values = np.empty((count, *map(len, picked)), np.float32)
    start, source = time.monotonic(), GivenBack(scan.array)
    with events.task("looking at the scan", count) as task:
        for index, z in enumerate(_centres(shape[0], count)):
            image = source[int(z)]
            with np.errstate(over="ignore", invalid="ignore"):
                values[index] = image[np.ix_(*picked)]
                coarse[index] = _averages(image, edges)
            task.advance()
    _remove_padding(coarse, values)
    seconds = (time.monotonic() - start) / count
    return CoarseLook(Volume(coarse, _grid(scan.geometry, coarse.shape), scan.spacing_is_known), values, seconds)


def _edges(size: int, count: int) -> np.ndarray:
    """Where `count` nearly equal parts of `size` pixels begin, and the end."""
    return np.arange(count + 1) * size // count


def _centres(size: int, count: int) -> np.ndarray:
    """The indices nearest to the centres of `count` equal parts."""
    return ((np.arange(count) + 0.5) * size / count).astype(np.int64)


def _averages(image: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    """Means over rectangles of pixels; NaN where one of them is NaN."""
    rows, columns = (starts[:-1] for starts in edges)
    sums = np.add.reduceat(image, rows, axis=0, dtype=np.float32)
    sums = np.add.reduceat(sums, columns, axis=1, dtype=np.float32)
    areas = np.diff(edges[0])[:, None] * np.diff(edges[1])
    return sums / areas.astype(np.float32)


def _remove_padding(coarse: np.ndarray, values: np.ndarray) -> None:
    """Set to NaN what programs write outside the round field of view: one value in all slices, around a disc only."""
    padding = values[0, 0, 0]
    if not (values[:, [0, 0, -1, -1], [0, -1, 0, -1]] == padding).all():
        return
    if _reaches_into_disc((values == padding).all(axis=0)):
        return  # air that a program has set to one value
    for array in (coarse, values):
        same = np.isclose(array, padding, rtol=1e-5, atol=0).all(axis=0)
        array[:, same] = np.nan


def _reaches_into_disc(mask: np.ndarray) -> bool:
    """Whether a mask (y, x) is True somewhere in the middle, well inside the inscribed ellipse."""
    y, x = (np.linspace(-1, 1, n) for n in mask.shape)
    return bool(mask[y[:, None] ** 2 + x**2 < DISC**2].any())


def _grid(geometry: Geometry, shape: tuple[int, int, int]) -> Geometry:
    """The grid of so many voxels over the same field."""
    spacing = triple(edge / n for edge, n in zip(geometry.extent_zyx_mm, shape, strict=True))
    return corner_aligned(geometry, spacing, shape)
