"""Label maps become segmentation nodes with IDs, names, colours and terminology, and come back as they were."""

import numpy as np
import pytest

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import CANAL, CLASSES, CRACK, DEFAULT_SCHEME, LabelScheme, Role, parse_roles
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.scene.closed_surfaces import create_closed_surfaces
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.segmentation_reading import label_map_of_node, reading_of_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node, fill_segmentation_node
from MgImplantSegLib.scene.segments import segment_ids
from MgImplantSegLib.scene.standalone import require_slicer
from MgImplantSegLib.scene.volumes import add_volume_node, geometry_of_node


def unsymmetric(geometry, dtype=np.uint8):
    """A small map of all classes that no flip or turn maps onto itself."""
    labels = np.zeros(geometry.shape_zyx, dtype)
    labels[1:4, 1:5, 2:6] = 1
    labels[2, 1:4, 1:3] = 2
    labels[3, 2, 4:] = 3
    return labels


@pytest.fixture
def label_map(oblique_geometry):
    return LabelMap(unsymmetric(oblique_geometry), oblique_geometry)


def test_segments_have_the_ids_names_colors_and_terminology_of_the_classes(scene, label_map):
    segmentation = add_segmentation_node(scene, label_map, "explant").GetSegmentation()
    assert segment_ids(segmentation) == ["bone", "degradation_layer", "residual_material"]
    bone, layer = (segmentation.GetSegment(entry) for entry in ("bone", "degradation_layer"))
    assert (bone.GetName(), layer.GetName()) == ("bone", "degradation layer")
    assert layer.GetColor() == (0.290, 0.620, 0.900)
    assert "~SCT^85756007^Tissue~SCT^3138006^Bone~" in bone.GetTerminology()
    assert "~99MGIMPLANTSEG^DL^Degradation layer of implant~" in layer.GetTerminology()


def test_the_round_trip_keeps_values_place_and_roles(scene, label_map):
    back = label_map_of_node(add_segmentation_node(scene, label_map, "explant"))
    np.testing.assert_array_equal(back.array, label_map.array)
    assert back.geometry.same_grid(label_map.geometry, tolerance_voxels=1e-6)
    assert back.scheme == DEFAULT_SCHEME


def test_the_node_shares_the_memory_of_the_label_map(scene, label_map):
    back = label_map_of_node(add_segmentation_node(scene, label_map, "explant"))
    assert np.shares_memory(back.array, label_map.array)


def test_absent_classes_have_no_segment_unless_they_are_asked_for(scene, oblique_geometry):
    labels = (unsymmetric(oblique_geometry) == 1).astype(np.uint8)
    bone_only = LabelMap(labels, oblique_geometry)
    assert segment_ids(add_segmentation_node(scene, bone_only, "a").GetSegmentation()) == ["bone"]
    node = add_segmentation_node(scene, bone_only, "b", keep_absent=True)
    assert segment_ids(node.GetSegmentation()) == ["bone", "degradation_layer", "residual_material"]
    assert create_closed_surfaces(node)["residual_material"] == 0
    np.testing.assert_array_equal(label_map_of_node(node).array, labels)


def test_a_label_map_without_any_voxels_gives_a_node_without_segments(scene, oblique_geometry):
    node = add_segmentation_node(scene, LabelMap(np.zeros((5, 6, 7), np.uint8), oblique_geometry), "empty")
    assert create_closed_surfaces(node) == {}
    with pytest.raises(InputError, match="got none"):
        label_map_of_node(node)


@pytest.mark.parametrize("roles", ["1=bone,7=residual_material", "0=bone,-1=background,300=residual_material"])
def test_other_numberings_keep_their_roles(scene, oblique_geometry, roles):
    scheme = parse_roles(roles)
    values = {label.role: label.value for label in scheme.labels}
    labels = np.full(oblique_geometry.shape_zyx, values[Role.BACKGROUND], np.int16)
    labels[1:3, 2:5, 1] = values[Role.BONE]
    labels[2, 2, 3:6] = values[Role.RESIDUAL_MATERIAL]
    original = LabelMap(labels, oblique_geometry, scheme)
    back = label_map_of_node(add_segmentation_node(scene, original, "explant"))
    for role in (Role.BONE, Role.RESIDUAL_MATERIAL, Role.DEGRADATION_LAYER, Role.BACKGROUND):
        np.testing.assert_array_equal(back.mask(role), original.mask(role))


