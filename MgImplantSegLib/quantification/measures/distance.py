"""Exact Euclidean distance to a class on an anisotropic grid, in blocks that fit the memory."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from MgImplantSegLib.grids.slabs import slabs

VOXELS_PER_BLOCK = 1 << 28


def distance_to_mm(
    mask: np.ndarray,
    spacing_zyx_mm: tuple[float, float, float],
    limit_mm: float | None = None,
    voxels_per_block: int = VOXELS_PER_BLOCK,
) -> np.ndarray:
    """Distance in mm from every voxel's centre to the nearest True voxel's centre; float32 (z, y, x).

    0 inside the mask, infinite where there is none.

    Parameters
    ----------
    mask : bool array (z, y, x)
        The class.
    spacing_zyx_mm : tuple of float
        Distance of the voxel centres.
    limit_mm : float, optional
        Up to this distance the result must be exact; beyond it any larger value may stand. Lets large arrays be
        worked on in blocks.
    voxels_per_block : int
        Size of a block with a limit.
    """
    distance = np.empty(mask.shape, dtype=np.float32)
    halo = 0 if limit_mm is None else int(np.ceil(limit_mm / spacing_zyx_mm[0])) + 1
    for part in slabs(mask.shape, mask.size if limit_mm is None else voxels_per_block):
        low, high = max(0, part.start - halo), min(mask.shape[0], part.stop + halo)
        _maurer(mask[low:high], spacing_zyx_mm, slice(part.start - low, part.stop - low), distance[part])
    return distance


def _maurer(mask: np.ndarray, spacing_zyx_mm: tuple[float, ...], part: slice, out: np.ndarray) -> None:
    """Fill `out` with the distances of the layers `part` of a mask."""
    if not mask.any():
        out.fill(np.inf)
        return
    image = sitk.GetImageFromArray(mask.view(np.uint8))
    image.SetSpacing(spacing_zyx_mm[::-1])
    signed = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    np.maximum(sitk.GetArrayViewFromImage(signed)[part], 0, out=out)
