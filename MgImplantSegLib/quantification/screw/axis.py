"""The screw axis: where it lies, and how far along it a voxel is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.slabs import slabs
from MgImplantSegLib.grids.volume import Geometry

STEP_ROUNDING = 1e-6


@dataclass(frozen=True)
class ScrewAxis:
    """A line in LPS space: a point in mm and a unit direction; `sizes_mm` are those of the body it was found for."""

    centre_lps_mm: tuple[float, float, float]
    direction_lps: tuple[float, float, float]
    sizes_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def position_mm(self, position_lps_mm: np.ndarray) -> np.ndarray:
        """How far along the axis positions (..., 3) in LPS mm lie; 0 at the centre."""
        return (np.asarray(position_lps_mm) - self.centre_lps_mm) @ np.array(self.direction_lps)

    def ramp(self, geometry: Geometry) -> tuple[np.ndarray, float]:
        """Change per voxel along z, y, x of the position on the axis in mm, and the position of voxel (0, 0, 0)."""
        per_xyz = np.array(self.direction_lps) @ geometry.index_xyz_to_lps_mm[:3, :3]
        return per_xyz[::-1], float(self.position_mm(np.array(geometry.origin_lps_mm)))

    def positions_mm(self, geometry: Geometry) -> np.ndarray:
        """Position on the axis of every voxel of a grid (z, y, x), in mm."""
        per_zyx, start = self.ramp(geometry)
        z, y, x = (step * np.arange(n) for step, n in zip(per_zyx, geometry.shape_zyx, strict=True))
        return (start + z)[:, None, None] + y[:, None] + x

    def slab_positions_mm(self, geometry: Geometry) -> Iterator[tuple[slice, np.ndarray]]:
        """Slabs of a grid along its first axis, with the positions of their voxels."""
        for part in slabs(geometry.shape_zyx):
            shape = (part.stop - part.start, *geometry.shape_zyx[1:])
            yield part, self.positions_mm(geometry.cropped((part.start, 0, 0), shape))

    def between(self, geometry: Geometry, low_mm: float, high_mm: float) -> np.ndarray:
        """Boolean array (z, y, x), True where low ≤ position ≤ high."""
        inside = np.ones(geometry.shape_zyx, dtype=bool)
        if np.isfinite(low_mm) or np.isfinite(high_mm):
            for part, along_mm in self.slab_positions_mm(geometry):
                inside[part] = (along_mm >= low_mm) & (along_mm <= high_mm)
        return inside

    def profile(self, mask: np.ndarray, geometry: Geometry, step_mm: float) -> tuple[float, np.ndarray]:
        """Voxels of a mask (z, y, x) in each step along the axis: where the first step begins in mm, and the counts.

        A voxel is shared by the two steps whose middles it lies between, so that steps of about a voxel are smooth. The
        steps lie symmetrically about the middle of the grid, so that it does not matter which end is the first.
        """
        low_mm, high_mm = self._range_mm(geometry)
        steps = int(np.ceil((high_mm - low_mm) / step_mm - STEP_ROUNDING)) + 2
        start_mm = (low_mm + high_mm - steps * step_mm) / 2
        counts = np.zeros(steps)
        for part, along_mm in self.slab_positions_mm(geometry):
            position = along_mm[mask[part]]
            position -= start_mm
            position /= step_mm
            position -= 0.5
            low = position.astype(np.int64)  # all positions are above 0
            position -= low
            above = np.bincount(low, position, minlength=counts.size)
            counts += np.bincount(low, minlength=counts.size) - above
            counts[1:] += above[:-1]
        return start_mm, counts

    def ends_mm(self, mask: np.ndarray, geometry: Geometry) -> tuple[float, float]:
        """Where a mask (z, y, x) with at least one voxel begins and ends along the axis, half a voxel included."""
        low_mm, high_mm = np.inf, -np.inf
        for part, along_mm in self.slab_positions_mm(geometry):
            found = along_mm[mask[part]]
            if found.size:
                low_mm, high_mm = min(low_mm, float(found.min())), max(high_mm, float(found.max()))
        half_mm = float(np.abs(self.ramp(geometry)[0]).max()) / 2
        return low_mm - half_mm, high_mm + half_mm

    def _range_mm(self, geometry: Geometry) -> tuple[float, float]:
        """Least and greatest position of the voxel centres of a grid."""
        ends = np.array(np.meshgrid(*[(0, n - 1) for n in geometry.shape_zyx], indexing="ij")).reshape(3, -1).T
        corners_mm = self.position_mm(geometry.lps_from_index_zyx(ends))
        return float(corners_mm.min()), float(corners_mm.max())


def screw_axis(
    mask: np.ndarray, geometry: Geometry, direction_lps: tuple[float, float, float] | None = None
) -> ScrewAxis:
    """The axis through a mask's centre of mass.

    The direction is the principal axis whose second moment differs most from the two others, so that it is found for
    long and for flat bodies. Its largest component is positive, so that it does not depend on the array's axes.

    Parameters
    ----------
    mask : bool array (z, y, x)
        The body; at least one voxel.
    direction_lps : tuple of float, optional
        Given direction of any length; then only the centre is computed.
    """
    centre_lps, covariance = moments_lps(mask, geometry)
    direction = _distinct_axis(covariance) if direction_lps is None else np.array(direction_lps, dtype=float)
    return ScrewAxis(tuple(centre_lps), tuple(direction / np.linalg.norm(direction)), principal_sizes_mm(covariance))


def principal_sizes_mm(covariance_mm2: np.ndarray) -> tuple[float, float, float]:
    """Edges, largest first, of the box that has this covariance (3, 3) of its points."""
    variances = np.maximum(np.linalg.eigvalsh(covariance_mm2)[::-1], 0.0)
    return triple(float(edge) for edge in np.sqrt(12 * variances))


def _distinct_axis(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    smallest, middle, largest = np.maximum(values, 1e-12 * max(values[-1], 1e-30))
    direction = vectors[:, 2] if largest / middle >= middle / smallest else vectors[:, 0]
    return direction * np.sign(direction[np.abs(direction).argmax()])


def moments_lps(mask: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Centre of mass in LPS mm and covariance in mm² of a mask's voxels."""
    middle = (np.array(mask.shape) - 1) / 2
    index = [np.arange(n) - half for n, half in zip(mask.shape, middle, strict=True)]
    count, first, second = np.count_nonzero(mask), np.zeros(3), np.zeros((3, 3))
    for one, other in ((0, 1), (1, 2), (2, 0)):
        projection = np.count_nonzero(mask, axis=3 - one - other)
        projection = projection if one < other else projection.T  # (one, other)
        first[one] = index[one] @ projection.sum(axis=1)
        second[one, one] = index[one] ** 2 @ projection.sum(axis=1)
        second[one, other] = second[other, one] = index[one] @ projection @ index[other]
    mean = first / count
    covariance_zyx = second / count - np.outer(mean, mean) + np.eye(3) / 12  # a voxel is no point
    to_lps = geometry.index_xyz_to_lps_mm[:3, :3][:, ::-1]
    return geometry.lps_from_index_zyx(mean + middle), to_lps @ covariance_zyx @ to_lps.T
