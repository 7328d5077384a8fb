"""The grid of voxels that a segmentation node is read onto, and where the images of its segments lie on it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.typed import triple
from MgImplantSegLib.grids.volume import SAME_PLACE_VOXELS, Geometry
from MgImplantSegLib.io.grids import coincidence
from MgImplantSegLib.scene.frames import (
    geometry_from_ijk_to_ras,
    ijk_to_ras,
    local_to_world_ras,
    numpy_matrix,
    vtk_matrix,
)
from MgImplantSegLib.scene.segments import binary_image, segment_ids
from MgImplantSegLib.scene.standalone import require_slicer
from MgImplantSegLib.scene.volumes import geometry_of_node

logger = logging.getLogger(__name__)
REFERENCE_GEOMETRY = "Reference image geometry"


@dataclass(frozen=True)
class Lattice:
    """The grid of voxels that a node is read onto: 4×4 matrix from index (x, y, z) to local RAS, first index, size."""

    ijk_to_ras: np.ndarray
    first_xyz: np.ndarray
    size_xyz: np.ndarray

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Number of voxels of an array on this grid."""
        return triple(int(size) for size in self.size_xyz[::-1])

    def rows(self, start: int, stop: int) -> Lattice:
        """The part from `start` to before `stop` along the first axis (z) of an array on this grid."""
        first, size = np.array(self.first_xyz), np.array(self.size_xyz)
        first[2], size[2] = first[2] + start, stop - start
        return replace(self, first_xyz=first, size_xyz=size)


def lattice_of_node(node: Any) -> Lattice:
    """The reference grid, grown by whole voxels where segments reach beyond it."""
    segmentation = node.GetSegmentation()
    images = [binary_image(segmentation, segment_id) for segment_id in segment_ids(segmentation)]
    images = list({id(image): image for image in images if image is not None}.values())
    reference = _reference_image(segmentation) or next(iter(images), None)
    if reference is None:
        raise InputError(f"Expected voxels or a reference image in {node.GetName()!r}, got neither.")
    ijk_to_ras, extent = _image_to_ras(reference), np.array(reference.GetExtent()).reshape(3, 2)
    first, last = extent[:, 0], extent[:, 1]
    for image in images:
        low, high = _reach(image, np.linalg.inv(ijk_to_ras), first, last)
        if (low < first).any() or (high > last).any():
            logger.warning("%s extends beyond its reference image; the grid is enlarged.", node.GetName())
        first, last = np.minimum(first, low), np.maximum(last, high)
    return Lattice(ijk_to_ras, first, last - first + 1)


def lattice_of_volume(node: Any, volume_node: Any) -> Lattice:
    """The grid of a volume node, in the coordinates of the segmentation node."""
    geometry = geometry_of_node(volume_node)
    ijk_to_local = np.linalg.inv(local_to_world_ras(node)) @ ijk_to_ras(geometry)
    return Lattice(ijk_to_local, np.zeros(3, dtype=int), np.array(geometry.shape_zyx[::-1]))


def geometry_of_image(image: Any) -> Geometry:
    """The grid of a `vtkOrientedImageData` in the coordinates of its segmentation node."""
    corner, extent = np.eye(4), np.reshape(image.GetExtent(), (3, 2))
    corner[:3, 3] = extent[:, 0]
    shape_zyx = triple(int(size) for size in (extent[:, 1] - extent[:, 0] + 1)[::-1])
    return geometry_from_ijk_to_ras(_image_to_ras(image) @ corner, shape_zyx)


def _reference_image(segmentation: Any) -> Any:
    """The grid that the segmentation names as its reference, as image without voxels; None if it names none."""
    slicer, text = require_slicer(), segmentation.GetConversionParameter(REFERENCE_GEOMETRY)
    image = slicer.vtkOrientedImageData()
    if not text or not slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image, False):
        return None
    return image


def _image_to_ras(image: Any) -> np.ndarray:
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return numpy_matrix(matrix)


def _reach(
    image: Any, ras_to_lattice: np.ndarray, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First and last index on the lattice, x y z, of an image; its voxels need not fit the lattice.

    What reaches beyond `first` and `last` is cropped to what is not 0, which means looking at all of its voxels.
    """
    low, high = _corners_on_lattice(image, image.GetExtent(), ras_to_lattice)
    if (low >= first).all() and (high <= last).all():
        return low, high
    extent = [0, -1, 0, -1, 0, -1]
    require_slicer().vtkOrientedImageDataResample.CalculateEffectiveExtent(image, extent)
    if (np.array(extent[1::2]) < extent[::2]).any():
        return np.full(3, np.iinfo(np.int32).max), np.full(3, np.iinfo(np.int32).min)
    return _corners_on_lattice(image, extent, ras_to_lattice)


def _corners_on_lattice(image: Any, extent: Any, ras_to_lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array(np.meshgrid(*np.reshape(extent, (3, 2)), [1], indexing="ij")).reshape(4, -1)
    on_lattice = (ras_to_lattice @ _image_to_ras(image) @ corners)[:3]
    low, high = on_lattice.min(axis=1), on_lattice.max(axis=1)
    return np.floor(low + SAME_PLACE_VOXELS).astype(int), np.ceil(high - SAME_PLACE_VOXELS).astype(int)


def first_xyz(image: Any, lattice: Lattice) -> np.ndarray | None:
    """Where on the lattice the first voxel of an image lies, x y z; None if its voxels do not coincide with it."""
    extent, corner = np.array(image.GetExtent()).reshape(3, 2), np.eye(4)
    corner[:3, 3] = extent[:, 0]
    relative = np.linalg.inv(lattice.ijk_to_ras) @ _image_to_ras(image) @ corner
    place = coincidence(relative, triple(int(n) for n in (extent[:, 1] - extent[:, 0] + 1)[::-1]))
    return np.array(place.start_zyx[::-1]) if place is not None and place.keeps_axes else None


def resampled(image: Any, lattice: Lattice) -> Any:
    """An image of segments on the lattice, every voxel with the value of the nearest."""
    slicer = require_slicer()
    grid, result = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    grid.SetGeometryFromImageToWorldMatrix(vtk_matrix(lattice.ijk_to_ras))
    bounds = zip(lattice.first_xyz, lattice.first_xyz + lattice.size_xyz - 1, strict=True)
    grid.SetExtent(*(int(bound) for pair in bounds for bound in pair))
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(image, grid, result)
    return result
