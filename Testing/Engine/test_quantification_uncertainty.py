"""Ranges from the disagreement of planes, by hand and on other grids."""

from __future__ import annotations

import math

import numpy as np
import pytest
from measured_shapes import BONE, LAYER, METAL, labelled, plain_grid

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions, quantify
from MgImplantSegLib.quantification.codes import METAL as METAL_CODE
from MgImplantSegLib.quantification.measures.uncertainty import exchanged, uncertain_voxels

GRID = plain_grid(6, 6, 20, spacing_zyx_mm=(0.1, 0.1, 0.1))
RANGED = ("V_r", "VL", "DR", "BIC", "BV/TV")


def layered() -> LabelMap:
    """Along x: 6 layers of metal, 3 of degradation layer, 4 of bone, 7 of background."""
    labels = np.zeros(GRID.shape_zyx, np.uint8)
    labels[..., :6], labels[..., 6:9], labels[..., 9:13] = METAL, LAYER, BONE
    return LabelMap(labels, GRID)


def disagreement(*layers: int, value: float = 2 / 3) -> Volume:
    array = np.zeros(GRID.shape_zyx, np.float32)
    array[..., list(layers)] = value
    return Volume(array, GRID)


def measured(volume: Volume | None):
    initial = InitialScrew.from_values(10.0, 20.0)
    return quantify(layered(), QuantifyOptions(initial, 365.25, distance_mm=0.8, disagreement=volume))


def test_without_disagreement_there_are_no_ranges():
    assert all(math.isnan(m.low) and math.isnan(m.high) for m in measured(None).measures)


def test_uncertain_layers_of_metal_are_taken_and_given():
    report = measured(disagreement(5, 6))
    layer_mm3 = 36 * 1e-3
    metal = report.find("V_r")
    assert metal.value == pytest.approx(6 * layer_mm3)
    assert metal.low == pytest.approx(5 * layer_mm3)
    assert metal.high == pytest.approx(7 * layer_mm3)
    rate = report.find("DR")
    assert rate.low == pytest.approx((10 - 7 * layer_mm3) / 20)
    assert rate.high == pytest.approx((10 - 5 * layer_mm3) / 20)
    assert "third of the planes" in rate.method and "planes" not in rate.note


def test_uncertain_layers_of_bone_are_taken_and_given():
    report = measured(disagreement(12, 13))
    fraction = report.find("BV/TV")
    assert fraction.value == pytest.approx(100 * 4 / 8)
    assert fraction.low == pytest.approx(100 * 3 / 8)
    assert fraction.high == pytest.approx(100 * 5 / 8)


def test_a_thin_seam_of_bone_that_is_uncertain_lowers_the_contact():
    labels = layered().array.copy()
    labels[..., 10:] = 0
    options = QuantifyOptions(distance_mm=0.8, disagreement=disagreement(9))
    contact = quantify(LabelMap(labels, GRID), options).find("BIC")
    assert (contact.low, contact.value, contact.high) == (0, 100, 100)


def test_uncertain_bone_between_implant_and_bone_stays_contact():
    """There the planes doubt between bone and implant, and either way both touch."""
    contact = measured(disagreement(9)).find("BIC")
    assert (contact.low, contact.value, contact.high) == (100, 100, 100)


def test_measures_that_planes_say_nothing_about_have_no_range():
    report = measured(disagreement(5, 6, 12))
    assert {m.symbol for m in report.measures if math.isfinite(m.low)} == set(RANGED)


def test_the_value_lies_in_its_range():
    for measure in measured(disagreement(5, 6, 9, 12, 13)).measures:
        assert math.isnan(measure.low) or measure.low <= measure.value <= measure.high


def test_a_single_dissenting_plane_of_nine_is_no_doubt_and_one_of_three_is():
    assert not uncertain_voxels(disagreement(3, value=1 / 9), GRID).any()
    assert uncertain_voxels(disagreement(3, value=1 / 3), GRID).any()


def test_uncertain_voxels_far_from_a_class_do_not_become_it():
    codes = np.zeros((3, 3, 12), np.uint8)
    codes[..., 0] = METAL_CODE
    uncertain = np.ones(codes.shape, bool)
    given = exchanged(codes, uncertain, taken=0, given=METAL_CODE)
    np.testing.assert_array_equal((given == METAL_CODE).any(axis=(0, 1)), np.arange(12) < 9)


def test_a_disagreement_on_a_coarser_grid_is_brought_to_the_labels():
    coarse = GRID.resampled((0.2, 0.2, 0.2))
    array = np.zeros(coarse.shape_zyx, np.float32)
    array[..., 4:6] = 1
    found = uncertain_voxels(Volume(array, coarse), GRID)
    assert found[2, 2].tolist() == [8 <= x <= 11 for x in range(20)]


def test_outside_the_disagreement_nothing_is_uncertain():
    part = Geometry((6, 6, 5), GRID.spacing_zyx_mm, GRID.origin_lps_mm)
    found = uncertain_voxels(Volume(np.ones(part.shape_zyx, np.float32), part), GRID)
    assert found[..., :4].all()
    assert not found[..., 6:].any()


def test_without_an_implant_nothing_gets_a_range():
    report = quantify(labelled(GRID), QuantifyOptions(disagreement=disagreement(3)))
    assert all(math.isnan(m.low) for m in report.measures if m.symbol not in ("V_r",))


@pytest.mark.parametrize("value", [math.nan, -0.1, 2.0])
def test_values_that_are_no_parts_of_the_planes_are_refused(value):
    with pytest.raises(InputError, match="disagreement map of this image, got values of"):
        measured(disagreement(5, value=value))


@pytest.mark.parametrize("shift_mm", [0.3, -1.3, 50.0])
def test_a_map_that_does_not_cover_the_implant_is_refused_because_ranges_would_be_too_narrow(shift_mm):
    moved = Geometry(GRID.shape_zyx, GRID.spacing_zyx_mm, (shift_mm, 0.0, 0.0), GRID.direction_lps)
    with pytest.raises(InputError, match="does not cover the implant"):
        measured(Volume(disagreement(5).array, moved))
