"""Between the engine's LPS and the scene's RAS: matrices of grids and of parent transforms.

Everything in `scene/` is in RAS millimetres, everything outside it in LPS millimetres; this file is the border.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Geometry

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def vtk_matrix(matrix: np.ndarray) -> Any:
    """The `vtkMatrix4x4` with the elements of a 4×4 array."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    result = vtkMatrix4x4()
    result.DeepCopy([float(element) for element in np.ravel(matrix)])
    return result


def numpy_matrix(matrix: Any) -> np.ndarray:
    """The 4×4 array with the elements of a `vtkMatrix4x4`."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def ijk_to_ras(geometry: Geometry) -> np.ndarray:
    """4×4 matrix from voxel index (x, y, z, 1) to RAS millimetres."""
    return LPS_TO_RAS @ geometry.index_xyz_to_lps_mm


def geometry_from_ijk_to_ras(matrix: np.ndarray, shape_zyx: tuple[int, int, int]) -> Geometry:
    """The geometry of a grid whose 4×4 `matrix` goes from voxel index (x, y, z, 1) to RAS millimetres.

    Raises InputError if the axes of the grid are not perpendicular, as under a shearing transform.
    """
    to_lps = LPS_TO_RAS @ np.asarray(matrix, dtype=float)
    spacing_xyz_mm = np.linalg.norm(to_lps[:3, :3], axis=0)
    if not np.all(np.isfinite(spacing_xyz_mm)) or np.any(spacing_xyz_mm <= 0):
        raise InputError(f"Expected a grid with three axes of positive length, got the matrix {to_lps.tolist()}.")
    return Geometry(shape_zyx, tuple(spacing_xyz_mm[::-1]), tuple(to_lps[:3, 3]), to_lps[:3, :3] / spacing_xyz_mm)


def local_to_world_ras(node: Any) -> np.ndarray:
    """4×4 matrix from the coordinates of a transformable node to the world, both RAS; identity without a parent.

    Raises InputError if the node is under a transform that is not linear.
    """
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            f'Expected {node.GetName()!r} under linear transforms only, got the non-linear "{parent.GetName()}".',
            "Harden the transform on the node, or take the node out of it.",
        )
    matrix = vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return numpy_matrix(matrix)
