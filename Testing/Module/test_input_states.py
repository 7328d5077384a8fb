"""Inputs of measures are told from what they were by their content."""

import numpy as np
import pytest
import slicer
import vtk
from module_cases import add_segmentation


@pytest.fixture
def states(module):
    from MgImplantSegSections.work.inputStates import InputStates

    return InputStates()


@pytest.fixture
def node(slicer_app):
    return add_segmentation(slicer.mrmlScene)


@pytest.fixture
def model(slicer_app):
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    made = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Screw")
    made.SetAndObservePolyData(sphere.GetOutput())
    return made


def voxels(node, segment="bone"):
    from MgImplantSegLib.scene.segments import binary_image
    from MgImplantSegLib.scene.volumes import array_of_image

    image = binary_image(node.GetSegmentation(), segment)
    return image, array_of_image(image)


def test_a_voxel_that_is_replaced_without_an_event_of_the_segmentation_is_seen_and_so_is_undo(states, node):
    before = states.of(node)
    image, array = voxels(node)
    place = tuple(np.argwhere(array == 0)[0])
    value = node.GetSegmentation().GetSegment("bone").GetLabelValue()
    array[place] = value
    image.GetPointData().GetScalars().Modified()
    assert states.of(node)["content"]["bone"] != before["content"]["bone"]
    array[place] = 0
    image.GetPointData().GetScalars().Modified()
    assert states.of(node) == before, "undone: the measures are right again"


def test_a_replaced_representation_with_the_same_voxels_in_a_larger_box_is_the_same(states, node):
    from MgImplantSegLib.scene.segments import binary_image

    before = states.of(node)
    segment = node.GetSegmentation().GetSegment("residual_material")
    image = binary_image(node.GetSegmentation(), "residual_material")
    larger = slicer.vtkOrientedImageData()
    padding = vtk.vtkImageConstantPad()
    padding.SetInputData(image)
    low_high = image.GetExtent()
    padding.SetOutputWholeExtent(*[value + (3 if side % 2 else -2) for side, value in enumerate(low_high)])
    padding.Update()
    larger.ShallowCopy(padding.GetOutput())
    larger.CopyDirections(image)
    segment.AddRepresentation("Binary labelmap", larger)
    assert states.of(node) == before


def test_a_transform_above_an_input_is_seen(states, node, model):
    before = states.of(node), states.of(model)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 0.1)
    transform.SetMatrixTransformToParent(matrix)
    for entry, then in zip((node, model), before, strict=True):
        entry.SetAndObserveTransformNodeID(transform.GetID())
        assert states.of(entry) != then and states.of(entry)["content"] == then["content"]


def test_a_moved_point_of_a_model_is_seen(states, model):
    before = states.of(model)
    model.GetPolyData().GetPoints().SetPoint(0, 0, 0, 9)
    model.GetPolyData().GetPoints().Modified()
    assert states.of(model) != before


def test_making_surfaces_is_no_change(states, node):
    before = states.of(node)
    node.CreateClosedSurfaceRepresentation()
    assert states.of(node) == before and states.of(None) is None


def test_a_segmentation_made_of_surfaces_is_known_by_its_surfaces(states, model):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "From a file")
    node.SetSourceRepresentationToClosedSurface()
    surface = model.GetPolyData()
    node.AddSegmentFromClosedSurfaceRepresentation(surface, "screw", [1, 0, 0], "residual_material")
    before = states.of(node)
    node.CreateBinaryLabelmapRepresentation()
    assert states.of(node) == before
    mesh = node.GetSegmentation().GetSegment("residual_material").GetRepresentation("Closed surface")
    mesh.GetPoints().SetPoint(0, 0, 0, 9)
    mesh.GetPoints().Modified()
    assert states.of(node) != before
