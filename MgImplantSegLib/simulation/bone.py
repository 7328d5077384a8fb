"""Bone around a simulated implant: cortical bone with canals, trabeculae, new bone, gaps and gas pockets."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from MgImplantSegLib.simulation.fields import band_field, slope_normalised, smooth_field
from MgImplantSegLib.simulation.real_bone import real_trabeculae
from MgImplantSegLib.simulation.settings import BoneParameters


def bone_level_set(bone: BoneParameters, implant: np.ndarray, voxel_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Level set of bone (z, y, x) in voxels, negative inside; never inside the implant.

    Parameters
    ----------
    bone : BoneParameters
        Sizes in mm.
    implant : numpy.ndarray
        Level set of the implant's outer surface in voxels.
    voxel_mm : float
        Voxel size in mm.
    """
    level_set = np.full(implant.shape, 50, np.float32)
    if bone.real_scale:
        level_set = real_trabeculae(rng, implant.shape, bone.real_scale, voxel_mm)
    elif bone.trabecular:
        level_set = _trabecular(bone, implant.shape, voxel_mm, rng)
    if bone.cortical_mm > 0:
        level_set = np.minimum(level_set, _cortical(bone, implant.shape, voxel_mm, rng))
    if bone.new_bone_part > 0:
        level_set = np.minimum(level_set, _new_bone(bone, implant, voxel_mm, rng))
    level_set = np.maximum(level_set, _gap(bone, implant, voxel_mm, rng))
    if bone.capsule_mm:
        level_set = np.maximum(level_set, bone.capsule_mm / voxel_mm - implant)
    for _ in range(bone.gas_pockets):
        level_set = np.maximum(level_set, -_ball_near(implant, voxel_mm, rng))
    return np.maximum(level_set, -implant)


def _trabecular(bone: BoneParameters, shape: tuple[int, ...], voxel_mm: float, rng) -> np.ndarray:
    wavelength = bone.trabecular_spacing_mm / voxel_mm
    half_thickness = bone.trabecular_thickness_mm / voxel_mm / 2
    first = slope_normalised(band_field(rng, shape, 2 * wavelength, bone.irregularity))
    second = slope_normalised(band_field(rng, shape, 2 * wavelength, bone.irregularity))
    plates = np.abs(first) - half_thickness
    rods = np.hypot(first, second) - half_thickness * 1.3
    choice = smooth_field(rng, shape, wavelength)
    edge = np.quantile(choice[::4, ::4, ::4], bone.plate_part)
    level_set = np.where(choice < edge, plates, rods)
    if rng.random() < 0.3:
        blobs = band_field(rng, shape, wavelength, bone.irregularity)
        level_set = slope_normalised(np.quantile(blobs[::4, ::4, ::4], rng.uniform(0.55, 0.85)) - blobs)
    return level_set.astype(np.float32)


def _cortical(bone: BoneParameters, shape: tuple[int, ...], voxel_mm: float, rng) -> np.ndarray:
    """A warped slab at one side of the volume with canals that run along it."""
    axes = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    side = [z, y, -y, x, -x][rng.integers(5)]
    other = z if side is not z else x
    extent = shape[0] / 2
    height = side + bone.cortical_tilt * other + 0.06 * extent * smooth_field(rng, shape, 0.2 * extent)
    thickness = bone.cortical_mm / voxel_mm
    top = rng.uniform(0.2, 1.2) * extent
    slab = np.abs(height - top + thickness / 2) - thickness / 2
    spacing = bone.canal_spacing_mm / voxel_mm
    along = 2 if side is z else 0
    first, second = (n for axis, n in enumerate(shape) if axis != along)
    winding = 0.15 * spacing * smooth_field(rng, shape, 2 * spacing)
    canals = np.expand_dims(_canal_pattern(rng, (first, second), spacing), along)
    canals = canals + winding - bone.canal_radius_mm / voxel_mm
    return np.maximum(slab, -canals).astype(np.float32)


def _canal_pattern(rng: np.random.Generator, shape: tuple[int, int], spacing: float) -> np.ndarray:
    """Distance in voxels to the nearest of randomly placed points in a plane."""
    count = max(1, int(shape[0] * shape[1] / spacing**2))
    points = rng.uniform(0, 1, (count, 2)) * shape
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 2)
    return cKDTree(points).query(grid)[0].reshape(shape).astype(np.float32)


def _new_bone(bone: BoneParameters, implant: np.ndarray, voxel_mm: float, rng) -> np.ndarray:
    thickness = bone.new_bone_mm / voxel_mm
    cover = smooth_field(rng, implant.shape, 0.2 / voxel_mm)
    edge = np.quantile(cover[::4, ::4, ::4], 1 - bone.new_bone_part)
    varied = thickness * np.clip(5 * (cover - edge), -0.2, 1.2)
    pores = slope_normalised(smooth_field(rng, implant.shape, 0.04 / voxel_mm) - rng.uniform(1.0, 2.0))
    return np.maximum(implant - varied, pores).astype(np.float32)


def _gap(bone: BoneParameters, implant: np.ndarray, voxel_mm: float, rng) -> np.ndarray:
    """Positive where soft tissue separates bone from the implant."""
    cover = smooth_field(rng, implant.shape, 0.15 / voxel_mm)
    edge = np.quantile(cover[::4, ::4, ::4], bone.contact_part)
    width = bone.gap_mm / voxel_mm * np.clip(12 * (cover - edge), -0.3, 1)
    return (width - implant).astype(np.float32)


def _ball_near(implant: np.ndarray, voxel_mm: float, rng) -> np.ndarray:
    radius = rng.uniform(0.04, 0.25) / voxel_mm
    near = np.argwhere(np.abs(implant - radius) < 2)
    centre = near[rng.integers(len(near))] if len(near) else np.zeros(3)
    squared = sum((axis - c) ** 2 for axis, c in zip(np.ogrid[tuple(map(slice, implant.shape))], centre, strict=True))
    return (np.sqrt(squared.astype(np.float32)) - radius).astype(np.float32)
