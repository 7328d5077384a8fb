"""Explants with cracks of a chosen width, made for Testing/Benchmarks/cracks.py; shares no code with the simulation.

The cracks are exact: radial planes that wave, shells along the surface, or walls of Voronoi cells, each a sheet whose
distance is known at every voxel, so that width and partial volume are right below the voxel too. Two families differ in
shape and in the way the scan comes about: ``painted`` (elliptic pins, grain and patches, noise in image space) and
``projected`` (rounded bars, projections with photon noise, filtered back-projection). Nothing is chosen on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from parallel_beam import project, reconstruct
from scipy import ndimage
from scipy.spatial import cKDTree

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume

VOXEL_MM = 0.02
FAMILIES = ("painted", "projected")
CRACKS = ("planes", "shells", "cells")


@dataclass(frozen=True)
class CrackedExplant:
    """A scan, its true labels with cracks as background, where the cracks are, and the noise by the contrast."""

    volume: Volume
    labels: LabelMap
    cracks: np.ndarray
    noise: float

    @property
    def without_cracks(self) -> LabelMap:
        """The true labels as a segmentation that sees no crack has them."""
        array = np.where(self.cracks, np.uint8(2), self.labels.array)
        return LabelMap(array, self.labels.geometry)


def explant(family: str, kind: str, width_voxels: float, noise: float, seed: int, size: int = 64) -> CrackedExplant:
    """One explant; `noise` is the standard deviation in the layer by the contrast of layer and background."""
    rng = np.random.default_rng([seed, 91, FAMILIES.index(family)])
    place = np.indices((size,) * 3, dtype=np.float32) - (size - 1) / 2
    depth = (_pin if family == "painted" else _bar)(rng, place, size)
    metal = depth > rng.uniform(9, 12) + 2 * _smooth(rng, size, 8)
    layer = (depth > 0) & ~metal
    part = _sheet_part(_distance(rng, kind, place, depth, size), width_voxels) * layer
    labels = (2 * layer + 3 * metal).astype(np.uint8)
    labels[(depth <= 0) & (_smooth(rng, size, 5) > 0.1) & (depth < -3 * (_smooth(rng, size, 7) > 0.3))] = 1
    cracks = part >= 0.5
    labels[cracks] = 0
    grey, contrast = _grey(rng, labels, layer, part)
    volume = Volume(_SCANS[family](rng, grey, contrast * noise), Geometry(labels.shape, (VOXEL_MM,) * 3))
    inside = ndimage.binary_erosion(layer & (part == 0), iterations=2)
    fine = volume.array - ndimage.gaussian_filter(volume.array, 1.5)
    bright, dark = (volume.array[mask].mean() for mask in (inside, labels == 0))
    measured = float(fine[inside].std() / (bright - dark))
    return CrackedExplant(volume, LabelMap(labels, volume.geometry), cracks, measured)


def _smooth(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.standard_normal((size,) * 3, dtype=np.float32), sigma, mode="wrap")
    return field / field.std()


def _pin(rng: np.random.Generator, place: np.ndarray, size: int) -> np.ndarray:
    """Depth below the surface in voxels of an elliptic pin, leaning."""
    z, y, x = place
    lean_y, lean_x = rng.uniform(-0.15, 0.15, 2)
    wide, narrow = rng.uniform(0.3, 0.38) * size, rng.uniform(0.26, 0.3) * size
    y, x = y - lean_y * z, x - lean_x * z
    body = (np.hypot(y / wide, x / narrow) < 1) & (np.abs(z) < 0.42 * size)
    return ndimage.distance_transform_edt(body) - ndimage.distance_transform_edt(~body)


def _bar(rng: np.random.Generator, place: np.ndarray, size: int) -> np.ndarray:
    """Depth below the surface in voxels of a bar with rounded edges, turned about its axis, through the volume."""
    _z, y, x = place
    turn, half = rng.uniform(0, np.pi / 2), rng.uniform(0.24, 0.29) * size
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    corner = 0.35 * half
    outside = np.hypot(np.maximum(np.abs(u) - half + corner, 0), np.maximum(np.abs(v) - half + corner, 0))
    inner = np.minimum(np.maximum(np.abs(u), np.abs(v)) - half + corner, 0)
    return corner - outside - inner


def _distance(rng: np.random.Generator, kind: str, place: np.ndarray, depth: np.ndarray, size: int) -> np.ndarray:
    """Distance in voxels from the nearest crack's middle; large where there is none."""
    far = np.full(depth.shape, 1e3, np.float32)
    if kind == "shells":
        wave = 3.5 + 1.0 * _smooth(rng, size, 7)
        return np.where(_smooth(rng, size, 9) > -0.2, np.abs(depth - wave), far)
    if kind == "cells":
        points = rng.uniform(0, size, (int((size / 17) ** 3), 3))
        where = np.argwhere(depth > 0)
        _, nearest = cKDTree(points).query(where, k=2)
        one, two = points[nearest[:, 0]], points[nearest[:, 1]]
        gap = ((where - two) ** 2).sum(1) - ((where - one) ** 2).sum(1)
        far[depth > 0] = gap / (2 * np.linalg.norm(one - two, axis=1))
        return np.where(_smooth(rng, size, 10) > -0.2, far, 1e3)
    for _ in range(7):
        turn, lean = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
        normal = np.array([lean, np.cos(turn), np.sin(turn)]) / np.hypot(1, lean)
        across = np.tensordot(normal, place, 1) + 1.2 * _smooth(rng, size, 9)
        ahead = place[2] * np.cos(turn) - place[1] * np.sin(turn) > 0
        far = np.where(ahead, np.minimum(far, np.abs(across)), far)
    return far


