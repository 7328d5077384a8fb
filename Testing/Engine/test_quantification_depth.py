"""Degradation depth, layer thickness, cross-section along the axis, and trabecular thickness, against known bodies."""

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
    ball,
    cylinder,
    labelled,
    plain_grid,
    positions_mm,
    reordered,
    turned_grid,
)

from MgImplantSegLib.grids.labels import DEFAULT_SCHEME
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions, quantify
from MgImplantSegLib.quantification.measures.local_thickness import local_thickness_mm

DEPTHS = ("depth_mean", "depth_P95", "depth_max", "PF")
LAYERS = ("DL_mean", "DL_SD", "DL_max")
TURNED = (0.48, 0.6, 0.64)


def measured(label_map, *groups, **options):
    return quantify(label_map, QuantifyOptions(measures=groups, **options))


def plate(spacing=(0.1, 0.02, 0.03)):
    """A plate of 20 layers in z that has lost three layers of its lower and five of its upper face."""
    grid = plain_grid(30, 12, 12, spacing_zyx_mm=spacing)
    before = np.zeros(grid.shape_zyx, np.uint8)
    before[5:25] = METAL
    after = np.where(before > 0, LAYER, 0).astype(np.uint8)
    after[8:20] = METAL
    return LabelMap(after, grid), LabelMap(before, grid)


def test_a_plate_that_has_lost_whole_layers_has_their_depth():
    after, before = plate()
    report = measured(after, "depth", initial=InitialScrew.from_label_map(before))
    assert report.value("depth_mean") == pytest.approx((0.3 + 0.5) / 2)
    assert report.value("depth_max") == pytest.approx(0.5)
    assert report.value("depth_P95") == pytest.approx(0.5)
    assert report.value("PF") == pytest.approx(0.5 / 0.4)


def test_a_plate_that_has_lost_nothing_has_depth_0_and_no_pitting_factor():
    _, before = plate()
    report = measured(before, "depth", initial=InitialScrew.from_label_map(before))
    assert report.value("depth_mean") == report.value("depth_max") == 0
    assert math.isnan(report.value("PF"))
    assert report.find("PF").note


@pytest.mark.parametrize("spacing", [(0.02, 0.02, 0.02), (0.04, 0.02, 0.03)])
def test_a_ball_that_has_shrunk_has_the_difference_of_the_radii_as_depth(spacing):
    grid = turned_grid(1.1, spacing)
    explant = labelled(grid, (ball(grid, 0.45), LAYER), (ball(grid, 0.3), METAL))
    report = measured(
        explant, "depth", "layer", initial=InitialScrew.from_label_map(labelled(grid, (ball(grid, 0.45), METAL)))
    )
    assert report.value("depth_mean") == pytest.approx(0.15, abs=0.5 * max(spacing))
    assert report.value("depth_max") == pytest.approx(0.15, abs=1.5 * max(spacing))
    assert report.value("PF") == pytest.approx(1, abs=0.25)
    assert report.value("DL_mean") == pytest.approx(0.15, abs=0.5 * max(spacing))
    assert report.value("DL_SD") < 0.5 * max(spacing)


def test_a_pit_is_as_deep_as_its_bottom():
    grid = plain_grid(30, 30, 30, spacing_zyx_mm=(0.01,) * 3)
    before = np.zeros(grid.shape_zyx, np.uint8)
    before[5:25, 5:25, 5:25] = METAL
    after = before.copy()
    after[17:25, 13:16, 13:16] = LAYER
    report = measured(LabelMap(after, grid), "depth", initial=InitialScrew.from_label_map(LabelMap(before, grid)))
    assert report.value("depth_max") == pytest.approx(0.08)
    assert report.value("PF") > 5


def test_depth_without_shape_metal_or_implant_is_undefined_and_says_why():
    after, before = plate()
    initial = InitialScrew.from_label_map(before)
    cases = {
        "No shape": measured(after, "depth", initial=InitialScrew.from_values(1.0, 1.0)),
        "no residual material": measured(
            LabelMap(np.where(after.array > 0, LAYER, 0).astype(np.uint8), after.geometry), "depth", initial=initial
        ),
        "no residual": measured(LabelMap(np.zeros_like(after.array), after.geometry), "depth", initial=initial),
    }
    for reason, report in cases.items():
        assert all(math.isnan(report.value(symbol)) for symbol in DEPTHS)
        assert all(reason in report.find(symbol).note for symbol in DEPTHS)


