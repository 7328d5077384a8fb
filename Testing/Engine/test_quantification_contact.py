"""Bone-to-implant contact: published and hand-counted cases for every method, borders, cracks, ROIs and slices."""

from __future__ import annotations

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

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import LabelScheme, Role
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.quantification import QuantifyOptions, quantify
from MgImplantSegLib.quantification.codes import BONE as BONE_CODE
from MgImplantSegLib.quantification.codes import METAL as METAL_CODE
from MgImplantSegLib.quantification.measures.contact_methods import CONTACT_METHODS

AREA_METHODS = ("crofton", "mesh")
WITH_IGNORED = LabelScheme(ignore_value=IGNORED)


def bic(label_map, **options):
    return quantify(label_map, QuantifyOptions(measures=("contact",), **options)).find("BIC", "implant")


def nested_balls(spacing_zyx):
    """Published check: labels 1, 2, 3 of radius 5, 10, 15 about (20.123, 20.234, 20.345)."""
    z, y, x = (np.arange(round(50 / s)) * s for s in spacing_zyx)
    distance = np.sqrt((z[:, None, None] - 20.123) ** 2 + (y[:, None] - 20.234) ** 2 + (x - 20.345) ** 2)
    return np.select([distance < 5, distance < 10, distance < 15], [1, 2, 3], 0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 1.0, 1.0), (1.0, 1.0, 0.5)])
@pytest.mark.parametrize("method", AREA_METHODS)
@pytest.mark.parametrize(
    ("implant", "bone", "area"), [(1, 2, 314.16), (2, 1, 314.16), (2, 3, 1256.64), (3, 2, 1256.64)]
)
def test_nested_balls_touch_with_the_surface_of_the_inner_one(method, implant, bone, area, spacing):
    balls = nested_balls(spacing)
    codes = np.select([balls == implant, balls == bone], [METAL_CODE, BONE_CODE], 0).astype(np.uint8)
    _, contact = CONTACT_METHODS[method].measure(codes, None, spacing, 0.0)
    assert contact == pytest.approx(area, rel=0.05)


@pytest.mark.parametrize("method", CONTACT_METHODS)
def test_balls_with_another_between_them_do_not_touch(method):
    balls = nested_balls((1.0, 1.0, 1.0))
    codes = np.select([balls == 1, balls == 3], [METAL_CODE, BONE_CODE], 0).astype(np.uint8)
    surface, contact = CONTACT_METHODS[method].measure(codes, None, (1.0, 1.0, 1.0), 0.0)
    assert contact == 0
    assert surface > 0


@pytest.mark.parametrize("method", CONTACT_METHODS)
def test_an_implant_in_bone_has_full_contact_and_one_in_air_has_none(method):
    grid = turned_grid(1.0, (0.05, 0.04, 0.03))
    implant = ball(grid, 0.25)
    in_bone = labelled(grid, (np.ones(grid.shape_zyx, bool), BONE), (implant, METAL))
    in_air = labelled(grid, (implant, METAL))
    assert bic(in_bone, contact=method).value == 100
    assert bic(in_air, contact=method).value == 0


@pytest.mark.parametrize("method", CONTACT_METHODS)
@pytest.mark.parametrize("spacing", [(0.02, 0.02, 0.02), (0.04, 0.02, 0.02)])
def test_bone_on_one_half_of_a_ball_touches_half_of_it(method, spacing):
    grid = turned_grid(1.1, spacing)
    half = positions_mm(grid) @ np.array([0.6, 0.0, 0.8]) > 0
    label_map = labelled(grid, (half, BONE), (ball(grid, 0.42), METAL))
    assert bic(label_map, contact=method, contact_distance_mm=0.0).value == pytest.approx(50, abs=2)


def test_faces_of_a_box_are_counted_by_hand_on_anisotropic_voxels():
    grid = plain_grid(7, 7, 7, spacing_zyx_mm=(3.0, 2.0, 1.0))
    labels = np.zeros(grid.shape_zyx, np.uint8)
    labels[2:4, 2:5, 2:6] = LAYER
    labels[2:4, 2:5, 2:4] = METAL
    labels[4, 2:5, 2:6] = BONE  # the whole face above: 3 × 4 faces of 2 × 1 mm²
    measure = bic(LabelMap(labels, grid))
    surface = 2 * (3 * 4 * 2 * 1) + 2 * (2 * 4 * 3 * 1) + 2 * (2 * 3 * 3 * 2)
    assert measure.counts["surface_mm2"] == pytest.approx(surface)
    assert measure.counts["contact_mm2"] == pytest.approx(24)
    assert measure.value == pytest.approx(100 * 24 / surface)


