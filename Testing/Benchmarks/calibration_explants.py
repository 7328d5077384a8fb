"""Families of explants on which the expected IoU is calibrated: `FAMILIES`, used for nothing else.

They share no code with `MgImplantSegLib.simulation`, on whose explants the bundled model is trained, nor with the
families of `unseen_explants`, on which all is tested. Each has its own implants, bone and imaging. They are meant to be
of every difficulty, so that a calibration sees good and bad segmentations, and not to be like any real scan.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume

Rng = np.random.Generator
Family = Callable[[int, int, float], tuple[Volume, LabelMap]]
GREY_RANGES = {"bone": (0.55, 1.5), "layer": (0.6, 1.4), "tissue": (0.0, 0.45)}


def _smooth(rng: Rng, size: int, voxels: float) -> np.ndarray:
    """Random values with unit variance; a box filter applied three times."""
    field = rng.standard_normal((size,) * 3, dtype=np.float32)
    for _ in range(3):
        field = ndimage.uniform_filter(field, max(1, round(voxels)), mode="wrap")
    return field / max(float(field.std()), 1e-9)


def _places_mm(rng: Rng, size: int, voxel_mm: float) -> list[np.ndarray]:
    """Coordinates in mm of a frame turned by random angles, most of them small, around a point near the middle."""
    places = (np.indices((size,) * 3, dtype=np.float32) - (size - 1) / 2) * voxel_mm
    places -= (rng.uniform(-0.08, 0.08, 3) * size * voxel_mm).astype(np.float32)[:, None, None, None]
    angles = np.deg2rad(rng.choice([rng.uniform(0, 10), rng.uniform(0, 90)]) * rng.uniform(-1, 1, 2))
    for (first, second), angle in zip(((0, 1), (0, 2)), angles, strict=True):
        a, b = places[first].copy(), places[second].copy()
        places[first], places[second] = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
    return list(places)


# Implants: positive inside, about the depth in mm


def _grooved_bar(rng: Rng, size: int, voxel_mm: float) -> np.ndarray:
    z, y, x = _places_mm(rng, size, voxel_mm)
    half = rng.uniform(0.12, 0.28) * size * voxel_mm
    groove = 0.12 * half * (np.sin(2 * np.pi * z / rng.uniform(0.3, 0.8)) > 0.6)
    return half - groove - np.maximum(np.abs(y), rng.uniform(0.8, 1.6) * np.abs(x))


def _saw_screw(rng: Rng, size: int, voxel_mm: float) -> np.ndarray:
    z, y, x = _places_mm(rng, size, voxel_mm)
    outer, pitch = rng.uniform(0.15, 0.33) * size * voxel_mm, rng.uniform(0.25, 0.6)
    saw = (z / pitch + np.arctan2(x, y) / (2 * np.pi)) % 1
    return outer * (1 - rng.uniform(0.1, 0.3) * saw) - np.hypot(x, y)


def _tube(rng: Rng, size: int, voxel_mm: float) -> np.ndarray:
    z, y, x = _places_mm(rng, size, voxel_mm)
    radius, outer = np.hypot(x, y), rng.uniform(0.22, 0.36) * size * voxel_mm
    inner = outer * rng.uniform(0.3, 0.6)
    return np.minimum(np.minimum(outer - radius, radius - inner), rng.uniform(0.3, 0.7) * size * voxel_mm - np.abs(z))


def _struts(rng: Rng, size: int, voxel_mm: float) -> np.ndarray:
    places = _places_mm(rng, size, voxel_mm)
    apart, half = rng.uniform(0.35, 0.5) * size * voxel_mm, rng.uniform(0.06, 0.1) * size * voxel_mm
    a, b, c = (np.abs((place / apart + 0.5) % 1 - 0.5) * apart for place in places)
    return half - np.minimum(np.minimum(np.hypot(a, b), np.hypot(b, c)), np.hypot(a, c))


def _beads(rng: Rng, size: int, voxel_mm: float) -> np.ndarray:
    depth = np.full((size,) * 3, -9.0, np.float32)
    places = np.indices((size,) * 3, dtype=np.float32)
    for _ in range(rng.integers(1, 5)):
        centre, radius = rng.uniform(0.25, 0.75, 3) * size, rng.uniform(0.1, 0.3) * size
        away = np.sqrt(sum((place - c) ** 2 for place, c in zip(places, centre, strict=True)))
        depth = np.maximum(depth, (radius - away) * voxel_mm)
    return depth


def _nothing(rng: Rng, size: int, _voxel_mm: float) -> np.ndarray:
    return np.full((size,) * 3, -9.0, np.float32)


# Bone: bool


def _foam(rng: Rng, size: int, voxel_mm: float) -> np.ndarray:
    cells = rng.uniform(0, size, (max(6, int((size * voxel_mm / rng.uniform(0.4, 1.0)) ** 3)), 3))
    near = cKDTree(cells).query(np.indices((size,) * 3).reshape(3, -1).T, k=3)[0]
    wall = near[:, 1 + rng.integers(2)] - near[:, 0]
    return (wall < rng.uniform(0.06, 0.2) / voxel_mm).reshape((size,) * 3)


def _sticks(rng: Rng, size: int, voxel_mm: float) -> np.ndarray:
    bone = np.zeros((size,) * 3, bool)
    places = np.indices((size,) * 3, dtype=np.float32)
    for _ in range(rng.integers(8, 30)):
        towards = rng.standard_normal(3)
        towards /= np.linalg.norm(towards)
        from_point = [place - c for place, c in zip(places, rng.uniform(0, size, 3), strict=True)]
        along = sum(p * t for p, t in zip(from_point, towards, strict=True))
        bone |= sum(p**2 for p in from_point) - along**2 < (rng.uniform(0.04, 0.12) / voxel_mm) ** 2
    return bone


def _solid(rng: Rng, size: int, voxel_mm: float) -> np.ndarray:
    height = np.arange(size)[:, None] + 3 * _smooth(rng, size, 9)
    return (height > rng.uniform(0.1, 0.6) * size) & (_smooth(rng, size, 0.08 / voxel_mm) < rng.uniform(1.2, 2.5))


def _no_bone(_rng: Rng, size: int, _voxel_mm: float) -> np.ndarray:
    return np.zeros((size,) * 3, bool)


# Imaging: grey values (metal 1) become a scan


def _soft_focus(rng: Rng, grey: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    grey = ndimage.gaussian_filter(grey, rng.uniform(0.4, 2.2))
    return grey + rng.uniform(0.005, 0.15) * rng.standard_normal(grey.shape)


def _drifting_beam(rng: Rng, grey: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    drift = np.cumsum(rng.normal(0, rng.uniform(0, 0.02), len(grey)))[:, None, None]
    rows = rng.normal(0, rng.uniform(0, 0.06), (1, grey.shape[1], 1))
    grain = _smooth(rng, len(grey), rng.integers(1, 4))
    return grey * (1 + drift - drift.mean()) + rows + rng.uniform(0.01, 0.12) * grain


def _few_angles(rng: Rng, grey: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    """Filtered back-projection by turning the volume, with too few angles and a wedge that is missing."""
    size, count = grey.shape[1], int(rng.integers(18, 60))
    ramp = np.abs(np.fft.rfftfreq(2 * size))
    total = np.zeros_like(grey)
    for angle in np.linspace(0, rng.uniform(140, 180), count, endpoint=False):
        turned = ndimage.rotate(grey, angle, (1, 2), reshape=False, order=1, mode="nearest")
        line = turned.sum(axis=1) + rng.normal(0, rng.uniform(0, 0.02) * size**0.5, (len(grey), size))
        sharp = np.fft.irfft(np.fft.rfft(line, 2 * size) * ramp, 2 * size)[:, :size]
        back = np.repeat(sharp[:, None].astype(np.float32), size, axis=1)
        total += ndimage.rotate(back, -angle, (1, 2), reshape=False, order=1, mode="nearest")
    places = np.arange(size) - (size - 1) / 2
    view = np.hypot(places[:, None], places) <= 0.48 * size
    return np.where(view, total * np.pi / count, 0)


def _halo(rng: Rng, grey: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    """Long shadows of a phase retrieval that does not fit, fringes, a bent curve, seldom black and white exchanged."""
    grey = grey + rng.uniform(-0.6, 0.6) * (grey - ndimage.gaussian_filter(grey, rng.uniform(3, 10)))
    grey = grey - rng.uniform(0, 0.4) * ndimage.laplace(ndimage.gaussian_filter(grey, 0.7))
    grey = grey + rng.uniform(0.01, 0.08) * rng.standard_normal(grey.shape)
    part = np.clip((grey - grey.min()) / np.ptp(grey), 0, 1) ** np.exp(rng.uniform(-0.7, 0.7))
    return 1 - part if rng.random() < 0.1 else part


def _mottled(rng: Rng, grey: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Every class with blotches of its own size and strength."""
    for label in range(1, 4):
        blotches = _smooth(rng, len(grey), rng.integers(1, 8)) * rng.uniform(0.0, 0.16)
        grey = grey + np.where(labels == label, blotches, 0)
    grey = ndimage.gaussian_filter(grey, rng.uniform(0.3, 1.0))
    return grey + rng.uniform(0.005, 0.06) * rng.standard_normal(grey.shape)


