"""Label map volumes are imported as segmentations by one click, their classes guessed, so that they can be measured."""

import numpy as np
import pytest
import slicer
from harness import person
from label_map_nodes import add_label_map_node
from measure_cases import compute, expected
from module_cases import add_segmentation, ball_in_half_bone

from MgImplantSegLib.grids.labels import LabelScheme, Role
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.scene.segmentation_reading import label_map_of_node
from MgImplantSegLib.scene.volumes import image_data


def add_label_map(labels=None, colors="own", name="Labels"):
    """A label map volume with a colour table of its own, or one of Slicer's, whose names say nothing."""
    node = add_label_map_node(slicer.mrmlScene, ball_in_half_bone() if labels is None else labels, name)
    if colors == "none":
        node.GetDisplayNode().SetAndObserveColorNodeID("")
    return node


def imported(widget, ui):
    person.click(ui.importLabelMapButton)
    person.wait_until(lambda: not widget.panel.labelMaps.isRunning())
    return widget.panel.workbench.parameters.measuredSegmentation


def roles_of(node):
    from MgImplantSegSections.work.measureWork import roleOf

    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
    return {segmentation.GetSegment(entry).GetName(): roleOf(node, entry) for entry in ids}


def renumbered(values):
    """The ball in bone under other numbers."""
    labels = ball_in_half_bone()
    array = np.zeros(labels.array.shape, np.int16)
    for old, new in values.items():
        array[labels.array == old] = new
    return LabelMap(array, labels.geometry)


def test_without_label_maps_nothing_is_offered(widget, ui):
    ui.measurementsSection.collapsed = False
    assert ui.labelMapSelector.isHidden() and ui.importLabelMapButton.isHidden() and ui.labelMapLabel.isHidden()


@pytest.mark.parametrize("colors", ["own", "none"])
def test_a_label_map_with_the_usual_values_measures_as_the_segmentation(widget, ui, colors):
    ui.measurementsSection.collapsed = False
    volume = add_label_map(colors=colors)
    assert not ui.importLabelMapButton.isHidden() and "imported as segmentations" in ui.labelMapLabel.text
    node = imported(widget, ui)
    ui.distanceSpinBox.value = 0.06
    rows = compute(widget, ui)
    for symbol in ("V_r", "V_DL", "BIC"):
        (row,) = [row for (found, _region), row in rows.items() if found == symbol][:1]
        assert float(row["Value"]) == pytest.approx(expected().find(symbol).value, rel=1e-6)
    assert node.GetName() == f"{volume.GetName()} segmentation" and "Imported" in ui.labelMapLabel.text


def test_names_of_a_colour_table_of_ones_own_count_whatever_the_values(widget, ui):
    labels = renumbered({1: 7, 2: 5, 3: 1})
    roles = {7: Role.BONE, 5: Role.DEGRADATION_LAYER, 1: Role.RESIDUAL_MATERIAL}
    add_label_map(LabelMap(labels.array, labels.geometry, LabelScheme.from_roles(roles)))
    node = imported(widget, ui)
    found = label_map_of_node(node)
    bone = next(label.value for label in found.scheme.labels if label.role is Role.BONE)
    assert np.array_equal(found.array == bone, labels.array == 7)
    assert set(roles_of(node).values()) == set(roles.values())


def test_names_of_slicers_own_colour_tables_do_not_count(widget, ui):
    """Its anatomy colours call value 2 bone, which nobody has meant."""
    node = add_label_map()
    colors = slicer.vtkMRMLColorTableNode()
    colors.SetTypeToUser()
    colors.SetNumberOfColors(4)
    for value, name in enumerate(("background", "tissue", "bone", "skin")):
        colors.SetColor(value, name, 0.5, 0.5, 0.5, 1.0)
    colors.SetSingletonTag("FileGenericAnatomyColors.txt")
    slicer.mrmlScene.AddNode(colors)
    node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    assert roles_of(imported(widget, ui))["bone"] is Role.BONE


def test_values_that_nobody_knows_are_asked_for_in_the_class_mapping(widget, ui):
    add_label_map(renumbered({1: 40, 2: 41, 3: 42}), colors="none")
    node = imported(widget, ui)
    assert roles_of(node) == {"label 40": None, "label 41": None, "label 42": None}
    assert "class mapping" in ui.labelMapLabel.text and not ui.classMappingGroup.collapsed
    assert 'a class for the segment "label 40"' in ui.computeButton.toolTip


def test_255_is_not_labelled_where_the_others_are_the_usual_values(widget, ui):
    labels = ball_in_half_bone()
    labels.array[:3] = 255
    add_label_map(labels, colors="none")
    node = imported(widget, ui)
    assert label_map_of_node(node).scheme.ignore_value is not None
    assert (label_map_of_node(node).array == label_map_of_node(node).scheme.ignore_value)[:3].all()


def test_editing_the_segmentation_leaves_the_label_map_as_it_is(widget, ui):
    volume = add_label_map()
    node = imported(widget, ui)
    slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "bone")[:] = 0
    assert slicer.util.arrayFromVolume(volume).any()


def test_a_screw_alone_is_taken_as_the_initial_implant_where_that_is_missing(widget, ui):
    explant = add_segmentation(slicer.mrmlScene)
    widget.enter()
    person.choose(ui.initialKindSelector, "Segmentation")
    add_label_map(renumbered({1: 0, 2: 3, 3: 3}), colors="none", name="Screw")
    assert imported(widget, ui) is explant
    assert "Screw" in ui.initialSegmentationSelector.currentNode().GetName()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((4, 5, 6), np.uint8), "values other than 0"),
        (np.full((4, 5, 6), 1.5, np.float32), "whole numbers"),
        (np.arange(120, dtype=np.int16).reshape(4, 5, 6), "up to 30 classes"),
    ],
)
def test_what_is_no_map_of_classes_is_refused(widget, ui, values, message):
    node = add_label_map()
    node.SetAndObserveImageData(image_data(values))
    assert imported(widget, ui) is None and message in ui.labelMapLabel.text


def test_a_label_map_under_a_transform_is_imported_where_it_lies(widget, ui):
    from MgImplantSegLib.scene.frames import vtk_matrix

    volume = add_label_map()
    moved = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    moved.SetMatrixTransformToParent(vtk_matrix([[1, 0, 0, 5], [0, 1, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]]))
    volume.SetAndObserveTransformNodeID(moved.GetID())
    node = imported(widget, ui)
    assert node.GetParentTransformNode() is moved
    origin = np.add(ball_in_half_bone().geometry.origin_lps_mm, (-5, -6, 7))
    np.testing.assert_allclose(label_map_of_node(node).geometry.origin_lps_mm, origin, atol=1e-6)


def test_the_offer_goes_with_the_last_label_map(widget, ui):
    ui.measurementsSection.collapsed = False
    node = add_label_map()
    slicer.mrmlScene.RemoveNode(node)
    widget.panel.workbench.changed()
    assert ui.importLabelMapButton.isHidden()
