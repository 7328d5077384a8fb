"""Closed triangle meshes from files: reading, volume, area, and the mask of the inside on a grid."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.quantification.vtk_modules import vtk_module
from MgImplantSegLib.volume import Geometry

MESH_READERS = {
    ".stl": ("vtkIOGeometry", "vtkSTLReader"),
    ".ply": ("vtkIOPLY", "vtkPLYReader"),
    ".obj": ("vtkIOGeometry", "vtkOBJReader"),
    ".vtk": ("vtkIOLegacy", "vtkPolyDataReader"),
    ".vtp": ("vtkIOXML", "vtkXMLPolyDataReader"),
}
MESH_SUFFIXES = tuple(MESH_READERS)
HEADER_BYTES = 2048
LONGEST_EDGE_VOXELS = 1


def read_mesh(path: str | Path, unit_mm: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Points in LPS mm, shape (n, 3), and triangles, shape (m, 3), of a closed mesh.

    Files are in LPS unless their header says ``SPACE=RAS``, as Slicer writes it.

    Parameters
    ----------
    path : str or Path
        File with one of `MESH_SUFFIXES`.
    unit_mm : float
        Length of the file's unit in mm.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, holds no triangles or is not closed.
    """
    path = Path(path)
    if path.suffix.lower() not in MESH_READERS:
        raise InputError(f"Expected a mesh file ({', '.join(MESH_SUFFIXES)}), got {path}.")
    if not (math.isfinite(unit_mm) and unit_mm > 0):
        raise InputError(f"Expected a positive length of the mesh's unit in mm, got {unit_mm}.")
    try:
        header = path.open("rb").read(HEADER_BYTES)
    except OSError as error:
        raise InputError(f"Expected a mesh file, could not read {path} ({error.strerror}).") from error
    points, triangles = _closed_triangles(path)
    signs = np.array([-1.0, -1.0, 1.0]) if b"SPACE=RAS" in header else np.ones(3)
    return points * signs * unit_mm, triangles


def mesh_volume_mm3(points_lps_mm: np.ndarray, triangles: np.ndarray) -> float:
    """Volume that a closed mesh encloses, by the divergence theorem."""
    a, b, c = np.moveaxis((points_lps_mm - points_lps_mm.mean(axis=0))[triangles], 1, 0)
    return float(abs(np.einsum("ij,ij->", a, np.cross(b, c))) / 6)


