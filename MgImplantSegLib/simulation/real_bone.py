"""Trabeculae of a real scan, of any size: a shrew's, CC0, from Resources/SampleData."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

from MgImplantSegLib.base.resources import resource
from MgImplantSegLib.io import read_volume
from MgImplantSegLib.simulation.fields import smooth_field

FILE = "shrew_trabecular_mask_4p1um.nrrd"
VOXEL_MM = 0.0041


@cache
def _signed_distance() -> np.ndarray:
    """Distance to the surface of the bone in voxels of the scan, negative inside, float32 (z, y, x)."""
    bone = read_volume(resource("SampleData", FILE)).array > 0
    distance = ndimage.distance_transform_edt(~bone) - ndimage.distance_transform_edt(bone)
    return ndimage.gaussian_filter(distance, 0.8).astype(np.float32)


def real_trabeculae(rng: np.random.Generator, shape: tuple[int, ...], scale: float, voxel_mm: float) -> np.ndarray:
    """Level set in voxels, negative inside, of the real bone `scale` times as large, warped.

    Beyond the scan its mirror image continues; axes are exchanged and flipped at random.
    """
    distance = _signed_distance().transpose(rng.permutation(3))
    distance = distance[tuple(slice(None, None, int(step)) for step in rng.choice([-1, 1], 3))]
    step = voxel_mm / (VOXEL_MM * scale)
    shifts = rng.uniform(0, 2 * np.array(distance.shape))
    warp = 0.15 / voxel_mm
    places = [
        shift + step * (axis + 0.25 * warp * smooth_field(rng, shape, warp))
        for shift, axis in zip(shifts, np.meshgrid(*map(np.arange, shape), indexing="ij", sparse=True), strict=True)
    ]
    level_set = ndimage.map_coordinates(distance, places, order=1, mode="mirror")
    return (level_set / step).astype(np.float32)
