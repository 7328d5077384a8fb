"""Volumes and label maps of the engine as nodes of the scene, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.scene.frames import geometry_from_ijk_to_ras, ijk_to_ras, local_to_world_ras, vtk_matrix

GREY_COLORS = "vtkMRMLColorTableNodeGrey"


def add_volume_node(scene: Any, volume: Volume, name: str) -> Any:
    """A `vtkMRMLScalarVolumeNode` with the grey values and the place of `volume`.

    The node shares the memory of `volume.array` where VTK can use it as it is (contiguous, writable, of a type that
    VTK has); otherwise the values are copied.
    """
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    node.SetAndObserveImageData(image_data(volume.array))
    place(node, volume.geometry)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(GREY_COLORS)
    return node


def volume_of_node(node: Any) -> Volume:
    """The grey values and the place in the world of a scalar volume node; shares the node's memory.

    Parent transforms count: the geometry is that of the world, not of the node alone. Raises InputError if the node has
    no voxels or several components a voxel, or is under a transform that is not linear or shears.
    """
    array = array_of_image(_require_image(node))
    return Volume(array, geometry_of_node(node), provenance={"name": node.GetName()})


def geometry_of_node(node: Any) -> Geometry:
    """The grid of a volume node in the world, parent transforms included. Raises `InputError` as `volume_of_node`."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    from MgImplantSegLib.scene.frames import numpy_matrix

    image = _require_image(node)
    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return geometry_from_ijk_to_ras(local_to_world_ras(node) @ numpy_matrix(matrix), image.GetDimensions()[::-1])


def place(node: Any, geometry: Geometry) -> None:
    """Give a volume node the origin, spacing and directions of `geometry`, left-handed ones too."""
    node.SetIJKToRASMatrix(vtk_matrix(ijk_to_ras(geometry)))


def image_data(array: np.ndarray, image: Any = None) -> Any:
    """A `vtkImageData` (or the given, empty one) over an array (z, y, x), sharing memory where possible."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    values = _as_vtk_can_use(array)
    image = vtkImageData() if image is None else image
    image.SetDimensions(*values.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(values.reshape(-1), deep=False))
    return image


def array_of_image(image: Any) -> np.ndarray:
    """The scalars of a `vtkImageData` as an array (z, y, x) that shares its memory."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def _as_vtk_can_use(array: np.ndarray) -> np.ndarray:
    """The array itself if VTK can share it, else a copy of a type that VTK and Slicer's file formats have."""
    kept: Any = {"bool": np.uint8, "float16": np.float32, "longdouble": np.float64}.get(array.dtype.name, array.dtype)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        kept = _smallest_integer_type(array)
    values = np.ascontiguousarray(array, dtype=np.dtype(kept).newbyteorder("="))
    return values if values.flags.writeable else values.copy()


def _smallest_integer_type(array: np.ndarray) -> type:
    """int32 where the values of a 64-bit array fit, else float64; Slicer's volume files have no 64-bit integers."""
    limits = np.iinfo(np.int32)
    return np.int32 if array.min() >= limits.min and array.max() <= limits.max else np.float64


def _require_image(node: Any) -> Any:
    if node is None or node.GetImageData() is None or node.GetImageData().GetNumberOfPoints() == 0:
        raise InputError("Expected a volume with voxels, got an empty one.", "Load or choose another volume.")
    components = node.GetImageData().GetNumberOfScalarComponents()
    if components != 1:
        raise InputError(
            f"Expected one grey value per voxel in {node.GetName()!r}, got {components} components.",
            "Convert the colour image to grey values first.",
        )
    return node.GetImageData()
