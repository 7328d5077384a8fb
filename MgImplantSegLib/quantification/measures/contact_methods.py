"""How much of the implant's surface touches bone: `CONTACT_METHODS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from MgImplantSegLib.base.choices import Registry
from MgImplantSegLib.quantification.codes import BACKGROUND, BONE, IMPLANT, UNKNOWN, implant_in
from MgImplantSegLib.quantification.measures.crofton import crossing_areas_mm2, half_neighbourhood
from MgImplantSegLib.quantification.measures.distance import distance_to_mm
from MgImplantSegLib.quantification.surfaces.mesh import normals_mm2, smoothed_triangles, values_at
from MgImplantSegLib.quantification.surfaces.voxel_faces import (
    AXIS_OFFSETS,
    boundary_faces,
    face_area_mm2,
    implant_pairs,
)

Spacing = tuple[float, float, float]
SMOOTHING_VOXELS = 0.7
HALO_LAYERS = 4
OUTSIDE_CLASSES = (BACKGROUND, BONE, UNKNOWN)
ROUNDING_VOXELS = 1e-3


@dataclass(frozen=True)
class ContactMethod:
    """A way to measure contact.

    ``measure(codes, region, spacing_zyx_mm, distance_mm)`` returns the implant's surface and the part of it that
    touches bone, both counted alike. `codes` holds a margin of one voxel around the implant where the volume has it;
    only implant voxels in `region` count (all if None).
    """

    name: str
    unit: str
    measure: Callable[[np.ndarray, np.ndarray | None, Spacing, float], tuple[float, float]]
    definition: str


def pairs(weights: Callable[[Spacing], dict[tuple[int, int, int], float]]) -> Callable:
    """A measure that adds up pairs of an implant voxel and a known neighbour, weighted by the neighbour's offset."""

    def measure(codes: np.ndarray, region: np.ndarray | None, spacing: Spacing, _: float) -> tuple[float, float]:
        free = contact = 0.0
        for offset, weight in weights(spacing).items():
            pairs_free, pairs_contact = implant_pairs(codes, offset, region)
            contact += weight * pairs_contact
            free += weight * pairs_free
        return free + contact, contact

    return measure


def _face_weights(spacing: Spacing) -> dict[tuple[int, int, int], float]:
    return {offset: face_area_mm2(spacing, axis) for axis, offset in enumerate(AXIS_OFFSETS)}


def _neighbour_weights(neighbours: int) -> Callable[[Spacing], dict[tuple[int, int, int], float]]:
    return lambda _: dict.fromkeys(half_neighbourhood(neighbours), 1.0)


def within_distance(
    codes: np.ndarray, region: np.ndarray | None, spacing: Spacing, distance_mm: float
) -> tuple[float, float]:
    """Faces of the implant in mm², and those of them from which bone is at most `distance_mm` away.

    The gap is measured from the voxel outside the face to the nearest bone voxel, which is the gap between their faces.
    """
    faces = boundary_faces(codes, IMPLANT, spacing)
    if region is not None:
        faces = faces.chosen(region.ravel()[faces.inner])
    gap_mm = distance_to_mm(codes == BONE, spacing).ravel()[faces.outer]
    near = gap_mm <= distance_mm + ROUNDING_VOXELS * min(spacing)
    return float(faces.area_mm2.sum(dtype=float)), float(faces.area_mm2[near].sum(dtype=float))


def mesh_contact(codes: np.ndarray, region: np.ndarray | None, spacing: Spacing, _: float) -> tuple[float, float]:
    """Area in mm² of the implant's smoothed mesh, and of its triangles that have bone, not background, beside them."""
    inside = np.ones(codes.shape, dtype=bool) if region is None else region
    codes, inside = np.pad(codes, HALO_LAYERS, mode="edge"), np.pad(inside, HALO_LAYERS)
    surface = contact = 0.0
    for corners_zyx in smoothed_triangles(implant_in(codes), spacing):
        centres = corners_zyx.mean(axis=1)
        beside = _class_beside(codes, centres)
        counted = values_at(inside, centres) & (beside != UNKNOWN)
        areas = np.linalg.norm(normals_mm2(corners_zyx, spacing), axis=1)
        surface += float(areas[counted].sum())
        contact += float(areas[counted & (beside == BONE)].sum())
    return surface, contact


def _class_beside(codes: np.ndarray, positions_zyx: np.ndarray) -> np.ndarray:
    """The class other than the implant that weighs most around positions on its surface, shape (n,)."""
    if len(positions_zyx) == 0:
        return np.zeros(0, dtype=np.uint8)
    low = max(0, int(positions_zyx[:, 0].min()) - HALO_LAYERS)
    block = codes[low : int(positions_zyx[:, 0].max()) + HALO_LAYERS + 2]
    coordinates = (positions_zyx - (low, 0, 0)).T
    weights = [
        ndimage.map_coordinates(_smoothed(block == code), coordinates, order=1, mode="nearest")
        for code in OUTSIDE_CLASSES
    ]
    return np.array(OUTSIDE_CLASSES, dtype=np.uint8)[np.argmax(weights, axis=0)]


def _smoothed(mask: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(mask.astype(np.float32), SMOOTHING_VOXELS, mode="nearest", radius=HALO_LAYERS - 1)


CONTACT_METHODS: Registry[ContactMethod] = Registry(
    "a contact method",
    {
        "faces": ContactMethod(
            "face pairs (6 neighbours)", "mm2", pairs(_face_weights), "area of the voxel faces between bone and implant"
        ),
        "18-neighbours": ContactMethod(
            "pairs of 18 neighbours",
            "pairs",
            pairs(_neighbour_weights(18)),
            "pairs of voxels that share a face or an edge",
        ),
        "26-neighbours": ContactMethod(
            "pairs of 26 neighbours",
            "pairs",
            pairs(_neighbour_weights(26)),
            "pairs of voxels that share a face, edge or corner",
        ),
        "crofton": ContactMethod(
            "Crofton, 13 directions", "mm2", pairs(crossing_areas_mm2), "area from crossings along 13 directions"
        ),
        "mesh": ContactMethod(
            "smoothed mesh", "mm2", mesh_contact, "area of the implant's smoothed surface next to bone"
        ),
        "distance": ContactMethod(
            "bone within a distance of the voxel faces",
            "mm2",
            within_distance,
            "area of the voxel faces that have bone within the contact distance",
        ),
    },
)
