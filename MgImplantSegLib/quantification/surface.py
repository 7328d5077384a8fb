"""Surface area of a mask on an anisotropic grid: `SURFACE_METHODS` and `surface_area_mm2`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.quantification.mesh_area import smoothed_mesh_area_mm2
from MgImplantSegLib.quantification.voxel_faces import voxel_face_area_mm2

DEFAULT_SURFACE_METHOD = "smoothed-mesh"
PAD_VOXELS = 4


@dataclass(frozen=True)
class SurfaceMethod:
    """A way to measure the surface of a mask; `area_mm2(mask, counted, spacing_zyx_mm)` on padded arrays."""

    name: str
    area_mm2: Callable[[np.ndarray, np.ndarray, tuple[float, float, float]], float]


SURFACE_METHODS = {
    "smoothed-mesh": SurfaceMethod("mesh of the smoothed mask", smoothed_mesh_area_mm2),
    "voxel-faces": SurfaceMethod("sum of the voxel faces", voxel_face_area_mm2),
}


def surface_method(name: str) -> SurfaceMethod:
    """The method with that key.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in SURFACE_METHODS:
        raise InputError(f"Expected a surface method of {', '.join(SURFACE_METHODS)}, got {name!r}.")
    return SURFACE_METHODS[name]


def surface_area_mm2(
    mask: np.ndarray,
    spacing_zyx_mm: tuple[float, float, float],
    method: str = DEFAULT_SURFACE_METHOD,
    *,
    counted: np.ndarray | None = None,
    closed: bool = False,
) -> float:
    """Area in mm² of the surface of a mask.

    Parameters
    ----------
    mask : bool array (z, y, x)
        The object.
    spacing_zyx_mm : tuple of float
        Distance of the voxel centres.
    method : str
        Key of `SURFACE_METHODS`.
    counted : bool array (z, y, x), optional
        Surface counts where the voxels on both of its sides are True.
    closed : bool
        Whether the border of the array is surface of an object that touches it.
    """
    bounds = bounding_box(mask)
    if bounds is None:
        return 0.0
    bounds = grown(bounds, PAD_VOXELS, mask.shape)
    counted = np.ones(mask.shape, dtype=bool) if counted is None else counted
    if closed:
        padded = np.pad(mask[bounds], PAD_VOXELS), np.pad(counted[bounds], PAD_VOXELS, constant_values=True)
    else:
        padded = np.pad(mask[bounds], PAD_VOXELS, mode="edge"), np.pad(counted[bounds], PAD_VOXELS)
    return float(surface_method(method).area_mm2(*padded, spacing_zyx_mm))


def bounding_box(mask: np.ndarray) -> tuple[slice, slice, slice] | None:
    """Slices (z, y, x) of the smallest box that holds all True voxels; None if there are none."""
    bounds = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(mask.any(axis=others))
        if hit.size == 0:
            return None
        bounds.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(bounds)


def grown(
    bounds: tuple[slice, slice, slice], voxels: int | tuple[int, int, int], shape_zyx: tuple[int, int, int]
) -> tuple[slice, slice, slice]:
    """The box grown by `voxels` on every side, as far as the grid goes."""
    margins = (voxels,) * 3 if isinstance(voxels, int) else voxels
    return tuple(
        slice(max(0, part.start - margin), min(n, part.stop + margin))
        for part, margin, n in zip(bounds, margins, shape_zyx, strict=True)
    )
