"""Label maps on a sub-volume of an image, in another order of axes, or off its grid."""

import numpy as np
import pytest
from io_cases import LEFT_HANDED, RIGHT_HANDED, label_values

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.io import on_grid_of
from MgImplantSegLib.labels import DEFAULT_SCHEME, parse_roles
from MgImplantSegLib.volume import Geometry, LabelMap


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
