"""Explants as a synchrotron sees them: attenuation, projections, fringes, uneven detector columns, photon noise.

No code of `MgImplantSegLib.simulation` is used. Trapezoid-threaded screws, some cannulated, in bone of struts and a
cortical shell; the layer has speckle and a dark network, and in most explants the mean grey value of the metal. The
gain errors of the detector columns become rings that cross the metal. Never train or choose on these explants.
"""

from __future__ import annotations

import numpy as np
from parallel_beam import project, reconstruct
from scipy import ndimage
from scipy.spatial import cKDTree

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume

# Linear absorption in 1/cm by energy in keV: metal, layer at 2.2 g/cm³, bone at 1.95 g/cm³, water (xraylib).
ABSORPTION = {
    ("Mg-5Gd", 23.5): (5.56, 6.54, 5.57, 0.57),
    ("Mg-5Gd", 30.0): (2.93, 3.46, 2.88, 0.38),
    ("Mg-5Gd", 37.0): (1.75, 2.08, 1.70, 0.29),
    ("Mg-5Gd", 46.0): (1.08, 1.29, 1.05, 0.24),
    ("Mg-10Gd", 30.0): (4.34, 3.46, 2.88, 0.38),
    ("Mg", 30.0): (1.62, 3.46, 2.88, 0.38),
}


def explant(seed: int, size: int = 128, spacing_um: float = 20.0) -> tuple[Volume, LabelMap]:
    """Scan and true label map of one explant, a cube of `size` voxels."""
    rng = np.random.default_rng([seed, 71])
    voxel_mm = spacing_um / 1000
    screw = _screw(rng, size, voxel_mm)
    labels, network = _corroded(rng, screw, voxel_mm)
    bone = (_struts(rng, size, voxel_mm) | _shell(rng, size, voxel_mm)) & ~screw
    away_mm = ndimage.distance_transform_edt(~screw) * voxel_mm
    bone &= ~((away_mm < rng.uniform(0.03, 0.12)) & (_field(rng, size, 0.2 / voxel_mm) > rng.uniform(-0.5, 1.0)))
    labels[bone & (labels == 0) & ~network] = 1
    y, x = np.ogrid[:size, :size]
    view = np.hypot(y - (size - 1) / 2, x - (size - 1) / 2) < 0.495 * size
    labels[:, ~view] = 0
    grey = _scanned(rng, _attenuation(rng, labels, network, voxel_mm) * view, voxel_mm)
    geometry = Geometry(labels.shape, (voxel_mm,) * 3)
    return Volume(_stored(rng, grey, view), geometry), LabelMap(labels, geometry)