def test_a_diagonal_neighbour_touches_only_by_18_or_26_neighbours():
    grid = plain_grid(7, 7, 7)
    edge, corner = np.zeros((2, *grid.shape_zyx), np.uint8)
    edge[3, 3, 3] = corner[3, 3, 3] = METAL
    edge[4, 4, 3] = corner[4, 4, 4] = BONE
    values = {
        name: (bic(LabelMap(edge, grid), contact=name).value, bic(LabelMap(corner, grid), contact=name).value)
        for name in ("faces", "18-neighbours", "26-neighbours")
    }
    assert values["faces"] == (0, 0)
    assert values["18-neighbours"] == (pytest.approx(100 / 18), 0)
    assert values["26-neighbours"] == (pytest.approx(100 / 26), pytest.approx(100 / 26))


@pytest.mark.parametrize("method", CONTACT_METHODS)
def test_the_border_of_the_volume_is_no_surface(method):
    grid = plain_grid(30, 36, 36)
    _z, y, x = np.ogrid[:30, :36, :36]
    through = np.broadcast_to((y - 17.3) ** 2 + (x - 17.8) ** 2 <= 12**2, grid.shape_zyx)
    bone = np.broadcast_to(x > 17.8, grid.shape_zyx)
    measure = bic(labelled(grid, (bone, BONE), (through, METAL)), contact=method)
    assert measure.value == pytest.approx(50, abs=2)
    assert "border of the volume" in measure.note


@pytest.mark.parametrize("method", CONTACT_METHODS)
def test_unknown_voxels_are_neither_bone_nor_free_surface(method):
    grid = plain_grid(34, 34, 34)
    position = positions_mm(grid)
    labels = np.where(position[..., 0] > 0, BONE, 0).astype(np.uint8)
    labels[position[..., 2] > 0] = IGNORED
    labels[ball(grid, 12)] = METAL
    measure = bic(LabelMap(labels, grid, WITH_IGNORED), contact=method)
    assert measure.value == pytest.approx(50, abs=3)


def test_a_field_of_view_works_like_unknown_voxels():
    grid = plain_grid(20, 20, 20)
    label_map = labelled(grid, (positions_mm(grid)[..., 0] > 0, BONE), (ball(grid, 6), METAL))
    seen = positions_mm(grid)[..., 0] > 0
    assert bic(label_map, field_of_view=seen).value == 100


def test_bone_within_a_distance_counts_from_gap_to_gap():
    grid = plain_grid(5, 5, 12, spacing_zyx_mm=(1.0, 1.0, 0.5))
    labels = np.zeros(grid.shape_zyx, np.uint8)
    labels[..., 0:4] = METAL
    labels[..., 7:] = BONE  # three voxels of 0.5 mm between them
    label_map = LabelMap(labels, grid)
    assert bic(label_map, contact="distance", contact_distance_mm=1.4).value == 0
    assert bic(label_map, contact="distance", contact_distance_mm=1.5).value == 100
    assert "1.5 mm" in bic(label_map, contact="distance", contact_distance_mm=1.5).method


def cracked_block():
    """A block of layer in bone with a crack of two voxels from its top."""
    grid = plain_grid(24, 24, 24, spacing_zyx_mm=(0.01, 0.01, 0.01))
    labels = np.full(grid.shape_zyx, BONE, np.uint8)
    labels[6:18, 6:18, 6:18] = LAYER
    labels[10:18, 6:18, 11:13] = 0
    return LabelMap(labels, grid)


def test_a_crack_lowers_the_contact_unless_it_is_closed():
    open_crack, closed = bic(cracked_block()), bic(cracked_block(), close_cracks_mm=0.02)
    assert open_crack.value < 80
    assert closed.value > 98
    assert closed.counts["surface_mm2"] == pytest.approx(6 * 12 * 12 * 1e-4, rel=0.03)
    assert "closed" in closed.method


def test_a_gap_wider_than_the_given_width_stays_open():
    label_map = cracked_block()
    labels = label_map.array.copy()
    labels[10:18, 6:18, 8:16] = 0
    wide = LabelMap(labels, label_map.geometry)
    assert bic(wide, close_cracks_mm=0.02).value == pytest.approx(bic(wide).value, abs=3)


