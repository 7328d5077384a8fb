"""Patterns in the degradation layer, each a field of zero mean and about unit variance: `TEXTURES`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from MgImplantSegLib.simulation.fields import slope_normalised, smooth_field
from MgImplantSegLib.simulation.settings import Texture, TextureParameters

CELLS_REACH = 40  # of their size: farther from the metal there is no layer
Pattern = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]


def layer_pattern(
    rng: np.random.Generator, from_metal: np.ndarray, texture: TextureParameters, voxel_mm: float
) -> np.ndarray:
    """Relative deviation of the layer's grey value, float32 (z, y, x).

    Parameters
    ----------
    from_metal : numpy.ndarray
        Distance to the metal in voxels (z, y, x).
    texture : TextureParameters
        Which patterns, how strong, how large.
    voxel_mm : float
        Voxel size in mm.
    """
    total = np.zeros(from_metal.shape, np.float32)
    if not texture.strength:
        return total
    for kind in texture.kinds:
        total += TEXTURES[kind](rng, from_metal, max(1.0, texture.scale_mm / voxel_mm))
    return texture.strength / np.sqrt(len(texture.kinds)) * total


def _speckle(rng: np.random.Generator, from_metal: np.ndarray, scale: float) -> np.ndarray:
    """Grains."""
    return smooth_field(rng, from_metal.shape, 0.6 * scale)


def _lamellae(rng: np.random.Generator, from_metal: np.ndarray, scale: float) -> np.ndarray:
    """Sheets along the surface of the metal, wavy."""
    warp = 1.5 * smooth_field(rng, from_metal.shape, 3 * scale)
    return (1.4 * np.sin(np.pi * from_metal / scale + warp)).astype(np.float32)


def _network(rng: np.random.Generator, from_metal: np.ndarray, scale: float) -> np.ndarray:
    """Dark walls of irregular cells, one to two voxels thick."""
    walls = np.abs(slope_normalised(smooth_field(rng, from_metal.shape, scale)))
    return (0.5 - 2.5 * np.exp(-((walls / 0.9) ** 2))).astype(np.float32)


def _patches(rng: np.random.Generator, from_metal: np.ndarray, scale: float) -> np.ndarray:
    """Two phases with a sharp border, some of it bright."""
    field = smooth_field(rng, from_metal.shape, 1.5 * scale)
    level = rng.uniform(-0.8, 1.2)
    high = np.clip((field - level) * 4, 0, 1)
    return (high - high.mean()) / max(float(high.std()), 0.3)


def _pores(rng: np.random.Generator, from_metal: np.ndarray, scale: float) -> np.ndarray:
    """Small dark holes and, half as many, bright grains."""
    field = smooth_field(rng, from_metal.shape, max(0.7, 0.4 * scale))
    return 2.5 * (0.5 * np.clip(field - 1.5, 0, 1) - np.clip(-field - 1.2, 0, 1)).astype(np.float32)


def _cells(rng: np.random.Generator, from_metal: np.ndarray, scale: float) -> np.ndarray:
    """Grains of one grey value each, darker where they meet; larger ones the farther out they lie."""
    shape = from_metal.shape
    count = int(np.clip(np.prod(shape) / (2.5 * scale) ** 3, 8, 40_000))
    tree = cKDTree(rng.uniform(0, 1, (count, 3)) * shape)
    places = np.argwhere((from_metal > -2) & (from_metal < CELLS_REACH * scale))
    pattern = np.zeros(shape, np.float32)
    if len(places):
        distances, nearest = tree.query(places + rng.normal(0, 0.3, places.shape), k=2)
        seams = np.exp(-(((distances[:, 1] - distances[:, 0]) / 0.9) ** 2))
        pattern[tuple(places.T)] = rng.normal(0, 0.8, count)[nearest[:, 0]] - rng.uniform(0.5, 2.5) * seams
    return pattern


def _fibres(rng: np.random.Generator, from_metal: np.ndarray, scale: float) -> np.ndarray:
    """Streaks along one direction, as drawn or extruded matter leaves them."""
    field = rng.standard_normal(from_metal.shape, dtype=np.float32)
    widths = np.full(3, max(0.5, 0.3 * scale))
    widths[rng.integers(3)] *= rng.uniform(4, 10)
    field = ndimage.gaussian_filter(field, widths, mode="wrap", truncate=2.5)
    return field / max(float(field.std()), 1e-6)


def _clouds(rng: np.random.Generator, from_metal: np.ndarray, scale: float) -> np.ndarray:
    """Shades of every size, from coarse to fine, as of a density that varies."""
    sizes = scale * np.array([0.4, 1.0, 2.5, 6.0])
    return np.sum([0.5 * smooth_field(rng, from_metal.shape, size) for size in sizes], axis=0)


TEXTURES: dict[Texture, Pattern] = {
    Texture.SPECKLE: _speckle,
    Texture.LAMELLAE: _lamellae,
    Texture.NETWORK: _network,
    Texture.PATCHES: _patches,
    Texture.PORES: _pores,
    Texture.CELLS: _cells,
    Texture.FIBRES: _fibres,
    Texture.CLOUDS: _clouds,
}
