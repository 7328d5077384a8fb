"""Classes on a finer grid are those of interpolating all scores, though few of them are interpolated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MgImplantSegLib.base.errors import Cancelled
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.resample import interpolation_matrices, resampled_slices
from MgImplantSegLib.grids.volume import Geometry
from MgImplantSegLib.inference import output_grid
from MgImplantSegLib.inference.accumulator import largest_class
from MgImplantSegLib.inference.finer_classes import FinerClasses, is_finer
from MgImplantSegLib.inference.fused import FusedPlan, predict_fused
from MgImplantSegLib.inference.output_grid import classes_on_grid

SHAPE = (6, 9, 11)
SPACINGS = [(0.25, 0.25, 0.25), (0.3, 0.37, 0.41), (1.0, 0.5, 1.0), (0.25, 1.0, 0.6), (0.9, 0.9, 0.9)]


def scores(total, seed=0):
    """Smooth scores of four classes with regions, thin things, and ties of two and of all classes; (4, z, y, x)."""
    noise = np.random.default_rng(seed).random((4, *SHAPE))
    smooth = ndimage.gaussian_filter(noise, (0, 1.2, 1.2, 1.2)) ** 12
    values = np.rint(smooth / smooth.sum(axis=0) * total).astype(np.int64)
    values[:, :2, :4, :4] = np.array([0, total, 0, 0])[:, None, None, None]
    values[:, 3, 2:5, 2:8] = np.array([0, 5, total, total])[:, None, None]
    values[:, 4, :, 6] = 7
    values[:, 5, 3:5] = np.array([1, 0, 0, 2])[:, None, None]
    return values


@pytest.mark.parametrize("total", [65534, 1_200_000, 1 << 29])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_they_are_the_largest_of_the_interpolated_scores(spacing, total):
    source = Geometry(SHAPE, (1.0, 1.0, 1.0))
    matrices = interpolation_matrices(source, source.resampled(spacing))
    assert is_finer(matrices)
    values = scores(total)

    def read(z):
        return values[:, z].astype(np.float32)

    expected = [largest_class(slices) for slices in resampled_slices(read, matrices)]
    assert set(np.unique(expected)) == {0, 1, 2, 3}
    found = list(FinerClasses(read, matrices).slices(range(len(expected))))
    np.testing.assert_array_equal(found, expected)


def test_most_of_a_region_is_not_interpolated(monkeypatch):
    values = np.zeros((2, 8, 40, 40), np.float32)
    values[0], values[1, :, 10:30, 10:30] = 1, 3
    source = Geometry(values.shape[1:], (1.0, 1.0, 1.0))
    finer, computed = (
        FinerClasses(lambda z: values[:, z], interpolation_matrices(source, source.resampled((0.25,) * 3))),
        [],
    )
    in_plane = finer._in_plane
    monkeypatch.setattr(
        finer, "_in_plane", lambda layer, pixels: computed.append(len(pixels)) or in_plane(layer, pixels)
    )
    slices = list(finer.slices(range(16)))
    assert sum(computed) < 0.2 * 2 * 160 * 160 * 5
    assert {tuple(np.unique(classes)) for classes in slices} == {(0, 1)}


def test_a_grid_that_is_coarser_along_one_axis_is_not_finer():
    source = Geometry(SHAPE, (1.0, 1.0, 1.0))
    assert not is_finer(interpolation_matrices(source, source.resampled((0.5, 0.5, 1.5))))


def prediction():
    """Of random probabilities, along z."""
    noise = np.random.default_rng(1).random((40, 9, 11)).astype(np.float32)

    def predict(batch):
        first = batch[:, 0] ** 2
        return np.stack([1 - first, first], axis=1)

    return predict_fused(noise, predict, FusedPlan("3", classes=2, sum_bits=16))


def test_several_threads_give_what_one_after_the_other_gives(monkeypatch):
    done, source = [], Geometry((40, 9, 11), (1.0, 1.0, 1.0))
    target, fused = source.resampled((0.4, 0.5, 0.7)), prediction()
    monkeypatch.setattr(output_grid, "thread_count", lambda: 3)
    events = Events(lambda event: done.append(event.get("done")))
    found = classes_on_grid(fused, fused.labels(), source, target, events)
    monkeypatch.setattr(output_grid, "is_finer", lambda _matrices: False)
    np.testing.assert_array_equal(found, classes_on_grid(fused, fused.labels(), source, target, Events()))
    assert done[-1] == target.shape_zyx[0] == 100


def test_the_threads_end_when_the_user_cancels():
    source, fused = Geometry((40, 9, 11), (1.0, 1.0, 1.0)), prediction()
    asked = iter([False, False])
    events = Events(is_cancelled=lambda: next(asked, True))
    with pytest.raises(Cancelled):
        classes_on_grid(fused, fused.labels(), source, source.resampled((0.1, 1.0, 1.0)), events)
