"""Triangles and their neighbours: points that are the same, open edges, doubled triangles, patches of one sense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def welded(points: np.ndarray, triangles: np.ndarray, tolerance: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Used points, each once, and the triangles of three different ones.

    Parameters
    ----------
    points : float array (n, 3)
        Corners; many files list each once a triangle.
    triangles : int array (m, 3)
        Point numbers.
    tolerance : float
        Points that are not farther apart become one.
    """
    used, corner = np.unique(triangles.ravel(), return_inverse=True)
    first, number = _distinct_rows(points[used] + 0.0)  # makes -0 a 0
    distinct = points[used][first]
    if tolerance > 0:
        from scipy.spatial import cKDTree

        near = cKDTree(distinct).query_pairs(tolerance, output_type="ndarray")
        group = _groups(len(distinct), near)
        first = np.unique(group, return_index=True)[1]
        distinct, number = distinct[first], group[number]
    triangles = number[corner].reshape(-1, 3)
    a, b, c = triangles.T
    return distinct, triangles[(a != b) & (b != c) & (c != a)]


def edge_keys(triangles: np.ndarray) -> np.ndarray:
    """One number for each edge of each triangle, shape (m, 3), equal for the same two points."""
    start, stop = triangles, triangles[:, [1, 2, 0]]
    return np.minimum(start, stop) * (np.int64(triangles.max(initial=0)) + 1) + np.maximum(start, stop)


def open_edges(triangles: np.ndarray) -> int:
    """Number of edges at which an odd number of triangles meet: a closed surface has none."""
    return int((np.unique(edge_keys(triangles), return_counts=True)[1] % 2).sum())


@dataclass(frozen=True, eq=False)
class Distinct:
    """Triangles that bound something, each once, (m, 3); walls between bodies, (k, 3); whether a body was doubled."""

    triangles: np.ndarray
    walls: np.ndarray
    has_doubled_body: bool


def distinct_triangles(triangles: np.ndarray) -> Distinct:
    """Triangles without those that are there more than once.

    Walls between two bodies that share them are not surface: both of their triangles go. Of a body that is there more
    than once, closed by itself, one remains.
    """
    first, number = _distinct_rows(np.sort(triangles, axis=1))
    once, counts = triangles[first], np.bincount(number)
    if len(first) == len(triangles):
        return Distinct(triangles, triangles[:0], False)
    is_body = np.zeros(len(once), dtype=bool)
    is_body[counts > 1] = closed_by_themselves(once[counts > 1])
    is_wall = (counts % 2 == 0) & ~is_body
    if open_edges(once[~is_wall]) and not open_edges(once):
        is_wall[:] = False
    return Distinct(once[~is_wall], once[is_wall], bool(is_body.any()))


def closed_by_themselves(triangles: np.ndarray) -> np.ndarray:
    """Of each triangle, shape (m,), whether those that are connected to it by edges are closed."""
    if len(triangles) == 0:
        return np.zeros(0, dtype=bool)
    _, edge, counts = np.unique(edge_keys(triangles), return_inverse=True, return_counts=True)
    edge = edge.reshape(-1, 3)
    group = _groups(len(triangles), _neighbours(edge)[0])
    is_open = np.zeros(group.max() + 1, dtype=bool)
    is_open[np.repeat(group, 3)[counts[edge.ravel()] % 2 == 1]] = True
    return ~is_open[group]


def _neighbours(edge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (k, 2) of sides, as flat numbers, that lie at one edge, first as triangles, then as sides."""
    order = np.argsort(edge.ravel(), kind="stable")
    same = np.flatnonzero(np.diff(edge.ravel()[order]) == 0)
    sides = np.stack([order[same], order[same + 1]], axis=1)
    return sides // 3, sides


def patches(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Number of the patch of each triangle, and whether it has to be turned to agree with its patch's first one.

    Patches are connected by edges at which exactly two triangles meet. The second array is None where that is
    impossible, as on a Möbius strip.
    """
    keys = edge_keys(triangles)
    _, edge, counts = np.unique(keys, return_inverse=True, return_counts=True)
    edge = edge.reshape(-1, 3)
    pairs, sides = _neighbours(edge)
    between_two = counts[edge.ravel()[sides[:, 0]]] == 2
    pairs, sides = pairs[between_two], sides[between_two]
    forward = (triangles < triangles[:, [1, 2, 0]]).ravel()
    disagree = forward[sides[:, 0]] == forward[sides[:, 1]]
    number = len(triangles)
    one, two = pairs[:, 0], pairs[:, 1]  # triangle k as it is: node k, turned: node number + k
    links = [
        np.stack([one, two + number * disagree], axis=1),
        np.stack([one + number, two + number * ~disagree], axis=1),
    ]
    node = _groups(2 * number, np.concatenate(links))
    if (node[:number] == node[number:]).any():
        return np.zeros(number, dtype=np.int64), None
    patch = _groups(number, pairs)
    first = np.unique(patch, return_index=True)[1]
    return patch, node[:number] != node[first][patch]


def _distinct_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each different row of an array (n, 3) stands first, and the number of each row among these, shape (n,)."""
    order = np.lexsort(rows.T)
    is_new = np.ones(len(rows), dtype=bool)
    is_new[1:] = (np.diff(rows[order], axis=0) != 0).any(axis=1)
    number = np.empty(len(rows), dtype=np.int64)
    number[order] = np.cumsum(is_new) - 1
    return order[is_new], number


def _groups(count: int, pairs: np.ndarray) -> np.ndarray:
    """Number of the group of each of `count` things, shape (count,), from pairs (k, 2) that are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)