def test_layers_on_a_plate_have_their_thickness():
    after, _ = plate()
    report = measured(after, "layer")
    assert report.value("DL_mean") == pytest.approx((0.3 + 0.5) / 2)
    assert report.value("DL_SD") == pytest.approx(0.1)
    assert report.value("DL_max") == pytest.approx(0.5)
    assert report.find("DL_mean").counts["covered_percent_of_surface"] == pytest.approx(100)


def test_bare_metal_does_not_count_as_thin_layer():
    after, _ = plate()
    labels = after.array.copy()
    labels[20:25] = 0
    report = measured(LabelMap(labels, after.geometry), "layer")
    assert report.value("DL_mean") == pytest.approx(0.3)
    assert report.find("DL_mean").counts["covered_percent_of_surface"] == pytest.approx(50)


@pytest.mark.parametrize(
    ("value", "reason"), [(METAL, "no degradation layer"), (LAYER, "no residual"), (0, "no implant")]
)
def test_a_thickness_without_layer_metal_or_implant_is_undefined_and_says_why(value, reason):
    grid = plain_grid(9, 9, 9)
    report = measured(labelled(grid, (ball(grid, 3), value)), "layer")
    assert all(math.isnan(report.value(symbol)) for symbol in LAYERS)
    assert all(reason in report.find(symbol).note for symbol in LAYERS)


@pytest.mark.parametrize("spacing", [(0.02, 0.02, 0.02), (0.04, 0.025, 0.02)])
def test_the_least_cross_section_of_a_turned_waisted_rod_is_found_with_its_position(spacing):
    grid = turned_grid(1.4, spacing)
    direction = np.array(TURNED) / np.linalg.norm(TURNED)
    position = positions_mm(grid)
    along = position @ direction
    across = np.linalg.norm(position - along[..., None] * direction, axis=-1)
    waist = (np.abs(along - 0.2) < 0.1) & (across > 0.2)
    rod = (across <= 0.3) & (np.abs(along) <= 0.5)
    report = measured(labelled(grid, (rod, LAYER), (rod & ~waist, METAL)), "cross-section", slice_mm=0.05)
    assert report.value("A_RM_min") == pytest.approx(math.pi * 0.2**2, rel=0.05)
    assert report.value("A_RM_min_position") == pytest.approx(0.3, abs=0.1)
    assert report.find("A_RM_min_position").counts["from_farther_end_mm"] == pytest.approx(0.7, abs=0.1)
    (series,) = report.series
    values, middles = np.array(series.values), (np.array(series.x_low) + series.x_high) / 2
    for full in (np.abs(middles - 0.5) < 0.06, np.abs(middles - 0.85) < 0.06, np.abs(middles - 0.15) < 0.06):
        assert np.median(values[full]) == pytest.approx(math.pi * 0.09, rel=0.05)


def test_a_rod_that_is_broken_has_a_cross_section_of_0():
    grid = plain_grid(40, 20, 20, spacing_zyx_mm=(0.02,) * 3)
    rod = cylinder(grid, 0.12, 0.7)
    gap = np.abs(positions_mm(grid)[..., 2] - 0.1) < 0.06
    report = measured(labelled(grid, (rod, LAYER), (rod & ~gap, METAL)), "cross-section", slice_mm=0.02)
    assert report.value("A_RM_min") == 0


def test_a_cross_section_without_implant_is_undefined():
    report = measured(labelled(plain_grid(4, 4, 4)), "cross-section")
    assert math.isnan(report.value("A_RM_min"))
    assert report.find("A_RM_min_position").note


