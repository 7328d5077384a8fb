"""Label maps on a sub-volume of an image, in another order of axes, or off its grid."""

import numpy as np
import pytest
from io_cases import LEFT_HANDED, RIGHT_HANDED, label_values

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import DEFAULT_SCHEME, parse_roles
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.io import on_grid_of
from MgImplantSegLib.io.grids import along_axes_of, on_common_grid, placement


def part_of(labels, geometry, start, stop, scheme=DEFAULT_SCHEME):
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    shape = tuple(b - a for a, b in zip(start, stop, strict=True))
    return LabelMap(labels[box], geometry.cropped(start, shape), scheme)


@pytest.mark.parametrize("geometry", [LEFT_HANDED, RIGHT_HANDED])
def test_a_sub_volume_lands_where_it_lies_and_the_rest_is_ignored(geometry):
    whole = on_grid_of(part_of(label_values(), geometry, (1, 1, 2), (4, 4, 6)), geometry)
    expected = np.full((4, 5, 6), 255, np.uint8)
    expected[1:4, 1:4, 2:6] = label_values()[1:4, 1:4, 2:6]
    np.testing.assert_array_equal(whole.array, expected)
    np.testing.assert_array_equal(whole.ignore_mask(), expected == 255)
    assert whole.geometry == geometry


def test_a_label_map_on_the_grid_is_returned_as_it_is():
    label_map = LabelMap(label_values(), LEFT_HANDED)
    assert on_grid_of(label_map, LEFT_HANDED) is label_map


def test_the_ignore_value_of_the_scheme_is_used():
    scheme = parse_roles("1=bone,2=degradation_layer,3=residual_material,-7=ignore")
    whole = on_grid_of(part_of(label_values(), LEFT_HANDED, (1, 0, 0), (4, 5, 6), scheme), LEFT_HANDED)
    assert (whole.array[0] == -7).all()
    np.testing.assert_array_equal(whole.array[1:], label_values()[1:])


def test_a_class_with_the_value_255_is_not_taken_for_ignored():
    scheme = parse_roles("1=bone,255=residual_material")
    array = np.array([0, 1, 255, 255], np.uint8)[label_values()]
    whole = on_grid_of(part_of(array, LEFT_HANDED, (1, 0, 0), (4, 5, 6), scheme), LEFT_HANDED)
    assert whole.scheme.ignore_value == 2
    assert (whole.array[0] == 2).all()


def test_a_label_map_that_reaches_beyond_the_image_is_cropped():
    image = LEFT_HANDED.cropped((1, 1, 1), (2, 3, 9))
    whole = on_grid_of(LabelMap(label_values(), LEFT_HANDED), image)
    np.testing.assert_array_equal(whole.array[:, :, :5], label_values()[1:3, 1:4, 1:])
    assert (whole.array[:, :, 5:] == 255).all()
    inner = on_grid_of(LabelMap(label_values(), LEFT_HANDED), LEFT_HANDED.cropped((1, 1, 1), (2, 2, 2)))
    np.testing.assert_array_equal(inner.array, label_values()[1:3, 1:3, 1:3])
    assert inner.scheme.ignore_value is None


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 1, 0), (1, 0, 2)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_other_orders_and_directions_of_the_axes_are_turned(axes, signs):
    """The same voxels, listed along the axes `axes` of the image, backwards where the sign is negative."""
    flips = tuple(slice(None, None, sign) for sign in signs)
    listed = label_values().transpose(axes)[flips]
    first = [0, 0, 0]
    for axis, sign in zip(axes, signs, strict=True):
        first[axis] = 0 if sign > 0 else label_values().shape[axis] - 1
    columns_zyx = LEFT_HANDED.direction_matrix[:, ::-1][:, axes] * signs
    geometry = Geometry(
        listed.shape,
        tuple(LEFT_HANDED.spacing_zyx_mm[axis] for axis in axes),
        tuple(LEFT_HANDED.lps_from_index_zyx(np.array(first))),
        tuple(columns_zyx[:, ::-1].ravel()),
    )
    whole = on_grid_of(LabelMap(listed, geometry), LEFT_HANDED)
    np.testing.assert_array_equal(whole.array, label_values())


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(LEFT_HANDED.shape_zyx, LEFT_HANDED.spacing_zyx_mm, (1.5021, -2.25, 3.125), LEFT_HANDED.direction_lps),
        Geometry(LEFT_HANDED.shape_zyx, (0.007, 0.006, 0.0052), LEFT_HANDED.origin_lps_mm, LEFT_HANDED.direction_lps),
        Geometry(LEFT_HANDED.shape_zyx, (0.014, 0.012, 0.010), LEFT_HANDED.origin_lps_mm, LEFT_HANDED.direction_lps),
        Geometry(LEFT_HANDED.shape_zyx, LEFT_HANDED.spacing_zyx_mm, LEFT_HANDED.origin_lps_mm),
    ],
    ids=["half a voxel off", "other spacing", "twice the spacing", "other direction"],
)
def test_voxels_that_do_not_coincide_are_refused(geometry):
    with pytest.raises(InputError, match="coincide"):
        on_grid_of(LabelMap(label_values(), geometry), LEFT_HANDED)


