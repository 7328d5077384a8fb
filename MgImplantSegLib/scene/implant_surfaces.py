"""Surfaces of the implant that carry a measure: what touches it, and how deep it is degraded.

Meshes are `vtkPolyData` in RAS millimetres, made by surface nets: two triangles for each voxel face between different
labels, moved a little to be smooth. So a count of the mesh's cells is a count of voxel faces.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.boxes import bounding_box
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.quantification.codes import BONE, LAYER, METAL, UNKNOWN, role_codes
from MgImplantSegLib.scene.frames import ijk_to_ras
from MgImplantSegLib.scene.meshes import facing_outward, smoothed, transformed, with_normals
from MgImplantSegLib.scene.volumes import image_data

CONTACT = "Contact"
DEPTH = "Degradation depth"
FREE, BONE_CONTACT, NOT_COUNTED = range(3)
INSIDE = 1
BONE_BESIDE, UNKNOWN_BESIDE = 2, 3
LABELS_OF_FACE = "BoundaryLabels"
SMOOTHING = 0.5  # that of Slicer's closed surfaces; surface nets alone leave spikes where three labels meet


def contact_surface(label_map: LabelMap) -> Any:
    """The implant's surface with the cell array `CONTACT`: `FREE`, `BONE_CONTACT`, or `NOT_COUNTED`.

    The cells are the face pairs of the default BIC; `NOT_COUNTED` are those towards voxels of which nothing is known,
    and those on the border of the volume. Raises InputError if there is no implant.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    value_of_code = np.zeros(max(BONE, LAYER, METAL, UNKNOWN) + 1, dtype=np.uint8)
    value_of_code[[LAYER, METAL, BONE, UNKNOWN]] = INSIDE, INSIDE, BONE_BESIDE, UNKNOWN_BESIDE
    mesh = _surface_of(value_of_code[role_codes(label_map)], label_map.geometry, "an implant")
    beside = vtk_to_numpy(mesh.GetCellData().GetArray(LABELS_OF_FACE))[:, 1]
    contact = np.zeros(len(beside), dtype=np.uint8)
    contact[beside == BONE_BESIDE] = BONE_CONTACT
    contact[beside == UNKNOWN_BESIDE] = NOT_COUNTED
    mesh.GetCellData().RemoveArray(LABELS_OF_FACE)
    _add_array(mesh.GetCellData(), CONTACT, contact)
    return mesh


def depth_surface(label_map: LabelMap, initial: LabelMap) -> Any:
    """The surface of the residual material with the point array `DEPTH`: millimetres below the initial surface.

    Negative where the residual material reaches out of the initial screw, as after a poor registration. Raises
    InputError if there is no residual material, or no initial screw.

    Parameters
    ----------
    initial : LabelMap
        The screw before implantation, registered to the explant; it may be on another grid.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersGeneral import vtkDistancePolyDataFilter

    residual = _surface_of((role_codes(label_map) == METAL).view(np.uint8), label_map.geometry, "residual material")
    outside = _surface_of(initial.implant_mask().view(np.uint8), initial.geometry, "an initial screw")
    residual.GetCellData().RemoveArray(LABELS_OF_FACE)
    distance = vtkDistancePolyDataFilter()
    distance.SetInputData(0, residual)
    distance.SetInputData(1, outside)
    distance.ComputeSecondDistanceOff()
    distance.ComputeCellCenterDistanceOff()
    distance.Update()
    below_mm = -vtk_to_numpy(distance.GetOutput().GetPointData().GetArray("Distance"))
    _add_array(residual.GetPointData(), DEPTH, below_mm.astype(np.float32))
    return residual


def _surface_of(array: np.ndarray, geometry: Geometry, what: str) -> Any:
    """The smooth boundary of the voxels that are `INSIDE`; `LABELS_OF_FACE` says what lies on both sides of its cells.

    Voxels beyond the volume's border have the value `UNKNOWN_BESIDE`.
    """
    from vtkmodules.vtkFiltersCore import vtkSurfaceNets3D

    cropped, start_zyx = _cropped_and_padded(array, what)
    image = image_data(cropped)
    image.SetSpacing(geometry.spacing_zyx_mm[::-1])
    nets = vtkSurfaceNets3D()
    nets.SetInputData(image)
    for number, label in enumerate((INSIDE, BONE_BESIDE, UNKNOWN_BESIDE)):
        nets.SetValue(number, label)
    nets.SetBackgroundLabel(0)
    nets.SetOutputStyleToSelected()
    nets.AddSelectedLabel(INSIDE)
    nets.SetOutputMeshTypeToTriangles()
    nets.Update()
    to_ras = ijk_to_ras(geometry.cropped(start_zyx, cropped.shape))
    to_ras[:3, :3] /= geometry.spacing_zyx_mm[::-1]  # the mesh is in millimetres along the axes of the grid
    return with_normals(facing_outward(transformed(smoothed(nets.GetOutput(), SMOOTHING), to_ras)))


def _cropped_and_padded(array: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """The box around what is `INSIDE` and its neighbours, padded where it meets the border; its first index."""
    box = bounding_box(array, INSIDE)
    if box is None:
        raise InputError(f"Expected {what} in the segmentation, got none.", "Check the class mapping.")
    start, stop = np.array([(part.start - 1, part.stop + 1) for part in box]).T
    low, high = np.maximum(start, 0), np.minimum(stop, array.shape)
    part = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    missing = list(zip(low - start, stop - high, strict=True))
    return np.pad(part, missing, constant_values=UNKNOWN_BESIDE), start


def _add_array(data: Any, name: str, values: np.ndarray) -> None:
    from vtkmodules.util.numpy_support import numpy_to_vtk

    array = numpy_to_vtk(values, deep=True)
    array.SetName(name)
    data.AddArray(array)
    data.SetActiveScalars(name)
