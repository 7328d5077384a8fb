"""The solid inside the triangles of a file, however they are wound: `solid_of`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.quantification.surfaces.mesh_measures import mesh_area_mm2, mesh_mask, signed_volume_mm3
from MgImplantSegLib.quantification.surfaces.mesh_rays import TURN, Rays, bodies_touch
from MgImplantSegLib.quantification.surfaces.mesh_topology import (
    Distinct,
    distinct_triangles,
    open_edges,
    patches,
    welded,
)

WELD_PART, FLOAT32_STEPS = 1e-6, 4
LEAST_VOLUME_PART = 1e-9
CHECK_VOXELS, MANY_TRIANGLES = 1_000_000, 200_000
CHECK_PART, CHECK_DEVIATIONS = 0.005, 5
WALLS_TRIED = 64
DOUBLED = "The mesh contains a body more than once; it is counted once."
TOUCH = "Bodies of the mesh touch: A_i includes the surfaces of both where they do."
REPAIR = "Repair it in the CAD program or with Slicer's Surface Toolbox, or give volume and area as numbers."


@dataclass(frozen=True, eq=False)
class Solid:
    """A closed surface: points in LPS mm, shape (n, 3), triangles (m, 3) that face outward, and what was assumed."""

    points_lps_mm: np.ndarray
    triangles: np.ndarray
    note: str = ""


def solid_of(points_lps_mm: np.ndarray, triangles: np.ndarray, source: str) -> Solid:
    """The solid that a file's triangles enclose, whatever their sense.

    Inside is what a ray to infinity leaves through an odd number of triangles, so a shell within a shell is a cavity.
    Points that are listed more than once are one, walls between bodies that share them are not surface, and a body that
    is listed more than once counts once. Raises InputError if the surface is open, crosses itself, has bodies that
    overlap, or encloses nothing.
    """
    points, distinct = _closed(points_lps_mm, triangles, source)
    patch, turned = patches(distinct.triangles)
    if turned is None:
        raise InputError(f"Expected a closed surface with two sides, got one that crosses itself in {source}.", REPAIR)
    agreeing = np.where(turned[:, None], distinct.triangles[:, ::-1], distinct.triangles)
    rays = Rays(points, agreeing)
    inward = rays.patches_facing_inward(patch)
    outward = np.where(inward[patch][:, None], agreeing[:, ::-1], agreeing)
    _require_simple(points, outward, source)
    _require_walls_inside(points, distinct.walls, rays, source)
    _require_clear_cavities(points, distinct.triangles, outward, patch, source)
    return Solid(points, outward, _note(points, outward, patch, distinct))


def _closed(points: np.ndarray, triangles: np.ndarray, source: str) -> tuple[np.ndarray, Distinct]:
    """Welded points and triangles; where edges stay open, points within rounding of single precision are welded too."""
    size = float(np.ptp(points[triangles], axis=(0, 1)).max())
    rounding = FLOAT32_STEPS * float(np.finfo(np.float32).eps) * float(np.abs(points[triangles]).max())
    for tolerance in (0.0, max(WELD_PART * size, rounding)):
        found, faces = welded(points, triangles, tolerance)
        distinct = distinct_triangles(faces)
        count = open_edges(distinct.triangles)
        if len(distinct.triangles) and not count:
            return found, distinct
    if len(distinct.triangles) == 0:
        raise InputError(f"Expected a mesh that encloses a volume, got a flat one in {source}.", REPAIR)
    raise InputError(f"Expected a closed mesh, got {count:,} open edges in {source}.", f"Close its holes. {REPAIR}")


def _require_walls_inside(points: np.ndarray, walls: np.ndarray, rays: Rays, source: str) -> None:
    """What was taken as a wall between bodies has to lie inside the solid; else bodies were listed twice in part."""
    corners = points[walls]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    for wall in np.argsort(-areas)[:WALLS_TRIED]:
        if rays.is_inside(corners[wall].mean(axis=0)) is False:
            raise InputError(f"Expected each body once, got triangles that are listed twice in {source}.", REPAIR)


def _note(points: np.ndarray, triangles: np.ndarray, patch: np.ndarray, distinct: Distinct) -> str:
    twice = DOUBLED if distinct.has_doubled_body else ""
    return " ".join(filter(None, (twice, TOUCH if bodies_touch(points, triangles, patch) else "")))


def _require_clear_cavities(
    points: np.ndarray, triangles: np.ndarray, outward: np.ndarray, patch: np.ndarray, source: str
) -> None:
    """An inner shell that is wound as the outer one is, throughout, may be a body within a body: nobody can know."""
    count = patch.max() + 1
    kept = np.bincount(patch, (triangles == outward).all(axis=1), minlength=count)
    sizes = np.bincount(patch, minlength=count)
    volumes = signed_volumes_mm3(points, outward, patch)
    outer = int(np.argmax(volumes))
    for cavity in np.flatnonzero(volumes < 0):
        was_kept = [kept[k] == sizes[k] for k in (outer, cavity)]
        was_turned = [kept[k] == 0 for k in (outer, cavity)]
        if (was_kept[0] and was_turned[1]) or (was_turned[0] and was_kept[1]):
            raise InputError(
                f"Expected one body, or cavities that are wound the other way round, got a shell within a shell of "
                f"the same sense in {source}.",
                "Remove the inner one if it is a separate body; flip its normals if it is a cavity.",
            )


def signed_volumes_mm3(points: np.ndarray, triangles: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """What each patch adds to the enclosed volume, shape (patches,); negative for cavities."""
    a, b, c = np.moveaxis((points - points.mean(axis=0))[triangles], 1, 0)
    return np.bincount(patch, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6)


def _require_simple(points: np.ndarray, triangles: np.ndarray, source: str) -> None:
    """The volume by the divergence theorem has to be that of the voxels inside, on a grid turned to the surface.

    Where bodies overlap or a surface crosses itself, the two count some parts differently.
    """
    turned = points @ TURN.T
    low, size = turned.min(axis=0), np.ptp(turned, axis=0)
    enclosed = signed_volume_mm3(turned, triangles)
    voxels = CHECK_VOXELS if len(triangles) < MANY_TRIANGLES else CHECK_VOXELS // 8
    step = float((np.prod(size) / voxels) ** (1 / 3))
    shape_xyz = np.ceil(size / step).astype(int) + 2
    grid = Geometry(tuple(shape_xyz[::-1]), (step,) * 3, tuple(low - 0.5 * step))
    counted = np.count_nonzero(mesh_mask(turned, triangles, grid)) * step**3
    deviation = step**2 * np.sqrt(mesh_area_mm2(turned, triangles))
    if abs(counted - enclosed) > CHECK_PART * enclosed + CHECK_DEVIATIONS * deviation:
        raise InputError(
            f"Expected a surface that does not cross itself, got one that encloses {enclosed:.4g} mm³ by its "
            f"triangles and {counted:.4g} mm³ by its inside in {source}.",
            f"Merge overlapping bodies. {REPAIR}",
        )
    if not enclosed > LEAST_VOLUME_PART * size.max() ** 3:
        raise InputError(
            f"Expected a mesh that encloses a volume, got {enclosed:.3g} mm³ in {source}.",
            f"It is flat, or lists one body with different triangles twice. {REPAIR}",
        )
