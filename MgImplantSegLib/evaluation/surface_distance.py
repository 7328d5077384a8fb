"""How far the surfaces of two segmentations of one class lie apart, in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from MgImplantSegLib.grids.boxes import bounding_box, grown, hull, start_of
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.quantification.surfaces.voxel_faces import Faces, boundary_faces

PERCENT = 95


@dataclass(frozen=True)
class SurfaceDistance:
    """Distances between the surfaces of two bodies in mm, both directions together, weighted by area.

    `mean_mm` is the average symmetric surface distance, `p95_mm` the larger of the two 95th percentiles (HD95),
    `max_mm` the Hausdorff distance; NaN where one of the bodies has no surface, and then `note` says so.
    """

    mean_mm: float
    p95_mm: float
    max_mm: float
    note: str = ""


def surface_distance(one: np.ndarray, other: np.ndarray, geometry: Geometry, code: int) -> SurfaceDistance:
    """Distances between the surfaces of a class in two arrays of codes (z, y, x) on one grid.

    A surface is the set of the voxel faces between the class and the rest; the distance of a face is that of its centre
    to the nearest centre of the other surface's faces. Faces towards unknown voxels and on the border do not count.
    """
    boxes = [box for box in (bounding_box(one, code), bounding_box(other, code)) if box is not None]
    if len(boxes) < 2:
        nan = float("nan")
        return SurfaceDistance(nan, nan, nan, "One of the segmentations does not have this class.")
    box = grown(hull(boxes), 1, one.shape)
    spacing = geometry.spacing_zyx_mm
    surfaces = [boundary_faces(codes[box], (code,), spacing) for codes in (one, other)]
    if min(faces.inner.size for faces in surfaces) == 0:
        nan = float("nan")
        return SurfaceDistance(nan, nan, nan, "A surface lies entirely on the border of the volume.")
    points = [_centres_mm(faces, one[box].shape, start_of(box), spacing) for faces in surfaces]
    there, _ = cKDTree(points[1]).query(points[0])
    back, _ = cKDTree(points[0]).query(points[1])
    distances, areas = (there, back), [faces.area_mm2.astype(float) for faces in surfaces]
    mean = np.average(np.concatenate(distances), weights=np.concatenate(areas))
    p95 = max(_percentile(d, area) for d, area in zip(distances, areas, strict=True))
    return SurfaceDistance(float(mean), p95, float(max(there.max(), back.max())))


def _centres_mm(
    faces: Faces, shape_zyx: tuple[int, ...], start_zyx: tuple[int, ...], spacing_zyx_mm: tuple[float, ...]
) -> np.ndarray:
    return (faces.centres_zyx(shape_zyx) + start_zyx) * spacing_zyx_mm


def _percentile(distances: np.ndarray, areas: np.ndarray) -> float:
    order = np.argsort(distances)
    cumulated = np.cumsum(areas[order])
    return float(distances[order][np.searchsorted(cumulated, PERCENT / 100 * cumulated[-1])])
