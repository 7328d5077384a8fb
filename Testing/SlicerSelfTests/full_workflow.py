"""The whole workflow by the buttons of the panel, with the sample explant, as a user would go through it."""

import glob
import os
import shutil
import sys
import unittest

import slicer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from running import check, check_no_torch, run, say, wait

PYTHON_VARIABLE = "MGIMPLANTSEG_PYTHON"
ENVIRONMENT = "self test"
INITIAL = "SimulatedMgExplant before implantation"


class FullWorkflowTest(unittest.TestCase):
    """One test; its steps are the functions below."""

    def test_all_steps(self):
        """From start to end."""
        steps()


def steps():
    """All steps."""
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule("MgImplantSeg")
    widget = slicer.util.getModuleWidget("MgImplantSeg")
    ui, panel = widget.panel.workbench.ui, widget.panel
    ui.sampleDataButton.click()
    check(ui.inputVolumeSelector.currentNode() is not None, "the sample data is the input")
    try:
        choose_environment(ui, panel)
        cancel_at_once(ui, panel)
        node = segment(ui, panel)
        preview = preview_twice(ui, panel, node)
        segment_into(ui, panel, node)
        check(not preview.GetDisplayNode().GetVisibility(), "the preview hides behind the newer result")
        slicer.mrmlScene.RemoveNode(preview)
        batch_twice(ui, panel)
    finally:
        forget_environment()
    show(ui, panel, node)
    measure(ui, panel, node)
    check_no_torch()


def choose_environment(ui, panel):
    """Another Python if the variable names one; else Slicer's own must have what is needed."""
    from MgImplantSegSections.engine import pythons

    program = os.environ.get(PYTHON_VARIABLE)
    forget_environment()
    if program:
        pythons.add(ENVIRONMENT, program)
    panel.segmentation.refillEnvironments()
    if program:
        ui.runInSelector.setCurrentIndex(pythons.names().index(ENVIRONMENT))
    missing = pythons.missingPackages(panel.segmentation.runIn())
    check(not missing, f"the environment {panel.segmentation.runIn()} has all packages {missing or ''}")


def forget_environment():
    """Take the Python of this test out of the user's list."""
    from MgImplantSegSections.engine import pythons

    from MgImplantSegLib.jobs.environment_file import remove_environment

    if ENVIRONMENT in pythons.names():
        remove_environment(ENVIRONMENT)


def temporary_folders():
    """Folders of running tasks."""
    return set(glob.glob(os.path.join(slicer.app.temporaryPath, "MgImplantSeg-*")))


def cancel_at_once(ui, panel):
    """Segment, then Cancel: nothing is left."""
    before = temporary_folders()
    ui.segmentButton.click()
    check(ui.segmentButton.text == "Cancel", "Segment has become Cancel")
    ui.segmentButton.click()
    wait(lambda: not panel.segmentation.isRunning(), "cancelled")
    check(temporary_folders() <= before, "no temporary files are left")


def segment(ui, panel):
    """Segment with three planes; the GUI shows progress meanwhile."""
    seen = []
    ui.segmentButton.click()
    wait(lambda: seen.append(ui.segmentStatusLabel.text) or not panel.segmentation.isRunning(), "segmented")
    check(len(set(seen)) > 3, "the progress was live")
    node = ui.measuredSegmentationSelector.currentNode()
    check(node is not None and node.GetSegmentation().GetNumberOfSegments() == 3, ui.segmentStatusLabel.text)
    return node


def preview_twice(ui, panel, node):
    """The second preview takes the place of the first; what was segmented stays."""
    count = len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))
    for _twice in range(2):
        ui.previewButton.click()
        wait(lambda: not panel.segmentation.isRunning(), "preview")
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    check(len(nodes) == count + 1, "there is one preview")
    (preview,) = [other for other in nodes if "preview" in other.GetName()]
    check(preview.GetSegmentation().GetNumberOfSegments() > 0, "the second preview has segments")
    check(node.GetSegmentation().GetNumberOfSegments() == 3, "the segmentation is as it was")
    return preview


def segment_into(ui, panel, node):
    """A chosen output gets the new segments, and keeps them; its scan is the one that was segmented."""
    ui.outputSegmentationSelector.setCurrentNode(node)
    ui.planesSelector.setCurrentIndex(0)
    ui.segmentButton.click()
    wait(lambda: not panel.segmentation.isRunning(), "segmented into the chosen output")
    ui.measuredSegmentationSelector.setCurrentNode(node)
    check(node.GetSegmentation().GetNumberOfSegments() == 3, ui.segmentStatusLabel.text)
    scan = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    check(scan is ui.inputVolumeSelector.currentNode(), "its scan is the input")


