"""BV/TV in shells, ROI boxes and their overlap, on turned anisotropic grids, and on real bone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from measured_shapes import (
    BONE,
    IGNORED,
    METAL,
    ball,
    labelled,
    plain_grid,
    positions_mm,
    reordered,
    turned_grid,
)
from scipy import ndimage

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.io import read_volume
from MgImplantSegLib.quantification import QuantifyOptions, quantify
from MgImplantSegLib.quantification.measures.distance import distance_to_mm
from MgImplantSegLib.quantification.results import Missing

SAMPLES = Path(__file__).resolve().parents[2] / "Resources" / "SampleData"
GROUPS = ("bone-volume", "bone-profile")


def measured(label_map, **options):
    return quantify(label_map, QuantifyOptions(measures=GROUPS, **options))


def middle_of(geometry):
    return geometry.lps_from_index_zyx((np.array(geometry.shape_zyx) - 1) / 2)


def box_at(geometry, shift_mm, size_mm, name="ROI"):
    return OrientedBox(tuple(middle_of(geometry) + shift_mm), size_mm=size_mm, name=name)


@pytest.mark.parametrize("spacing", [(0.02, 0.02, 0.02), (0.04, 0.02, 0.03)])
def test_the_shell_around_a_ball_has_the_volume_between_two_balls(spacing):
    grid = turned_grid(1.5, spacing)
    report = measured(labelled(grid, (ball(grid, 0.4), METAL)), distance_mm=0.25)
    measure = report.find("BV/TV", "shell 0–0.25 mm")
    volume = measure.counts["region_voxels"] * grid.voxel_volume_mm3
    assert volume == pytest.approx(4 / 3 * math.pi * (0.65**3 - 0.4**3), rel=0.035)
    assert measure.value == 0


@pytest.mark.parametrize("spacing", [(0.02, 0.02, 0.02), (0.04, 0.02, 0.03)])
def test_bone_on_one_side_fills_half_of_the_shell(spacing):
    grid = turned_grid(1.5, spacing)
    half = positions_mm(grid) @ np.array([0.6, 0.0, 0.8]) > 0
    report = measured(labelled(grid, (half, BONE), (ball(grid, 0.4), METAL)), distance_mm=0.25)
    assert report.value("BV/TV") == pytest.approx(50, abs=0.7)


def test_a_shell_of_whole_voxels_is_counted_by_hand():
    grid = plain_grid(9, 9, 15, spacing_zyx_mm=(0.3, 0.2, 0.1))
    labels = np.zeros(grid.shape_zyx, np.uint8)
    labels[..., 5:10] = METAL
    labels[..., 10:12] = BONE
    report = measured(LabelMap(labels, grid), distance_mm=0.4, profile_step_mm=0.2)
    measure = report.find("BV/TV")
    assert measure.counts["region_voxels"] == 9 * 9 * (4 + 4)
    assert measure.counts["bone_voxels"] == 9 * 9 * 2
    assert measure.value == 25
    (profile,) = report.series
    assert profile.x_low == pytest.approx((0.0, 0.2))
    assert profile.x_high == pytest.approx((0.2, 0.4))
    assert profile.values == pytest.approx((50.0, 0.0))


def test_the_profile_over_shells_adds_up_to_the_shell():
    grid = turned_grid(1.2, (0.03, 0.02, 0.025))
    label_map = labelled(grid, (positions_mm(grid)[..., 2] > 0.35, BONE), (ball(grid, 0.3), METAL))
    report = measured(label_map, distance_mm=0.22, profile_step_mm=0.05)
    (profile,) = report.series
    assert profile.x_high[-1] == pytest.approx(0.22)
    shells = [measured(label_map, distance_mm=edge).find("BV/TV").counts for edge in profile.x_high]
    bone = np.diff([0, *(counts["bone_voxels"] for counts in shells)])
    total = np.diff([0, *(counts["region_voxels"] for counts in shells)])
    np.testing.assert_allclose(profile.values, 100 * bone / total)


def test_a_shell_that_leaves_the_volume_counts_only_what_is_inside_and_says_so():
    grid = plain_grid(12, 12, 12, spacing_zyx_mm=(0.1, 0.1, 0.1))
    measure = measured(labelled(grid, (ball(grid, 0.3), METAL)), distance_mm=0.5).find("BV/TV")
    assert "border" in measure.note
    inside = measured(labelled(grid, (ball(grid, 0.3), METAL)), distance_mm=0.2).find("BV/TV")
    assert inside.note == ""


def test_an_oriented_box_holds_bone_as_its_share_of_the_volume():
    grid = turned_grid(1.6, (0.04, 0.02, 0.03))
    label_map = labelled(grid, (positions_mm(grid)[..., 0] > 0.1, BONE))
    measure = measured(label_map, rois=(box_at(grid, (0.0, 0, 0), (0.8, 0.5, 0.4)),)).find("BV/TV", "ROI")
    expected = 100 * (0.4 - 0.1 - 0.0123) / 0.8
    assert measure.value == pytest.approx(expected, abs=1)
    assert measure.counts["scanned_fraction"] == 1
    assert measure.note == ""


def test_the_implant_in_a_box_does_not_count():
    grid = plain_grid(20, 20, 20)
    label_map = labelled(grid, (np.ones(grid.shape_zyx, bool), BONE), (ball(grid, 6), METAL))
    measure = measured(label_map, rois=(OrientedBox((9.5, 9.5, 9.5), size_mm=(20, 20, 20)),)).find("BV/TV", "ROI")
    assert measure.value == 100
    assert measure.counts["region_voxels"] + measure.counts["implant_voxels"] == 8000


def test_a_box_partly_outside_is_reported_with_its_fraction():
    grid = plain_grid(20, 20, 20)
    roi = OrientedBox((19.5, 9.5, 9.5), size_mm=(10, 10, 10))
    measure = measured(labelled(grid), rois=(roi,)).find("BV/TV", "ROI")
    assert measure.counts["scanned_fraction"] == pytest.approx(0.5)
    assert "50 %" in measure.note
    assert measure.counts["region_voxels"] == 500


def test_a_box_partly_outside_the_field_of_view_is_reported_with_its_fraction():
    grid = plain_grid(20, 20, 20)
    seen = np.ones(grid.shape_zyx, bool)
    seen[..., 12:] = False
    roi = OrientedBox((11.5, 9.5, 9.5), size_mm=(4, 10, 10))
    measure = measured(labelled(grid), rois=(roi,), field_of_view=seen).find("BV/TV", "ROI")
    assert measure.counts["scanned_fraction"] == pytest.approx(0.5)
    assert measure.counts["unknown_voxels"] == 200


def test_a_box_outside_is_undefined_and_says_why():
    grid = plain_grid(8, 8, 8)
    report = measured(labelled(grid), rois=(OrientedBox((100, 0, 0), size_mm=(4, 4, 4)),))
    assert math.isnan(report.value("BV/TV", "ROI"))
    assert "outside the volume" in report.find("BV/TV", "ROI").note


def test_a_box_inside_the_implant_is_undefined_and_says_why():
    grid = plain_grid(9, 9, 9)
    report = measured(
        labelled(grid, (np.ones(grid.shape_zyx, bool), METAL)), rois=(OrientedBox((4, 4, 4), size_mm=(3, 3, 3)),)
    )
    assert math.isnan(report.value("BV/TV", "ROI"))
    assert report.find("BV/TV", "ROI").note


def test_a_box_inside_the_metal_is_undefined_with_a_warning():
    grid = plain_grid(9, 9, 9)
    label_map = labelled(grid, (np.ones(grid.shape_zyx, bool), METAL), (ball(grid, 1), BONE))
    box = OrientedBox((1.0, 1.0, 1.0), size_mm=(2, 2, 2), name="metal")
    said = []
    options = QuantifyOptions(rois=(box,), measures=("bone-volume",), distance_mm=1.0)
    report = quantify(label_map, options, Events(said.append))
    assert np.isnan(report.value("BV/TV", "metal"))
    assert report.find("BV/TV", "metal").missing is Missing.UNDEFINED
    assert any("No voxel of the region" in e["message"] for e in said if e["event"] == "warning")


def test_ignored_voxels_do_not_count():
    grid = plain_grid(10, 10, 10)
    labels = np.zeros(grid.shape_zyx, np.uint8)
    labels[:, :, :5] = BONE
    labels[:, 5:] = IGNORED
    label_map = LabelMap(labels, grid, LabelScheme(ignore_value=IGNORED))
    measure = measured(label_map, rois=(OrientedBox((4.5, 4.5, 4.5), size_mm=(10, 10, 10)),)).find("BV/TV", "ROI")
    assert measure.value == 50
    assert measure.counts["region_voxels"] == 500


def test_overlapping_boxes_count_once_together():
    grid = plain_grid(10, 10, 20)
    labels = np.zeros(grid.shape_zyx, np.uint8)
    labels[..., :10] = BONE
    rois = (
        OrientedBox((5.5, 4.5, 4.5), size_mm=(12, 10, 10), name="left"),
        OrientedBox((13.5, 4.5, 4.5), size_mm=(12, 10, 10), name="right"),
    )
    report = measured(LabelMap(labels, grid), rois=rois)
    assert report.value("BV/TV", "left") == pytest.approx(100 * 10 / 12)
    assert report.value("BV/TV", "right") == pytest.approx(100 * 2 / 12)
    assert report.value("BV/TV", "all ROIs") == pytest.approx(50)
    assert report.find("BV/TV", "all ROIs").counts["region_voxels"] == 2000


def test_a_box_and_the_shell_overlap_where_both_are():
    grid = plain_grid(9, 9, 15)
    labels = np.zeros(grid.shape_zyx, np.uint8)
    labels[..., :5] = METAL
    labels[:5, :, 5:8] = BONE
    roi = OrientedBox((7, 4, 4), size_mm=(15, 9, 5), name="middle")  # z from 2 to 6
    report = measured(LabelMap(labels, grid), distance_mm=3, rois=(roi,))
    counts = report.find("BV/TV", "middle ∩ shell 0–3 mm").counts
    assert counts["region_voxels"] == 5 * 9 * 3
    assert counts["bone_voxels"] == 3 * 9 * 3


def test_equal_names_of_boxes_get_numbers():
    rois = tuple(OrientedBox((2, 2, 2), size_mm=(2, 2, 2), name="R") for _ in range(3))
    report = measured(labelled(plain_grid(5, 5, 5)), rois=rois)
    assert [m.region for m in report.measures[1:4]] == ["R", "R (2)", "R (3)"]


def test_without_an_implant_the_shell_is_undefined_and_the_box_is_not():
    grid = plain_grid(6, 6, 6)
    report = measured(
        labelled(grid, (np.ones(grid.shape_zyx, bool), BONE)), rois=(OrientedBox((2.5,) * 3, size_mm=(6,) * 3),)
    )
    assert math.isnan(report.value("BV/TV"))
    assert "no implant" in report.find("BV/TV").note
    assert report.value("BV/TV", "ROI") == 100


def test_bone_volume_does_not_depend_on_the_order_or_sense_of_the_axes():
    grid = turned_grid(1.0, (0.05, 0.04, 0.03))
    label_map = labelled(grid, (positions_mm(grid)[..., 1] > 0.07, BONE), (ball(grid, 0.2), METAL))
    roi = OrientedBox(tuple(middle_of(grid)), ((0.8, 0, -0.6), (0.36, 0.8, 0.48), (0.48, -0.6, 0.64)), (0.5, 0.4, 0.3))
    first = measured(label_map, distance_mm=0.2, rois=(roi,))
    for order, flipped in (((2, 1, 0), (1,)), ((1, 2, 0), (0, 2)), ((0, 2, 1), ())):
        other = measured(reordered(label_map, order, flipped), distance_mm=0.2, rois=(roi,))
        assert [m.value for m in other.measures] == pytest.approx([m.value for m in first.measures])
        assert other.series[0].values == pytest.approx(first.series[0].values)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.3, 2.1)])
def test_distances_agree_with_scipy_in_one_and_in_blocks(spacing):
    mask = ndimage.gaussian_filter(np.random.default_rng(0).random((31, 22, 27)), 2) > 0.53
    assert mask.any()
    expected = ndimage.distance_transform_edt(~mask, sampling=spacing)
    np.testing.assert_allclose(distance_to_mm(mask, spacing), expected, atol=1e-4)
    blocks = distance_to_mm(mask, spacing, limit_mm=3.0, voxels_per_block=4 * 22 * 27)
    near = expected <= 3.0
    np.testing.assert_allclose(blocks[near], expected[near], atol=1e-4)
    assert (blocks[~near] > 3.0).all()


def test_distances_to_nothing_are_infinite():
    assert np.isinf(distance_to_mm(np.zeros((3, 4, 5), bool), (1.0, 1.0, 1.0))).all()


@pytest.mark.parametrize("name", ["distance_mm", "profile_step_mm", "slice_mm"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_length_that_is_not_positive_is_refused(name, value):
    with pytest.raises(InputError, match=name):
        QuantifyOptions(**{name: value})


def test_real_trabecular_bone_has_its_published_bone_volume_fraction():
    """Gaussian of one voxel, values above 63, largest part of 6-connected voxels: 23.37 % (ciclope, example 09)."""
    scan = read_volume(SAMPLES / "lhdl_trabecular_bone_19p5um.nrrd")
    bone = ndimage.gaussian_filter(scan.array.astype(np.float32), 1, mode="nearest") > 63
    parts, count = ndimage.label(bone)
    bone = parts == 1 + np.argmax(np.bincount(parts.ravel())[1 : count + 1])
    geometry = scan.geometry
    whole = OrientedBox(tuple(middle_of(geometry)), geometry.direction_matrix, geometry.extent_zyx_mm[::-1], "whole")
    report = measured(LabelMap(bone.astype(np.uint8), geometry), rois=(whole,))
    assert report.value("BV/TV", "whole") == pytest.approx(23.37, abs=0.02)


def test_real_binary_bone_has_its_published_bone_volume_fraction():
    scan = read_volume(SAMPLES / "shrew_trabecular_mask_4p1um.nrrd")
    geometry: Geometry = scan.geometry
    whole = OrientedBox(tuple(middle_of(geometry)), geometry.direction_matrix, geometry.extent_zyx_mm[::-1], "whole")
    report = measured(LabelMap((scan.array > 0).astype(np.uint8), geometry), rois=(whole,))
    assert report.value("BV/TV", "whole") == pytest.approx(29.349, abs=0.001)
