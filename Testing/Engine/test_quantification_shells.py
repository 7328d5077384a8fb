"""Distances layer by layer and counts in shells are those of the plain computation on whole arrays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from measured_shapes import BONE, IGNORED, LAYER, METAL
from scipy import ndimage

from MgImplantSegLib.base.errors import Cancelled
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.labels import DEFAULT_SCHEME, LabelScheme, Role
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.quantification import QuantifyOptions, quantify
from MgImplantSegLib.quantification.codes import UNKNOWN, count_codes, implant_in, role_codes
from MgImplantSegLib.quantification.context import MeasureContext
from MgImplantSegLib.quantification.measures.layered_distance import LAYERS_PER_CHUNK, SquareUnit, map_layers
from MgImplantSegLib.quantification.surfaces.voxel_faces import implant_pairs

ISOTROPIC, ANISOTROPIC = (0.01,) * 3, (0.025, 0.01, 0.0137)
SHAPE = (2 * LAYERS_PER_CHUNK + 5, 31, 26)


def specks(part: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(SHAPE) < part


def squares_mm2(mask: np.ndarray, unit: SquareUnit) -> np.ndarray:
    found = map_layers(lambda z: mask[z], mask.shape, unit, lambda z, square: square.copy())
    return np.stack(found) / unit.of_mm2


@pytest.mark.parametrize("spacing", [ISOTROPIC, ANISOTROPIC])
@pytest.mark.parametrize("limit_mm", [0.035, 0.2, 9.0])
@pytest.mark.parametrize("part", [0.0005, 0.02, 0.6])
def test_squared_distances_are_those_of_scipy_up_to_the_limit(spacing, limit_mm, part):
    mask = specks(part)
    expected_mm = ndimage.distance_transform_edt(~mask, sampling=spacing)
    found = squares_mm2(mask, SquareUnit.of(spacing, limit_mm))
    within = expected_mm <= limit_mm
    np.testing.assert_allclose(np.sqrt(found[within]), expected_mm[within], rtol=1e-6)
    assert (np.sqrt(found[~within]) > limit_mm * (1 - 1e-6)).all()


def test_whole_numbers_are_used_where_they_hold_the_squares():
    assert SquareUnit.of(ISOTROPIC, 1.5).dtype == np.uint16
    assert SquareUnit.of(ISOTROPIC, 5.0).dtype == np.float32
    assert SquareUnit.of(ANISOTROPIC, 0.1).dtype == np.float32


@pytest.mark.parametrize("shape", [(1, 9, 7), (40, 1, 1), (3, 1, 50)])
def test_thin_arrays_and_those_without_or_full_of_the_class_work(shape):
    unit = SquareUnit.of(ISOTROPIC, 0.3)
    assert (squares_mm2(np.ones(shape, bool), unit) == 0).all()
    assert (squares_mm2(np.zeros(shape, bool), unit) > 0.3**2).all()
    one = np.zeros(shape, bool)
    one.flat[0] = True
    expected = sum((n * 0.01) ** 2 for n in np.ogrid[tuple(slice(n) for n in shape)])
    found = squares_mm2(one, unit)
    np.testing.assert_allclose(found[expected <= 0.09], expected[expected <= 0.09], rtol=1e-6)


def label_map(spacing: tuple[float, float, float], seed: int = 3) -> LabelMap:
    """Specks of implant in random bone, with unknown voxels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(SHAPE) < 0.4).astype(np.uint8) * BONE
    labels[ndimage.binary_dilation(rng.random(SHAPE) < 0.0005)] = LAYER
    labels[rng.random(SHAPE) < 0.0003] = METAL
    labels[rng.random(SHAPE) < 0.05] = IGNORED
    return LabelMap(labels, Geometry(SHAPE, spacing), LabelScheme(DEFAULT_SCHEME.labels, IGNORED))