@pytest.mark.parametrize("thickness", [3, 6, 9])
def test_a_plate_along_the_grid_is_as_thick_as_its_layers_to_one_voxel(thickness):
    mask = np.zeros((thickness + 8, 24, 24), bool)
    mask[4 : 4 + thickness] = True
    found = local_thickness_mm(mask, (0.1, 0.1, 0.1))
    assert found[mask].mean() == pytest.approx(0.1 * thickness, abs=0.1001)
    assert np.ptp(found[mask]) < 1e-6


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.5)])
def test_a_ball_is_as_thick_as_its_diameter_not_its_radius(spacing):
    grid = turned_grid(30, spacing)
    mask = ball(grid, 11)
    found = local_thickness_mm(mask, spacing)
    assert found.max() == pytest.approx(22, rel=0.08)
    assert found[mask].mean() == pytest.approx(22, rel=0.1)


def test_a_turned_rod_is_as_thick_as_its_diameter():
    grid = turned_grid(2.0, (0.04, 0.04, 0.04))
    mask = cylinder(grid, 0.3, 6.0, TURNED)
    core = cylinder(grid, 0.3, 1.2, TURNED)
    assert local_thickness_mm(mask, grid.spacing_zyx_mm)[core].mean() == pytest.approx(0.6, rel=0.07)


def test_every_voxel_lies_in_a_sphere_of_its_thickness_found_by_trying_all():
    rng = np.random.default_rng(3)
    mask = np.pad(rng.random((9, 9, 9)) > 0.25, 1)
    spacing = np.array([1.0, 1.2, 0.8])
    inside, outside = np.argwhere(mask) * spacing, np.argwhere(~mask) * spacing
    radius = np.array([np.linalg.norm(outside - centre, axis=1).min() for centre in inside])
    reach = radius * (1 - 1e-6)
    expected = np.array([2 * radius[np.linalg.norm(inside - p, axis=1) < reach].max() for p in inside])
    found = local_thickness_mm(mask, tuple(spacing))[mask]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_bars_and_spaces_give_trabecular_thickness_separation_and_number():
    """Plates 4 voxels thick, 8 voxels apart, of 25 µm: 0.1 mm, 0.2 mm, 1 / 0.3 mm."""
    grid = plain_grid(96, 30, 30, spacing_zyx_mm=(0.025,) * 3)
    labels = np.zeros(grid.shape_zyx, np.uint8)
    labels[np.arange(96) % 12 < 4] = BONE
    roi = OrientedBox((0.3625, 0.3625, 1.1875), size_mm=(0.7, 0.7, 1.2), name="R")
    report = measured(LabelMap(labels, grid), "morphometry", rois=(roi,))
    assert report.value("Tb.Th") == pytest.approx(0.1, abs=0.0251)
    assert report.value("Tb.Sp") == pytest.approx(0.2, abs=0.0251)
    assert report.value("Tb.N") == pytest.approx(1 / (report.value("Tb.Th") + report.value("Tb.Sp")))
    assert report.find("Tb.Th").region == "R"
    assert "diameter" in report.find("Tb.Th").method


def test_a_region_of_one_class_or_outside_has_no_morphometry_and_says_why():
    grid = plain_grid(8, 8, 8)
    inside = OrientedBox((3.5, 3.5, 3.5), size_mm=(4, 4, 4), name="in")
    outside = OrientedBox((50, 3.5, 3.5), size_mm=(4, 4, 4), name="out")
    report = measured(labelled(grid, (np.ones(grid.shape_zyx, bool), BONE)), "morphometry", rois=(inside, outside))
    for region in ("in", "out"):
        for symbol in ("Tb.Th", "Tb.Sp", "Tb.N"):
            assert math.isnan(report.value(symbol, region))
            assert report.find(symbol, region).note


def test_without_rois_the_shell_is_measured():
    grid = plain_grid(40, 40, 40, spacing_zyx_mm=(0.02,) * 3)
    plate = np.abs(positions_mm(grid)[..., 0] - 0.15) < 0.05
    report = measured(labelled(grid, (plate, BONE), (ball(grid, 0.15), METAL)), "morphometry", distance_mm=0.1)
    assert report.find("Tb.Th").region == "shell 0–0.1 mm"
    assert report.value("Tb.Th") == pytest.approx(0.1, abs=0.0201)