def test_voxels_of_which_nothing_is_known_stay_so(scene, oblique_geometry):
    labels = unsymmetric(oblique_geometry)
    labels[0] = 255
    original = LabelMap(labels, oblique_geometry, LabelScheme(ignore_value=255))
    node = add_segmentation_node(scene, original, "part")
    assert not node.GetDisplayNode().GetSegmentVisibility("ignore")
    back = label_map_of_node(node)
    np.testing.assert_array_equal(back.ignore_mask(), labels == 255)
    np.testing.assert_array_equal(back.mask(Role.BONE), labels == 1)


def test_values_that_nothing_explains_are_refused(scene, oblique_geometry):
    labels = unsymmetric(oblique_geometry)
    labels[4, 5, 6] = 9
    count = scene.GetNumberOfNodes()
    with pytest.raises(InputError, match=r"\[0, 1, 2, 3\], got also \[9\]"):
        add_segmentation_node(scene, LabelMap(labels, oblique_geometry), "explant")
    assert scene.GetNumberOfNodes() == count


def test_the_result_lies_on_the_input_beside_it_and_follows_its_transform(scene, label_map):
    import vtk

    volume_node = add_volume_node(scene, Volume(label_map.array.astype(np.int16), label_map.geometry), "input")
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "sheep 12")
    hierarchy.SetItemParent(hierarchy.CreateItem(folder, volume_node), folder)
    moved = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform = vtk.vtkTransform()
    transform.RotateZ(30)
    transform.Translate(0.5, 0.25, -1)
    moved.SetMatrixTransformToParent(transform.GetMatrix())
    volume_node.SetAndObserveTransformNodeID(moved.GetID())
    world = geometry_of_node(volume_node)
    node = add_segmentation_node(scene, LabelMap(label_map.array, world), "result", volume_node)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == folder
    assert node.GetNodeReferenceID("referenceImageGeometryRef") == volume_node.GetID()
    assert label_map_of_node(node).geometry.same_grid(world, tolerance_voxels=1e-6)
    np.testing.assert_array_equal(label_map_of_node(node).array, label_map.array)
    transform.Translate(1, 1, 1)
    moved.SetMatrixTransformToParent(transform.GetMatrix())
    assert label_map_of_node(node).geometry.same_grid(geometry_of_node(volume_node), tolerance_voxels=1e-6)


def test_new_contents_take_the_place_of_the_old_ones_and_whoever_follows_the_segments_hears_of_it(scene, label_map):
    scan = add_volume_node(scene, Volume(label_map.array, label_map.geometry), "scan")
    metal_only = LabelMap(np.where(label_map.array == 1, np.uint8(3), np.uint8(0)), label_map.geometry)
    node = add_segmentation_node(scene, metal_only, "mine", provenance={"model": "old"})
    create_closed_surfaces(node)
    segmentation = node.GetSegmentation()
    heard = []
    segmentation.AddObserver(segmentation.SegmentRemoved, lambda *_: heard.append(segment_ids(segmentation)))
    segmentation.AddObserver(segmentation.SegmentAdded, lambda *_: heard.append(segment_ids(segmentation)))
    fill_segmentation_node(node, label_map, scan, provenance={"model": "new"})
    classes = ["bone", "degradation_layer", "residual_material"]
    assert heard == [classes[:count] for count in range(4)]
    back = label_map_of_node(node)
    np.testing.assert_array_equal(back.array, label_map.array)
    assert np.shares_memory(back.array, label_map.array)
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is scan
    assert provenance_of_node(node)["model"] == "new"
    assert not segmentation.ContainsRepresentation("Closed surface")


def test_new_contents_make_voxels_of_a_segmentation_that_was_made_of_surfaces(made_of_surfaces, label_map):
    fill_segmentation_node(made_of_surfaces, label_map)
    np.testing.assert_array_equal(label_map_of_node(made_of_surfaces).array, label_map.array)


def test_contents_that_nothing_explains_leave_the_node_as_it_was(scene, label_map):
    node = add_segmentation_node(scene, label_map, "mine")
    with pytest.raises(InputError, match="label values"):
        fill_segmentation_node(node, LabelMap(label_map.array + np.uint8(40), label_map.geometry))
    np.testing.assert_array_equal(label_map_of_node(node).array, label_map.array)


def test_a_segment_that_goes_while_the_rows_are_read_is_named(scene):
    volume = Volume(np.zeros((4, 5, 6), np.int16), Geometry((4, 5, 6)))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    node.SetReferenceImageGeometryParameterFromVolumeNode(add_volume_node(scene, volume, "input"))
    for entry in ("bone", "residual_material"):
        node.GetSegmentation().AddSegment(segment_from_array(np.ones((2, 2, 3), np.uint8)), entry)
    rows = reading_of_node(node).array
    assert rows[0:1].any()
    node.GetSegmentation().RemoveSegment("bone")
    with pytest.raises(InputError, match="no segment 'bone' any more"):
        rows[1:2]