def _noise_alone(rng: Rng, grey: np.ndarray, _labels: np.ndarray) -> np.ndarray:
    """Nothing but noise, fine or coarse."""
    return _smooth(rng, len(grey), rng.integers(1, 6))


def _family(number: int, shapes: tuple[Callable, ...], bones: tuple[Callable, ...], imaging: Callable) -> Family:
    def explant(seed: int, size: int, spacing_um: float) -> tuple[Volume, LabelMap]:
        rng, voxel_mm = np.random.default_rng([seed, 1500 + number]), spacing_um / 1000
        depth_mm = shapes[seed % len(shapes)](rng, size, voxel_mm)
        labels = _labels(rng, depth_mm, bones[seed % len(bones)](rng, size, voxel_mm), voxel_mm)
        geometry = Geometry(labels.shape, (voxel_mm,) * 3)
        scan = imaging(rng, _greys(rng, labels, voxel_mm), labels).astype(np.float32)
        return Volume(scan, geometry), LabelMap(labels, geometry)

    return explant


def _labels(rng: Rng, depth_mm: np.ndarray, bone: np.ndarray, voxel_mm: float) -> np.ndarray:
    size, implant = len(depth_mm), depth_mm > 0
    inside_mm = ndimage.distance_transform_edt(implant) * voxel_mm
    reach_mm = rng.uniform(0.05, 0.2) * np.exp(rng.uniform(0, 0.6) * _smooth(rng, size, 0.2 / voxel_mm))
    apart = ndimage.distance_transform_edt(~implant) * voxel_mm > rng.uniform(0, 0.12)
    labels = (bone & apart & ~implant).astype(np.uint8)
    labels[implant] = np.where(inside_mm > reach_mm, 3, 2)[implant]
    return labels


