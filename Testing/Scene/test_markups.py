"""Boxes become markups ROI nodes and come back, also turned and under transforms."""

import numpy as np
import pytest
import vtk
from scipy import ndimage

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.regions import OrientedBox, read_roi_markups
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.scene.markups import add_roi_node, box_around_points, box_of_roi_node, implant_ends

AXES = np.array(((0.8, 0.36, 0.48), (0.0, 0.8, -0.6), (-0.6, 0.48, 0.64)))  # a turn, columns are the edges
BOX = OrientedBox((1.5, -2.0, 3.25), AXES, (0.5, 1.0, 2.0), "trabecular")


def under(scene, node, matrix_4x4):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.ravel(matrix_4x4).tolist())
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return node


def corners(box):
    return np.array(sorted(np.round(box.corners_lps_mm, 9).tolist()))


def test_a_turned_box_survives_the_round_trip(scene):
    back = box_of_roi_node(add_roi_node(scene, BOX))
    np.testing.assert_allclose(back.centre_lps_mm, BOX.centre_lps_mm, atol=1e-12)
    np.testing.assert_allclose(back.axes_matrix, AXES, atol=1e-12)
    assert back.size_mm == pytest.approx(BOX.size_mm)
    assert back.name == "trabecular"


def test_a_box_with_left_handed_axes_keeps_its_place(scene):
    mirrored = OrientedBox(BOX.centre_lps_mm, AXES * (-1, 1, 1), BOX.size_mm)
    back = box_of_roi_node(add_roi_node(scene, mirrored))
    np.testing.assert_allclose(corners(back), corners(BOX), atol=1e-9)


def test_the_node_is_at_the_place_of_the_box_in_ras(scene):
    node = add_roi_node(scene, BOX)
    assert node.GetCenterWorld() == pytest.approx((-1.5, 2.0, 3.25))
    assert node.GetSize() == pytest.approx((0.5, 1.0, 2.0))
    left, posterior, superior = AXES[:, 0]
    first_axis = [0.0] * 3
    node.GetXAxisWorld(first_axis)
    assert first_axis == pytest.approx([-left, -posterior, superior])


def test_slicers_own_file_of_the_node_gives_the_same_box(scene, tmp_path):
    node = add_roi_node(scene, BOX)
    storage = scene.AddNewNodeByClass("vtkMRMLMarkupsROIJsonStorageNode")
    storage.SetFileName(str(tmp_path / "trabecular.mrk.json"))
    assert storage.WriteData(node)
    (back,) = read_roi_markups(tmp_path / "trabecular.mrk.json")
    np.testing.assert_allclose(corners(back), corners(BOX), atol=1e-6)


def test_a_parent_transform_turns_and_scales_the_box(scene):
    turn_about_z = np.array(((0, -2, 0, 10), (2, 0, 0, 0), (0, 0, 2, 0), (0, 0, 0, 1.0)))  # in RAS, and twice as large
    back = box_of_roi_node(under(scene, add_roi_node(scene, BOX), turn_about_z))
    right, anterior, superior = -1.5, 2.0, 3.25
    assert back.centre_lps_mm == pytest.approx((2 * anterior - 10, -2 * right, 2 * superior))
    assert back.size_mm == pytest.approx((1.0, 2.0, 4.0))


def test_a_box_of_zero_size_an_inside_out_box_and_a_sheared_box_are_refused(scene):
    unplaced = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "unplaced")
    with pytest.raises(InputError, match="three edge lengths"):
        box_of_roi_node(unplaced)
    inside_out = add_roi_node(scene, BOX)
    inside_out.SetInsideOut(True)
    with pytest.raises(InputError, match="inside out"):
        box_of_roi_node(inside_out)
    stretched_along_r = np.diag([3.0, 1.0, 1.0, 1.0])  # a turned box becomes a skew one
    with pytest.raises(InputError, match="shears"):
        box_of_roi_node(under(scene, add_roi_node(scene, BOX), stretched_along_r))


def test_a_box_under_a_non_linear_transform_is_refused(scene):
    bent = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bent")
    bent.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    node = add_roi_node(scene, BOX)
    node.SetAndObserveTransformNodeID(bent.GetID())
    with pytest.raises(InputError, match="Harden"):
        box_of_roi_node(node)


def box_around_implant(label_map, distance_mm):
    return box_around_points(implant_ends(label_map), label_map.geometry, distance_mm, "ROI")


def test_the_box_around_an_upright_block_is_exact_on_an_anisotropic_turned_grid(oblique_geometry):
    labels = np.zeros((20, 9, 10), np.uint8)
    labels[3:17, 2:5, 4:8] = 3
    labels[3, 2, 4] = 2  # the layer belongs to the implant
    geometry = Geometry(labels.shape, (0.02, 0.01, 0.005), (1, 2, 3), oblique_geometry.direction_lps)
    box = box_around_implant(LabelMap(labels, geometry), 0.05)
    assert sorted(box.size_mm) == pytest.approx(sorted((14 * 0.02 + 0.1, 3 * 0.01 + 0.1, 4 * 0.005 + 0.1)))
    assert box.size_mm[0] == pytest.approx(14 * 0.02 + 0.1)  # first along the longest axis
    np.testing.assert_allclose(box.centre_lps_mm, geometry.lps_from_index_zyx((9.5, 3, 5.5)), atol=1e-9)
    assert abs(box.axes_matrix[:, 0] @ geometry.direction_matrix[:, 2]) == pytest.approx(1)


def test_the_box_around_a_tilted_pin_lies_along_the_pin():
    axis_zyx = np.array((0.8, 0.36, 0.48))
    axis_zyx /= np.linalg.norm(axis_zyx)
    points = np.moveaxis(np.indices((60, 60, 60)), 0, -1) - 29.5
    along = points @ axis_zyx
    radius = np.linalg.norm(points - along[..., None] * axis_zyx, axis=-1)
    pin = (np.abs(along) < 25) & (radius < 4)
    geometry = Geometry(pin.shape, (0.02, 0.02, 0.02))
    box = box_around_implant(LabelMap(pin.astype(np.uint8) * 3, geometry), 0.1)
    assert np.degrees(np.arccos(abs(box.axes_matrix[:, 0] @ axis_zyx[::-1]))) < 1
    assert box.size_mm[0] == pytest.approx(50 * 0.02 + 0.2, abs=0.04)
    assert box.size_mm[1] == pytest.approx(8 * 0.02 + 0.2, abs=0.04)
    assert box.mask(geometry)[ndimage.binary_dilation(pin, iterations=3)].all()


def test_a_ball_gets_a_box_along_the_grid():
    ball = (np.indices((21, 21, 21)) - 10) ** 2
    ball = (ball.sum(axis=0) <= 64).astype(np.uint8) * 3
    box = box_around_implant(LabelMap(ball, Geometry(ball.shape)), 1.0)
    np.testing.assert_allclose(box.axes_matrix, np.eye(3))
    assert box.size_mm == pytest.approx((19, 19, 19))


def test_one_voxel_is_enough_and_no_implant_is_refused():
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[1, 1, 1] = 3
    assert box_around_implant(LabelMap(labels, Geometry((3, 3, 3))), 0).size_mm == pytest.approx((1, 1, 1))
    bone = LabelMap(np.ones((3, 3, 3), np.uint8), Geometry((3, 3, 3)))
    with pytest.raises(InputError, match="without"):
        box_around_implant(bone, 0.5)
    with pytest.raises(InputError, match="-1"):
        box_around_implant(LabelMap(labels, Geometry((3, 3, 3))), -1)