def test_an_enclosed_cavity_is_closed_with_the_cracks():
    grid = plain_grid(20, 20, 20, spacing_zyx_mm=(0.01, 0.01, 0.01))
    labels = np.full(grid.shape_zyx, BONE, np.uint8)
    labels[3:17, 3:17, 3:17] = METAL
    labels[6:14, 6:14, 6:14] = 0
    assert bic(LabelMap(labels, grid)).value < 80
    assert bic(LabelMap(labels, grid), close_cracks_mm=0.01).value == 100


@pytest.mark.parametrize("method", CONTACT_METHODS)
def test_each_roi_has_the_contact_of_the_implants_part_inside(method):
    grid = turned_grid(1.2, (0.03, 0.03, 0.03))
    middle = grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2)
    label_map = labelled(grid, (positions_mm(grid)[..., 0] > 0, BONE), (ball(grid, 0.4), METAL))
    rois = tuple(
        OrientedBox(tuple(middle + np.array([shift, 0, 0])), size_mm=(1, 2, 2), name=name)
        for shift, name in ((0.55, "in bone"), (-0.5, "in air"), (30.0, "far"))
    )
    report = quantify(label_map, QuantifyOptions(measures=("contact",), contact=method, rois=rois))
    assert report.value("BIC", "in bone") == pytest.approx(100, abs=4)
    assert report.value("BIC", "in air") == pytest.approx(0, abs=4)
    assert np.isnan(report.value("BIC", "far"))
    assert "no surface" in report.find("BIC", "far").note


def test_slices_along_the_axis_show_where_bone_touches_a_turned_screw():
    direction = np.array([0.48, 0.6, 0.64])
    direction /= np.linalg.norm(direction)
    grid = turned_grid(1.3, (0.025, 0.02, 0.02))
    along = positions_mm(grid) @ direction
    label_map = labelled(grid, (along > 0, BONE), (cylinder(grid, 0.2, 0.9, direction), METAL))
    report = quantify(label_map, QuantifyOptions(measures=("contact-profile",), slice_mm=0.1))
    (series,) = report.series
    values = np.array(series.values)
    assert series.x_low[0] == 0
    assert series.x_high[-1] == pytest.approx(0.95, abs=0.1)
    assert np.all(values[1:4] == 0)
    assert np.all(values[-4:-1] == 100)
    assert report.find("BIC_slices").counts["slices"] == values.size


@pytest.mark.parametrize("method", CONTACT_METHODS)
def test_contact_does_not_depend_on_the_order_or_sense_of_the_axes(method):
    grid = turned_grid(0.9, (0.03, 0.025, 0.02))
    label_map = labelled(
        grid,
        (positions_mm(grid)[..., 1] > 0.1, BONE),
        (cylinder(grid, 0.2, 0.5, (1, 2, 3)), LAYER),
        (ball(grid, 0.15), METAL),
    )
    value = bic(label_map, contact=method).value
    assert 5 < value < 95
    for order, flipped in (((2, 1, 0), ()), ((1, 2, 0), (0,)), ((0, 2, 1), (1, 2))):
        assert bic(reordered(label_map, order, flipped), contact=method).value == pytest.approx(value, abs=0.05)


def test_without_an_implant_contact_is_undefined_and_says_why():
    measure = bic(labelled(plain_grid(5, 5, 5), (np.ones((5, 5, 5), bool), BONE)))
    assert np.isnan(measure.value)
    assert "no implant" in measure.note


def test_an_implant_that_fills_the_volume_has_no_surface():
    measure = bic(labelled(plain_grid(5, 5, 5), (np.ones((5, 5, 5), bool), METAL)))
    assert np.isnan(measure.value)
    assert "no surface" in measure.note


def test_a_scheme_without_a_layer_works_alike():
    grid = plain_grid(9, 9, 9)
    labels = np.where(ball(grid, 3), 7, 4).astype(np.int16)
    scheme = LabelScheme.from_roles({4: Role.BONE, 7: Role.RESIDUAL_MATERIAL})
    assert bic(LabelMap(labels, grid, scheme)).value == 100


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="26-neighbours"):
        bic(labelled(plain_grid(3, 3, 3)), contact="by eye")