def mesh_area_mm2(points_lps_mm: np.ndarray, triangles: np.ndarray) -> float:
    """Area of a mesh's triangles."""
    a, b, c = np.moveaxis(points_lps_mm[triangles], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def mesh_area_within_mm2(
    points_lps_mm: np.ndarray, triangles: np.ndarray, geometry: Geometry, counted: np.ndarray
) -> float:
    """Area of the part of the triangles in mm² that lies in counted voxels of a grid, a bool array (z, y, x).

    Triangles are halved at their longest edge until none is longer than a voxel; each piece lies where its centre
    lies.
    """
    longest_mm = LONGEST_EDGE_VOXELS * max(geometry.spacing_zyx_mm)
    total_mm2, corners = 0.0, points_lps_mm[triangles]
    while len(corners):
        edges_mm = np.linalg.norm(corners[:, [1, 2, 0]] - corners, axis=2)
        small = edges_mm.max(axis=1) <= longest_mm
        total_mm2 += _counted_area_mm2(corners[small], geometry, counted)
        corners = _halved(corners[~small], edges_mm[~small].argmax(axis=1))
    return total_mm2


def _counted_area_mm2(corners: np.ndarray, geometry: Geometry, counted: np.ndarray) -> float:
    index = np.rint(geometry.index_zyx_from_lps(corners.mean(axis=1))).astype(int)
    inside = ((index >= 0) & (index < counted.shape)).all(axis=1)
    inside[inside] = counted[tuple(index[inside].T)]
    normals = np.cross(corners[inside, 1] - corners[inside, 0], corners[inside, 2] - corners[inside, 0])
    return 0.5 * float(np.linalg.norm(normals, axis=1).sum())


def _halved(corners: np.ndarray, longest: np.ndarray) -> np.ndarray:
    """Triangles (n, 3, 3), each halved at its longest edge, which begins at corner `longest`."""
    row = np.arange(len(corners))
    first, second, third = (corners[row, (longest + k) % 3] for k in range(3))
    middle = (first + second) / 2
    return np.concatenate([np.stack([first, middle, third], axis=1), np.stack([middle, second, third], axis=1)])


def mesh_mask(points_lps_mm: np.ndarray, triangles: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Boolean array (z, y, x), True where a voxel's centre lies inside a closed mesh."""
    numpy_support = vtk_module("util.numpy_support")
    stencil = vtk_module("vtkImagingStencil").vtkPolyDataToImageStencil()
    index_xyz = geometry.index_zyx_from_lps(points_lps_mm)[:, ::-1]
    stencil.SetInputData(_poly_data(index_xyz, triangles))
    extent = [edge for n in geometry.shape_zyx[::-1] for edge in (0, n - 1)]
    stencil.SetOutputWholeExtent(extent)
    to_image = vtk_module("vtkImagingStencil").vtkImageStencilToImage()
    to_image.SetInputConnection(stencil.GetOutputPort())
    to_image.SetInsideValue(1)
    to_image.SetOutsideValue(0)
    to_image.SetOutputScalarTypeToUnsignedChar()
    to_image.Update()
    inside = numpy_support.vtk_to_numpy(to_image.GetOutput().GetPointData().GetScalars())
    return inside.reshape(geometry.shape_zyx).astype(bool)


def _closed_triangles(path: Path) -> tuple[np.ndarray, np.ndarray]:
    core = vtk_module("vtkFiltersCore")
    module, name = MESH_READERS[path.suffix.lower()]
    reader = getattr(vtk_module(module), name)()
    errors: list[str] = []
    for reporter in (reader, reader.GetExecutive()):
        reporter.AddObserver("ErrorEvent", lambda *_: errors.append("the reader reports an error"))
        reporter.AddObserver("WarningEvent", lambda *_: None)  # what is observed is not printed
    if isinstance(reader, vtk_module("vtkIOXML").vtkXMLReader) and not reader.CanReadFile(str(path)):
        raise InputError(f"Expected a mesh with triangles in {path}, found none.", "Export the surface again.")
    reader.SetFileName(str(path))
    triangulate, clean = core.vtkTriangleFilter(), core.vtkCleanPolyData()
    triangulate.SetInputConnection(reader.GetOutputPort())
    triangulate.PassLinesOff()
    triangulate.PassVertsOff()
    clean.SetInputConnection(triangulate.GetOutputPort())
    clean.Update()
    mesh = clean.GetOutput()
    if errors or mesh.GetNumberOfPolys() == 0:
        raise InputError(f"Expected a mesh with triangles in {path}, found none.", "Export the surface again.")
    edges = core.vtkFeatureEdges()
    edges.SetInputData(mesh)
    edges.FeatureEdgesOff()
    edges.ManifoldEdgesOff()
    edges.NonManifoldEdgesOff()
    edges.Update()
    if edges.GetOutput().GetNumberOfLines() > 0:
        raise InputError(
            f"Expected a closed mesh, got {edges.GetOutput().GetNumberOfLines()} open edges in {path}.",
            "Close its holes, for example with Slicer's Surface Toolbox, or give volume and area as numbers.",
        )
    numpy_support = vtk_module("util.numpy_support")
    points = numpy_support.vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64)
    if not np.isfinite(points).all():
        raise InputError(f"Expected finite coordinates in {path}.", "Export the surface again.")
    triangles = numpy_support.vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return points, triangles.astype(np.int64)


def _poly_data(points_xyz: np.ndarray, triangles: np.ndarray):
    numpy_support = vtk_module("util.numpy_support")
    model = vtk_module("vtkCommonDataModel")
    points = vtk_module("vtkCommonCore").vtkPoints()
    points.SetData(numpy_support.numpy_to_vtk(np.ascontiguousarray(points_xyz, dtype=np.float64), deep=True))
    polys = model.vtkCellArray()
    offsets = np.arange(0, 3 * len(triangles) + 1, 3, dtype=np.int64)
    connectivity = np.ascontiguousarray(triangles, dtype=np.int64).ravel()
    polys.SetData(
        numpy_support.numpy_to_vtkIdTypeArray(offsets, deep=True),
        numpy_support.numpy_to_vtkIdTypeArray(connectivity, deep=True),
    )
    mesh = model.vtkPolyData()
    mesh.SetPoints(points)
    mesh.SetPolys(polys)
    return mesh
