"""What happens to the volume while it is being segmented: the result follows it, or says that it no longer fits."""

import numpy as np
import pytest
import slicer
from module_cases import add_segmentation, add_volume, geometry

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.io import write_label_map
from MgImplantSegLib.scene.frames import vtk_matrix
from MgImplantSegLib.scene.segmentation_reading import label_map_of_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.volumes import geometry_of_node

SHAPE_ZYX = (12, 14, 16)


@pytest.fixture
def segment_while(module, monkeypatch):
    """Segments a volume by an engine that calls `happens(volumeNode)` before it writes labels of all classes."""
    from MgImplantSegSections.engine import engineRun
    from MgImplantSegSections.work import segmentWork

    def run(happens, rows=None):
        volume = add_volume(slicer.mrmlScene, SHAPE_ZYX)

        def engine(python, words, *_others):
            happens(volume)
            shape = SHAPE_ZYX if rows is None else (rows[1] - rows[0] + 1, *SHAPE_ZYX[1:])
            labels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8) % 4
            write_label_map(LabelMap(labels, geometry(shape)), words[2])
            yield None
            return {}

        monkeypatch.setattr(segmentWork, "runEngine", engine)
        request = segmentWork.SegmentRequest(SegmentOptions("model.mgmodel"), rows=rows)
        steps = segmentWork.segmentSteps(volume, request, None, slicer.app.temporaryPath, engineRun.CancelToken())
        return volume, engineRun.runToEnd(steps)

    return run


def move(volume):
    matrix = np.array([[0.0, -1, 0, 5], [1, 0, 0, -3], [0, 0, 1, 2], [0, 0, 0, 1]])
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(vtk_matrix(matrix))
    volume.SetAndObserveTransformNodeID(transform.GetID())


def test_older_results_of_the_scan_hide_behind_the_newest_and_what_people_made_stays(segment_while):
    volume, first = segment_while(lambda volume: None)
    drawn = add_segmentation(slicer.mrmlScene, "Drawn by hand")
    drawn.CreateDefaultDisplayNodes()
    from MgImplantSegSections.work.segmentWork import showOnly

    second = add_segmentation_node(
        slicer.mrmlScene, label_map_of_node(first), "Second", volume, provenance={"software": "MgImplantSeg"}
    )
    first.GetDisplayNode().SetVisibility(True)
    showOnly(second, volume)
    shown = {node.GetName(): bool(node.GetDisplayNode().GetVisibility()) for node in (first, second, drawn)}
    assert shown == {first.GetName(): False, "Second": True, "Drawn by hand": True}


@pytest.mark.parametrize(
    "happens", [move, lambda volume: volume.SetSpacing(0.05, 0.05, 0.05)], ids=["moved", "other voxel size"]
)
def test_the_result_lies_on_the_volume_that_was_changed_meanwhile(segment_while, happens):
    volume, node = segment_while(happens)
    assert label_map_of_node(node).geometry.same_grid(geometry_of_node(volume))


def test_a_preview_lies_on_its_rows_of_the_volume_that_was_moved_meanwhile(segment_while):
    volume, node = segment_while(move, rows=(3, 8))
    back = label_map_of_node(node)
    assert back.geometry.same_grid(geometry_of_node(volume))
    assert np.array_equal(back.array[3:9].ravel(), np.arange(6 * 14 * 16) % 4) and not back.array[:3].any()


def test_a_volume_of_another_size_is_told(segment_while):
    from MgImplantSegLib.scene.volumes import image_data

    with pytest.raises(InputError, match="16, 14, 12"):
        segment_while(lambda volume: volume.SetAndObserveImageData(image_data(np.zeros((3, 4, 5), np.uint8))))


def test_an_error_of_the_engine_says_where_its_option_is_set_in_the_panel(module):
    from MgImplantSegSections.engine.engineRun import EngineError
    from MgImplantSegSections.sections.workbench import errorText

    error = EngineError(
        "Expected 20 µm, got 1 mm.", "Set the voxel size [[spacing_um]], or [[nothing]] choose a model."
    )
    assert errorText(error) == ("Expected 20 µm, got 1 mm. Set the voxel size (Voxel size), or choose a model.")
