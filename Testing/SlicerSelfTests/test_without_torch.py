"""What works without PyTorch: the panel, the self test, the measures of a known screw, saving and loading."""

import os
import sys
import unittest

import slicer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from running import check, check_no_torch, run, wait

INITIAL = "SimulatedMgExplant before implantation"
SECTIONS = (
    "advancedSection",
    "measurementsSection",
    "display3DSection",
    "teachSection",
    "compareSection",
    "batchSection",
    "trainingSection",
    "environmentsSection",
)


class WithoutTorchTest(unittest.TestCase):
    """One test; its steps are the functions below."""

    def test_all_steps(self):
        """From start to end."""
        steps()


def steps():
    """All steps."""
    widget = slicer.util.getModuleWidget("MgImplantSeg")
    ui = widget.panel.workbench.ui
    check(all(hasattr(ui, name) for name in SECTIONS), "all sections are there")
    check(not ui.segmentButton.enabled and "a volume" in ui.segmentButton.toolTip, "Segment says what is missing")

    import MgImplantSeg

    MgImplantSeg.MgImplantSegTest().runTest()
    check_no_torch()

    slicer.mrmlScene.Clear(0)
    volume = widget.logic.loadSampleData()
    check(volume.GetImageData().GetDimensions() == (128, 128, 128), "the sample data is loaded")
    initial = slicer.util.getFirstNodeByClassByName("vtkMRMLSegmentationNode", INITIAL)
    check_measures(widget.logic, initial)
    check_surfaces_beside_the_gui(ui, widget.panel, initial)
    check_scene_file(initial)


def check_measures(logic, initial):
    """The screw before implantation as its own explant: known volume, nothing lost."""
    _table, measures = logic.quantify(initial, initialNode=initial, days=168, distanceMm=0.1)
    values = {measure.symbol: measure.value for measure in measures}
    check(abs(values["V_r"] / 3.425 - 1) < 0.02, f"the screw has {values['V_r']:.3f} mm3")
    check(abs(values["DR"]) < 1e-6, "nothing has degraded")
    polygons = logic.showIn3D(initial)
    check(all(count > 0 for count in polygons.values()), "surfaces have polygons")
    roi = logic.addRoiAroundImplant(initial, 0.2)
    check(min(roi.GetSize()) > 0.4, "the ROI lies around the implant")


def check_surfaces_beside_the_gui(ui, panel, node):
    """Surfaces of a large segmentation come from a child process; the screw counts as large here."""
    from MgImplantSegSections.work import surfaceWork

    limit, surfaceWork.SMALL_VOXELS = surfaceWork.SMALL_VOXELS, 10
    try:
        ui.measuredSegmentationSelector.setCurrentNode(node)
        ui.show3DButton.click()
        check(ui.show3DButton.text == "Cancel", "Show 3D has become Cancel")
        wait(lambda: not panel.display3D.isRunning(), "surfaces are made beside the GUI", 300)
    finally:
        surfaceWork.SMALL_VOXELS = limit
    check("surfaces" in ui.segmentStatusLabel.text, ui.segmentStatusLabel.text)
    check(node.GetSegmentation().ContainsRepresentation("Closed surface"), "the segmentation has its surfaces")


def check_scene_file(node):
    """Provenance survives saving and loading."""
    node.SetAttribute("MgImplantSeg.Provenance", '{"model": "none"}')
    path = os.path.join(slicer.app.temporaryPath, "MgImplantSegSelfTest.mrb")
    check(slicer.util.saveScene(path), "the scene is saved")
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    loaded = slicer.util.getFirstNodeByClassByName("vtkMRMLSegmentationNode", INITIAL)
    check(loaded.GetAttribute("MgImplantSeg.Provenance") == '{"model": "none"}', "provenance is loaded again")
    os.remove(path)


if __name__ == "__main__":
    run(WithoutTorchTest)
