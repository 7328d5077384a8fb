"""Surface from Crofton's formula: how often parallel lines in 13 directions cross a surface."""

from __future__ import annotations

import itertools

import numpy as np

from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.quantification.surfaces.voxel_faces import neighbour_pairs

DIRECTIONS_ZYX = tuple(triple(offset) for offset in itertools.product((-1, 0, 1), repeat=3) if offset > (0, 0, 0))


def half_neighbourhood(neighbours: int) -> tuple[tuple[int, int, int], ...]:
    """One offset (z, y, x) of each pair of opposite neighbours, for 6, 18 or 26 neighbours."""
    steps = {6: 1, 18: 2, 26: 3}[neighbours]
    return tuple(offset for offset in DIRECTIONS_ZYX if sum(map(abs, offset)) <= steps)


def crossing_areas_mm2(spacing_zyx_mm: tuple[float, float, float]) -> dict[tuple[int, int, int], float]:
    """Area in mm² that one crossing between neighbours stands for, per direction of `DIRECTIONS_ZYX`.

    S = 2 · Σ_k w_k · N_k · v / |d_k|, with N_k the crossings along direction k, v the voxel volume, |d_k| the distance
    of the neighbours, and w_k the part of the sphere nearest to ±d_k (Lehmann and Legland, "Efficient N-dimensional
    surface estimation using Crofton formula and run-length encoding", Insight Journal 2012).
    """
    from scipy.spatial import SphericalVoronoi

    steps_mm = np.array(DIRECTIONS_ZYX) * np.array(spacing_zyx_mm)
    lengths_mm = np.linalg.norm(steps_mm, axis=1)
    directions = steps_mm / lengths_mm[:, None]
    voronoi = SphericalVoronoi(np.concatenate([directions, -directions]))
    weights = voronoi.calculate_areas()[: len(directions)] * 2 / (4 * np.pi)
    areas = 2 * weights * np.prod(spacing_zyx_mm) / lengths_mm
    return dict(zip(DIRECTIONS_ZYX, areas.tolist(), strict=True))


def crofton_area_mm2(mask: np.ndarray, counted: np.ndarray, spacing_zyx_mm: tuple[float, float, float]) -> float:
    """Crofton's estimate of a mask's surface, from neighbours that are both counted."""
    total = 0.0
    for offset, area in crossing_areas_mm2(spacing_zyx_mm).items():
        for first, second in neighbour_pairs(mask.shape, offset):
            total += area * np.count_nonzero((mask[first] != mask[second]) & counted[first] & counted[second])
    return total
