"""Explants that the project's own simulation did not make, to see how a model copes with another look.

Voxel-painted screws in a real scan of trabecular bone (Resources/SampleData) or in foam-like bone, scanned as a
parallel-beam tomograph does it: projections, photon noise, uneven detector pixels, filtered back-projection. It
shares no code with `MgImplantSegLib.simulation`. Needs scikit-image: ``pip install scikit-image``.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.transform import iradon, radon

from MgImplantSegLib.io import read_volume
from MgImplantSegLib.resources import resource
from MgImplantSegLib.volume import Geometry, LabelMap, Volume

SIZE, SPACING_MM = 144, 0.02
ABSORPTION_PER_MM = 0.29
ANGLES = 360


def make_explant(seed: int) -> tuple[Volume, LabelMap]:
    """Scan and true label map of one explant; even seeds have real bone."""
    rng = np.random.default_rng(seed)
    screw = _screw(rng)
    labels = _corroded(screw, rng)
    bone = _real_bone(rng) if seed % 2 == 0 else _foam(rng)
    away_mm = ndimage.distance_transform_edt(~screw) * SPACING_MM
    patches = _smooth(rng, 10)
    bone &= ~screw & ~((away_mm < 0.06) & (patches > np.quantile(patches, 0.6)))
    labels[bone] = 1
    y, x = np.ogrid[:SIZE, :SIZE]
    view = np.hypot(y - (SIZE - 1) / 2, x - (SIZE - 1) / 2) < 0.49 * SIZE
    labels[:, ~view] = 0
    grey = _grey(labels, rng) * view
    scan = np.stack([_scanned(piece, rng) for piece in grey]).astype(np.float32)
    geometry = Geometry(labels.shape, (SPACING_MM,) * 3)
    return Volume(scan, geometry), LabelMap(labels, geometry)


def _smooth(rng: np.random.Generator, sigma: float) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.normal(size=(SIZE,) * 3), sigma)
    return field / field.std()


def _screw(rng: np.random.Generator) -> np.ndarray:
    z, y, x = (np.indices((SIZE,) * 3) - (SIZE - 1) / 2) * SPACING_MM
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    outer, pitch, depth = rng.uniform(0.5, 0.95), rng.uniform(0.3, 0.5), rng.uniform(0.08, 0.2)
    ridge = np.clip(1.5 * np.abs(((z / pitch + angle / (2 * np.pi)) % 1) * 2 - 1) - 0.2, 0, 1)
    return (radius < outer - depth + depth * ridge) & (np.abs(z) < SIZE * SPACING_MM / 2 - 0.3)


def _corroded(screw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Label map with layer and metal; some have cracks, which are background."""
    variation = _smooth(rng, 8)
    depth_mm = np.maximum(rng.uniform(0.06, 0.16) * (1 + 0.3 * variation), 0.02)
    metal = ndimage.distance_transform_edt(screw) * SPACING_MM > depth_mm
    layer = screw & ~metal
    if rng.random() < 0.6:
        layer &= ~((np.abs(_smooth(rng, 6)) < 0.03) & (variation > 0))
    return (2 * layer + 3 * metal).astype(np.uint8)


def _real_bone(rng: np.random.Generator) -> np.ndarray:
    scan = read_volume(resource("SampleData", "lhdl_trabecular_bone_19p5um.nrrd")).array
    start = rng.integers(0, scan.shape[0] - SIZE + 1, 3)
    piece = scan[tuple(slice(s, s + SIZE) for s in start)]
    return ndimage.gaussian_filter(piece.astype(float), 1) > 80.9


def _foam(rng: np.random.Generator) -> np.ndarray:
    """Walls between the cells around random points, and a slab of solid bone."""
    indices = np.indices((SIZE,) * 3)
    nearest = np.full((SIZE,) * 3, np.inf)
    second = nearest.copy()
    for point in rng.uniform(0, SIZE, (60, 3)):
        distance = np.sqrt(((indices - point[:, None, None, None]) ** 2).sum(axis=0))
        second = np.minimum(second, np.maximum(nearest, distance))
        nearest = np.minimum(nearest, distance)
    start = rng.uniform(0, SIZE)
    return (second - nearest < rng.uniform(3, 7)) | ((indices[2] > start) & (indices[2] < start + 40))


def _grey(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    layer = rng.uniform(0.7, 0.9) if rng.random() < 0.6 else rng.uniform(1.08, 1.25)
    values = np.array([rng.uniform(0.1, 0.3), rng.uniform(0.9, 1.1), layer, 1.0])
    texture = np.array([0, 0.03, 0.05, 0])
    grey = values[labels] * (1 + texture[labels] * _smooth(rng, 1.2))
    grey = ndimage.gaussian_filter(grey, 0.6)
    return grey + rng.uniform(0, 1) * (grey - ndimage.gaussian_filter(grey, 1))


def _scanned(piece: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    angles = np.linspace(0, 180, ANGLES, endpoint=False)
    line_integral = radon(piece, angles) * ABSORPTION_PER_MM * SPACING_MM
    photons = rng.uniform(1e5, 4e5)
    counts = np.maximum(rng.poisson(photons * np.exp(-line_integral)), 1)
    measured = -np.log(counts / photons) + rng.normal(0, 0.002, (len(line_integral), 1))
    return iradon(measured, angles, filter_name="cosine") / (ABSORPTION_PER_MM * SPACING_MM)
