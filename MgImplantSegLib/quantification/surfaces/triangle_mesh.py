"""Closed triangle meshes from files: `read_mesh`."""

from __future__ import annotations

import math
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.child_process import python_command, run_child
from MgImplantSegLib.base.errors import DependencyError, InputError
from MgImplantSegLib.quantification.surfaces import mesh_child
from MgImplantSegLib.quantification.surfaces.mesh_solid import Solid, solid_of
from MgImplantSegLib.quantification.surfaces.vtk_modules import vtk_module

MESH_SUFFIXES = tuple(mesh_child.READERS)
HEADER_BYTES = 2048
SECONDS = 600
LEAST_BYTES, BYTES_PER_BYTE = 4 << 30, 64


def read_mesh(path: str | Path, unit_mm: float = 1.0) -> Solid:
    """The solid inside a closed mesh, in LPS mm.

    Files are in LPS unless their header says ``SPACE=RAS``, as Slicer writes it. The file is read in a process of its
    own, so that a damaged one ends that process only; how its triangles are wound does not matter. Raises InputError if
    the file is missing, cannot be read, or holds no closed surface without self-intersections; DependencyError if VTK
    is not installed.

    Parameters
    ----------
    path : str or Path
        File with one of `MESH_SUFFIXES`.
    unit_mm : float
        Length of the file's unit in mm.
    """
    path = Path(path)
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise InputError(f"Expected a mesh file ({', '.join(MESH_SUFFIXES)}), got {path}.")
    if not (math.isfinite(unit_mm) and unit_mm > 0):
        raise InputError(f"Expected a positive length of the mesh's unit in mm, got {unit_mm}.")
    try:
        with path.open("rb") as stream:
            header = stream.read(HEADER_BYTES)
    except OSError as error:
        raise InputError(
            f"Expected a mesh file, could not read {path}: {error.strerror}.", "Check the path."
        ) from error
    points, triangles = _read_in_child(path)
    signs = np.array([-1.0, -1.0, 1.0]) if b"SPACE=RAS" in header else np.ones(3)
    return solid_of(points * signs * unit_mm, triangles, str(path))


def _read_in_child(path: Path) -> tuple[np.ndarray, np.ndarray]:
    vtk_module("vtkCommonCore")  # raises DependencyError where it is missing
    memory_bytes = LEAST_BYTES + BYTES_PER_BYTE * path.stat().st_size
    with tempfile.TemporaryDirectory(prefix="mgimplantseg_mesh_") as folder:
        out = Path(folder) / "mesh.npz"
        command = python_command(mesh_child.__file__, str(path.absolute()), str(out), str(memory_bytes))
        try:
            done = run_child(command, SECONDS)
        except subprocess.TimeoutExpired as error:
            raise _damaged(path, f"a file that takes more than {SECONDS // 60} minutes to read") from error
        if done.returncode:
            raise _failure(path, done)
        with np.load(out) as arrays:
            return arrays["points"], arrays["triangles"]


def _failure(path: Path, done: subprocess.CompletedProcess[bytes]) -> InputError | DependencyError:
    said = done.stderr.decode(errors="replace").strip().splitlines() or [""]
    if done.returncode == mesh_child.REFUSED:
        return _damaged(path, said[-1])
    if "ModuleNotFoundError" in said[-1] or "ImportError" in said[-1]:
        return DependencyError(f"Expected VTK for surface meshes, got: {said[-1]}.", "Run pip install vtk.")
    return _damaged(path, "contents that crash the reader")


def _damaged(path: Path, got: str) -> InputError:
    return InputError(
        f"Expected a mesh with triangles in {path}, got {got}.",
        "The file is damaged or not a surface mesh: export it again, for example as binary STL in mm.",
    )
