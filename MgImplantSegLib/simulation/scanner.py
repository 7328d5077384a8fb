"""From grey values to a scan as a scanner makes it: projections, detector, reconstruction, export."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from MgImplantSegLib.simulation.projections import ParallelBeam
from MgImplantSegLib.simulation.settings import ScannerParameters

ANGLES_PER_COLUMN = 1.25


def scan(grey: np.ndarray, scanner: ScannerParameters, voxel_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Reconstruction of a body with these grey values (metal = 1), float32 (z, n, n) in the same unit.

    Attenuation → line integrals → fringes of free-space propagation → optics → photon noise, uneven detector columns,
    zingers → phase retrieval → filtered back-projection. A truncated view has matter beside it that is seen in some
    projections only.
    """
    size = grey.shape[1]
    beam = ParallelBeam(size, round(ANGLES_PER_COLUMN * size))
    body = grey if scanner.truncated else grey * round_view(size, 0.5)
    to_integral = np.float32(scanner.attenuation_per_mm * voxel_mm)
    lines = to_integral * beam.project(body)
    lines = _detected(_with_fringes(lines, scanner), scanner, to_integral, rng)
    return beam.reconstruct(lines, scanner.window) / to_integral


def round_view(size: int, radius: float) -> np.ndarray:
    """bool (size, size): what lies within `radius` × size of the middle."""
    y, x = np.ogrid[:size, :size]
    return np.hypot(y - (size - 1) / 2, x - (size - 1) / 2) <= radius * size


def _with_fringes(lines: np.ndarray, scanner: ScannerParameters) -> np.ndarray:
    """Transport of intensity sharpens edges; hardening bends the line integrals; the optics blur."""
    if scanner.hardening:
        lines = lines * (1 - scanner.hardening * lines / max(float(lines.max()), 1e-6))
    if scanner.fringes:
        flat = [ndimage.laplace(lines[:, angle], mode="nearest") for angle in range(lines.shape[1])]
        lines = lines - scanner.fringes * np.stack(flat, axis=1)
    if scanner.optics_blur > 0.2:
        lines = ndimage.gaussian_filter(lines, (scanner.optics_blur, 0, scanner.optics_blur))
    return lines


def _detected(
    lines: np.ndarray, scanner: ScannerParameters, to_integral: np.float32, rng: np.random.Generator
) -> np.ndarray:
    slices, angles, columns = lines.shape
    # Variance of filtered back-projection without a window: π² / (12 · angles · photons) in squared pixels.
    photons = (np.pi / (scanner.noise * to_integral)) ** 2 / (12 * angles) * np.exp(float(lines.max()))
    mean = photons * np.exp(-lines)
    counts = mean + np.sqrt(mean) * rng.standard_normal(lines.shape, dtype=np.float32)
    if scanner.zingers:
        hit = rng.random(lines.shape, dtype=np.float32) < scanner.zingers
        counts[hit] *= rng.uniform(1.2, 3)
    measured = -np.log(np.maximum(counts, 1) / photons)
    if scanner.rings:
        measured += to_integral * _gains(rng, (slices, columns), scanner)[:, None]
    if scanner.retrieval:
        width = scanner.retrieval
        measured = 0.5 * measured + 0.5 * ndimage.gaussian_filter(measured, (width, 0, width))
    return measured.astype(np.float32)


def _gains(rng: np.random.Generator, shape: tuple[int, int], scanner: ScannerParameters) -> np.ndarray:
    """Logarithm of the gain of the detector by that of a voxel of metal, (slices, columns).

    Some columns are off, more or less along z. A column that is off by 1 makes a ring of 0.16 at 20 voxels radius.
    """
    drift = rng.standard_normal(shape, dtype=np.float32)
    drift = ndimage.gaussian_filter1d(drift, scanner.ring_drift, axis=0, mode="wrap")
    gains = drift * (rng.random(shape[1]) < rng.uniform(0.1, 1.0))
    return scanner.rings / 0.16 / max(float(gains.std()), 1e-9) * gains


def exported(grey: np.ndarray, view: np.ndarray, scanner: ScannerParameters, rng: np.random.Generator) -> np.ndarray:
    """8 bit with tails cut off, 16 bit, or floating point in 1/cm; outside the view 0 or the lowest value."""
    if scanner.clipped_percent is None and rng.random() < 0.5:
        return np.where(view, grey * (10 * scanner.attenuation_per_mm), 0).astype(np.float32)
    lower, upper = scanner.clipped_percent or (0.0, 0.0)
    low, high = np.percentile(grey[:, view], (lower, 100 - upper))
    part = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)
    top, kind = (255, np.uint8) if scanner.clipped_percent else (60000, np.uint16)
    return np.where(view, np.rint(part * top), 0).astype(kind)