@pytest.mark.parametrize("spacing", [ISOTROPIC, ANISOTROPIC])
def test_shells_and_boxes_hold_the_voxels_that_whole_arrays_of_distances_say(spacing):
    labels = label_map(spacing)
    middle = labels.geometry.lps_from_index_zyx(np.array(SHAPE) / 2)
    axes = ((0.8, 0.6, 0), (-0.6, 0.8, 0), (0, 0, 1))
    rois = (
        OrientedBox(tuple(middle), axes, (0.15, 0.1, 0.2), "one"),
        OrientedBox(tuple(middle + 0.05), size_mm=(0.15, 0.1, 0.2), name="two"),
        OrientedBox(tuple(middle + 50), size_mm=(0.1,) * 3, name="far"),
    )
    options = QuantifyOptions(rois=rois, distance_mm=0.05, profile_step_mm=0.0123)
    found = MeasureContext.of_label_map(labels, options, Events()).shell_counts
    codes = role_codes(labels)
    distance_mm = ndimage.distance_transform_edt(~implant_in(codes), sampling=spacing)
    edges_mm = [0, 0.0123, 0.0246, 0.0369, 0.0492, 0.05]
    for counts, (low_mm, high_mm) in zip(found.by_shell, itertools.pairwise(edges_mm), strict=True):
        inside = (distance_mm > low_mm + (1e-5 if low_mm else 0)) & (distance_mm <= high_mm + 1e-5)
        np.testing.assert_array_equal(counts, np.bincount(codes[inside], minlength=UNKNOWN + 1))
    shell = (distance_mm > 0) & (distance_mm <= 0.05 + 1e-5)
    masks = [roi.mask(labels.geometry) for roi in rois]
    for counts, mask in zip(found.by_region, [*masks, masks[0] | masks[1]], strict=True):
        np.testing.assert_array_equal(counts, np.bincount(codes[mask & shell], minlength=UNKNOWN + 1))
    assert found.touches_border


def test_pairs_of_neighbours_are_counted_like_by_hand():
    codes = role_codes(label_map(ISOTROPIC))
    for offset in ((1, 0, 0), (0, 0, 1), (1, -1, 0), (0, 1, -1), (1, 1, 1)):
        expected = [0, 0]
        for sense in (1, -1):
            beside = np.full(np.array(SHAPE) + 2, UNKNOWN, np.uint8)
            beside[1:-1, 1:-1, 1:-1] = codes
            beside = np.roll(beside, [-sense * o for o in offset], (0, 1, 2))[1:-1, 1:-1, 1:-1]
            for number, code in enumerate((0, BONE)):
                expected[number] += int((implant_in(codes) & (beside == code)).sum())
        assert implant_pairs(codes, offset) == tuple(expected)


def test_codes_are_counted():
    codes = role_codes(label_map(ISOTROPIC))
    np.testing.assert_array_equal(count_codes(codes), np.bincount(codes.ravel(), minlength=UNKNOWN + 1))


def test_labels_that_are_codes_are_not_copied_and_others_are():
    grid = Geometry((2, 2, 2))
    plain = np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 4
    seven = np.where(plain == 3, np.uint8(7), plain)
    to_seven = LabelScheme.from_roles({1: Role.BONE, 2: Role.DEGRADATION_LAYER, 7: Role.RESIDUAL_MATERIAL})
    swapped = LabelScheme.from_roles({2: Role.BONE, 1: Role.DEGRADATION_LAYER, 3: Role.RESIDUAL_MATERIAL})
    ignored = LabelScheme(DEFAULT_SCHEME.labels, IGNORED)
    for array, scheme, shared in (
        (plain, DEFAULT_SCHEME, True),
        (plain, ignored, True),
        (np.where(plain == 0, np.uint8(IGNORED), plain), ignored, False),
        (plain.astype(np.int16), DEFAULT_SCHEME, False),
        (np.asfortranarray(plain), DEFAULT_SCHEME, False),
        (seven, to_seven, False),
        (plain, swapped, False),
    ):
        labels = LabelMap(array, grid, scheme)
        codes = role_codes(labels, may_share=True)
        assert (codes is array) == shared
        np.testing.assert_array_equal(codes, role_codes(labels))
        assert role_codes(labels) is not array
    seen = np.ones((2, 2, 2), bool)
    assert role_codes(LabelMap(plain, grid), seen, may_share=True) is not plain


def test_counting_can_be_cancelled():
    asked = itertools.count()
    options = QuantifyOptions(measures=("bone-volume",), distance_mm=0.05)
    with pytest.raises(Cancelled):
        quantify(label_map(ISOTROPIC), options, Events(is_cancelled=lambda: next(asked) > 2))