def batch_twice(ui, panel):
    """A finished scan of a batch is not done again."""
    from MgImplantSegSections.work import sampleData

    folder = os.path.join(slicer.app.temporaryPath, "MgImplantSegBatch")
    scans, results = os.path.join(folder, "scans"), os.path.join(folder, "results")
    os.makedirs(scans, exist_ok=True)
    shutil.copyfile(sampleData.path(), os.path.join(scans, "explant.nrrd"))
    ui.batchFolderEdit.currentPath, ui.batchOutputEdit.currentPath = scans, results
    seen = []
    for _twice in range(2):
        ui.batchStartButton.click()
        wait(lambda: not panel.batch.isRunning(), "batch")
        files = glob.glob(os.path.join(results, "explant", "*"))
        seen.append({path: os.path.getmtime(path) for path in files if path.endswith(".nrrd")})
    check(seen[0] and seen[0] == seen[1], f"the second batch has written no labels; {ui.batchStatusLabel.text}")
    shutil.rmtree(folder, ignore_errors=True)


def show(ui, panel, node):
    """Surfaces of all classes: made in Slicer, then beside it, as those of a large segmentation are."""
    from MgImplantSegSections.work import surfaceWork

    ui.show3DButton.click()
    check("surfaces" in ui.segmentStatusLabel.text, ui.segmentStatusLabel.text)
    made_in_slicer, before = polygons(node), surfaceWork.SMALL_VOXELS
    surfaceWork.SMALL_VOXELS = 10
    try:
        ui.show3DButton.click()
        wait(lambda: not panel.display3D.isRunning(), "surfaces beside the GUI")
    finally:
        surfaceWork.SMALL_VOXELS = before
    beside = polygons(node)
    check(all(0.9 < beside[entry] / count < 1.1 for entry, count in made_in_slicer.items()), str(beside))
    path = os.path.join(slicer.app.temporaryPath, "MgImplantSegSelfTest.png")
    slicer.util.getModuleWidget("MgImplantSeg").panel.display3D.takePicture(path)
    check(os.path.getsize(path) > 10000, f"the picture is written: {path}")


def polygons(node):
    """Polygons of the surfaces by segment."""
    segmentation = node.GetSegmentation()
    entries = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
    return {entry: node.GetClosedSurfaceInternalRepresentation(entry).GetNumberOfPolys() for entry in entries}


def measure(ui, panel, node):
    """Measures with the screw before implantation and a ROI, near to the exact ones of the simulation."""
    ui.initialSegmentationSelector.setCurrentNode(
        slicer.util.getFirstNodeByClassByName("vtkMRMLSegmentationNode", INITIAL)
    )
    ui.initialKindSelector.setCurrentIndex(1)
    ui.daysSpinBox.value = 168
    ui.addRoiAroundButton.click()
    wait(lambda: ui.roiTable.rowCount, "ROI around the implant")
    ui.computeButton.click()
    wait(lambda: not panel.measurements.isRunning(), "computed")
    say(ui.measuresStateLabel.text)
    from MgImplantSegSections.work.measuresReport import reportOfTable
    from MgImplantSegSections.work.measuresStore import tableOf

    report = reportOfTable(tableOf(node))
    check(abs(report.value("V_i") / 3.425 - 1) < 0.05, f"V_i {report.value('V_i'):.3f} mm3, exact 3.425")
    check(abs(report.value("DR") / 0.2106 - 1) < 0.25, f"DR {report.value('DR'):.3f} mm/year, exact 0.211")
    check(any("ROI around implant" in measure.region for measure in report.measures), "the ROI is measured")
    roi = slicer.util.getFirstNodeByClassByName("vtkMRMLMarkupsROINode", "ROI around implant")
    roi.SetCenter(roi.GetCenter()[0] + 0.1, roi.GetCenter()[1], roi.GetCenter()[2])
    wait(lambda: "stale" in ui.measuresStateLabel.text, "moving the ROI marks its measures stale")
    save(ui)


def save(ui):
    """The measures as CSV."""
    path = os.path.join(slicer.app.temporaryPath, "MgImplantSegSelfTest.csv")
    slicer.util.getModuleWidget("MgImplantSeg").panel.measurements.view.export(path)
    with open(path, encoding="utf-8") as file:
        check(file.readline().startswith("Symbol"), f"the measures are written: {path}")


if __name__ == "__main__":
    run(FullWorkflowTest)
