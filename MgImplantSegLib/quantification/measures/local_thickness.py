"""Thickness of a structure at every voxel: the diameter of the largest sphere inside it that holds the voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.boxes import bounding_box, grown
from MgImplantSegLib.quantification.measures.distance import distance_to_mm

LEVELS = 32
ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Thickness:
    """Thickness of a structure where it is bounded.

    Parameters
    ----------
    diameter_mm : float32 array (z, y, x)
        Diameter of the largest sphere that holds the voxel; 0 outside the structure, and where there is none.
    is_cut : bool array (z, y, x)
        True where a larger sphere, which is not known to its end, holds the voxel too.
    """

    diameter_mm: np.ndarray
    is_cut: np.ndarray


def local_thickness_mm(
    mask: np.ndarray, spacing_zyx_mm: tuple[float, float, float], events: Events | None = None, stage: str = "thickness"
) -> np.ndarray:
    """Diameter in mm of the largest sphere that fits in the mask and holds the voxel; float32, 0 outside the mask.

    What lies beyond the array does not bound a sphere; `thickness_of` says which spheres this concerns.

    Parameters
    ----------
    mask : bool array (z, y, x)
        The structure.
    spacing_zyx_mm : tuple of float
        Distance of the voxel centres.
    """
    no_end_mm = np.full((1, 1, 1), np.inf)
    return thickness_of(mask, ~mask, no_end_mm, spacing_zyx_mm, events, stage).diameter_mm


def thickness_of(
    mask: np.ndarray,
    bounds: np.ndarray,
    end_mm: np.ndarray,
    spacing_zyx_mm: tuple[float, float, float],
    events: Events | None = None,
    stage: str = "thickness",
) -> Thickness:
    """Thickness by spheres that are known to their end.

    T. Hildebrand and P. Rüegsegger, "A new method for the model-independent assessment of thickness in
    three-dimensional images", Journal of Microscopy 185 (1997). A sphere's radius is the distance of its centre voxel
    to the nearest voxel outside, as in other programs, so a plate along the grid reads right to one voxel. More than
    `LEVELS` different radii are sorted into as many steps, each of which stands for its mean.

    Parameters
    ----------
    mask : bool array (z, y, x)
        The structure.
    bounds : bool array (z, y, x)
        What bounds its spheres.
    end_mm : float array (z, y, x)
        Distance of every voxel's centre from what is not known, where the structure may continue; infinite if all is.
    spacing_zyx_mm : tuple of float
        Distance of the voxel centres.
    """
    diameter_mm, cut_mm = np.zeros((2, *mask.shape), dtype=np.float32)
    radius_mm = np.where(mask, distance_to_mm(bounds, spacing_zyx_mm), np.float32(0))
    cut = radius_mm > end_mm * (1 + ROUNDING)
    radius_mm[np.isinf(radius_mm) & ~cut] = 0
    radius_mm[np.isinf(radius_mm)] = np.linalg.norm(np.array(mask.shape) * spacing_zyx_mm)
    levels = _levels(radius_mm[mask & ~cut])
    larger = radius_mm[cut & (radius_mm > (levels[-1][1] if levels else 0) * (1 + ROUNDING))]
    with (events or Events()).task(stage, max(1, len(levels))) as task:
        for low_mm, level_mm in levels:
            centres = radius_mm >= low_mm
            _paint(diameter_mm, centres & ~cut, level_mm, spacing_zyx_mm)
            _paint(cut_mm, centres & cut, level_mm, spacing_zyx_mm)
            task.advance()
        for low_mm, level_mm in _levels(larger):
            _paint(cut_mm, cut & (radius_mm >= low_mm), level_mm, spacing_zyx_mm)
    diameter_mm[~mask] = 0
    return Thickness(diameter_mm, mask & (cut_mm > diameter_mm))


def _levels(radii_mm: np.ndarray) -> list[tuple[float, float]]:
    """Steps of radii, from small to large: where each begins, and the mean radius in it."""
    if radii_mm.size == 0 or radii_mm.max() == 0:
        return []
    distinct_mm = np.unique(radii_mm)
    if distinct_mm.size <= LEVELS:
        return [(float(radius), float(radius)) for radius in distinct_mm]
    edges = np.linspace(radii_mm.min(), radii_mm.max(), LEVELS + 1)
    step = np.minimum(np.searchsorted(edges, radii_mm, side="right") - 1, LEVELS - 1)
    counts, sums = np.bincount(step, minlength=LEVELS), np.bincount(step, radii_mm, minlength=LEVELS)
    levels = [(float(edges[k]), float(sums[k] / counts[k])) for k in np.flatnonzero(counts)]
    return [*levels[:-1], (levels[-1][0], float(radii_mm.max()))]


def _paint(
    diameter_mm: np.ndarray, centres: np.ndarray, radius_mm: float, spacing_zyx_mm: tuple[float, float, float]
) -> None:
    """Set the diameter in all spheres around the centres, over what was set for smaller ones."""
    found = bounding_box(centres)
    if found is None:
        return
    margin = triple(int(np.ceil(radius_mm / spacing)) for spacing in spacing_zyx_mm)
    box = grown(found, margin, centres.shape)
    inside = distance_to_mm(centres[box], spacing_zyx_mm) < radius_mm * (1 - ROUNDING)
    diameter_mm[box][inside] = 2 * radius_mm
