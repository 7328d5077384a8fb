"""Closed surfaces of masks by VTK alone, as Slicer makes them of its segments; for work outside Slicer's process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.grids.boxes import bounding_box, start_of
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.scene.closed_surfaces import SurfaceMethod, SurfaceSettings
from MgImplantSegLib.scene.frames import ijk_to_ras
from MgImplantSegLib.scene.meshes import facing_outward, smoothed, transformed, with_normals
from MgImplantSegLib.scene.volumes import image_data


def surface_of_mask(mask: np.ndarray, geometry: Geometry, settings: SurfaceSettings | None = None) -> Any:
    """The closed surface (`vtkPolyData`, triangles, in RAS mm) of the voxels (z, y, x) that are not 0.

    An empty mask gives an empty surface. Smoothing has the pass band and the number of steps of Slicer's own surfaces;
    unlike there it comes before decimation, which then shrinks thin parts less.
    """
    from vtkmodules.vtkCommonDataModel import vtkPolyData

    settings = settings or SurfaceSettings()
    inside, start_zyx = _cropped_and_padded(mask)
    if inside is None:
        return vtkPolyData()
    mesh = smoothed(_boundary(image_data(inside), settings.method), settings.smoothing)
    to_ras = ijk_to_ras(geometry.cropped(start_zyx, inside.shape))
    return with_normals(facing_outward(transformed(_decimated(mesh, settings.decimation), to_ras)))


def write_mesh(mesh: Any, path: str | Path) -> Path:
    """Write a mesh with its arrays as .vtp, uncompressed."""
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    writer = vtkXMLPolyDataWriter()
    writer.SetInputData(mesh)
    writer.SetDataModeToAppended()
    writer.EncodeAppendedDataOff()
    writer.SetCompressorTypeToNone()
    with atomic_output(path) as temporary:
        writer.SetFileName(str(temporary))
        if not writer.Write():
            raise OSError(writer.GetErrorCode(), "VTK could not write the mesh", str(path))
    return Path(path)


def read_mesh(path: str | Path) -> Any:
    """The mesh of `write_mesh`. Raises InputError if the file is missing or has no mesh."""
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    reader = vtkXMLPolyDataReader()
    if not Path(path).is_file() or not reader.CanReadFile(str(path)):
        raise InputError(f"Expected a mesh file, got {path}.")
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


def _cropped_and_padded(mask: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """The box of what is not 0 as 0 and 1, with a voxel of 0 around it, and its first index."""
    box = bounding_box(mask != 0)
    if box is None:
        return None, np.zeros(3)
    part = mask[box]
    padded = np.zeros(np.array(part.shape) + 2, np.uint8)
    padded[1:-1, 1:-1, 1:-1] = part != 0
    return padded, np.array(start_of(box)) - 1


def _boundary(image: Any, method: SurfaceMethod) -> Any:
    """Triangles between 0 and 1, in voxels."""
    from vtkmodules.vtkFiltersCore import vtkSurfaceNets3D
    from vtkmodules.vtkFiltersGeneral import vtkDiscreteFlyingEdges3D

    if method is SurfaceMethod.SURFACE_NETS:
        surface: Any = vtkSurfaceNets3D()
        surface.SmoothingOff()
        surface.SetOutputMeshTypeToTriangles()
    else:
        surface = vtkDiscreteFlyingEdges3D()
        surface.ComputeNormalsOff()
        surface.ComputeGradientsOff()
    surface.SetInputData(image)
    surface.SetValue(0, 1)
    surface.Update()
    mesh = surface.GetOutput()
    mesh.GetPointData().Initialize()
    mesh.GetCellData().Initialize()
    return mesh


def _decimated(mesh: Any, reduction: float) -> Any:
    from vtkmodules.vtkFiltersCore import vtkDecimatePro

    if not reduction:
        return mesh
    fewer = vtkDecimatePro()
    fewer.SetInputData(mesh)
    fewer.SetFeatureAngle(60)
    fewer.SplittingOff()
    fewer.PreserveTopologyOn()
    fewer.SetMaximumError(1)
    fewer.SetTargetReduction(reduction)
    fewer.Update()
    return fewer.GetOutput()
