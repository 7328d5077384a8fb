"""Simulated explants: exact truth, the same for the same seed, physical sizes, absent classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MgImplantSegLib.base.errors import Cancelled, InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.simulation import ImplantKind, SimulationSettings, simulate_explant
from MgImplantSegLib.simulation.drawing import draw_parameters
from MgImplantSegLib.simulation.fields import band_field, filled_part, signed_distance, smooth_field
from MgImplantSegLib.simulation.imaging import Composition, compose
from MgImplantSegLib.simulation.implant import Frame, corrode, initial_level_set
from MgImplantSegLib.simulation.truth import (
    body_surface_mm2,
    body_volume_mm3,
    bone_contact_percent,
    bone_volume_percent,
    exact_measures,
)

SMALL = SimulationSettings(size=64, spacing_um=40.0, seed=11)


def ball_level_set(shape: int, radius: float) -> np.ndarray:
    """Level set of a ball off the grid's symmetry points, in voxels."""
    z, y, x = np.ogrid[:shape, :shape, :shape]
    centre = shape / 2 + np.array([0.13, 0.29, 0.41])
    return (np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) - radius).astype(np.float32)


@pytest.fixture(scope="module")
def explant():
    return simulate_explant(SMALL)


def test_the_same_seed_gives_the_same_explant_and_another_seed_another_one(explant):
    again, other = simulate_explant(SMALL), simulate_explant(replace(SMALL, seed=12))
    assert np.array_equal(explant.image.array, again.image.array)
    assert np.array_equal(explant.labels.array, again.labels.array)
    assert explant.truth == again.truth
    assert not np.array_equal(explant.labels.array, other.labels.array)


def test_volume_and_surface_of_a_ball_are_those_of_the_formula():
    ball, view = ball_level_set(48, 15.3), np.ones((48, 48), bool)
    assert body_volume_mm3(ball, view, 0.1) == pytest.approx(4 / 3 * np.pi * 1.53**3, rel=2e-3)
    assert body_surface_mm2(ball, view, 0.1) == pytest.approx(4 * np.pi * 1.53**2, rel=4e-3)


def test_faces_where_the_volume_or_the_view_cuts_a_body_are_no_surface():
    x = np.broadcast_to(np.arange(20, dtype=np.float32), (20, 20, 20))
    slab = np.abs(x - 9.5) - 4
    view = np.zeros((20, 20), bool)
    view[:, :10] = True
    assert body_surface_mm2(slab, np.ones((20, 20), bool), 1.0) == pytest.approx(2 * 19 * 19)
    assert body_surface_mm2(slab, view, 1.0) == pytest.approx(19 * 19)


def test_bone_contact_counts_faces_inside_the_volume_only():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[:, 2:4, 2:5] = 3
    labels[:, 1, 2:5] = 1
    # two sides of 3 faces and two of 2 faces in each of 4 slices; bone on one side of 3; both ends are cut
    view = np.ones((5, 6), bool)
    assert bone_contact_percent(labels, view) == pytest.approx(100 * 3 / 10)
    view[4] = False
    # the side of 3 faces without bone is not seen
    assert bone_contact_percent(labels, view) == pytest.approx(100 * 3 / 7)


def test_bone_volume_is_counted_in_the_shell_without_the_implant():
    labels = np.zeros((1, 1, 20), np.uint8)
    labels[0, 0, :5] = 2
    labels[0, 0, 7:20] = 1
    # voxels 5 to 9 are within 0.5 mm of the implant's last voxel; 7, 8 and 9 are bone
    view = np.ones((1, 20), bool)
    assert bone_volume_percent(labels, view, 0.1) == pytest.approx(60)
    view[0, 8:] = False
    assert bone_volume_percent(labels, view, 0.1) == pytest.approx(100 / 3)


def test_a_smooth_pin_has_the_volume_of_its_cylinder():
    pin = replace(
        draw_parameters(replace(SMALL, kind=ImplantKind.PIN)).implant,
        radius_mm=0.5,
        length_mm=100.0,
        tilt_deg=30.0,
        azimuth_deg=50.0,
        offset_zyx_mm=(0, 0, 0),
        tip_mm=0.1,
        thread_depth_mm=0.0,
        squareness=2.0,
        bore_radius_mm=0.0,
        bend_mm=0.0,
    )
    level_set = initial_level_set(pin, Frame((60, 60, 60), 0.04))
    expected = np.pi * 0.25 * 60 * 0.04 / np.cos(np.deg2rad(30))
    assert body_volume_mm3(level_set, np.ones((60, 60), bool), 0.04) == pytest.approx(expected, rel=5e-3)


def test_the_surface_moves_by_the_given_distance():
    ball = ball_level_set(64, 20)
    shrunk = signed_distance(ball) + 6
    assert filled_part(shrunk).sum() == pytest.approx(4 / 3 * np.pi * 14**3, rel=0.02)


def test_metal_lies_inside_the_initial_implant_and_classes_never_overlap(explant):
    parameters = explant.parameters
    rng = np.random.default_rng(0)
    corroded = corrode(initial_level_set(parameters.implant, Frame((64,) * 3, 0.04)), parameters.corrosion, 0.04, rng)
    assert np.all(corroded.metal >= corroded.outer)
    assert np.count_nonzero((explant.labels.array == 3) & (explant.initial.array == 0)) == 0
    assert set(np.unique(explant.labels.array)) == {0, 1, 2, 3}


