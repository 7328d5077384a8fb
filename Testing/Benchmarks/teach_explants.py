"""Explants made for Testing/Benchmarks/teach.py and used for nothing else, least of all for training.

Grooved pins and screwed plates in sheet-like bone, scanned by an imaginary laboratory scanner: cupping, dark streaks
between dense parts, ringing of a sharp reconstruction filter, noise that depends on the signal, a bent grey-value
curve. Shares no code with the project's simulation nor with the other explants.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume

SPACING_MM = 0.02


def make_explant(seed: int, look: int, size: int) -> tuple[Volume, LabelMap]:
    """Scan and true label map of one explant; its shape is drawn from `seed`, the scanner and alloy from `look`."""
    rng, scanner = np.random.default_rng([seed, 31]), np.random.default_rng([look, 32])
    z, y, x = (np.indices((size,) * 3) - (size - 1) / 2) / (size / 2)  # −1 to 1
    implant = _pin(z, y, x, rng) if seed % 2 else _plate(z, y, x, rng)
    labels = _corroded(implant, size, rng)
    bone = _sheets(z, y, x, rng) & ~implant
    gap = ndimage.distance_transform_edt(~implant) < 2.5
    labels[bone & ~(gap & (_smooth(rng, size, 7) > 0.2))] = 1
    view = np.hypot(y, x) < 0.97
    labels[:, ~view[0]] = 0
    grey = _scanned(labels, y, x, rng, scanner)
    geometry = Geometry(labels.shape, (SPACING_MM,) * 3)
    return Volume(np.where(view, grey, grey.min()).astype(np.float32), geometry), LabelMap(labels, geometry)


def _smooth(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.normal(size=(size,) * 3), sigma)
    return field / field.std()


def _pin(z: np.ndarray, y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An elliptic pin with ring grooves, somewhat tilted."""
    tilt_y, tilt_x = rng.uniform(-0.2, 0.2, 2)
    wide, narrow = rng.uniform(0.38, 0.5), rng.uniform(0.28, 0.38)
    radius = np.sqrt(((y - tilt_y * z) / wide) ** 2 + ((x - tilt_x * z) / narrow) ** 2)
    groove = rng.uniform(0.08, 0.16) * (np.cos(2 * np.pi * z / rng.uniform(0.25, 0.4)) > 0.3)
    return (radius < 1 - groove) & (np.abs(z) < 0.8)


def _plate(z: np.ndarray, y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A curved plate with two holes, one of them filled by a peg."""
    bend, half = rng.uniform(-0.3, 0.3), rng.uniform(0.2, 0.28)
    height = y - bend * x**2 - rng.uniform(-0.1, 0.1)
    plate = (np.abs(height) < half) & (np.abs(x) < rng.uniform(0.45, 0.6)) & (np.abs(z) < 0.8)
    hole = rng.uniform(0.15, 0.2)
    first, second = (np.hypot(z - centre, x) for centre in (-0.4, 0.35))
    peg = (second < hole - 0.02) & (np.abs(y) < 0.6)
    return (plate & (first > hole) & (second > hole)) | peg


def _corroded(implant: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    depth_mm = np.maximum(rng.uniform(0.06, 0.11) * (1 + 0.4 * _smooth(rng, size, 6)), 0.025)
    metal = ndimage.distance_transform_edt(implant) * SPACING_MM > depth_mm
    cracks = np.abs(_smooth(rng, size, 5)) < 0.025
    layer = implant & ~metal & ~cracks
    return (2 * layer + 3 * metal).astype(np.uint8)


def _sheets(z: np.ndarray, y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Warped gyroid sheets and a solid shell on one side."""
    size = len(z)
    warp = [0.25 * _smooth(rng, size, 9) for _ in range(3)]
    period = rng.uniform(0.45, 0.65)
    a, b, c = (2 * np.pi * axis / period + move for axis, move in zip((z, y, x), warp, strict=True))
    gyroid = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a)
    return (np.abs(gyroid) < rng.uniform(0.35, 0.55)) | (x > rng.uniform(0.55, 0.75))


def _scanned(
    labels: np.ndarray, y: np.ndarray, x: np.ndarray, rng: np.random.Generator, scanner: np.random.Generator
) -> np.ndarray:
    size = len(labels)
    bone, layer = scanner.uniform(0.85, 1.05), scanner.uniform(0.72, 1.12)
    grey = np.array([scanner.uniform(0.2, 0.35), bone, layer, 1.0])[labels]
    grey = grey * (1 + np.array([0.05, 0.04, 0.09, 0.01])[labels] * _smooth(rng, size, 1.5))
    grey = grey - scanner.uniform(0.05, 0.2) * (1 - np.hypot(y, x) ** 2)  # cupping
    dense = (labels == 3).astype(float)
    streaks = ndimage.uniform_filter1d(dense, size // 2, axis=2) * (dense == 0)
    grey = grey - scanner.uniform(0.1, 0.3) * streaks
    blurred = ndimage.gaussian_filter(grey, (scanner.uniform(0.6, 1.0), 0.6, 0.6))
    grey = blurred + scanner.uniform(0.5, 1.5) * (blurred - ndimage.gaussian_filter(blurred, 1.4))
    noise = ndimage.gaussian_filter(rng.normal(size=grey.shape), 0.5)
    grey = grey + scanner.uniform(0.04, 0.08) * np.sqrt(np.clip(grey, 0.05, None)) * noise / noise.std()
    return 4000 * np.clip(grey, 0, 2) ** scanner.uniform(0.7, 1.4)
