"""The module as a whole: opened, left, reloaded, with scenes that come and go."""

import pathlib

import slicer
from harness import person
from module_cases import add_segmentation, add_volume


def test_reloading_builds_a_panel_that_works_with_the_choices_of_the_scene(widget, ui):
    add_volume(slicer.mrmlScene)
    widget.enter()
    person.choose(ui.planesSelector, "9 planes")
    widget.onReload()
    renewed = slicer.util.getModuleWidget("MgImplantSeg")
    assert renewed is not widget and type(renewed) is not type(widget)
    assert renewed.panel.workbench.parameters.planes.value == "9"
    assert renewed.panel.workbench.ui.inputInfoLabel.text.startswith("16×14×12 voxels")
    renewed.cleanup()


def test_choices_are_followed_only_while_the_module_is_open(widget, ui):
    first = add_segmentation(slicer.mrmlScene, "First")
    widget.enter()
    assert ui.measuredSegmentationSelector.currentNode() is first
    widget.exit()
    slicer.mrmlScene.RemoveNode(first)
    assert widget.panel.workbench.parameters.measuredSegmentation is None
    second = add_segmentation(slicer.mrmlScene, "Second")
    widget.enter()
    assert ui.measuredSegmentationSelector.currentNode() is second


def test_a_closed_scene_leaves_a_fresh_panel_that_holds_no_node(widget, ui):
    import gc
    import weakref

    volume = weakref.ref(add_volume(slicer.mrmlScene).GetImageData())
    widget.enter()
    slicer.mrmlScene.Clear(0)
    gc.collect()
    assert volume() is None
    assert "No volume yet" in ui.inputInfoLabel.text


def test_the_help_links_to_a_page_of_this_extension_not_of_slicers_manual(module):
    import types

    parent = types.SimpleNamespace(path=module.__file__)
    module.MgImplantSeg(parent)
    assert module.TUTORIAL_URL in parent.helpText
    assert (pathlib.Path(module.__file__).parents[1] / module.TUTORIAL_URL.split("/main/")[1]).is_file()
