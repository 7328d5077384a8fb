"""Explants as a laboratory scanner sees them: several energies, beam hardening, blur, grain, a view that cuts the bone.

No code of `MgImplantSegLib.simulation` is used. Screws with a head and two-start threads, and pins with a groove,
corroded by diffusion that is quicker in some places, in bone of the diamond minimal surface. Never train or choose on
these explants.
"""

from __future__ import annotations

import numpy as np
from parallel_beam import project, reconstruct
from scipy import ndimage

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume

# Absorption in 1/mm at three energies of a tube: tissue, bone, layer, metal; the share of the photons of each energy.
ENERGIES = np.array([[0.057, 0.557, 0.654, 0.556], [0.038, 0.288, 0.346, 0.293], [0.024, 0.105, 0.129, 0.108]])
SHARES = np.array([0.25, 0.45, 0.3])


def explant(seed: int, size: int = 128, spacing_um: float = 20.0) -> tuple[Volume, LabelMap]:
    """Scan and true label map of one explant, a cube of `size` voxels."""
    rng = np.random.default_rng([seed, 73])
    voxel_mm = spacing_um / 1000
    implant = _implant(rng, size, voxel_mm)
    metal = _residue(rng, implant, voxel_mm)
    layer = implant & ~metal
    bone = _bone(rng, size, voxel_mm) & ~implant
    capsule_mm = rng.choice([0.0, rng.uniform(0.02, 0.12)])
    bone &= ndimage.distance_transform_edt(~implant) * voxel_mm > capsule_mm
    labels = (bone + 2 * layer + 3 * metal).astype(np.uint8)
    labels[_bubbles(rng, implant, voxel_mm)] = 0
    y, x = np.ogrid[:size, :size]
    view = np.hypot(y - (size - 1) / 2, x - (size - 1) / 2) < 0.49 * size
    labels[:, ~view] = 0
    grey = _scanned(rng, labels, view, voxel_mm)
    geometry = Geometry(labels.shape, (voxel_mm,) * 3)
    return Volume(grey, geometry), LabelMap(labels, geometry)


def _smooth(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    """Sum of waves in random directions around one wavelength, unit variance."""
    places = np.arange(size, dtype=np.float32)
    total = np.zeros((size,) * 3, np.float32)
    for _ in range(24):
        direction = rng.standard_normal(3)
        wave = direction / np.linalg.norm(direction) * rng.uniform(0.3, 1.2) / sigma
        phases = [np.exp(1j * (w * places)).astype(np.complex64) for w in wave]
        turned = phases[0][:, None, None] * phases[1][None, :, None] * phases[2] * np.exp(1j * rng.uniform(0, 6.3))
        total += turned.real.astype(np.float32)
    return total / total.std()


def _implant(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    z, y, x = (np.indices((size,) * 3, dtype=np.float32) - (size - 1) / 2) / size
    shift = rng.uniform(-0.05, 0.05, 2)
    x, y = x - shift[0] + rng.uniform(-0.2, 0.2) * z, y - shift[1] + rng.uniform(-0.2, 0.2) * z
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    outer = rng.uniform(0.16, 0.3)
    if rng.random() < 0.35:
        groove = rng.uniform(0.3, 0.6) * outer
        return (radius < outer) & ~((np.abs(x) < 0.2 * outer) & (y > outer - groove))
    pitch = rng.uniform(0.3, 0.6) / (size * voxel_mm)
    thread = np.abs((2 * z / pitch - angle / np.pi) % 2 - 1)  # two starts
    body = radius < outer * (1 - rng.uniform(0.1, 0.25) * thread**1.5)
    body &= z > -rng.uniform(0.3, 0.6)
    if rng.random() < 0.5:
        top = rng.uniform(0.15, 0.3)
        head = (z > top) & (radius < min(1.4 * outer, 0.42))
        slot = (np.abs(y) < 0.15 * outer) & (z > top + 0.08)
        body = ((body & (z <= top)) | head) & ~slot & (z < top + 0.16)
    return body


def _residue(rng: np.random.Generator, implant: np.ndarray, voxel_mm: float) -> np.ndarray:
    """What is left of the metal: corrosion goes faster where a smooth field is high, and in grooves."""
    size = len(implant)
    speed = np.exp(0.45 * _smooth(rng, size, rng.uniform(0.08, 0.25) / voxel_mm))
    blunt = ndimage.gaussian_filter(implant.astype(np.float32), 0.08 / voxel_mm)
    depth = ndimage.distance_transform_edt(implant) * voxel_mm
    return (depth > rng.uniform(0.06, 0.14) * speed) & (blunt > 0.55)


def _bone(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    scale = 2 * np.pi * voxel_mm / rng.uniform(0.7, 1.4)
    warp = [rng.uniform(0.3, 0.9) * _smooth(rng, size, 0.3 / voxel_mm) for _ in range(3)]
    a, b, c = (p * scale + w for p, w in zip(np.indices((size,) * 3, dtype=np.float32), warp, strict=True))
    diamond = np.cos(a) * np.cos(b) * np.cos(c) - np.sin(a) * np.sin(b) * np.sin(c)
    bone = diamond > rng.uniform(0.15, 0.5)
    if rng.random() < 0.5:
        wall = np.abs(c / scale - rng.uniform(0.1, 0.9) * size) < rng.uniform(0.1, 0.5) / voxel_mm
        bone |= wall & (_smooth(rng, size, 2.5) < 1.8)
    return bone


def _bubbles(rng: np.random.Generator, implant: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Gas pockets outside the implant."""
    bubbles = np.zeros_like(implant)
    z, y, x = np.ogrid[tuple(map(slice, implant.shape))]
    for _ in range(rng.integers(0, 5)):
        centre, radius = rng.uniform(0.2, 0.8, 3) * len(implant), rng.uniform(0.08, 0.2) / voxel_mm
        bubbles |= (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2
    return bubbles & ~implant


def _scanned(rng: np.random.Generator, labels: np.ndarray, view: np.ndarray, voxel_mm: float) -> np.ndarray:
    size, angles = len(labels), int(1.3 * len(labels))
    density = np.array([1.0, rng.uniform(0.85, 1.15), rng.uniform(0.7, 1.05), rng.choice([1.0, 0.6, 1.3])])
    coarse, fine = _smooth(rng, size, 0.1 / voxel_mm), ndimage.gaussian_filter(rng.standard_normal((size,) * 3), 0.9)
    texture = np.array([0.02, 0.04, rng.uniform(0.06, 0.14), 0.008])[labels] * (0.6 * coarse + 3 * fine)
    photons = 0.0
    for absorption, share in zip(ENERGIES * density, SHARES, strict=True):
        matter = ndimage.gaussian_filter(absorption[labels] * (1 + texture) * view, (0.4, 0, 0)).astype(np.float32)
        photons = photons + share * np.exp(-project(matter, angles) * voxel_mm)
    blurred = ndimage.gaussian_filter1d(photons, rng.uniform(0.5, 1.0), axis=2)
    counts = np.maximum(rng.poisson(10 ** rng.uniform(4.8, 5.6) * blurred), 1)
    lines = -np.log(counts / counts.max(axis=2, keepdims=True))
    lines += rng.normal(0, rng.choice([0.0, 0.0015]), (size, 1, size)) + rng.choice([0, 0.05]) * lines**2
    grey = reconstruct(lines.astype(np.float32), str(rng.choice(["cosine", "hann"]))) / voxel_mm
    low, high = np.percentile(grey, (0.05, 99.97))
    return (np.rint(np.clip((grey - low) / (high - low), 0, 1) * 65535) * view).astype(np.uint16)
