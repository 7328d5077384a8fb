"""Cracks of a segmentation in the scene: the group in Advanced, its preview, and what comes into the scene."""

import numpy as np
import pytest
import slicer
from harness import person
from module_cases import geometry

from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.segments import segment_ids
from MgImplantSegLib.scene.volumes import add_volume_node

GREY_OF_CLASS = np.array([20, 100, 170, 255], np.uint8)


@pytest.fixture
def cracked(ui, widget):
    """A scan with a crack in the layer, and a segmentation that has missed it, chosen in the panel."""
    labels = np.zeros((24, 40, 40), np.uint8)
    labels[2:22, 4:35, 4:35] = 2
    labels[2:22, 14:24, 14:24] = 3
    grey = GREY_OF_CLASS[labels]
    grey[2:22, 18:21, 24:35] = GREY_OF_CLASS[0]
    grid = geometry(labels.shape)
    volume = add_volume_node(slicer.mrmlScene, Volume(grey, grid), "Scan")
    node = add_segmentation_node(slicer.mrmlScene, LabelMap(labels, grid), "Explant", volume)
    widget.panel.workbench.parameters.inputVolume = volume
    widget.panel.workbench.parameters.measuredSegmentation = node
    return node


def wait(widget):
    person.wait_until(lambda: not widget.panel.cracks.isRunning())


def test_the_button_says_what_is_missing(widget, ui):
    assert not widget.panel.cracks.findButton.enabled
    assert "a volume" in widget.panel.cracks.findButton.toolTip


def test_cracks_are_a_segment_of_a_new_node_that_is_measured_and_the_given_one_stays(widget, ui, cracked):
    panel, parameters = widget.panel.cracks, widget.panel.workbench.parameters
    assert panel.widthSlider.value == pytest.approx(40)
    person.click(panel.findButton)
    wait(widget)
    node = parameters.measuredSegmentation
    assert node is not cracked, panel.statusLabel.text
    assert segment_ids(node.GetSegmentation())[-1] == "crack"
    assert segment_ids(cracked.GetSegmentation()) == ["degradation_layer", "residual_material"]
    person.click(panel.findButton)
    wait(widget)
    assert parameters.measuredSegmentation is node


def test_a_preview_follows_the_sliders_and_leaves_the_chosen_segmentation(widget, ui, cracked):
    panel = widget.panel.cracks
    panel.previewCheckBox.checked = True
    wait(widget)
    preview = next(n for n in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if "preview" in n.GetName())
    assert "crack" in segment_ids(preview.GetSegmentation())
    panel.contrastSlider.value = 0.6
    wait(widget)
    assert widget.panel.workbench.parameters.measuredSegmentation is cracked
    assert len([n for n in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if "preview" in n.GetName()]) == 1
