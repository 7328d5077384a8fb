"""Parts of a sparse set of voxels that are connected, and how far they reach."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NEIGHBOURS = tuple(offset for offset in itertools.product((-1, 0, 1), repeat=3) if offset > (0, 0, 0))


def connected_parts(voxels_zyx: np.ndarray) -> np.ndarray:
    """Number of the part, from 0, of each voxel; neighbours touch by a face, an edge or a corner.

    Memory follows the number of voxels and not the volume they lie in.

    Parameters
    ----------
    voxels_zyx : int array (n, 3)
        Indices, sorted as `numpy.argwhere` gives them.
    """
    if len(voxels_zyx) == 0:
        return np.zeros(0, dtype=np.int64)
    first, shape = voxels_zyx.min(axis=0), np.ptp(voxels_zyx, axis=0) + 3
    strides = np.array([shape[1] * shape[2], shape[2], 1], dtype=np.int64)
    place = (voxels_zyx.astype(np.int64) - first + 1) @ strides
    one, two = [], []
    for offset in NEIGHBOURS:
        wanted = place + np.dot(offset, strides)
        found = np.minimum(np.searchsorted(place, wanted), len(place) - 1)
        touching = np.flatnonzero(place[found] == wanted)
        one.append(touching)
        two.append(found[touching])
    pairs = (np.concatenate(one), np.concatenate(two))
    graph = coo_array((np.ones(len(pairs[0]), dtype=bool), pairs), shape=(len(place), len(place)))
    return connected_components(graph, directed=False)[1]


def extents_mm(voxels_zyx: np.ndarray, parts: np.ndarray, spacing_zyx_mm: tuple[float, float, float]) -> np.ndarray:
    """Lengths in mm of each part along its principal axes, ascending, shape (parts, 3).

    A length is that of the even bar with the same variance, √12 standard deviations, voxels counted as bodies: so a
    sheet has one short and two long ones, a tube two short ones.
    """
    count = int(parts.max(initial=-1)) + 1
    places = voxels_zyx * np.array(spacing_zyx_mm)
    sizes = np.bincount(parts, minlength=count)
    means = np.stack([np.bincount(parts, places[:, a], count) for a in range(3)], axis=1) / sizes[:, None]
    away = places - means[parts]
    spread = np.empty((count, 3, 3))
    for a, b in itertools.product(range(3), repeat=2):
        spread[:, a, b] = np.bincount(parts, away[:, a] * away[:, b], count) / sizes
    spread += np.diag(np.square(spacing_zyx_mm) / 12)
    return np.sqrt(12 * np.maximum(np.linalg.eigvalsh(spread), 0))