def morphometry_of_plates(first: int, thick: int, gap: int, count: int, length: int = 48, **options):
    """Plates of 20 µm voxels across z, the first at layer `first`, the ROI around the middle."""
    layers = count * (thick + gap) + gap
    labels = np.zeros((layers, length, length), np.uint8)
    labels[(np.arange(layers) - first) % (thick + gap) < thick] = BONE
    grid = plain_grid(*labels.shape, spacing_zyx_mm=(0.02,) * 3)
    middle = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2)
    roi = OrientedBox(tuple(middle), size_mm=(0.4, 0.4, 0.02 * (thick + gap)), name="R")
    return measured(LabelMap(labels, grid), "morphometry", rois=(roi,), **options)


@pytest.mark.parametrize("gap", [10, 26])
def test_gaps_wider_than_the_surroundings_of_a_region_have_their_width(gap):
    report = morphometry_of_plates(first=gap, thick=6, gap=gap, count=4)
    assert report.value("Tb.Sp") == pytest.approx(0.02 * gap)
    assert report.value("Tb.Th") == pytest.approx(0.12)
    assert report.value("Tb.N") == pytest.approx(1 / (0.12 + 0.02 * gap))
    assert not report.find("Tb.Sp").note


def plate_at(layer: int, unknown: tuple[int, ...] = ()) -> LabelMap:
    labels = np.zeros((48, 48, 48), np.uint8)
    labels[layer : layer + 8] = BONE
    labels[list(unknown)] = IGNORED
    scheme = replace(DEFAULT_SCHEME, ignore_value=IGNORED)
    return LabelMap(labels, plain_grid(48, 48, 48, spacing_zyx_mm=(0.02,) * 3), scheme)


WHOLE = OrientedBox((0.47,) * 3, size_mm=(0.96,) * 3, name="all")


@pytest.mark.parametrize(
    ("layer", "unknown", "cut"), [(20, (), False), (0, (), True), (40, (), True), (20, (19,), True), (20, (28,), True)]
)
def test_a_plate_that_may_go_on_beyond_what_is_known_has_no_thickness(layer, unknown, cut):
    report = measured(plate_at(layer, unknown), "morphometry", rois=(WHOLE,))
    thickness = report.find("Tb.Th")
    if cut:
        assert math.isnan(thickness.value)
        assert "border" in thickness.note
        assert thickness.counts["Tb.Th_cut_voxels"] == 8 * 48 * 48
    else:
        assert thickness.value == pytest.approx(0.16)


def test_bone_at_the_border_does_not_count_beside_bone_within():
    labels = plate_at(20).array.copy()
    labels[:6] = BONE
    report = measured(LabelMap(labels, plate_at(20).geometry), "morphometry", rois=(WHOLE,))
    assert report.value("Tb.Th") == pytest.approx(0.16)
    cut = report.find("Tb.Th").counts["Tb.Th_cut_voxels"]
    assert 6 * 48 * 48 <= cut < 7 * 48 * 48  # six layers, and a little at the sides of the plate within
    assert "border" in report.find("Tb.Th").note
    assert math.isnan(report.value("Tb.Sp")) or report.value("Tb.Sp") == pytest.approx(0.28)


def test_depth_and_thickness_do_not_depend_on_the_order_or_sense_of_the_axes():
    grid = turned_grid(1.1, (0.04, 0.03, 0.035))
    before = labelled(grid, (cylinder(grid, 0.3, 0.8, TURNED), METAL))
    after = labelled(grid, (cylinder(grid, 0.3, 0.8, TURNED), LAYER), (cylinder(grid, 0.2, 0.6, TURNED), METAL))
    groups = ("depth", "layer", "cross-section")
    first = measured(after, *groups, initial=InitialScrew.from_label_map(before))
    for order, flipped in (((2, 1, 0), ()), ((1, 2, 0), (0, 1))):
        other = measured(
            reordered(after, order, flipped),
            *groups,
            initial=InitialScrew.from_label_map(reordered(before, order, flipped)),
        )
        for measure in first.measures:
            assert other.value(measure.symbol) == pytest.approx(measure.value, rel=1e-3), measure.symbol
