"""What is counted in the order of the memory is what is counted plainly, voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest

from MgImplantSegLib.inference import accumulator as module
from MgImplantSegLib.inference.accumulator import Accumulator, largest_class
from MgImplantSegLib.inference.memory import zeros_on_disk
from MgImplantSegLib.planes.plane_sets import PLANE_SETS

SHAPE = (9, 13, 11)
PLANES = PLANE_SETS["9"]


def blocks(plane, classes=4):
    """Random probabilities of all slices of a plane, settled in blocks of five."""
    count, noise = plane.slice_count(SHAPE), np.random.default_rng(0)
    slices = []
    for index in range(count):
        values = noise.random((classes, *plane.slice_shape(SHAPE, index))).astype(np.float32) ** 4
        slices.append((values / values.sum(axis=0))[1:])
    for start in range(0, count, 5):
        first = max(0, start - plane.overlap)
        yield plane.settle(SHAPE, first, slices[first : start + 5])


@pytest.mark.parametrize("allocate", [np.zeros, zeros_on_disk], ids=["in memory", "on disk"])
@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_sums_and_votes_are_those_of_plain_indexing(plane, allocate, monkeypatch):
    monkeypatch.setattr(module, "MAPPED_BYTES", 300)  # many pieces
    found = Accumulator(SHAPE, 4, 9, sum_bits=16, with_votes=True, allocate=allocate)
    sums, votes = np.zeros((3, *SHAPE), np.uint16), np.zeros((3, *SHAPE), np.uint8)
    for places, values in blocks(plane):
        counts = (values * np.float32(found.scale) + np.float32(0.5)).astype(np.uint16)
        first = np.float32(1 + 1e-6) - values.sum(axis=0)
        labels = np.concatenate([first[None], values]).argmax(axis=0)
        for index, part in places:
            plane.view(sums)[(slice(None), *index)] += counts[:, part]
            for number in (1, 2, 3):
                plane.view(votes)[(number - 1, *index)] += (labels == number)[part]
        found.add(plane, places, values)
    np.testing.assert_array_equal(found.held["sums"], sums)
    np.testing.assert_array_equal(found.held["votes"], votes)
    assert sums.any() and set(np.unique(votes)) == {0, 1}


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint16])
@pytest.mark.parametrize("classes", [2, 4, 7])
def test_the_largest_class_is_that_of_argmax_with_ties_to_the_lower(classes, dtype):
    scores = np.random.default_rng(classes).integers(0, 4, (classes, 40, 50)).astype(dtype)
    before = scores.copy()
    expected = scores.argmax(axis=0)
    for given in (scores, list(scores)):
        found = largest_class(given)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(scores, before)
