"""Oriented boxes of the engine as markups ROI nodes, and back; a box around the implant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.regions import OrientedBox, rows
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.scene.frames import LPS_TO_RAS, local_to_world_ras, numpy_matrix, vtk_matrix

LONG_ENOUGH = 1.5
COLOR_RGB = (0.0, 0.45, 0.35)


def add_roi_node(scene: Any, box: OrientedBox) -> Any:
    """A `vtkMRMLMarkupsROINode` at the place of `box`, with its name."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", scene.GenerateUniqueName(box.name))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetFillOpacity(0.1)
    node.GetDisplayNode().SetSelectedColor(*COLOR_RGB)
    matrix = np.eye(4)
    matrix[:3, :3] = LPS_TO_RAS[:3, :3] @ _right_handed(box.axes_matrix)
    matrix[:3, 3] = LPS_TO_RAS[:3, :3] @ box.centre_lps_mm
    node.SetCenter(*matrix[:3, 3])
    node.SetAndObserveObjectToNodeMatrix(vtk_matrix(matrix))
    node.SetSize(*box.size_mm)
    return node


def box_of_roi_node(node: Any) -> OrientedBox:
    """The box of a markups ROI node in the world, its parent transforms included.

    Raises InputError if the ROI has no size yet, is inside out, or is under a transform that is not linear or shears
    it.
    """
    name = node.GetName()
    if node.GetInsideOut():
        raise InputError(f"Expected an ROI that selects its inside, got {name!r} inside out.", "Untick 'inside out'.")
    if not all(math.isfinite(size) and size > 0 for size in node.GetSize()):
        raise InputError(
            f"Expected an ROI with three edge lengths, got {name!r} of size {node.GetSize()}.", "Place it."
        )
    matrix = local_to_world_ras(node) @ numpy_matrix(node.GetObjectToNodeMatrix())
    try:
        return OrientedBox.from_matrix(LPS_TO_RAS @ matrix, node.GetSize(), name)
    except InputError as error:
        raise InputError(
            f"Expected an ROI that is a box in the world, but its transform shears {name!r}.",
            "Remove the ROI from the transform, or use a transform that only rotates, translates or scales uniformly.",
        ) from error


def implant_ends(label_map: LabelMap) -> np.ndarray:
    """Voxel centres (n, 3) in LPS mm of both ends of every row of implant along x: no voxel reaches further out.

    A label map may be given in pieces: the ends of the whole are those of its pieces.
    """
    return label_map.geometry.lps_from_index_zyx(_ends_of_rows(label_map.implant_mask()))


def box_around_points(points: np.ndarray, geometry: Geometry, distance_mm: float, name: str) -> OrientedBox:
    """The box along the longest axis of an implant that holds it, grown by `distance_mm` on all sides.

    The first edge lies along the longest axis, the second as near as possible to an axis of the grid. An implant
    without a clear longest axis gets a box along the grid. Raises InputError if there is no implant, or the
    distance is negative.

    Parameters
    ----------
    points : float array (n, 3)
        Centres of its outermost voxels at least, in LPS mm; see `implant_ends`.
    geometry : Geometry
        Grid of these voxels.
    distance_mm : float
        How far the box reaches beyond them.
    """
    if not (math.isfinite(distance_mm) and distance_mm >= 0):
        raise InputError(f"Expected a distance of 0 mm or more around the implant, got {distance_mm}.")
    if not len(points):
        raise InputError("Expected an implant to put the ROI around, got a segmentation without one.", "Place the ROI.")
    axes = _axes(points, geometry.direction_matrix)
    along = points @ axes  # (n, 3): position of every voxel centre along the three edges
    half_voxel = np.abs(axes.T @ (geometry.direction_matrix * np.array(geometry.spacing_zyx_mm[::-1]))).sum(axis=1) / 2
    low, high = along.min(axis=0) - half_voxel - distance_mm, along.max(axis=0) + half_voxel + distance_mm
    return OrientedBox(tuple(axes @ ((low + high) / 2)), rows(axes), tuple(high - low), name)


def _right_handed(axes: np.ndarray) -> np.ndarray:
    """The same box with axes that Slicer's handles expect; a box is its own mirror image."""
    return axes if np.linalg.det(axes) > 0 else axes * (1, 1, -1)


def _ends_of_rows(mask: np.ndarray) -> np.ndarray:
    """Indices (n, 3), z y x, of the first and the last voxel of every row along x: no voxel reaches further out."""
    z, y = np.nonzero(mask.any(axis=2))
    first = mask.argmax(axis=2)[z, y]
    last = mask.shape[2] - 1 - mask[:, :, ::-1].argmax(axis=2)[z, y]
    return np.concatenate([np.stack([z, y, x], axis=1) for x in (first, last)])


def _axes(points: np.ndarray, grid_axes: np.ndarray) -> np.ndarray:
    """3×3 right-handed columns: the longest axis of the points, then as near as possible to the grid."""
    variances, directions = np.linalg.eigh(np.cov(points.T)) if len(points) > 1 else (np.zeros(3), np.eye(3))
    if variances[2] < LONG_ENOUGH * variances[1] or variances[2] == 0:
        return _right_handed(grid_axes)
    first = directions[:, 2] * np.sign(directions[:, 2][np.abs(directions[:, 2]).argmax()])
    nearest_across = grid_axes[:, np.abs(grid_axes.T @ first).argmin()]
    second = nearest_across - first * (first @ nearest_across)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], axis=1)
