"""Volumes, volume loss, degradation rate, and the part of the screw that both scans show."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from measured_shapes import (
    BONE,
    IGNORED,
    LAYER,
    METAL,
    OFF_GRID_MM,
    ball,
    cylinder,
    labelled,
    plain_grid,
    positions_mm,
    reordered,
    turned_grid,
)

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.labels import LabelScheme, Role
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions, quantify
from MgImplantSegLib.quantification.field_of_view import field_of_view_of
from MgImplantSegLib.quantification.results import Missing
from MgImplantSegLib.simulation import SimulationSettings, simulate_explant

GROUPS = ("volumes", "degradation")
AXIS = (0.48, 0.6, 0.64)


def measured(label_map, **options):
    return quantify(label_map, QuantifyOptions(measures=GROUPS, **options))


def corroded_cylinder(grid, direction=AXIS, radius=0.3, core=0.2, length=1.0):
    """An explant whose metal has shrunk to a core, and the screw before implantation."""
    before = cylinder(grid, radius, length, direction)
    explant = labelled(grid, (before, LAYER), (cylinder(grid, core, length - 0.2, direction), METAL))
    return explant, labelled(grid, (before, METAL))


def test_volumes_are_voxels_times_the_voxel_volume():
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1, 1, 1:4] = METAL
    labels[2, 2, 1:6] = LAYER
    report = measured(LabelMap(labels, plain_grid(4, 5, 6, spacing_zyx_mm=(0.5, 0.2, 0.1))))
    assert report.value("V_r") == pytest.approx(3 * 0.01)
    assert report.value("V_DL") == pytest.approx(5 * 0.01)
    assert report.find("V_r").counts["voxels"] == 3


def test_the_rate_of_typed_numbers_is_the_formula_of_the_paper():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[:5] = METAL
    report = measured(
        LabelMap(labels, plain_grid(10, 10, 10)), initial=InitialScrew.from_values(800.0, 600.0), time_days=84
    )
    assert report.value("V_i") == 800
    assert report.value("VL") == pytest.approx(100 * 300 / 800)
    assert report.value("DR") == pytest.approx(300 / (600 * 84 / 365.25))
    assert report.find("DR").unit == "mm/year"
    assert report.find("A_i").method == "typed in"


def test_one_year_dissolves_the_thickness_that_the_rate_says():
    """A plate that loses 0.1 mm of each of its two large faces in a year degrades by 0.1 mm/year."""
    labels = np.zeros((1, 100, 10), np.uint8)
    labels[..., 1:9] = METAL
    grid = plain_grid(1, 100, 10, spacing_zyx_mm=(10.0, 0.1, 0.1))
    report = measured(LabelMap(labels, grid), initial=InitialScrew.from_values(100.0, 200.0), time_days=365.25)
    assert report.value("DR") == pytest.approx(0.1)


@pytest.mark.parametrize("days", [0.0, -3.0, float("nan"), float("inf")])
def test_a_time_that_is_not_positive_leaves_the_rate_undefined_and_the_loss_defined(days):
    explant, before = corroded_cylinder(plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3))
    report = measured(explant, initial=InitialScrew.from_label_map(before), time_days=days)
    assert math.isnan(report.value("DR"))
    assert "must be positive" in report.find("DR").note
    assert report.value("VL") > 0


def test_without_time_or_screw_the_rate_is_undefined_and_says_what_is_missing():
    explant, before = corroded_cylinder(plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3))
    assert "No time" in measured(explant, initial=InitialScrew.from_label_map(before)).find("DR").note
    report = measured(explant, time_days=84)
    assert [math.isnan(report.value(symbol)) for symbol in ("V_i", "A_i", "VL", "DR")] == [True] * 4
    assert "No initial screw" in report.find("DR").note


def test_a_screw_of_known_volume_only_gives_a_loss_but_no_rate():
    explant, _ = corroded_cylinder(plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3))
    report = measured(explant, initial=InitialScrew.from_values(0.5, None), time_days=84)
    assert math.isfinite(report.value("VL"))
    assert math.isnan(report.value("DR"))
    assert "surface area" in report.find("DR").note


def warnings_of(label_map, **options) -> list[str]:
    said = []
    quantify(label_map, QuantifyOptions(measures=("degradation",), **options), Events(said.append))
    return [event["message"] for event in said if event["event"] == "warning"]


def test_a_typed_volume_below_the_residual_volume_is_told_with_every_number_that_it_enters(tmp_path):
    explant, _ = corroded_cylinder(plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3))
    residual = measured(explant).find("VL").counts["V_r_mm3"]
    screw = InitialScrew.from_values(0.9 * residual, 10.0)
    report = measured(explant, initial=screw, time_days=84)
    for symbol in ("V_i", "VL", "DR"):
        assert "smaller than the residual volume" in report.find(symbol).note
    assert "typed in" not in report.find("A_i").note
    (warning,) = warnings_of(explant, initial=screw, time_days=84)
    assert warning.startswith("V_i, VL, DR:")
    report.write_csv(tmp_path / "m.csv")
    report.write_json(tmp_path / "m.json")
    for file in ("m.csv", "m.json"):
        assert (tmp_path / file).read_text(encoding="utf-8").count("smaller than the residual volume") == 3


@pytest.mark.parametrize(("part", "told"), [(1.02, False), (0.9, True)])
def test_a_typed_surface_below_that_of_a_ball_of_the_typed_volume_is_told(part, told):
    explant, _ = corroded_cylinder(plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3))
    volume = 4 / 3 * math.pi  # of a ball of radius 1, whose surface is 4 π
    report = measured(explant, initial=InitialScrew.from_values(volume, part * 4 * math.pi), time_days=84)
    assert ["too small" in report.find(symbol).note for symbol in ("A_i", "DR")] == [told, told]


@pytest.mark.parametrize(("days", "told"), [(84, False), (20 * 365, False), (84e6, True)])
def test_a_time_of_more_than_a_century_is_told(days, told):
    explant, before = corroded_cylinder(plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3))
    report = measured(explant, initial=InitialScrew.from_label_map(before), time_days=days)
    assert ("100 years" in report.find("DR").note) == told


def test_what_was_not_given_is_no_warning_and_what_cannot_be_had_is_one():
    explant, before = corroded_cylinder(plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3))
    assert warnings_of(explant) == []
    assert warnings_of(explant, initial=InitialScrew.from_values(9.0, None)) == []
    report = quantify(explant, QuantifyOptions(measures=("degradation",)))
    assert {m.missing for m in report.measures} == {Missing.NOT_GIVEN}
    (warning,) = warnings_of(explant, initial=InitialScrew.from_label_map(before), time_days=0.0)
    assert "must be positive" in warning
    report = measured(explant, initial=InitialScrew.from_label_map(before), time_days=0.0)
    assert [report.find(s).missing for s in ("V_i", "VL", "DR")] == [None, None, Missing.UNDEFINED]


@pytest.mark.parametrize("values", [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (float("nan"), 1.0), (None, None)])
def test_impossible_numbers_of_the_new_screw_are_refused(values):
    with pytest.raises(InputError):
        InitialScrew.from_values(*values)


@pytest.mark.parametrize("spacing", [(0.03, 0.03, 0.03), (0.04, 0.02, 0.03)])
def test_a_turned_cylinder_has_the_volume_surface_and_rate_of_the_formulas(spacing):
    grid = turned_grid(1.5, spacing)
    explant, before = corroded_cylinder(grid)
    report = measured(explant, initial=InitialScrew.from_label_map(before), time_days=100)
    volume, area = math.pi * 0.3**2, 2 * math.pi * 0.3 * (0.3 + 1.0)
    residual = math.pi * 0.2**2 * 0.8
    assert report.value("V_i") == pytest.approx(volume, rel=0.02)
    assert report.value("A_i") == pytest.approx(area, rel=0.03)
    assert report.value("V_r") == pytest.approx(residual, rel=0.02)
    assert report.value("DR") == pytest.approx((volume - residual) / (area * 100 / 365.25), rel=0.04)
    assert report.find("V_i").note == ""


def test_the_mean_area_takes_the_residual_surface_into_account():
    grid = turned_grid(1.5, (0.03, 0.03, 0.03))
    explant, before = corroded_cylinder(grid)
    options = {"initial": InitialScrew.from_label_map(before), "time_days": 100}
    initial = measured(explant, **options).find("DR")
    mean = measured(explant, rate_form="mean-area", **options).find("DR")
    assert mean.counts["A_r_mm2"] == pytest.approx(2 * math.pi * 0.2 * (0.2 + 0.8), rel=0.03)
    ratio = mean.counts["A_i_mm2"] / ((mean.counts["A_i_mm2"] + mean.counts["A_r_mm2"]) / 2)
    assert mean.value == pytest.approx(initial.value * ratio)
    assert "½" in mean.definition


def test_a_screw_that_is_not_registered_is_said_to_be_so():
    grid = turned_grid(1.5, (0.03, 0.03, 0.03))
    explant, before = corroded_cylinder(grid)
    aside = np.eye(4)
    aside[:3, 3] = 0.25, -0.2, 0.1
    report = measured(explant, initial=InitialScrew.from_label_map(before).moved(aside), time_days=100)
    assert "check the registration" in report.find("V_i").note
    far = np.eye(4)
    far[:3, 3] = 50
    report = measured(explant, initial=InitialScrew.from_label_map(before).moved(far), time_days=100)
    assert math.isnan(report.value("DR"))
    assert "register" in report.find("DR").note


def test_more_metal_than_before_gives_a_negative_rate_with_a_warning():
    grid = plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3)
    small, large = ball(grid, 0.3), ball(grid, 0.5)
    said = []
    options = QuantifyOptions(
        InitialScrew.from_label_map(labelled(grid, (small, METAL))), 84, measures=("degradation",), common_length="scan"
    )
    report = quantify(labelled(grid, (large, METAL)), options, Events(said.append))
    assert report.value("DR") < 0
    assert "larger than the initial" in report.find("DR").note
    assert any("larger than the initial" in event.get("message", "") for event in said if event["event"] == "warning")


def test_an_explant_without_metal_gives_a_lower_bound():
    grid = plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3)
    screw = ball(grid, 0.4)
    report = measured(
        labelled(grid, (screw, LAYER)),
        initial=InitialScrew.from_label_map(labelled(grid, (screw, METAL))),
        time_days=84,
    )
    assert report.value("VL") == pytest.approx(100)
    assert "lower bound" in report.find("DR").note


def test_an_explant_without_implant_has_no_rate():
    grid = plain_grid(12, 12, 12)
    report = measured(labelled(grid, (ball(grid, 3), BONE)), initial=InitialScrew.from_values(1.0, 1.0), time_days=84)
    assert report.value("V_r") == 0
    assert math.isnan(report.value("DR"))
    assert math.isnan(report.value("VL"))
    assert "no implant" in report.find("DR").note


def test_a_sawn_off_explant_is_compared_with_the_same_part_of_the_screw():
    grid = turned_grid(1.6, (0.03, 0.02, 0.025))
    explant, before = corroded_cylinder(grid, length=1.2, core=0.2)
    position = positions_mm(grid) @ (np.array(AXIS) / np.linalg.norm(AXIS))
    labels = explant.array.copy()
    labels[position > 0.1] = 0  # 0.7 of 1.2 mm are left
    report = measured(replace(explant, array=labels), initial=InitialScrew.from_label_map(before), time_days=100)
    assert report.value("V_i") == pytest.approx(math.pi * 0.3**2 * 0.7, rel=0.06)
    assert report.value("A_i") == pytest.approx(2 * math.pi * 0.3 * 0.7 + math.pi * 0.3**2, rel=0.06)
    assert report.find("V_i").counts["common_length_mm"] == pytest.approx(0.7, abs=0.05)
    assert "the part that both scans show" in report.find("DR").note


@pytest.mark.parametrize(("depth", "layer"), [(0.04, 0.0), (0.1, 0.0), (0.1, 0.06)])
@pytest.mark.parametrize("shape", ["ball", "cylinder"])
def test_ends_that_have_degraded_like_the_sides_count_as_degraded(shape, depth, layer):
    grid = turned_grid(1.6, (0.03, 0.02, 0.025))

    def body(smaller):
        if shape == "ball":
            return ball(grid, 0.5 - smaller)
        return cylinder(grid, 0.3 - smaller, 1.2 - 2 * smaller, AXIS)

    explant = labelled(grid, (body(depth - layer), LAYER), (body(depth), METAL))
    before = labelled(grid, (body(0), METAL))
    year = 365.25
    report = measured(explant, initial=InitialScrew.from_label_map(before), time_days=year)
    sides = 2 * math.pi * 0.3 * 1.2
    area = 4 * math.pi * 0.5**2 if shape == "ball" else sides + 2 * math.pi * 0.3**2
    lost = np.count_nonzero(body(0)) - np.count_nonzero(body(depth))
    assert report.value("V_i") == pytest.approx(np.count_nonzero(body(0)) * grid.voxel_volume_mm3)
    assert report.value("DR") == pytest.approx(lost * grid.voxel_volume_mm3 / area, rel=0.03)


def test_a_sawn_off_end_is_told_from_the_degradation_of_the_rest():
    grid = turned_grid(1.6, (0.03, 0.02, 0.025))
    before = labelled(grid, (cylinder(grid, 0.3, 1.2, AXIS), METAL))
    explant = labelled(grid, (cylinder(grid, 0.25, 1.1, AXIS), METAL))
    position = positions_mm(grid) @ (np.array(AXIS) / np.linalg.norm(AXIS))
    labels = np.where(position > 0.2, 0, explant.array).astype(np.uint8)  # 0.4 of 1.2 mm are gone
    report = measured(replace(explant, array=labels), initial=InitialScrew.from_label_map(before), time_days=100)
    assert report.value("V_i") == pytest.approx(math.pi * 0.3**2 * 0.8, rel=0.06)
    assert "the part that both scans show" in report.find("DR").note


def test_the_whole_scan_can_be_asked_for_instead():
    grid = turned_grid(1.6, (0.03, 0.03, 0.03))
    explant, before = corroded_cylinder(grid, length=1.2)
    position = positions_mm(grid) @ (np.array(AXIS) / np.linalg.norm(AXIS))
    labels = np.where(position > 0.1, 0, explant.array)
    report = measured(
        replace(explant, array=labels), initial=InitialScrew.from_label_map(before), time_days=100, common_length="scan"
    )
    assert report.value("V_i") == pytest.approx(math.pi * 0.3**2 * 1.2, rel=0.02)


def test_a_screw_cut_by_the_border_counts_without_the_cut():
    long = plain_grid(60, 40, 40, spacing_zyx_mm=(0.025,) * 3)
    before = labelled(long, (cylinder(long, 0.3, 1.2), METAL))
    explant = labelled(long, (cylinder(long, 0.3, 1.2), LAYER), (cylinder(long, 0.2, 1.2), METAL))
    part = LabelMap(explant.array[:30].copy(), long.cropped((0, 0, 0), (30, 40, 40)))
    report = measured(part, initial=InitialScrew.from_label_map(before), time_days=100)
    length = 0.6 - OFF_GRID_MM[2]
    assert report.value("V_i") == pytest.approx(math.pi * 0.3**2 * length, rel=0.04)
    assert report.value("A_i") == pytest.approx(2 * math.pi * 0.3 * length + math.pi * 0.3**2, rel=0.05)
    assert "border" in report.find("V_r").note


def test_what_was_not_scanned_counts_in_neither():
    grid = plain_grid(60, 40, 40, spacing_zyx_mm=(0.025,) * 3)
    screw = cylinder(grid, 0.3, 1.2)
    labels = np.where(screw, METAL, 0).astype(np.uint8)
    labels[30:] = IGNORED
    explant = LabelMap(labels, grid, LabelScheme(ignore_value=IGNORED))
    report = measured(explant, initial=InitialScrew.from_label_map(labelled(grid, (screw, METAL))), time_days=100)
    assert report.value("VL") == pytest.approx(0, abs=1e-9)
    assert report.find("DR").value == pytest.approx(0, abs=1e-9)


def test_a_stray_voxel_far_away_does_not_change_the_common_length():
    grid = turned_grid(1.6, (0.04, 0.04, 0.04))
    explant, before = corroded_cylinder(grid)
    initial = InitialScrew.from_label_map(before)
    labels = explant.array.copy()
    labels[1, 1, 1] = LAYER
    clean, stray = (measured(replace(explant, array=a), initial=initial, time_days=84) for a in (explant.array, labels))
    assert stray.value("DR") == pytest.approx(clean.value("DR"), rel=1e-6)


@pytest.mark.parametrize("shift", [(0.011, 0.013, 0.017), (0.0, 0.0, 0.0)])
def test_a_screw_scanned_on_another_grid_gives_the_same_numbers(shift):
    grid = turned_grid(1.5, (0.03, 0.025, 0.025))
    explant, same = corroded_cylinder(grid)
    finer = plain_grid(100, 100, 100, spacing_zyx_mm=(0.016,) * 3)
    middle = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2)
    finer = replace(finer, origin_lps_mm=tuple(middle - 0.016 * 49.5 + np.array(shift)))
    away = finer.lps_from_index_zyx((np.array(finer.shape_zyx) - 1) / 2) - middle
    direction = np.array(AXIS) / np.linalg.norm(AXIS)
    position = positions_mm(finer) + away
    along = position @ direction
    across = np.linalg.norm(position - along[..., None] * direction, axis=-1)
    other = labelled(finer, ((across <= 0.3) & (np.abs(along) <= 0.5), METAL))
    one, two = (measured(explant, initial=InitialScrew.from_label_map(m), time_days=84) for m in (same, other))
    assert two.value("V_i") == pytest.approx(one.value("V_i"), rel=0.01)
    assert two.value("DR") == pytest.approx(one.value("DR"), rel=0.03)


def test_a_screw_in_a_file_of_another_unit_is_refused():
    grid = plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3)
    explant, before = corroded_cylinder(grid)
    thousandfold = LabelMap(before.array, plain_grid(30, 30, 30, spacing_zyx_mm=(50.0,) * 3))
    with pytest.raises(InputError, match="unit"):
        measured(explant, initial=InitialScrew.from_label_map(thousandfold), time_days=84)


def test_a_binary_screw_is_taken_whole_with_a_note():
    grid = plain_grid(30, 30, 30, spacing_zyx_mm=(0.05,) * 3)
    explant, before = corroded_cylinder(grid)
    binary = LabelMap((before.array > 0).astype(np.uint8), grid)
    report = measured(explant, initial=InitialScrew.from_label_map(binary), time_days=84)
    assert report.value("V_i") == pytest.approx(
        measured(explant, initial=InitialScrew.from_label_map(before)).value("V_i")
    )
    assert "no implant class" in report.find("V_i").note


def test_an_empty_segmentation_of_the_screw_is_refused():
    with pytest.raises(InputError, match="empty"):
        InitialScrew.from_label_map(labelled(plain_grid(4, 4, 4)))


def test_rates_do_not_depend_on_the_order_or_sense_of_the_axes():
    grid = turned_grid(1.4, (0.04, 0.03, 0.035))
    explant, before = corroded_cylinder(grid)
    initial = InitialScrew.from_label_map(before)
    first = measured(explant, initial=initial, time_days=84)
    for order, flipped in (((2, 1, 0), (1,)), ((1, 2, 0), (0, 2))):
        other = measured(
            reordered(explant, order, flipped),
            initial=InitialScrew.from_label_map(reordered(before, order, flipped)),
            time_days=84,
        )
        mixed = measured(reordered(explant, order, flipped), initial=initial, time_days=84)
        for report in (other, mixed):
            assert report.value("V_i") == pytest.approx(first.value("V_i"), rel=1e-3)
            assert report.value("DR") == pytest.approx(first.value("DR"), rel=3e-3)


@pytest.mark.parametrize("seed", [1, 3, 6])
def test_simulated_explants_have_their_true_measures(seed):
    explant = simulate_explant(SimulationSettings(size=64, spacing_um=40.0, seed=seed))
    truth = explant.truth
    screw, seen = InitialScrew.from_label_map(explant.initial), field_of_view_of(explant.image)
    report = quantify(explant.labels, QuantifyOptions(screw, truth["time_days"], field_of_view=seen))
    assert report.value("BIC") == pytest.approx(truth["BIC_percent"])
    assert report.find("BV/TV").value == pytest.approx(truth["BV_TV_percent"])
    assert report.value("V_i") == pytest.approx(truth["V_i_mm3"], rel=0.01)
    assert report.value("V_r") == pytest.approx(truth["V_r_mm3"], rel=0.01)
    assert report.value("A_i") == pytest.approx(truth["A_i_mm2"], rel=0.025)
    assert report.value("DR") == pytest.approx(truth["DR_mm_per_year"], rel=0.035)


def test_values_without_a_role_are_refused_with_a_remedy():
    labels = np.zeros((3, 3, 3), np.int32)
    labels[1, 1, 1] = -7
    with pytest.raises(InputError, match="-7"):
        measured(LabelMap(labels, plain_grid(3, 3, 3)))


def test_several_values_can_share_a_role():
    labels = np.zeros((4, 4, 4), np.int16)
    labels[0], labels[1] = 300, 301
    scheme = LabelScheme.from_roles({300: Role.RESIDUAL_MATERIAL, 301: Role.RESIDUAL_MATERIAL})
    assert measured(LabelMap(labels, plain_grid(4, 4, 4), scheme)).value("V_r") == 32


@pytest.mark.parametrize("option", [{"rate_form": "x"}, {"common_length": "x"}, {"surface": "x"}])
def test_unknown_choices_are_refused(option):
    with pytest.raises(InputError):
        measured(labelled(plain_grid(3, 3, 3)), **option)
