"""Explants that the project's own simulation did not make, to see how a model copes with another look.

Voxel-painted screws in a real scan of trabecular bone (Resources/SampleData) or in foam-like bone, scanned as a
parallel-beam tomograph does it: projections, photon noise, uneven detector pixels, filtered back-projection. It
shares no code with `MgImplantSegLib.simulation`. Never train or choose on these explants.
"""

from __future__ import annotations

import numpy as np
from parallel_beam import project, reconstruct
from scipy import ndimage
from scipy.spatial import cKDTree

from MgImplantSegLib.base.resources import resource
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import read_volume

LARGEST, LHDL_UM = 144, 19.5
ABSORPTION_PER_MM = 0.29


def explant(seed: int, size: int = LARGEST, spacing_um: float = 20.0) -> tuple[Volume, LabelMap]:
    """Scan and true label map of one explant, a cube of `size` voxels; even seeds have real bone."""
    rng = np.random.default_rng(seed)
    voxel_mm = spacing_um / 1000
    screw = _screw(rng, size, voxel_mm)
    labels = _corroded(screw, voxel_mm, rng)
    bone = _real_bone(rng, size, spacing_um) if seed % 2 == 0 else _foam(rng, size, voxel_mm)
    away_mm = ndimage.distance_transform_edt(~screw) * voxel_mm
    patches = _smooth(rng, size, 0.2 / voxel_mm)
    bone &= ~screw & ~((away_mm < 0.06) & (patches > np.quantile(patches, 0.6)))
    labels[bone] = 1
    y, x = np.ogrid[:size, :size]
    view = np.hypot(y - (size - 1) / 2, x - (size - 1) / 2) < 0.49 * size
    labels[:, ~view] = 0
    grey = _grey(labels, rng) * view
    geometry = Geometry(labels.shape, (voxel_mm,) * 3)
    return Volume(_scanned(grey, voxel_mm, rng), geometry), LabelMap(labels, geometry)


def _smooth(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.normal(size=(size,) * 3), sigma)
    return field / field.std()


def _screw(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    z, y, x = (np.indices((size,) * 3) - (size - 1) / 2) * voxel_mm
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    largest = 0.33 * size * voxel_mm
    outer, pitch, depth = rng.uniform(0.5, 0.95) * largest / 0.95, rng.uniform(0.3, 0.5), rng.uniform(0.08, 0.2)
    ridge = np.clip(1.5 * np.abs(((z / pitch + angle / (2 * np.pi)) % 1) * 2 - 1) - 0.2, 0, 1)
    return (radius < outer - depth + depth * ridge) & (np.abs(z) < 0.4 * size * voxel_mm)


def _corroded(screw: np.ndarray, voxel_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Label map with layer and metal; some have cracks, which are background."""
    size = len(screw)
    variation = _smooth(rng, size, 0.16 / voxel_mm)
    depth_mm = np.maximum(rng.uniform(0.06, 0.16) * (1 + 0.3 * variation), 0.02)
    metal = ndimage.distance_transform_edt(screw) * voxel_mm > depth_mm
    layer = screw & ~metal
    if rng.random() < 0.6:
        layer &= ~((np.abs(_smooth(rng, size, 0.12 / voxel_mm)) < 0.03) & (variation > 0))
    return (2 * layer + 3 * metal).astype(np.uint8)


def _real_bone(rng: np.random.Generator, size: int, spacing_um: float) -> np.ndarray:
    """A piece of the scan on the explant's grid; where the piece is too large, its mirror image goes on."""
    scan = read_volume(resource("SampleData", "lhdl_trabecular_bone_19p5um.nrrd")).array
    bone = ndimage.gaussian_filter(scan.astype(np.float32), 1)
    steps = np.arange(size) * spacing_um / LHDL_UM
    spare = max(1.0, scan.shape[0] - steps[-1])
    places = [(start + steps).round().astype(int) for start in rng.uniform(0, spare, 3)]
    mirrored = [np.where(p % 398 < 200, p % 398, 398 - p % 398) for p in places]
    return bone[np.ix_(*mirrored)] > 80.9


def _foam(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    """Walls between the cells around random points, and a slab of solid bone."""
    places = np.indices((size,) * 3).reshape(3, -1).T
    nearest = cKDTree(rng.uniform(0, size, (60, 3))).query(places, k=2)[0]
    walls = np.diff(nearest, axis=1).reshape((size,) * 3) < rng.uniform(0.06, 0.14) / voxel_mm
    x, start = np.arange(size), rng.uniform(0, size)
    return walls | ((x > start) & (x < start + 0.8 / voxel_mm))


def _grey(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    layer = rng.uniform(0.7, 0.9) if rng.random() < 0.6 else rng.uniform(1.08, 1.25)
    values = np.array([rng.uniform(0.1, 0.3), rng.uniform(0.9, 1.1), layer, 1.0])
    texture = np.array([0, 0.03, 0.05, 0])
    grey = values[labels] * (1 + texture[labels] * _smooth(rng, len(labels), 1.2))
    grey = ndimage.gaussian_filter(grey, 0.6)
    return grey + rng.uniform(0, 1) * (grey - ndimage.gaussian_filter(grey, 1))


def _scanned(grey: np.ndarray, voxel_mm: float, rng: np.random.Generator) -> np.ndarray:
    lines = project(grey, 2 * len(grey)) * ABSORPTION_PER_MM * voxel_mm
    photons = rng.uniform(1e5, 4e5, (len(grey), 1, 1))
    counts = np.maximum(rng.poisson(photons * np.exp(-lines)), 1)
    measured = -np.log(counts / photons) + rng.normal(0, 0.002, (len(grey), 1, len(grey)))
    return reconstruct(measured.astype(np.float32), "cosine") / (ABSORPTION_PER_MM * voxel_mm)