def _field(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    """Smooth random field with unit variance, drawn on a coarser grid where it is smooth."""
    step = max(1, int(sigma / 2))
    coarse = ndimage.gaussian_filter(rng.standard_normal((-(-size // step) + 1,) * 3), sigma / step, mode="wrap")
    fine = ndimage.zoom(coarse, step, order=1)[:size, :size, :size] if step > 1 else coarse[:size, :size, :size]
    return ((fine - fine.mean()) / fine.std()).astype(np.float32)


def _screw(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    z, y, x = (np.indices((size,) * 3, dtype=np.float32) - (size - 1) / 2) * voxel_mm
    lean, turn = np.deg2rad(rng.uniform(0, 14)), rng.uniform(0, 2 * np.pi)
    aside = x * np.cos(turn) + y * np.sin(turn)
    across = -x * np.sin(turn) + y * np.cos(turn)
    along = z * np.cos(lean) + aside * np.sin(lean)
    aside = aside * np.cos(lean) - z * np.sin(lean) - rng.uniform(-0.1, 0.1)
    field_mm = size * voxel_mm
    radius, angle = np.hypot(aside, across), np.arctan2(across, aside)
    outer = rng.uniform(0.17, 0.32) * field_mm
    pitch, depth = rng.uniform(0.25, 0.5), rng.uniform(0.1, 0.22) * outer
    phase = (along / pitch + angle / (2 * np.pi)) % 1
    flank, crest = rng.uniform(0.15, 0.35), rng.uniform(0.05, 0.2)
    thread = np.clip((crest + flank - np.abs(phase - 0.5)) / flank, 0, 1)
    body = radius < outer - depth + depth * thread
    if rng.random() < 0.5:
        body &= along < rng.uniform(0.2, 0.4) * field_mm
    if rng.random() < 0.25:
        body &= radius > rng.uniform(0.25, 0.4) * outer
    return body


def _corroded(rng: np.random.Generator, screw: np.ndarray, voxel_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Label map with layer and metal, and the dark network in the layer, background where it is wide."""
    size = len(screw)
    inside_mm = ndimage.distance_transform_edt(screw) * voxel_mm
    depth_mm = rng.uniform(0.06, 0.15) * np.exp(0.4 * _field(rng, size, rng.uniform(0.06, 0.2) / voxel_mm))
    surface = np.argwhere(screw & (inside_mm < 1.5 * voxel_mm))
    z, y, x = np.ogrid[:size, :size, :size]
    for _ in range(rng.integers(0, 10)):
        centre = surface[rng.integers(len(surface))]
        apart = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) * voxel_mm
        depth_mm += rng.uniform(0.05, 0.12) * np.clip(1 - apart / rng.uniform(0.1, 0.25), 0, 1)
    metal = inside_mm > depth_mm
    layer = screw & ~metal
    seeds = rng.uniform(0, size, (max(8, int((size * voxel_mm / rng.uniform(0.15, 0.35)) ** 3)), 3))
    apart = cKDTree(seeds).query(np.argwhere(layer), k=2)[0]
    width = rng.uniform(0.4, 1.6)
    network = np.zeros_like(layer)
    network[layer] = np.diff(apart, axis=1)[:, 0] < width
    network &= _field(rng, size, 0.15 / voxel_mm) > rng.uniform(0, 1.5)
    labels = (2 * layer + 3 * metal).astype(np.uint8)
    if width > 1:
        labels[network] = 0
    return labels, network


def _struts(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    """Trabeculae: capsules between neighbouring random nodes."""
    spacing = rng.uniform(0.3, 0.7) / voxel_mm
    nodes = rng.uniform(-spacing, size + spacing, (int(((size + 2 * spacing) / spacing) ** 3), 3))
    pairs = cKDTree(nodes).query(nodes, k=4)[1]
    lines = np.zeros((size,) * 3, bool)
    for start, others in zip(nodes, nodes[pairs[:, 1:]], strict=True):
        for end in others:
            steps = np.linspace(0, 1, int(np.ceil(2 * np.linalg.norm(end - start))) + 1)[:, None]
            places = np.rint(start + steps * (end - start)).astype(int)
            places = places[((places >= 0) & (places < size)).all(axis=1)]
            lines[tuple(places.T)] = True
    if not lines.any():
        return lines
    thickness = rng.uniform(0.03, 0.08) / voxel_mm
    return ndimage.distance_transform_edt(~lines) < thickness * (1 + 0.3 * _field(rng, size, spacing))


def _shell(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    """A curved piece of cortical bone with canals; nothing in a third of the explants."""
    if rng.random() < 0.35:
        return np.zeros((size,) * 3, bool)
    z, y, x = np.indices((size,) * 3, dtype=np.float32)
    turn, curvature = rng.uniform(0, 2 * np.pi), rng.uniform(1, 4) * size
    middle = (size - 1) / 2
    height = (x - middle) * np.cos(turn) + (y - middle) * np.sin(turn) + (z - middle) ** 2 / curvature
    start = rng.uniform(-0.1, 0.3) * size
    shell = (height > start) & (height < start + rng.uniform(0.3, 1.2) / voxel_mm + 2 * _field(rng, size, 8))
    canals = _field(rng, size, 0.04 / voxel_mm + 0.8) > rng.uniform(1.6, 2.6)
    return shell & ~canals


def _attenuation(rng: np.random.Generator, labels: np.ndarray, network: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Linear absorption in 1/mm."""
    cases = list(ABSORPTION)
    chances = np.array([0.2, 0.3, 0.2, 0.1, 0.1, 0.1])
    metal, layer, bone, water = np.array(ABSORPTION[cases[rng.choice(len(cases), p=chances)]]) / 10
    alike = metal * rng.uniform(0.96, 1.04)
    lightest, densest = 1.4 / 2.2, 2.4 / 2.2
    density = np.clip(alike / layer, lightest, densest) if rng.random() < 0.6 else rng.uniform(lightest, densest)
    size = len(labels)
    values = np.array([water * rng.uniform(0.9, 1.3), bone * rng.uniform(0.9, 1.1), layer * density, metal])
    fine, coarse = _field(rng, size, rng.uniform(0.8, 1.8)), _field(rng, size, 0.12 / voxel_mm)
    texture = np.array([0.03, rng.uniform(0.02, 0.06), rng.uniform(0.08, 0.18), rng.uniform(0.004, 0.015)])
    grey = values[labels] * (1 + texture[labels] * (0.8 * fine + 0.6 * coarse))
    grey[network & (labels == 2)] *= rng.uniform(0.5, 0.85)
    spots = (rng.random(labels.shape) < rng.uniform(0, 0.004)) & (labels == 3)
    grey[spots] *= rng.uniform(1.1, 1.5)
    return ndimage.gaussian_filter(grey, rng.uniform(0.4, 0.7)).astype(np.float32)


def _scanned(rng: np.random.Generator, attenuation: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Absorption in 1/mm as reconstructed."""
    size = len(attenuation)
    lines = project(attenuation, int(1.4 * size)) * voxel_mm
    fringes = rng.choice([0.0, rng.uniform(0.1, 0.8)])
    lines -= fringes * np.stack([ndimage.laplace(lines[:, k], mode="nearest") for k in range(lines.shape[1])], 1)
    photons = 10 ** rng.uniform(4.9, 5.9)
    counts = np.maximum(rng.poisson(photons * np.exp(-lines)), 1)
    gains = rng.normal(0, 10 ** rng.uniform(-3.3, -2.3), (size, size))
    gains = ndimage.gaussian_filter1d(gains, rng.uniform(2, 12), axis=0, mode="nearest") * rng.uniform(1.5, 3)
    measured = -np.log(counts / photons) + gains[:, None]
    return reconstruct(measured.astype(np.float32), str(rng.choice(["ramp", "cosine", "hann"]))) / voxel_mm


def _stored(rng: np.random.Generator, grey: np.ndarray, view: np.ndarray) -> np.ndarray:
    """32-bit floating point, or 16 bit; what lies outside the view is 0, or what the reconstruction left there."""
    if rng.random() < 0.7:
        grey = grey * view
    if rng.random() < 0.5:
        return grey.astype(np.float32)
    low, high = grey.min(), grey.max()
    return np.rint((grey - low) / (high - low) * 60000).astype(np.uint16)
