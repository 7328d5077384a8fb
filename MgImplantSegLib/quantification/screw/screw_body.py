"""A screw as registration sees it: a mask of moderate size, where it is known, its place and its axis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.io.itk_image import itk_image
from MgImplantSegLib.quantification.screw.axis import ScrewAxis, screw_axis
from MgImplantSegLib.quantification.screw.screw_shape import LabelMapShape, MeshShape

FULL = 255
PAD_VOXELS = 2
MOST_VOXELS = 1 << 25


@dataclass(frozen=True, eq=False)
class ScrewBody:
    """A mask and the voxels where it is known, both bool (z, y, x), and their place."""

    mask: np.ndarray
    known: np.ndarray
    geometry: Geometry

    @cached_property
    def axis(self) -> ScrewAxis:
        """The screw axis."""
        return screw_axis(self.mask, self.geometry)

    @cached_property
    def ends_mm(self) -> tuple[float, float]:
        """Where the body begins and ends on its axis."""
        along_mm = self.axis.positions_mm(self.geometry)[self.mask]
        return float(along_mm.min()), float(along_mm.max())

    @property
    def size_mm(self) -> float:
        """Longest edge of the box."""
        return max(self.geometry.extent_zyx_mm)

    def reduced(self, spacing_mm: float) -> ScrewBody:
        """The body with voxels of about, and at most, `spacing_mm`."""
        factors = [max(1, int(spacing_mm / spacing + 1e-6)) for spacing in self.geometry.spacing_zyx_mm]
        if max(factors) == 1:
            return self
        mask, geometry = _shrunk(self.mask, self.geometry, factors)
        known, _ = _shrunk(self.known, self.geometry, factors)
        return ScrewBody(mask, known, geometry)


def body_of_mask(mask: np.ndarray, known: np.ndarray, geometry: Geometry, voxels: int) -> ScrewBody:
    """The body of a mask (z, y, x), reduced to about `voxels` along its longest side."""
    body = ScrewBody(mask, known, geometry)
    return _require_solid(body.reduced(body.size_mm / voxels))


def body_of_shape(shape: LabelMapShape | MeshShape, spacing_mm: float) -> ScrewBody:
    """The body of an initial screw with voxels of about `spacing_mm`."""
    low, high = shape.corners_lps_mm.min(axis=0), shape.corners_lps_mm.max(axis=0)
    if isinstance(shape, LabelMapShape):
        mask = np.pad(shape.array, PAD_VOXELS)
        geometry = shape.geometry.cropped((-PAD_VOXELS,) * 3, mask.shape)
        return _require_solid(ScrewBody(mask, shape.known_on(geometry), geometry).reduced(spacing_mm))
    spacing_mm = max(spacing_mm, float((np.prod(high - low) / MOST_VOXELS) ** (1 / 3)))
    count_xyz = np.ceil((high - low) / spacing_mm).astype(int) + 2 * PAD_VOXELS
    origin = low - (PAD_VOXELS - 0.5) * spacing_mm
    geometry = Geometry(tuple(count_xyz[::-1]), (spacing_mm,) * 3, tuple(origin))
    return _require_solid(ScrewBody(shape.mask_on(geometry), shape.known_on(geometry), geometry))


def _require_solid(body: ScrewBody) -> ScrewBody:
    if not body.mask.any():
        raise InputError("Expected a screw to register, got one thinner than a hundredth of its length.")
    return body


def _shrunk(mask: np.ndarray, geometry: Geometry, factors_zyx: list[int]) -> tuple[np.ndarray, Geometry]:
    """A mask with blocks of voxels merged to one, True where at least half of the block is."""
    image = sitk.BinShrink(itk_image(mask.astype(np.uint8) * np.uint8(FULL), geometry), factors_zyx[::-1])
    array = sitk.GetArrayFromImage(image) > FULL // 2
    place = Geometry(array.shape, image.GetSpacing()[::-1], image.GetOrigin(), geometry.direction_lps)
    return array, place
