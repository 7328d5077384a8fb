"""What is chosen stays what a person has chosen: when nodes go, and when scenes are opened."""

import pytest
import slicer
from module_cases import add_segmentation, add_volume


def chosen(widget, *names):
    """The nodes that the parameters and the selectors have; both have to agree."""
    parameters, ui = widget.panel.workbench.parameters, widget.panel.workbench.ui
    for name in names:
        shown = getattr(ui, SELECTORS[name]).currentNode()
        assert shown is getattr(parameters, name), name
    return [getattr(parameters, name) for name in names]


SELECTORS = {
    "inputVolume": "inputVolumeSelector",
    "outputSegmentation": "outputSegmentationSelector",
    "measuredSegmentation": "measuredSegmentationSelector",
    "initialSegmentation": "initialSegmentationSelector",
    "referenceSegmentation": "referenceSegmentationSelector",
}


@pytest.mark.parametrize("name", [name for name in SELECTORS if name != "inputVolume"])
def test_when_the_chosen_segmentation_goes_no_other_takes_its_place(widget, name):
    nodes = [add_segmentation(slicer.mrmlScene, f"Segmentation {number}") for number in range(3)]
    widget.enter()
    setattr(widget.panel.workbench.parameters, name, nodes[1])
    assert chosen(widget, name) == [nodes[1]]
    slicer.mrmlScene.RemoveNode(nodes[1])
    assert chosen(widget, name) == [None]


def test_when_the_chosen_volume_goes_no_other_takes_its_place(widget, ui):
    nodes = [add_volume(slicer.mrmlScene, name=f"Scan {number}") for number in range(3)]
    widget.enter()
    widget.panel.workbench.parameters.inputVolume = nodes[1]
    slicer.mrmlScene.RemoveNode(nodes[1])
    assert chosen(widget, "inputVolume") == [None] and "No volume yet" in ui.inputInfoLabel.text


def test_a_new_segmentation_is_not_chosen_by_itself(widget):
    widget.enter()
    add_segmentation(slicer.mrmlScene, "Before implantation")
    assert chosen(widget, "measuredSegmentation", "outputSegmentation") == [None, None]


def scene_as_text(choose):
    """A scene with two scans and three segmentations in which the last ones are chosen."""
    scans = [add_volume(slicer.mrmlScene, name=f"Scan {number}") for number in range(2)]
    results = [add_segmentation(slicer.mrmlScene, f"Segmentation {number}") for number in range(3)]
    choose(scans, results)
    slicer.mrmlScene.SetSaveToXMLString(1)
    slicer.mrmlScene.Commit()
    return slicer.mrmlScene.GetSceneXMLString()


def open_scene(text, into_the_present_one=False):
    slicer.mrmlScene.SetLoadFromXMLString(1)
    slicer.mrmlScene.SetSceneXMLString(text)
    slicer.mrmlScene.Import() if into_the_present_one else slicer.mrmlScene.Connect()


@pytest.fixture
def saved(open_panel):
    panel = open_panel()

    def choose(scans, results):
        parameters = panel.panel.workbench.parameters
        parameters.inputVolume, parameters.measuredSegmentation = scans[1], results[2]
        parameters.outputSegmentation, parameters.initialSegmentation = results[2], results[0]

    text = scene_as_text(choose)
    panel.cleanup()
    slicer.mrmlScene.Clear(1)
    return text


NAMES = ("inputVolume", "measuredSegmentation", "outputSegmentation", "initialSegmentation")
WANTED = ["Scan 1", "Segmentation 2", "Segmentation 2", "Segmentation 0"]


@pytest.mark.parametrize("into_the_present_one", [False, True])
def test_a_scene_opened_while_the_module_is_open_has_its_choices(saved, open_panel, into_the_present_one):
    panel = open_panel()
    open_scene(saved, into_the_present_one)
    assert [node.GetName() for node in chosen(panel, *NAMES)] == WANTED


def test_a_scene_opened_while_another_module_is_open_has_its_choices(saved, open_panel):
    panel = open_panel()
    panel.exit()
    open_scene(saved)
    panel.enter()
    assert [node.GetName() for node in chosen(panel, *NAMES)] == WANTED


def test_a_scene_opened_before_the_module_has_its_choices(saved, open_panel):
    open_scene(saved)
    assert [node.GetName() for node in chosen(open_panel(), *NAMES)] == WANTED


def test_the_screw_before_implantation_is_not_taken_for_the_segmentation_to_measure(widget, module):
    widget.panel.input.onSampleData()
    assert chosen(widget, "measuredSegmentation") == [None]
