"""IoU, Dice and surface distances, by hand and against SimpleITK."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
from measured_shapes import BONE, IGNORED, LAYER, METAL, ball, cylinder, labelled, plain_grid, reordered, turned_grid

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.labels import LabelScheme, Role
from MgImplantSegLib.grids.volume import LabelMap


def pair(one, other):
    grid = plain_grid(*np.shape(one))
    return LabelMap(np.array(one, np.uint8), grid), LabelMap(np.array(other, np.uint8), grid)


def test_scores_are_counted_by_hand():
    prediction, reference = pair([[[0, 1, 1, 3, 3, 0]]], [[[0, 1, 3, 3, 3, 1]]])
    result = evaluate(prediction, reference)
    assert result.score("bone").iou == pytest.approx(1 / 3)
    assert result.score("bone").dice == pytest.approx(2 / 4)
    assert result.score("residual_material").iou == pytest.approx(2 / 3)
    assert result.score("background").iou == pytest.approx(1 / 2)
    assert result.mean_iou == pytest.approx((1 / 3 + 2 / 3 + 1 / 2) / 3)
    assert result.mean_iou_foreground == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert result.compared_voxels == 6


def test_a_class_in_neither_is_undefined_and_left_out_of_the_mean():
    prediction, reference = pair([[[0, 1]]], [[[0, 1]]])
    result = evaluate(prediction, reference)
    assert math.isnan(result.score("degradation_layer").iou)
    assert "Neither" in result.score("degradation_layer").note
    assert result.mean_iou == 1


def test_a_class_in_one_only_scores_zero():
    prediction, reference = pair([[[0, 2]]], [[[0, 0]]])
    assert evaluate(prediction, reference).score("degradation_layer").iou == 0


def test_a_segmentation_agrees_fully_with_itself():
    grid = turned_grid(0.8, (0.05, 0.04, 0.03))
    label_map = labelled(
        grid, (np.ones(grid.shape_zyx, bool), BONE), (ball(grid, 0.3), LAYER), (ball(grid, 0.2), METAL)
    )
    result = evaluate(label_map, label_map, surface_distances=True)
    assert result.mean_iou == 1
    assert result.score("residual_material").surface_distance.max_mm == 0


def test_ignored_voxels_of_either_do_not_count():
    scheme = LabelScheme(ignore_value=IGNORED)
    grid = plain_grid(1, 1, 5)
    prediction = LabelMap(np.array([[[1, 1, 0, 3, 255]]], np.uint8), grid, scheme)
    reference = LabelMap(np.array([[[1, 255, 255, 3, 3]]], np.uint8), grid, scheme)
    result = evaluate(prediction, reference)
    assert (result.compared_voxels, result.ignored_voxels) == (2, 3)
    assert result.mean_iou == 1


def test_classes_are_compared_by_role_not_by_value():
    grid = plain_grid(1, 1, 4)
    prediction = LabelMap(np.array([[[0, 1, 2, 3]]], np.uint8), grid)
    scheme = LabelScheme.from_roles({10: Role.BONE, 20: Role.DEGRADATION_LAYER, -5: Role.RESIDUAL_MATERIAL})
    reference = LabelMap(np.array([[[0, 10, 20, -5]]], np.int16), grid, scheme)
    assert evaluate(prediction, reference).mean_iou == 1


def test_scores_agree_with_simpleitk():
    rng = np.random.default_rng(5)
    prediction, reference = pair(rng.integers(0, 4, (9, 8, 7)), rng.integers(0, 4, (9, 8, 7)))
    result = evaluate(prediction, reference)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(sitk.GetImageFromArray(reference.array), sitk.GetImageFromArray(prediction.array))
    for value, role in ((1, "bone"), (2, "degradation_layer"), (3, "residual_material")):
        assert result.score(role).iou == pytest.approx(overlap.GetJaccardCoefficient(value))
        assert result.score(role).dice == pytest.approx(overlap.GetDiceCoefficient(value))


def test_other_grids_are_refused():
    grid = plain_grid(3, 3, 3)
    shifted = LabelMap(np.zeros((3, 3, 3), np.uint8), plain_grid(3, 3, 3, spacing_zyx_mm=(1.0, 1.0, 1.1)))
    with pytest.raises(InputError, match="coincide"):
        evaluate(labelled(grid), shifted)
    with pytest.raises(InputError, match="one grid"):
        evaluate(labelled(grid), labelled(grid.cropped((1, 0, 0), (2, 3, 3))))


def test_a_shifted_plate_has_the_shift_as_distance():
    grid = plain_grid(20, 9, 9, spacing_zyx_mm=(0.1, 0.02, 0.03))
    one, other = np.zeros((2, *grid.shape_zyx), np.uint8)
    one[5:10], other[7:12] = METAL, METAL
    distance = (
        evaluate(LabelMap(one, grid), LabelMap(other, grid), surface_distances=True)
        .score("residual_material")
        .surface_distance
    )
    assert distance.mean_mm == pytest.approx(0.2)
    assert distance.p95_mm == pytest.approx(0.2)
    assert distance.max_mm == pytest.approx(0.2)


@pytest.mark.parametrize("spacing", [(0.02, 0.02, 0.02), (0.04, 0.02, 0.03)])
def test_concentric_balls_have_the_difference_of_their_radii_as_distance(spacing):
    grid = turned_grid(1.0, spacing)
    small, large = (labelled(grid, (ball(grid, radius), METAL)) for radius in (0.25, 0.4))
    distance = evaluate(small, large, surface_distances=True).score("residual_material").surface_distance
    assert distance.mean_mm == pytest.approx(0.15, abs=0.35 * max(spacing))
    assert distance.max_mm == pytest.approx(0.15, abs=1.2 * max(spacing))


def test_the_largest_distance_agrees_with_simpleitks_hausdorff_distance():
    grid = plain_grid(24, 24, 24)
    one, other = labelled(grid, (ball(grid, 6), METAL)), labelled(grid, (cylinder(grid, 4, 20), METAL))
    distance = evaluate(one, other, surface_distances=True).score("residual_material").surface_distance
    hausdorff = sitk.HausdorffDistanceImageFilter()
    hausdorff.Execute(sitk.GetImageFromArray(one.array), sitk.GetImageFromArray(other.array))
    assert distance.max_mm == pytest.approx(hausdorff.GetHausdorffDistance(), abs=1)


def test_the_distance_to_an_absent_class_is_undefined_and_says_why():
    prediction, reference = pair([[[0, 1, 0]]], [[[0, 0, 0]]])
    distance = evaluate(prediction, reference, surface_distances=True).score("bone").surface_distance
    assert math.isnan(distance.mean_mm)
    assert "does not have" in distance.note


def test_distances_do_not_depend_on_the_order_or_sense_of_the_axes():
    grid = turned_grid(0.9, (0.05, 0.04, 0.03))
    one, other = labelled(grid, (ball(grid, 0.3), METAL)), labelled(grid, (cylinder(grid, 0.2, 0.6, (1, 2, 3)), METAL))
    first = evaluate(one, other, surface_distances=True).score("residual_material").surface_distance
    turned = (
        evaluate(reordered(one, (2, 0, 1), (0,)), reordered(other, (2, 0, 1), (0,)), surface_distances=True)
        .score("residual_material")
        .surface_distance
    )
    assert turned.mean_mm == pytest.approx(first.mean_mm)
    assert turned.max_mm == pytest.approx(first.max_mm)


def test_the_result_is_plain_data_without_nan():
    prediction, reference = pair([[[0, 1, 0]]], [[[0, 0, 0]]])
    data = evaluate(prediction, reference, surface_distances=True).to_dict()
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text)["classes"]["bone"]["surface_distance"]["mean_mm"] is None
    assert data["mean_iou"] == pytest.approx((2 / 3 + 0) / 2)