def _greys(rng: Rng, labels: np.ndarray, voxel_mm: float) -> np.ndarray:
    bone, layer, tissue = (rng.uniform(*limits) for limits in GREY_RANGES.values())
    if rng.random() < 0.35:
        layer = rng.normal(1.0, 0.03)
    grey = np.array([tissue, bone, layer, 1.0], np.float32)[labels]
    pattern = _smooth(rng, len(labels), rng.uniform(0.03, 0.1) / voxel_mm)
    grey += np.where(labels == 2, rng.uniform(0.0, 0.12) * pattern, 0)
    return grey


FAMILIES: dict[str, Family] = {
    "soft focus": _family(1, (_grooved_bar, _saw_screw), (_foam, _solid), _soft_focus),
    "drifting beam": _family(2, (_saw_screw, _tube), (_sticks, _foam), _drifting_beam),
    "few angles": _family(3, (_tube, _grooved_bar), (_solid, _sticks), _few_angles),
    "halo": _family(4, (_beads, _saw_screw, _struts), (_foam,), _halo),
    "mottled": _family(5, (_saw_screw, _beads, _grooved_bar), (_sticks, _solid), _mottled),
    "no implant": _family(6, (_nothing,), (_foam, _sticks, _solid), _soft_focus),
    "noise": _family(7, (_nothing,), (_no_bone,), _noise_alone),
}