def test_one_slice_with_another_spacing_is_refused():
    one = Geometry((1, 5, 6), (0.009, 0.006, 0.005), LEFT_HANDED.origin_lps_mm, LEFT_HANDED.direction_lps)
    with pytest.raises(InputError, match="coincide"):
        on_grid_of(LabelMap(label_values()[:1], one), LEFT_HANDED)


def test_a_label_map_beside_the_image_is_refused():
    with pytest.raises(InputError, match="within the image"):
        on_grid_of(LabelMap(label_values(), LEFT_HANDED.cropped((9, 0, 0), (4, 5, 6))), LEFT_HANDED)


def turned(label_map, axes, signs):
    """The same voxels, listed along the axes `axes`, backwards where the sign is negative."""
    listed = label_map.array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    geometry, first = label_map.geometry, [0, 0, 0]
    for axis, sign in zip(axes, signs, strict=True):
        first[axis] = 0 if sign > 0 else geometry.shape_zyx[axis] - 1
    columns_zyx = geometry.direction_matrix[:, ::-1][:, axes] * signs
    return LabelMap(
        listed,
        Geometry(
            listed.shape,
            tuple(geometry.spacing_zyx_mm[axis] for axis in axes),
            tuple(geometry.lps_from_index_zyx(np.array(first))),
            tuple(columns_zyx[:, ::-1].ravel()),
        ),
        label_map.scheme,
    )


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_two_crops_of_one_volume_have_their_common_voxels_in_any_order_of_axes(axes, signs):
    first = turned(part_of(label_values(), LEFT_HANDED, (0, 1, 1), (4, 4, 6)), axes, signs)
    second = part_of(label_values(), LEFT_HANDED, (1, 0, 0), (4, 5, 4))
    one, other = on_common_grid(first, second)
    np.testing.assert_array_equal(one.array, label_values()[1:4, 1:4, 1:4])
    np.testing.assert_array_equal(other.array, one.array)
    assert one.geometry == other.geometry
    assert one.geometry.same_grid(LEFT_HANDED.cropped((1, 1, 1), (3, 3, 3)))


def test_crops_without_a_voxel_in_common_are_refused_with_both_grids():
    first = part_of(label_values(), LEFT_HANDED, (0, 0, 0), (2, 5, 6))
    second = part_of(label_values(), LEFT_HANDED, (2, 0, 0), (4, 5, 6))
    with pytest.raises(InputError, match=r"segmentations, got 6 × 5 × 2 voxels of 5 × 6 × 7 µm"):
        on_common_grid(first, second)


def test_a_label_map_on_the_same_grid_is_not_copied():
    label_map = LabelMap(label_values(), LEFT_HANDED)
    assert along_axes_of(label_map, LEFT_HANDED) is label_map
    there_and_back = along_axes_of(turned(label_map, (2, 0, 1), (1, -1, 1)), LEFT_HANDED)
    np.testing.assert_array_equal(there_and_back.array, label_values())
    assert np.shares_memory(there_and_back.array, there_and_back.array.base)


@pytest.mark.parametrize(("voxels", "is_same"), [(0.0, True), (0.04, True), (0.06, False), (0.5, False), (0.96, True)])
def test_a_twentieth_of_a_voxel_is_the_same_place(voxels, is_same):
    """0.96 of a voxel is a shift by a whole voxel but for 0.04."""
    origin = LEFT_HANDED.lps_from_index_zyx(np.array([0, voxels, 0]))
    shifted = Geometry(LEFT_HANDED.shape_zyx, LEFT_HANDED.spacing_zyx_mm, tuple(origin), LEFT_HANDED.direction_lps)
    assert (placement(shifted, LEFT_HANDED) is not None) == is_same


def test_a_spacing_that_is_off_by_little_adds_up_along_a_long_axis():
    grid = Geometry((1, 1, 1000), (0.02,) * 3)
    assert placement(Geometry((1, 1, 1000), (0.02, 0.02, 0.02 + 4e-7)), grid) is not None
    assert placement(Geometry((1, 1, 1000), (0.02, 0.02, 0.02 + 4e-6)), grid) is None


def test_a_grid_that_is_turned_a_little_is_another_grid():
    angle = 1e-3
    direction = (np.cos(angle), -np.sin(angle), 0.0, np.sin(angle), np.cos(angle), 0.0, 0.0, 0.0, 1.0)
    assert placement(Geometry((9, 9, 9), (0.02,) * 3, direction_lps=direction), Geometry((9, 9, 9), (0.02,) * 3))
    assert not placement(Geometry((99, 99, 99), (0.02,) * 3, direction_lps=direction), Geometry((99,) * 3, (0.02,) * 3))
