"""Thickness of a structure at every voxel: the diameter of the largest sphere inside it that holds the voxel."""

from __future__ import annotations

import numpy as np

from MgImplantSegLib.events import Events
from MgImplantSegLib.quantification.boxes import bounding_box, grown
from MgImplantSegLib.quantification.distance import distance_to_mm

LEVELS = 32
ROUNDING = 1e-5


def local_thickness_mm(
    mask: np.ndarray, spacing_zyx_mm: tuple[float, float, float], events: Events | None = None, stage: str = "thickness"
) -> np.ndarray:
    """Diameter in mm of the largest sphere that fits in the mask and holds the voxel; float32, 0 outside the mask.

    T. Hildebrand and P. Rüegsegger, "A new method for the model-independent assessment of thickness in
    three-dimensional images", Journal of Microscopy 185 (1997). A sphere's radius is the distance of its centre voxel
    to the nearest voxel outside, as in other programs, so a plate along the grid reads right to one voxel. What lies
    beyond the array does not bound a sphere. More than `LEVELS` different radii are sorted into as many steps, each of
    which stands for its mean.

    Parameters
    ----------
    mask : bool array (z, y, x)
        The structure.
    spacing_zyx_mm : tuple of float
        Distance of the voxel centres.
    events : Events, optional
        Progress and cancellation.
    stage : str
        Name of the work in the progress.
    """
    thickness_mm = np.zeros(mask.shape, dtype=np.float32)
    radius_mm = distance_to_mm(~mask, spacing_zyx_mm)
    radius_mm[np.isinf(radius_mm)] = 0
    levels = _levels(radius_mm[mask])
    with (events or Events()).task(stage, max(1, len(levels))) as task:
        for low_mm, level_mm in levels:
            _paint(thickness_mm, radius_mm >= low_mm, level_mm, spacing_zyx_mm)
            task.advance()
    thickness_mm[~mask] = 0
    return thickness_mm


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


def _paint(thickness_mm: np.ndarray, centres: np.ndarray, radius_mm: float, spacing_zyx_mm: tuple[float, ...]) -> None:
    """Set the diameter in all spheres around the centres, over what was set for smaller ones."""
    margin = tuple(int(np.ceil(radius_mm / spacing)) for spacing in spacing_zyx_mm)
    box = grown(bounding_box(centres), margin, centres.shape)
    inside = distance_to_mm(centres[box], spacing_zyx_mm) < radius_mm * (1 - ROUNDING)
    thickness_mm[box][inside] = 2 * radius_mm
