"""Explants painted in image space: lamellar layers, networks of dark cracks, sheet-like bone, grainy 8-bit exports.

No code of `MgImplantSegLib.simulation` is used. Square wires, pins, plates with holes and coarse screws in gyroid bone
or osteons. Layer and metal have the same mean grey value in most explants. Never train or choose on these explants.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume


def explant(seed: int, size: int = 128, spacing_um: float = 20.0) -> tuple[Volume, LabelMap]:
    """Scan and true label map of one explant, a cube of `size` voxels."""
    rng = np.random.default_rng([seed, 72])
    voxel_mm = spacing_um / 1000
    shape_mm = SHAPES[seed % len(SHAPES)](rng, size, voxel_mm)  # above 0 inside
    shape_mm += 0.02 * _noise(rng, size, 0.08 / voxel_mm)
    implant = shape_mm > 0
    depth_mm = ndimage.distance_transform_edt(implant) * voxel_mm
    reach_mm = np.maximum(rng.uniform(0.06, 0.16) * (1 + 0.45 * _noise(rng, size, 0.15 / voxel_mm)), 0.01)
    metal = depth_mm > reach_mm
    layer = implant & ~metal
    cracks = layer & _cracks(rng, layer, voxel_mm)
    bone = [_gyroid, _osteons][int(rng.random() < 0.3)](rng, size, voxel_mm) & ~implant
    away_mm = ndimage.distance_transform_edt(~implant) * voxel_mm
    bone &= away_mm > rng.uniform(0.0, 0.1) * (_noise(rng, size, 0.25 / voxel_mm) > rng.uniform(-1, 1))
    bone |= (away_mm < rng.uniform(0.04, 0.15)) & ~implant & (_noise(rng, size, 0.3 / voxel_mm) > rng.uniform(0.5, 2))
    labels = (bone + 2 * layer + 3 * metal).astype(np.uint8)
    wide = rng.random() < 0.5
    if wide:
        labels[cracks] = 0
    grey = _painted(rng, labels, cracks, metal, reach_mm, voxel_mm)
    geometry = Geometry(labels.shape, (voxel_mm,) * 3)
    return Volume(_exported(rng, grey), geometry), LabelMap(labels, geometry)


def _noise(rng: np.random.Generator, size: int, scale: float) -> np.ndarray:
    """Smooth random values with unit variance: cubic B-splines over random nodes `scale` × 1.5 voxels apart."""
    apart = max(1.0, 1.5 * scale)
    place = np.arange(size) / apart
    steps = np.abs(place[:, None] - np.arange(-1, int(np.ceil(size / apart)) + 2))
    near, far = 2 / 3 - steps**2 + steps**3 / 2, np.maximum(2 - steps, 0) ** 3 / 6
    weights = np.where(steps < 1, near, far).astype(np.float32)  # (voxels, nodes)
    field = rng.standard_normal((weights.shape[1],) * 3, dtype=np.float32)
    for _ in range(3):
        field = np.tensordot(field, weights, axes=(0, 1))
    return (field - field.mean()) / field.std()


def _axes_mm(rng: np.random.Generator, size: int, voxel_mm: float, largest_lean_deg: float) -> list[np.ndarray]:
    """Coordinates u, v, w in mm of a frame that leans away from z by up to an angle."""
    lean, turn, spin = np.deg2rad(rng.uniform(0, largest_lean_deg)), *rng.uniform(0, 2 * np.pi, 2)
    z, y, x = (np.indices((size,) * 3, dtype=np.float32) - (size - 1) / 2) * voxel_mm
    x, y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    x, z = x * np.cos(lean) - z * np.sin(lean), z * np.cos(lean) + x * np.sin(lean)
    return [z, *(x * np.cos(spin) + y * np.sin(spin), y * np.cos(spin) - x * np.sin(spin))]


def _square_wire(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    _w, u, v = _axes_mm(rng, size, voxel_mm, 8)
    half = rng.uniform(0.12, 0.26) * size * voxel_mm
    corner = rng.uniform(0.2, 0.6) * half
    outside = np.hypot(np.maximum(np.abs(u) - half + corner, 0), np.maximum(np.abs(v) - half + corner, 0))
    return corner - outside


def _pin(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    _w, u, v = _axes_mm(rng, size, voxel_mm, 25)
    return rng.uniform(0.14, 0.32) * size * voxel_mm - np.hypot(u, v)


def _plate(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    w, u, v = _axes_mm(rng, size, voxel_mm, 20)
    field_mm = size * voxel_mm
    body = np.minimum(rng.uniform(0.1, 0.18) * field_mm - np.abs(u), rng.uniform(0.25, 0.4) * field_mm - np.abs(v))
    for place in rng.uniform(-0.4, 0.4, 2) * field_mm:
        body = np.minimum(body, np.hypot(v, w - place) - rng.uniform(0.08, 0.14) * field_mm)
    return body


def _coarse_screw(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    w, u, v = _axes_mm(rng, size, voxel_mm, 20)
    radius, turns = np.hypot(u, v), np.arctan2(v, u) / (2 * np.pi)
    outer, pitch = rng.uniform(0.18, 0.33) * size * voxel_mm, rng.uniform(0.35, 0.7)
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * (w / pitch - turns))
    return np.minimum(outer * (1 - rng.uniform(0.12, 0.25) * wave) - radius, 0.4 * size * voxel_mm - w)


SHAPES = (_square_wire, _coarse_screw, _pin, _plate)


def _cracks(rng: np.random.Generator, layer: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Borders of the cells around random points, some of them left out."""
    size = len(layer)
    points = rng.uniform(0, size, (int((size * voxel_mm / rng.uniform(0.2, 0.5)) ** 3) + 8, 3))
    places = np.argwhere(layer)
    warped = places + 2.5 * np.stack([_noise(rng, size, 3)[layer] for _ in range(3)], 1)
    apart = np.diff(cKDTree(points).query(warped, k=2)[0], axis=1)[:, 0]
    cracks = np.zeros_like(layer)
    cracks[layer] = apart < rng.uniform(0.03, 0.06) / voxel_mm
    return cracks & (_noise(rng, size, 0.2 / voxel_mm) > rng.uniform(-0.5, 1.5))


