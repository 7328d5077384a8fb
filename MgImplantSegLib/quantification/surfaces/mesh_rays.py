"""Rays through triangles: what is inside, which way patches face, and whether bodies touch."""

from __future__ import annotations

import itertools

import numpy as np

from MgImplantSegLib.quantification.surfaces.mesh_measures import poly_data
from MgImplantSegLib.quantification.surfaces.vtk_modules import vtk_module

SKEW = np.array([[0, -0.33, 0.47], [0.33, 0, -0.21], [-0.47, 0.21, 0]])
TURN = (np.eye(3) - SKEW) @ np.linalg.inv(np.eye(3) + SKEW)  # a rotation; no face of a CAD model is along the axes then
FACES_TRIED, VOTES = 24, 3
ON_SURFACE = 1e-7
PAIRS_TRIED, SAMPLES, TOUCHING_PART, TOUCHING = 200, 400, 0.005, 1e-6


class Rays:
    """Rays along x through triangles (m, 3) of points (n, 3), in turned space so that they meet no edges."""

    def __init__(self, points: np.ndarray, triangles: np.ndarray) -> None:
        self._corners = (points @ TURN.T)[triangles]
        self._low, self._high = self._corners.min(axis=1), self._corners.max(axis=1)
        self._on_surface = ON_SURFACE * float(np.ptp(self._corners[..., 0]))
        self._normals_x = _normals_x(self._corners)

    def patches_facing_inward(self, patch: np.ndarray) -> np.ndarray:
        """Whether the fronts of each patch are inside; `patch`: number of the patch of each triangle, shape (m,)."""
        by_patch = np.split(np.argsort(patch, kind="stable"), np.cumsum(np.bincount(patch))[:-1])
        return np.array([self._faces_inward(faces) for faces in by_patch])

    def is_inside(self, point: np.ndarray) -> bool | None:
        """Whether a point is inside a closed surface; None if it lies on it."""
        ahead = self._crossings(TURN @ point, None)
        return None if ahead is None else bool(np.count_nonzero(ahead > 0) % 2)

    def _faces_inward(self, faces: np.ndarray) -> bool:
        """By rays from those triangles that are seen largest along x."""
        tried = faces[np.argsort(-np.abs(self._normals_x[faces]))[:FACES_TRIED]]
        votes = []
        for face in tried:
            ahead = self._crossings(self._corners[face].mean(axis=0), face)
            if ahead is not None:
                front = 1 if self._normals_x[face] > 0 else -1
                votes.append(np.count_nonzero(front * ahead > 0) % 2)
            if len(votes) == VOTES:
                break
        return bool(sum(votes) * 2 > len(votes))

    def _crossings(self, point: np.ndarray, own: int | None) -> np.ndarray | None:
        """How far along x a line through a point crosses triangles but its own; None if one is where the point is."""
        x, y, z = point
        hit = (self._low[:, 1] <= y) & (y <= self._high[:, 1]) & (self._low[:, 2] <= z) & (z <= self._high[:, 2])
        if own is not None:
            hit[own] = False
        corners = self._corners[hit]
        to_corners = corners[:, :, 1:] - (y, z)
        following = to_corners[:, [1, 2, 0]]
        across = to_corners[..., 0] * following[..., 1] - to_corners[..., 1] * following[..., 0]
        through = (across > 0).all(axis=1) | (across < 0).all(axis=1)
        weights = across[through][:, [1, 2, 0]]
        ahead = (weights * corners[through][:, :, 0]).sum(axis=1) / weights.sum(axis=1) - x
        return None if (np.abs(ahead) <= self._on_surface).any() else ahead


def _normals_x(corners: np.ndarray) -> np.ndarray:
    """Component x of the normals of triangles (n, 3, 3), as long as twice their area."""
    (ay, az), (by, bz) = ((corners[:, k, 1:] - corners[:, 0, 1:]).T for k in (1, 2))
    return ay * bz - az * by


def bodies_touch(points: np.ndarray, triangles: np.ndarray, patch: np.ndarray) -> bool:
    """Whether patches lie on each other with a part of their faces, by random points on them."""
    size = float(np.ptp(points[triangles], axis=(0, 1)).max())
    by_patch = [triangles[patch == k] for k in range(min(patch.max() + 1, PAIRS_TRIED))]
    low, high = (np.array([edge(points[faces], axis=(0, 1)) for faces in by_patch]) for edge in (np.min, np.max))
    near = [
        (one, other)
        for one, other in itertools.permutations(range(len(by_patch)), 2)
        if ((low[one] <= high[other] + TOUCHING * size) & (low[other] <= high[one] + TOUCHING * size)).all()
    ]
    for one, other in near[:PAIRS_TRIED]:
        distances = _distances(_samples(points, by_patch[one]), points, by_patch[other])
        if (np.abs(distances) <= TOUCHING * size).mean() > TOUCHING_PART:
            return True
    return False


def _samples(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Points spread evenly over triangles, shape (`SAMPLES`, 3); the same in every run."""
    rng = np.random.default_rng(0)
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = rng.choice(len(triangles), SAMPLES, p=areas / areas.sum())
    return np.einsum("nk,nkd->nd", rng.dirichlet((1, 1, 1), SAMPLES), points[triangles[chosen]])


def _distances(positions: np.ndarray, points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Distances of positions (k, 3) from a surface, shape (k,)."""
    numpy_support = vtk_module("util.numpy_support")
    distance = vtk_module("vtkFiltersCore").vtkImplicitPolyDataDistance()
    distance.SetInput(poly_data(points, triangles))
    found = numpy_support.numpy_to_vtk(np.zeros(len(positions)), deep=True)
    distance.FunctionValue(numpy_support.numpy_to_vtk(positions, deep=True), found)
    return numpy_support.vtk_to_numpy(found).copy()