def test_provenance_of_any_text_is_kept(scene, label_map):
    facts = {"model": 'a "good"; name: 50 %\n<xml> µ', "options": {"planes": "9", "spacing_um": 5.0, "nothing": None}}
    node = add_segmentation_node(scene, label_map, "explant", provenance=facts)
    assert provenance_of_node(node) == facts
    assert dict(label_map_of_node(node).provenance) == facts


# Segmentations as users of Slicer make them


def segment_from_array(array_zyx, first_xyz=(0, 0, 0), spacing_mm=1.0, value=1, name="bone"):
    import slicer

    from MgImplantSegLib.scene.volumes import image_data

    image = image_data(array_zyx, slicer.vtkOrientedImageData())
    extent = [bound for n, f in zip(array_zyx.shape[::-1], first_xyz, strict=True) for bound in (f, f + n - 1)]
    image.SetExtent(*extent)
    image.SetSpacing(spacing_mm, spacing_mm, spacing_mm)
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetLabelValue(value)
    segment.AddRepresentation("Binary labelmap", image)
    return segment


def row_by_row(node):
    """The label map as work beside the GUI reads it, in the smallest pieces."""
    rows = reading_of_node(node).array
    return np.concatenate([rows[z : z + 1] for z in range(len(rows))])


def test_layers_cropped_to_what_they_cover_come_back_onto_the_reference_grid(scene):
    volume = Volume(np.zeros((4, 5, 6), np.int16), Geometry((4, 5, 6)))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    node.SetReferenceImageGeometryParameterFromVolumeNode(add_volume_node(scene, volume, "input"))
    ras_grid = np.diag([-1.0, -1.0, 1.0])  # the image's axes x and y run against R and A
    for name, first in (("Bone", (1, 2, 0)), ("Screw", (2, 2, 1))):
        segment = segment_from_array(np.ones((2, 2, 3), np.uint8), first, name=name)
        segment.GetRepresentation("Binary labelmap").SetDirections(ras_grid)
        node.GetSegmentation().AddSegment(segment, f"Segment_{name}")
    back = label_map_of_node(node)
    expected = np.zeros((4, 5, 6), np.uint8)
    expected[0:2, 2:4, 1:4] = 1
    expected[1:3, 2:4, 2:5] = 2  # the later segment has the voxels that lie in both
    np.testing.assert_array_equal(back.array, expected)
    np.testing.assert_array_equal(row_by_row(node), expected)
    assert back.geometry.same_grid(volume.geometry)
    assert [label.role for label in back.scheme.segments] == [Role.BONE, Role.RESIDUAL_MATERIAL]


def test_segments_on_a_finer_grid_are_sampled_on_the_reference_grid(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    node.GetSegmentation().SetConversionParameter(
        "Reference image geometry", "2;0;0;0; 0;2;0;0; 0;0;2;0; 0;0;0;1; 0;3;0;3;0;3;".replace(" ", "")
    )
    fine = np.zeros((7, 7, 7), np.uint8)
    fine[2:5, 2:5, 1:6] = 1
    node.GetSegmentation().AddSegment(segment_from_array(fine), "bone")
    back = label_map_of_node(node)
    expected = np.zeros((4, 4, 4), np.uint8)
    expected[1:3, 1:3, 1:3] = 1  # voxels at 2 and 4 mm lie inside, at 0 and 6 mm outside
    np.testing.assert_array_equal(back.array, expected)
    np.testing.assert_array_equal(row_by_row(node), expected)
    assert back.geometry.spacing_zyx_mm == (2, 2, 2)


def test_segments_beyond_the_reference_grid_grow_the_grid(scene, caplog):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    node.GetSegmentation().SetConversionParameter(
        "Reference image geometry", "1;0;0;0;0;1;0;0;0;0;1;0;0;0;0;1;0;3;0;3;0;3;"
    )
    node.GetSegmentation().AddSegment(segment_from_array(np.ones((1, 1, 3), np.uint8), (-2, 1, 1)), "bone")
    back = label_map_of_node(node)
    assert back.array.shape == (4, 4, 6)
    assert back.array[1, 1].tolist() == [1, 1, 1, 0, 0, 0]
    np.testing.assert_array_equal(row_by_row(node), back.array)
    assert back.geometry.origin_lps_mm == (2, 0, 0)  # x = -2 in RAS
    assert "extends beyond" in caplog.text


def test_a_chosen_image_gives_the_grid_and_bounds_it(scene, label_map):
    node = add_segmentation_node(scene, label_map, "explant")
    geometry = label_map.geometry
    flipped = np.array(geometry.direction_lps).reshape(3, 3) * (1, 1, -1)
    origin = geometry.lps_from_index_zyx((4, 1, 0))  # from the other end of z, without the first row of y
    other = Geometry((5, 5, 7), geometry.spacing_zyx_mm, tuple(origin), flipped)
    image_node = add_volume_node(scene, Volume(np.zeros(other.shape_zyx, np.int16), other), "reloaded")
    back = label_map_of_node(node, reference_node=image_node)
    assert back.geometry.same_grid(other)
    np.testing.assert_array_equal(back.array, label_map.array[::-1, 1:])


def test_surfaces_are_made_voxels_on_the_reference_grid_or_refused_without_one(scene):
    import vtk

    ball = vtk.vtkSphereSource()
    ball.SetRadius(4)
    ball.SetThetaResolution(40)
    ball.SetPhiResolution(40)
    ball.Update()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "from surface")
    node.SetSourceRepresentationToClosedSurface()
    node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "screw", [1, 0, 0], "residual_material")
    with pytest.raises(InputError, match="reference"):
        label_map_of_node(node)
    geometry = Geometry((21, 21, 21), (0.5, 0.5, 0.5), (5.0, 5.0, -5.0), (-1, 0, 0, 0, -1, 0, 0, 0, 1))
    reference = add_volume_node(scene, Volume(np.zeros(geometry.shape_zyx, np.int16), geometry), "input")
    back = label_map_of_node(node, reference_node=reference)
    assert back.geometry.same_grid(geometry)
    assert back.mask(Role.RESIDUAL_MATERIAL).sum() * 0.125 == pytest.approx(4 / 3 * np.pi * 64, rel=0.03)


