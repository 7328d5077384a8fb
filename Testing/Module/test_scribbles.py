"""Scribbles: every voxel in a segment is labelled, background too where it is painted as a segment of its own."""

import numpy as np
import pytest
import slicer
from harness import person
from module_cases import add_volume, left_behind

from MgImplantSegLib.training.teach.slices import SliceName

PAINTED = {"bone": 5, "residual_material": 7, "ours": 9}


@pytest.fixture
def scribbled(ready, widget):
    """A scan, and labels in which a few voxels of each class are painted, background among them."""
    from MgImplantSegSections.work import teachWork

    scan = ready.inputVolumeSelector.currentNode()
    labels = teachWork.addEmptyLabels(scan)
    labels.GetSegmentation().AddEmptySegment("ours", "background")
    for row, (name, count) in enumerate(PAINTED.items()):
        array = np.zeros(slicer.util.arrayFromVolume(scan).shape, np.uint8)
        array[2 * row + 1, 4, :count] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, labels, name, scan)
    widget.enter()
    return scan, labels


def taught(widget, scan, labels):
    """What the engine says was labelled."""
    from dataclasses import replace

    from MgImplantSegSections.engine.engineRun import CancelToken, runToEnd

    request = replace(widget.panel.teach.request(), minutes=None, iterations=1, device="cpu")
    steps = widget.logic.teachSteps(scan, labels, request, None, CancelToken())
    return runToEnd(steps)[1]["labelled"][0]


def test_painted_voxels_alone_are_labelled_background_too(scribbled, widget, ready):
    ready.teachScribblesCheckBox.checked = True
    found = taught(widget, *scribbled)
    assert found["voxels_per_class"] == {"background": 9, "bone": 5, "degradation_layer": 0, "residual_material": 7}
    assert found["slice_count"] == 0 and not left_behind()


def test_done_slices_are_labelled_besides(scribbled, widget, ready):
    from MgImplantSegSections.work import teachSlices

    scan, labels = scribbled
    ready.teachScribblesCheckBox.checked = True
    teachSlices.setDone(labels, SliceName(0, 10))
    found = taught(widget, scan, labels)
    whole = int(np.prod(slicer.util.arrayFromVolume(scan).shape[1:]))
    assert found["voxels_per_class"]["background"] == 9 + whole and found["slice_count"] == 1


def test_with_scribbles_no_slice_has_to_be_done(scribbled, ready):
    assert "a slice that is done" in ready.teachButton.toolTip
    ready.teachScribblesCheckBox.checked = True
    person.process_events()
    assert ready.teachButton.enabled and "every voxel in a segment" in ready.teachLabelledLabel.text


def test_a_result_of_a_model_is_not_taken_for_scribbles(ready, widget):
    person.choose(ready.planesSelector, "1 plane")
    person.click(ready.segmentButton)
    person.wait_until(lambda: not widget.panel.segmentation.isRunning())
    ready.teachScribblesCheckBox.checked = True
    person.process_events()
    assert "painted from nothing" in ready.teachButton.toolTip


def test_without_labels_it_is_told(ready, widget):
    add_volume(slicer.mrmlScene, name="Other")
    ready.teachScribblesCheckBox.checked = True
    person.process_events()
    assert not ready.teachButton.enabled
