"""Volumes and label maps keep their values and their place on the way into the scene and back."""

import gc

import numpy as np
import pytest
import SimpleITK
from label_map_nodes import add_label_map_node

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.scene.volumes import add_volume_node, geometry_of_node, volume_of_node


def numbered(geometry, dtype):
    """Every voxel has another value."""
    return np.arange(np.prod(geometry.shape_zyx)).reshape(geometry.shape_zyx).astype(dtype)


def rotated_about_x(scene, degrees, shift_mm=(0.0, 0.0, 0.0)):
    import vtk

    transform = vtk.vtkTransform()
    transform.Translate(*shift_mm)
    transform.RotateX(degrees)
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turned")
    node.SetMatrixTransformToParent(transform.GetMatrix())
    return node


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_values_and_place_survive_the_round_trip_of_an_oblique_left_handed_volume(scene, oblique_geometry, dtype):
    volume = Volume(numbered(oblique_geometry, dtype), oblique_geometry)
    back = volume_of_node(add_volume_node(scene, volume, "explant"))
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.array.dtype == volume.array.dtype
    assert back.geometry.same_grid(oblique_geometry, tolerance_voxels=1e-6)
    assert np.linalg.det(back.geometry.direction_matrix) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("dtype", "kept"), [("bool", "uint8"), ("float16", "float32"), ("int64", "int32"), (">u2", "uint16")]
)
def test_types_that_slicer_lacks_become_types_that_hold_the_values(scene, oblique_geometry, dtype, kept):
    array = numbered(oblique_geometry, dtype)
    back = volume_of_node(add_volume_node(scene, Volume(array, oblique_geometry), "explant"))
    assert back.array.dtype == kept
    np.testing.assert_array_equal(back.array, array)


def test_the_node_lies_where_simpleitk_puts_the_same_image(scene, oblique_geometry):
    volume = Volume(numbered(oblique_geometry, "int16"), oblique_geometry)
    node = add_volume_node(scene, volume, "explant")
    image = SimpleITK.GetImageFromArray(volume.array)
    image.SetSpacing(oblique_geometry.spacing_zyx_mm[::-1])
    image.SetOrigin(oblique_geometry.origin_lps_mm)
    image.SetDirection(oblique_geometry.direction_lps)
    left, posterior, superior = image.TransformIndexToPhysicalPoint((3, 1, 4))
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ras = matrix.MultiplyPoint((3, 1, 4, 1))[:3]
    np.testing.assert_allclose(ras, (-left, -posterior, superior), atol=1e-12)


def test_the_node_shares_the_array_and_keeps_it_alive(scene, oblique_geometry):
    array = numbered(oblique_geometry, "uint16")
    expected, address = array.copy(), array.__array_interface__["data"][0]
    node = add_volume_node(scene, Volume(array, oblique_geometry), "explant")
    del array
    gc.collect()
    back = volume_of_node(node)
    assert back.array.__array_interface__["data"][0] == address
    np.testing.assert_array_equal(back.array, expected)


def test_a_read_only_or_strided_array_is_copied_not_shared(scene, oblique_geometry):
    array = numbered(oblique_geometry, "uint16")
    array.flags.writeable = False
    node = add_volume_node(scene, Volume(array, oblique_geometry), "explant")
    volume_of_node(node).array[0, 0, 0] = 999
    assert array[0, 0, 0] == 0
    strided = numbered(oblique_geometry, "uint16")[::-1]
    back = volume_of_node(add_volume_node(scene, Volume(strided, oblique_geometry), "explant"))
    np.testing.assert_array_equal(back.array, strided)


def test_a_parent_transform_moves_the_volume_in_the_world(scene, oblique_geometry):
    node = add_volume_node(scene, Volume(numbered(oblique_geometry, "int16"), oblique_geometry), "explant")
    node.SetAndObserveTransformNodeID(rotated_about_x(scene, 90, (1.0, 2.0, 3.0)).GetID())
    local_lps = oblique_geometry.lps_from_index_zyx((2, 1, 4))
    x, y, z = -local_lps[0], -local_lps[1], local_lps[2]  # RAS
    turned_ras = np.array([x + 1, -z + 2, y + 3])  # 90° about x, then the shift
    np.testing.assert_allclose(
        geometry_of_node(node).lps_from_index_zyx((2, 1, 4)), turned_ras * (-1, -1, 1), atol=1e-12
    )


def test_non_linear_and_shearing_parents_are_refused(scene, oblique_geometry):
    import vtk

    node = add_volume_node(scene, Volume(numbered(oblique_geometry, "int16"), oblique_geometry), "explant")
    bent = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bent")
    bent.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    node.SetAndObserveTransformNodeID(bent.GetID())
    with pytest.raises(InputError, match="Harden"):
        volume_of_node(node)
    sheared = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "sheared")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 1, 0.5)
    sheared.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(sheared.GetID())
    with pytest.raises(InputError, match="perpendicular"):
        volume_of_node(node)


def test_empty_and_color_volumes_are_refused(scene):
    import vtk

    with pytest.raises(InputError, match="empty"):
        volume_of_node(None)
    with pytest.raises(InputError, match="empty"):
        volume_of_node(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing"))
    color = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    image = vtk.vtkImageData()
    image.SetDimensions(2, 2, 2)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    color.SetAndObserveImageData(image)
    with pytest.raises(InputError, match="got 3 components"):
        volume_of_node(color)


def test_two_nodes_of_one_name_get_different_names(scene, oblique_geometry):
    volume = Volume(numbered(oblique_geometry, "int16"), oblique_geometry)
    names = [add_volume_node(scene, volume, "explant").GetName() for _ in range(2)]
    assert names[0] == "explant"
    assert names[1] != "explant"


def test_a_label_map_node_has_the_names_and_colors_of_its_classes(scene, oblique_geometry):
    labels = numbered(oblique_geometry, "int64") % 4
    node = add_label_map_node(scene, LabelMap(labels.astype(np.uint8), oblique_geometry), "classes")
    colors = node.GetDisplayNode().GetColorNode()
    names = [colors.GetColorName(value) for value in range(4)]
    assert names == ["background", "bone", "degradation layer", "residual material"]
    rgba = [0.0] * 4
    colors.GetColor(3, rgba)
    assert rgba == pytest.approx([0.870, 0.420, 0.230, 1.0], abs=0.003)
    colors.GetColor(0, rgba)
    assert rgba[3] == 0