def test_a_voxel_has_the_label_that_fills_most_of_it():
    parts = Composition(
        bone=np.array([[[0.3, 0.2, 0.0]]]), layer=np.array([[[0.3, 0.5, 0.1]]]), metal=np.array([[[0.0, 0.3, 0.8]]])
    )
    assert parts.labels.tolist() == [[[0, 2, 3]]]


def test_cracks_fill_their_width_and_hairlines_are_labelled_as_layer():
    corrosion = replace(draw_parameters(SMALL).corrosion, crack_part=1.0, crack_spacing_mm=0.6)
    ball = ball_level_set(64, 25)

    def labels_and_cracks(width_mm):
        implant = corrode(ball, replace(corrosion, crack_width_mm=width_mm), 0.02, np.random.default_rng(0))
        parts = compose(implant, np.full(ball.shape, 100, np.float32))
        return parts.labels, implant.crack_part

    without, _cracks = labels_and_cracks(1e-9)
    hairline, thin = labels_and_cracks(0.006)
    wide, thick = labels_and_cracks(0.06)
    assert thin.max() < 0.8  # 0.3 voxels wide, here and there more than twice that
    assert thick.sum() > 4 * thin.sum()
    assert np.array_equal(hairline, without)
    assert np.count_nonzero((without == 2) & (wide == 0)) > 500


def test_truth_follows_from_its_own_volumes(explant):
    truth = explant.truth
    years = truth["time_days"] / 365.25
    lost = truth["V_i_mm3"] - truth["V_r_mm3"]
    assert truth["DR_mm_per_year"] == pytest.approx(lost / truth["A_i_mm2"] / years)
    assert truth["VL_percent"] == pytest.approx(100 * lost / truth["V_i_mm3"])
    assert truth["V_r_mm3"] == pytest.approx((explant.labels.array == 3).sum() * 0.04**3, rel=0.03)
    assert truth["V_i_mm3"] == pytest.approx((explant.initial.array == 3).sum() * 0.04**3, rel=0.03)
    assert 0 < truth["BIC_percent"] < 100
    assert 0 < truth["BV_TV_percent"] < 100


def test_nothing_is_seen_outside_the_round_view():
    seeds = (replace(SMALL, seed=seed) for seed in range(20))
    settings = next(s for s in seeds if draw_parameters(s).imaging.view_radius == 0.5)
    cut = simulate_explant(settings)
    assert not cut.image.array[:, 0, 0].any()
    assert not cut.labels.array[:, 0, 0].any()


def test_without_implant_there_is_bone_only_and_no_degradation_rate():
    bone_only = simulate_explant(replace(SMALL, kind=ImplantKind.NONE))
    assert set(np.unique(bone_only.labels.array)) == {0, 1}
    assert np.isnan(bone_only.truth["DR_mm_per_year"])
    assert np.isnan(bone_only.truth["BIC_percent"])


def test_an_implant_that_has_not_corroded_has_no_layer_and_a_rate_of_zero():
    fresh = simulate_explant(replace(SMALL, corroded=False))
    assert 2 not in fresh.labels.array
    assert fresh.truth["DR_mm_per_year"] == 0


def test_without_bone_there_is_no_contact():
    wire = simulate_explant(replace(SMALL, kind=ImplantKind.WIRE, with_bone=False))
    assert 1 not in wire.labels.array
    assert wire.truth["BIC_percent"] == 0


def test_drawn_sizes_are_those_of_real_implants_and_bone():
    for seed in range(200):
        drawn = draw_parameters(SimulationSettings(seed=seed))
        assert 0.2 <= drawn.implant.radius_mm <= 1.5
        assert 0.02 <= drawn.corrosion.depth_mm <= 0.2
        assert 0.05 <= drawn.bone.trabecular_thickness_mm <= 0.2
        assert drawn.imaging.soft_tissue < min(drawn.imaging.bone, drawn.imaging.layer_inner)


def test_explants_of_one_scanner_differ_in_all_but_their_look():
    first = draw_parameters(replace(SMALL, seed=1, imaging_seed=9))
    second = draw_parameters(replace(SMALL, seed=2, imaging_seed=9))
    assert first.imaging == second.imaging == draw_parameters(replace(SMALL, seed=9)).imaging
    assert first.implant == draw_parameters(replace(SMALL, seed=1)).implant != second.implant


def test_random_fields_have_unit_variance_and_the_wavelength_asked_for():
    rng = np.random.default_rng(3)
    assert smooth_field(rng, (40, 40, 40), 3.0).std() == pytest.approx(1, abs=1e-5)
    field = band_field(rng, (64, 64, 64), 16.0, 0.1)
    power = np.abs(np.fft.fft(field, axis=2)).mean(axis=(0, 1))
    assert np.argmax(power[1:32]) + 1 <= 64 / 16 + 1


def test_impossible_settings_are_refused_with_what_to_do():
    with pytest.raises(InputError, match="48 to 2000"):
        SimulationSettings(size=10)
    with pytest.raises(InputError, match="field of at least"):
        SimulationSettings(size=64, spacing_um=5)
    with pytest.raises(InputError, match="seed"):
        SimulationSettings(seed=-1)


def test_a_cancelled_simulation_stops():
    with pytest.raises(Cancelled):
        simulate_explant(SMALL, Events(is_cancelled=lambda: True))


def test_measures_without_an_implant_are_not_a_number():
    empty = np.full((8, 8, 8), 5, np.float32)
    measures = exact_measures(np.zeros((8, 8, 8), np.uint8), empty, empty, np.ones((8, 8), bool), 30, 0.1)
    assert measures["V_i_mm3"] == 0
    assert np.isnan(measures["DR_mm_per_year"])
    assert np.isnan(measures["BV_TV_percent"])