def _gyroid(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    period = rng.uniform(0.6, 1.3) / voxel_mm
    places = np.indices((size,) * 3, dtype=np.float32)
    a, b, c = (2 * np.pi / period * (p + 0.12 * period * _noise(rng, size, 0.25 * period)) for p in places)
    sheet = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a)
    return np.abs(sheet + rng.uniform(-0.6, 0.6)) < rng.uniform(0.15, 0.45)


def _osteons(rng: np.random.Generator, size: int, voxel_mm: float) -> np.ndarray:
    """Solid bone on one side, with straight canals along z."""
    plane = np.indices((size, size)).reshape(2, -1).T
    canals = rng.uniform(0, size, (int((size * voxel_mm / 0.22) ** 2) + 1, 2))
    apart = cKDTree(canals).query(plane)[0].reshape(size, size)
    solid = np.broadcast_to(apart > rng.uniform(0.02, 0.045) / voxel_mm, (size,) * 3)
    height = np.arange(size)[None, None, :] + 4 * _noise(rng, size, 8)
    return solid & (height > rng.uniform(0.2, 0.7) * size)


def _painted(rng, labels, cracks, metal, reach_mm, voxel_mm) -> np.ndarray:
    """Grey values, 1 for the metal."""
    size = len(labels)
    layer = rng.uniform(0.97, 1.03) if rng.random() < 0.6 else rng.uniform(0.65, 1.3)
    bone = rng.uniform(0.9, 1.1) if rng.random() < 0.6 else rng.uniform(0.6, 1.4)
    tissue = rng.uniform(0.05, 0.35)
    grey = np.array([tissue, bone, layer, 1.0], np.float32)[labels]
    from_metal_mm = ndimage.distance_transform_edt(~metal) * voxel_mm
    period = rng.uniform(0.035, 0.08)
    waves = np.sin(2 * np.pi * from_metal_mm / period + 1.5 * _noise(rng, size, 0.2 / voxel_mm))
    toward_bone = (bone - layer) * rng.choice([0, 1]) * np.clip(from_metal_mm / reach_mm - 0.5, 0, 1)
    grey += (labels == 2) * (rng.uniform(0.05, 0.14) * waves + toward_bone)
    grain = _noise(rng, size, rng.uniform(0.6, 1.4))
    grey += np.array([0.02, 0.04, rng.uniform(0.02, 0.06), rng.uniform(0.0, 0.02)])[labels] * grain
    grey[cracks] = tissue + rng.uniform(0.0, 0.5) * (layer - tissue)
    grey = ndimage.gaussian_filter(grey, rng.uniform(0.4, 1.1))
    return grey + rng.uniform(0, 0.8) * (grey - ndimage.gaussian_filter(grey, 1.3))


def _exported(rng: np.random.Generator, grey: np.ndarray) -> np.ndarray:
    """Noise with grain, then 8 bit with the tails cut, sometimes bent, or 16 bit."""
    noise = ndimage.gaussian_filter(rng.standard_normal(grey.shape), rng.uniform(0.3, 0.9))
    grey = grey + rng.uniform(0.01, 0.045) * noise / noise.std()
    low, high = np.percentile(grey, rng.uniform(0, 2)), np.percentile(grey, 100 - 10 ** rng.uniform(-2, 0.3))
    part = np.clip((grey - low) / (high - low), 0, 1) ** rng.choice([1.0, rng.uniform(0.7, 1.5)])
    return np.rint(part * 255).astype(np.uint8) if rng.random() < 0.6 else np.rint(part * 50000).astype(np.uint16)