def _sheet_part(distance: np.ndarray, width: float) -> np.ndarray:
    """The part of each voxel that a sheet of that width fills."""
    return np.clip(np.minimum(distance + width / 2, 0.5) - np.maximum(distance - width / 2, -0.5), 0, 1)


def _grey(
    rng: np.random.Generator, labels: np.ndarray, layer: np.ndarray, part: np.ndarray
) -> tuple[np.ndarray, float]:
    """Grey values with partial volume of the cracks, 1 for metal, and the contrast of layer and background."""
    size = len(labels)
    tissue, bone, dense = rng.uniform(0.1, 0.3), rng.uniform(0.9, 1.1), rng.uniform(0.8, 1.1)
    matter = np.where(layer, 2, labels)
    grey = np.array([tissue, bone, dense, 1.0], np.float32)[matter]
    grain = rng.uniform(0.01, 0.05) * _smooth(rng, size, 1.2) + rng.uniform(0.02, 0.06) * _smooth(rng, size, 5)
    grey = grey * (1 + np.array([0.05, 0.5, 1.0, 0.2])[matter] * grain)
    filling = tissue + rng.uniform(0, 0.15) * (dense - tissue)
    return (grey + part * (filling - grey)).astype(np.float32), dense - tissue


def _painted(rng: np.random.Generator, grey: np.ndarray, noise: float) -> np.ndarray:
    grey = ndimage.gaussian_filter(grey, rng.uniform(0.4, 0.8))
    grain = ndimage.gaussian_filter(rng.standard_normal(grey.shape), 0.4)
    return (20000 * (grey + noise * grain / grain.std())).astype(np.float32)


def _projected(rng: np.random.Generator, grey: np.ndarray, noise: float) -> np.ndarray:
    """Projections with noise that gives the wanted noise after the reconstruction."""
    grey = ndimage.gaussian_filter(grey, rng.uniform(0.3, 0.6))
    y, x = np.ogrid[: grey.shape[1], : grey.shape[2]]
    middle = (grey.shape[1] - 1) / 2
    lines = project(grey * (np.hypot(y - middle, x - middle) < 0.49 * grey.shape[1]), 2 * len(grey))
    white = rng.standard_normal(lines.shape).astype(np.float32)
    clean, grain = (reconstruct(data.astype(np.float32), "cosine") for data in (lines, white))
    return 3 * (clean + noise * grain / grain[:, 25:-25, 25:-25].std())


_SCANS = {"painted": _painted, "projected": _projected}
