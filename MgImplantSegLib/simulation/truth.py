"""The exact measures of a simulated explant, each worked out directly from its bodies.

This file stands apart from `quantification` on purpose: the measures of the one are checked with the other.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from MgImplantSegLib.simulation.fields import filled_part

SHELL_MM = 0.5
DAYS_PER_YEAR = 365.25


def body_volume_mm3(level_set: np.ndarray, view: np.ndarray, voxel_mm: float) -> float:
    """Volume of a body in mm³ inside the view (y, x), voxels that it fills in part counted in part."""
    return float((filled_part(level_set) * view).sum(dtype=float)) * voxel_mm**3


def body_surface_mm2(level_set: np.ndarray, view: np.ndarray, voxel_mm: float) -> float:
    """Surface of a body in mm² inside the view (y, x), without the faces where volume or view cut it.

    The triangles of the level set's zero surface, each counted by where its centre lies.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

    image = vtkImageData()
    image.SetDimensions(*level_set.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(level_set, np.float32).ravel()))
    contour = vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 0.0)
    contour.ComputeNormalsOff()
    contour.Update()
    mesh = contour.GetOutput()
    if mesh.GetNumberOfPolys() == 0:
        return 0.0
    corners = vtk_to_numpy(mesh.GetPoints().GetData())[vtk_to_numpy(mesh.GetPolys().GetConnectivityArray())]
    corners = corners.reshape(-1, 3, 3).astype(float)
    areas = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    x, y, _z = np.rint(corners.mean(axis=1)).astype(int).T
    return float(areas[view[y, x]].sum()) * voxel_mm**2


def bone_contact_percent(labels: np.ndarray, view: np.ndarray) -> float:
    """BIC in %: voxel faces between implant and bone by all outer faces of the implant inside the view (y, x)."""
    implant, bone, other = labels >= 2, labels == 1, (labels < 2) & view
    contact = surface = 0
    for axis in range(3):
        one, two = (slice(None, -1), slice(1, None))
        lower = tuple(one if a == axis else slice(None) for a in range(3))
        upper = tuple(two if a == axis else slice(None) for a in range(3))
        for inner, outer in ((lower, upper), (upper, lower)):
            surface += int(np.count_nonzero(implant[inner] & other[outer]))
            contact += int(np.count_nonzero(implant[inner] & bone[outer]))
    return 100 * contact / surface if surface else float("nan")


def bone_volume_percent(labels: np.ndarray, view: np.ndarray, voxel_mm: float) -> float:
    """BV/TV in % in the shell of 0.5 mm around the implant, implant excluded, inside the view (y, x)."""
    implant = labels >= 2
    if not implant.any():
        return float("nan")
    distance = ndimage.distance_transform_edt(~implant, sampling=voxel_mm)
    shell = (distance > 0) & (distance <= SHELL_MM) & view
    return 100 * float(np.mean(labels[shell] == 1)) if shell.any() else float("nan")


def exact_measures(
    labels: np.ndarray,
    initial: np.ndarray,
    metal: np.ndarray,
    view: np.ndarray,
    time_days: float,
    voxel_mm: float,
) -> dict[str, float]:
    """True values of the measures of a simulated explant.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (z, y, x) with the values of the default label scheme.
    initial, metal : numpy.ndarray
        Level sets in voxels of the implant before implantation and of the residual material.
    view : numpy.ndarray
        bool (y, x): the field of view.
    time_days : float
        Time in bone.
    voxel_mm : float
        Voxel size in mm.

    Returns
    -------
    dict
        Volumes in mm³, surface in mm², DR in mm/year, BIC and BV/TV in %; NaN where undefined.
    """
    volume_initial = body_volume_mm3(initial, view, voxel_mm)
    volume_residual = body_volume_mm3(metal, view, voxel_mm)
    area = body_surface_mm2(initial, view, voxel_mm)
    years = time_days / DAYS_PER_YEAR
    voxels = np.bincount(labels.ravel(), minlength=4)
    return {
        "time_days": time_days,
        "V_i_mm3": volume_initial,
        "A_i_mm2": area,
        "V_r_mm3": volume_residual,
        "V_DL_mm3": float(voxels[2]) * voxel_mm**3,
        "V_bone_mm3": float(voxels[1]) * voxel_mm**3,
        "DR_mm_per_year": (volume_initial - volume_residual) / (area * years) if area > 0 else float("nan"),
        "VL_percent": 100 * (volume_initial - volume_residual) / volume_initial if volume_initial else float("nan"),
        "BIC_percent": bone_contact_percent(labels, view),
        "BV_TV_percent": bone_volume_percent(labels, view, voxel_mm),
    }