def test_segments_of_unknown_role_are_named_or_mapped(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    for index, name in enumerate(("Segment_1", "muscle")):
        segment = segment_from_array(np.full((2, 2, 2), 1, np.uint8), (2 * index, 0, 0), name=name)
        node.GetSegmentation().AddSegment(segment, f"id{index}")
    with pytest.raises(InputError, match="got Segment_1, muscle"):
        label_map_of_node(node)
    back = label_map_of_node(node, roles={"id0": Role.BONE, "id1": Role.BACKGROUND})
    assert back.mask(Role.BONE).sum() == 8
    assert [label.role for label in back.scheme.segments] == [Role.BONE]


def test_cracks_are_an_opaque_segment_and_are_left_out_as_background_when_the_node_is_read(scene, oblique_geometry):
    array = unsymmetric(oblique_geometry)
    array[2, 3, 4] = CRACK.value
    given = LabelMap(array, oblique_geometry, LabelScheme((*CLASSES, CRACK)))
    node = add_segmentation_node(scene, given, "explant")
    assert segment_ids(node.GetSegmentation())[-1] == "crack"
    assert node.GetDisplayNode().GetSegmentOpacity3D("crack") == 1
    assert "~99MGIMPLANTSEG^CRACK^Crack in implant~" in node.GetSegmentation().GetSegment("crack").GetTerminology()
    np.testing.assert_array_equal(label_map_of_node(node).array, np.where(array == CRACK.value, 0, array))


def test_cracks_and_canals_are_classes_of_their_own_where_they_are_asked_for(scene, oblique_geometry):
    array = np.zeros(oblique_geometry.shape_zyx, np.uint8)
    array[0], array[1], array[2, 3, 4], array[2, 3, 5] = 1, 2, CRACK.value, CANAL.value
    given = LabelMap(array, oblique_geometry, LabelScheme((*CLASSES, CRACK, CANAL)))
    node = add_segmentation_node(scene, given, "cracked")
    painted = require_slicer().vtkSegment()
    painted.DeepCopy(node.GetSegmentation().GetSegment("crack"))
    node.GetSegmentation().RemoveSegment("crack")
    node.GetSegmentation().AddSegment(painted, "Segment_1")  # named "crack" by a person
    reading = reading_of_node(node, {"canal": "crack"}, with_openings=True)
    words = {label.word for label in reading.scheme.labels if label.is_opening}
    assert words == {"crack"} and not any(label.is_opening for label in reading_of_node(node).scheme.labels)
    found = LabelMap(reading.array.whole(), reading.geometry, reading.scheme)
    is_crack = [label.value for label in reading.scheme.labels if label.is_opening]
    np.testing.assert_array_equal(np.isin(found.array, is_crack), array >= CRACK.value)
    left_out = reading_of_node(node, {"Segment_1": Role.BACKGROUND}, with_openings=True)
    assert {label.word for label in left_out.scheme.labels if label.is_opening} == {"canal"}
