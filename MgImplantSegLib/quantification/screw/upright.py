"""Turning an explant so that its screw axis stands upright, along the third axis of space and of the array."""

from __future__ import annotations

from typing import overload

import numpy as np
import SimpleITK as sitk

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.boxes import bounding_box, shape_of, start_of
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io.itk_image import itk_image, resampled
from MgImplantSegLib.quantification.codes import implant_in, role_codes
from MgImplantSegLib.quantification.screw.axis import screw_axis
from MgImplantSegLib.quantification.screw.rigid_transform import itk_transform, rigid_matrix, rotation_between

UP = np.array([0.0, 0.0, 1.0])


def upright_matrix(label_map: LabelMap) -> np.ndarray:
    """4×4 LPS matrix that turns the implant's axis, about the implant's centre, to the direction (0, 0, 1).

    Raises InputError if there is no implant.
    """
    implant = implant_in(role_codes(label_map))
    box = bounding_box(implant)
    if box is None:
        raise InputError("Expected an implant to align, found none.", "Check the segmentation and its roles.")
    axis = screw_axis(implant[box], label_map.geometry.cropped(start_of(box), shape_of(box)))
    rotation = rotation_between(np.array(axis.direction_lps), UP)
    return rigid_matrix(rotation, np.array(axis.centre_lps_mm) - rotation @ axis.centre_lps_mm)


@overload
def turned(image: LabelMap, matrix: np.ndarray) -> LabelMap: ...
@overload
def turned(image: Volume, matrix: np.ndarray) -> Volume: ...
def turned(image: Volume | LabelMap, matrix: np.ndarray) -> Volume | LabelMap:
    """An image or label map after a rigid 4×4 transform, resampled to an upright isotropic grid that holds all of it.

    Grey values are interpolated linearly, labels by the nearest voxel; outside is the smallest grey value, or the
    label scheme's ignore value, or 0.
    """
    geometry = _upright_geometry(image.geometry, matrix)
    outside = (image.scheme.ignore_value or 0) if isinstance(image, LabelMap) else float(image.array.min())
    array = image.array.view(np.uint8) if image.array.dtype == bool else image.array
    interpolator = sitk.sitkNearestNeighbor if isinstance(image, LabelMap) else sitk.sitkLinear
    transform = itk_transform(np.linalg.inv(matrix))
    array = resampled(itk_image(array, image.geometry), geometry, interpolator, transform, outside)
    if isinstance(image, LabelMap):
        return LabelMap(array, geometry, image.scheme, image.provenance)
    return Volume(array, geometry, image.spacing_is_known, image.provenance)


def _upright_geometry(geometry: Geometry, matrix: np.ndarray) -> Geometry:
    """The smallest grid with identity direction and the finest spacing that holds a turned grid."""
    corners = geometry.corners_lps_mm() @ matrix[:3, :3].T + matrix[:3, 3]
    spacing_mm = min(geometry.spacing_zyx_mm)
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape_xyz = np.maximum(1, np.ceil((high - low) / spacing_mm - 1e-6).astype(int))
    origin = (low + high) / 2 - (shape_xyz - 1) / 2 * spacing_mm
    return Geometry(tuple(shape_xyz[::-1]), (spacing_mm,) * 3, tuple(origin))
