"""What people met in the panel and must not meet again, item by item; needs neither torch nor network.

Each item is tried in a scene of its own, also when others have failed; at the end it is said which did not hold.
Items that need views or the Segment Editor are left out where Slicer has no main window.
"""

import os
import sys
import traceback
import unittest

import numpy as np
import slicer
import vtk

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from running import check, check_no_torch, run, say, wait

SPACING_MM, SIZE, RADIUS = 0.02, 40, 9
SHELL_MM = 0.06
NEAR_MM = 50.0


class Left(Exception):
    """The item cannot be tried here."""


class PanelInUseTest(unittest.TestCase):
    """One test; its steps are the items below."""

    def test_all_items(self):
        """From first to last."""
        steps()


class Bench:
    """The panel, in a scene that was emptied."""

    def __init__(self):
        slicer.mrmlScene.Clear(0)
        if slicer.util.mainWindow() is not None:
            slicer.util.selectModule("MgImplantSeg")
        self.widget = slicer.util.getModuleWidget("MgImplantSeg")
        self.panel, self.logic = self.widget.panel, self.widget.logic
        self.ui, self.chosen = self.panel.workbench.ui, self.panel.workbench.parameters
        self.chosen.distanceMm = SHELL_MM

    def measure(self, node):
        """Choose a segmentation, click Compute, wait; returns its table node."""
        from MgImplantSegSections.work.measuresStore import tableOf

        self.chosen.measuredSegmentation = node
        self.ui.computeButton.click()
        wait(lambda: not self.panel.measurements.isRunning(), f"measures of {node.GetName()}", 300)
        table = tableOf(node)
        check(table is not None, f"there are measures; {self.ui.measuresStateLabel.text}")
        return table

    def wait_for_stale(self, why):
        """What was changed shows within seconds."""
        wait(lambda: "stale" in self.ui.measuresStateLabel.text, f"measures are stale: {why}", 10)


def explant(name, scan=None, radius=RADIUS, spacing_mm=SPACING_MM):
    """A ball of residual material in a layer, half in bone, as a segmentation node."""
    from MgImplantSegLib.grids.volume import LabelMap
    from MgImplantSegLib.scene.segmentations import add_segmentation_node

    z, y, x = np.ogrid[:SIZE, :SIZE, :SIZE]
    squared = sum((axis - (SIZE - 1) / 2) ** 2 for axis in (z, y, x))
    array = np.zeros((SIZE,) * 3, np.uint8)
    array[SIZE // 2 :] = 1
    array[squared <= (radius + 3) ** 2] = 2
    array[squared <= radius**2] = 3
    return add_segmentation_node(slicer.mrmlScene, LabelMap(array, grid(spacing_mm)), name, scan)


def grid(spacing_mm=SPACING_MM):
    """The grid of the ball."""
    from MgImplantSegLib.grids.volume import Geometry

    return Geometry((SIZE,) * 3, (spacing_mm,) * 3)


def scan_node(name, spacing_mm=SPACING_MM):
    """A scan on the grid of the ball."""
    from MgImplantSegLib.grids.volume import Volume
    from MgImplantSegLib.scene.volumes import add_volume_node

    grey = np.random.default_rng(0).integers(1, 200, (SIZE,) * 3).astype(np.uint8)
    return add_volume_node(slicer.mrmlScene, Volume(grey, grid(spacing_mm)), name)


def transform_on(node, scale=1.0, centre_ras=(0, 0, 0), shift_mm=0.0):
    """Put a transform on a node: scaled around a point, then moved along the third axis."""
    matrix = vtk.vtkMatrix4x4()
    for axis in range(3):
        matrix.SetElement(axis, axis, scale)
        matrix.SetElement(axis, 3, centre_ras[axis] * (1 - scale) + (shift_mm if axis == 2 else 0))
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())


def surface_model(node, segmentId="degradation_layer"):
    """The closed surface of a segment as a model node."""
    from MgImplantSegLib.scene.closed_surfaces import create_closed_surfaces

    create_closed_surfaces(node)
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Before")
    mesh = vtk.vtkPolyData()
    mesh.DeepCopy(node.GetClosedSurfaceInternalRepresentation(segmentId))
    model.SetAndObservePolyData(mesh)
    return model


def save_and_load():
    """Save the scene, close it, load it again while the module is open."""
    path = os.path.join(slicer.app.temporaryPath, "MgImplantSegInUse.mrb")
    check(slicer.util.saveScene(path), "the scene is saved")
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    os.remove(path)


def need_views():
    """Leave an item out where there are no views."""
    if slicer.app.layoutManager() is None or slicer.util.mainWindow() is None:
        raise Left("no main window")
    return slicer.app.layoutManager()


class Answer:
    """Answers the next questions of the panel."""

    def __init__(self, answer):
        self._answer, self.questions = answer, []

    def __enter__(self):
        self._before = slicer.util.confirmOkCancelDisplay
        slicer.util.confirmOkCancelDisplay = self._say
        return self

    def __exit__(self, *_error):
        slicer.util.confirmOkCancelDisplay = self._before

    def _say(self, text, *_more, **_options):
        self.questions.append(text)
        return self._answer


def a1_a_scene_opened_in_the_open_module_has_the_choices_that_were_saved(bench):
    scans = [scan_node(f"Scan {number}") for number in range(2)]
    results = [explant(f"Result {number}", scans[number // 2]) for number in range(3)]
    bench.chosen.inputVolume, bench.chosen.outputSegmentation = scans[1], results[2]
    bench.chosen.measuredSegmentation, bench.chosen.initialSegmentation = results[2], results[0]
    save_and_load()
    ui = bench.ui
    shown = [ui.inputVolumeSelector, ui.outputSegmentationSelector]
    shown += [ui.measuredSegmentationSelector, ui.initialSegmentationSelector]
    names = [selector.currentNode() and selector.currentNode().GetName() for selector in shown]
    check(names == ["Scan 1", "Result 2", "Result 2", "Result 0"], f"the choices are {names}")


def a2_when_the_output_is_deleted_no_other_segmentation_takes_its_place(bench):
    explant("Before implantation")
    result = explant("Result")
    explant("Another")
    bench.chosen.outputSegmentation = bench.chosen.measuredSegmentation = result
    slicer.mrmlScene.RemoveNode(result)
    check(bench.ui.outputSegmentationSelector.currentNode() is None, "the output is a new segmentation again")
    check(bench.ui.measuredSegmentationSelector.currentNode() is None, "nothing is chosen to be measured")


def a3_measures_of_a_second_segmentation_leave_those_of_the_first(bench):
    first, second = explant("First"), explant("Second", radius=7)
    own, other = bench.measure(first), bench.measure(second)
    check(own is not other and slicer.mrmlScene.IsNodePresent(own), "both tables are in the scene")
    count = bench.ui.measuresTable.rowCount
    bench.chosen.measuredSegmentation = first
    check(bench.ui.measuresTable.rowCount == count, "the table of the first one is shown again")


def a4_an_installed_model_is_deleted_after_a_question_only(bench):
    from MgImplantSegSections.work import models

    from MgImplantSegLib.base.resources import bundled_models

    if not bundled_models():
        raise Left("no bundled model")
    name = "self-test-of-the-panel"
    path = os.path.join(slicer.app.temporaryPath, f"{name}.mgmodel")
    with open(next(iter(bundled_models().values())), "rb") as source, open(path, "wb") as target:
        target.write(source.read())
    bench.panel.models.add(path)
    os.remove(path)
    try:
        with Answer(False) as answer:
            bench.ui.deleteModelButton.click()
        check(len(answer.questions) == 1 and name in models.installed(), "without consent the model stays")
    finally:
        with Answer(True):
            bench.ui.deleteModelButton.click()
    check(name not in models.installed(), "with consent it is deleted")


def a5_undo_in_the_segment_editor_makes_measures_stale(bench):
    need_views()
    scan = scan_node("Scan")
    node = explant("Result", scan)
    editor = getattr(slicer, "qMRMLSegmentEditorWidget")()  # noqa: B009 # not in the list of described classes
    editor.setMRMLScene(slicer.mrmlScene)
    editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    editor.setSegmentationNode(node)
    editor.setSourceVolumeNode(scan)
    editor.setCurrentSegmentID("residual_material")
    editor.setActiveEffectByName("Margin")
    editor.activeEffect().setParameter("MarginSizeMm", -2 * SPACING_MM)
    bench.measure(node)
    editor.activeEffect().self().onApply()
    bench.wait_for_stale("edited")
    bench.measure(node)
    editor.undo()
    bench.wait_for_stale("undone")
    editor.setActiveEffect(None)
    editor.deleteLater()


def a6_a_change_of_the_initial_implant_makes_measures_stale(bench):
    node, initial = explant("Result"), explant("Before", radius=12)
    with_initial(bench, initial)
    bench.measure(node)
    transform_on(initial, shift_mm=0.1)
    bench.wait_for_stale("the initial implant was moved")


def with_initial(bench, initial):
    """Choose the screw before implantation."""
    bench.ui.initialKindSelector.setCurrentIndex(1)
    bench.chosen.initialSegmentation, bench.chosen.days = initial, 100


def a7_a_surface_model_is_measured_under_its_transform(bench):
    node = explant("Result")
    model = surface_model(explant("Before"))
    whole = value(bench.logic.quantify(node, initialNode=model, days=100, distanceMm=SHELL_MM), "V_i")
    transform_on(model, scale=0.5, centre_ras=model.GetPolyData().GetCenter())
    half = value(bench.logic.quantify(node, initialNode=model, days=100, distanceMm=SHELL_MM), "V_i")
    check(abs(half / whole - 1 / 8) < 0.01, f"V_i {whole:.4f} becomes {half:.4f} mm3")


def value(result, symbol):
    """A value among the measures of the logic's call."""
    return next(measure.value for measure in result[1] if measure.symbol == symbol)


def a8_a_surface_that_is_open_is_refused(bench):
    node, model = explant("Result"), surface_model(explant("Before"))
    cut = vtk.vtkClipPolyData()
    plane = vtk.vtkPlane()
    plane.SetOrigin(model.GetPolyData().GetCenter())
    cut.SetClipFunction(plane)
    cut.SetInputData(model.GetPolyData())
    cut.Update()
    model.SetAndObservePolyData(cut.GetOutput())
    try:
        bench.logic.quantify(node, initialNode=model, days=100, distanceMm=SHELL_MM)
    except Exception as error:
        check("closed" in str(error), f"refused: {error}")
    else:
        raise AssertionError("an open surface was measured")


def a9_voxels_in_several_segments_are_warned_of(bench):
    node = explant("Result")
    segmentation = node.GetSegmentation()
    image = slicer.vtkOrientedImageData()
    image.DeepCopy(segmentation.GetSegment("bone").GetRepresentation("Binary labelmap"))
    values = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    own = segmentation.GetSegment("bone").GetLabelValue()
    values[:] = own
    segmentation.GetSegment("bone").AddRepresentation("Binary labelmap", image)
    bench.measure(node)
    check("several segments" in bench.ui.measuresStateLabel.text, bench.ui.measuresStateLabel.text)


def a11_show_3d_brings_the_camera_near(bench):
    layout = need_views()
    bench.chosen.measuredSegmentation = explant("Result")
    bench.ui.show3DButton.click()
    wait(lambda: not bench.panel.display3D.isRunning(), "surfaces", 300)
    view = layout.threeDWidget(0).threeDView()
    camera = slicer.modules.cameras.logic().GetViewActiveCameraNode(view.mrmlViewNode())
    distance = np.linalg.norm(np.subtract(camera.GetPosition(), camera.GetFocalPoint()))
    check(distance < NEAR_MM, f"the camera is {distance:.1f} mm away")


def a12_a_plot_keeps_a_3d_view_and_can_be_left(bench):
    layout = need_views()
    before = layout.layout
    bench.measure(explant("Result"))
    bench.ui.showPlotButton.click()
    slicer.app.processEvents()
    check(layout.threeDWidget(0).visible, "a 3D view is shown beside the plot")
    bench.ui.showPlotButton.click()
    check(layout.layout == before, "the layout is as it was")


def a15_a_segmentation_follows_when_the_voxel_size_is_set(bench):
    scan = scan_node("Scan", spacing_mm=1.0)
    node = explant("Painted", scan, spacing_mm=1.0)
    bench.chosen.inputVolume = scan
    bench.ui.inputSpacingSpinBox.value = 1000 * SPACING_MM
    with Answer(True) as answer:
        bench.ui.setSpacingButton.click()
    check(any("Painted" in question for question in answer.questions), "it is asked whether it shall follow")
    volume = value(bench.logic.quantify(node, distanceMm=SHELL_MM), "V_r")
    ball = 4 / 3 * np.pi * (RADIUS * SPACING_MM) ** 3
    check(abs(volume / ball - 1) < 0.05, f"V_r is {volume:.5f} mm3, the ball has {ball:.5f}")


def a18_the_screw_before_implantation_is_not_chosen_as_the_result(bench):
    bench.ui.sampleDataButton.click()
    check(bench.ui.inputVolumeSelector.currentNode() is not None, "the sample is chosen")
    check(bench.ui.measuredSegmentationSelector.currentNode() is None, "nothing is chosen to be measured")
    check(not bench.ui.show3DButton.enabled and not bench.ui.computeButton.enabled, "nothing to show or compute")


def a20_the_scan_behind_the_surfaces_is_a_veil(bench):
    from MgImplantSegSections.work import display3D

    need_views()
    scan = scan_node("Scan")
    display3D.showScan(scan, True)
    display = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(scan)
    opacity = display.GetVolumePropertyNode().GetVolumeProperty().GetScalarOpacity()
    most = max(opacity.GetValue(grey) for grey in range(256))
    unit = display.GetVolumePropertyNode().GetVolumeProperty().GetScalarOpacityUnitDistance()
    through = (1 - most) ** (SIZE * SPACING_MM / unit)
    check(through > 0.2, f"{100 * through:.0f} % of the light goes through the brightest part")
    display3D.showScan(scan, False)


def a21_the_picture_is_what_the_view_shows(bench):
    layout = need_views()
    bench.chosen.measuredSegmentation = explant("Result")
    bench.ui.show3DButton.click()
    wait(lambda: not bench.panel.display3D.isRunning(), "surfaces", 300)
    pictures = []
    for name in ("first", "second"):
        path = os.path.join(slicer.app.temporaryPath, f"MgImplantSeg-{name}.png")
        bench.panel.display3D.takePicture(path)
        with open(path, "rb") as file:
            pictures.append(file.read())
        os.remove(path)
        view = layout.threeDWidget(0).threeDView()
        camera = slicer.modules.cameras.logic().GetViewActiveCameraNode(view.mrmlViewNode())
        camera.GetCamera().Azimuth(90)
        view.forceRender()
    check(pictures[0] != pictures[1], "another direction of the camera makes another picture")


def a22_contact_and_depth_have_a_colour_legend(bench):
    from MgImplantSegSections.work import display3D

    from MgImplantSegLib.scene.color_legends import color_legend_of

    node, initial = explant("Result"), explant("Before", radius=12)
    for kind in ("contact", "depth"):
        legend = color_legend_of(display3D.showColored(node, kind, initial))
        check(legend is not None and legend.GetVisibility(), f"{kind} has a legend: {legend.GetTitleText()}")


def a25_no_words_of_the_command_line(bench):
    from MgImplantSegSections.sections.workbench import errorText

    from MgImplantSegLib.base.errors import InputError

    error = InputError("Expected 3 voxels (z, y, x), got 2.", "Give it with --spacing-um. See: jobs log this/a")
    check(not any(word in errorText(error) for word in ("--", "(z, y", "jobs ")), errorText(error))


def a26_a_roi_with_quotes_in_its_name_comes_back_whole(bench):
    name = 'links "\u00b5" / \u2229 all'
    node = explant("Result")
    roi = bench.logic.addRoiAroundImplant(node, SHELL_MM)
    roi.SetName(name)
    bench.ui.roiSelector.setCurrentNode(roi)
    bench.ui.addRoiButton.click()
    bench.measure(node)
    save_and_load()
    shown = [bench.ui.measuresTable.item(row, 0).text() for row in range(bench.ui.measuresTable.rowCount)]
    check(any(text == name for text in shown), "its measures stand under its whole name")


def a27_an_initial_volume_below_the_residual_is_warned_of(bench):
    node = explant("Result")
    bench.ui.initialKindSelector.setCurrentIndex(3)
    bench.chosen.initialVolumeMm3, bench.chosen.initialAreaMm2, bench.chosen.days = 0.001, 0.7, 90
    bench.measure(node)
    check("smaller than the residual" in bench.ui.measuresStateLabel.text, bench.ui.measuresStateLabel.text)


def a28_a_section_that_is_opened_elsewhere_is_the_open_one(bench):
    bench.ui.openMeasurementsButton.click()
    check(not bench.ui.measurementsSection.collapsed, "Measure... opens Measurements")
    bench.panel.sections.open(bench.ui.environmentsSection)
    check(not bench.ui.environmentsSection.collapsed, "Environments are opened")
    check(bench.ui.measurementsSection.collapsed, "one section is open at a time")
    bench.ui.environmentsSection.collapsed = True


def a29_tables_keep_their_name_and_closing_the_scene_leaves_no_texts(bench):
    node = explant("Result")
    names = {bench.measure(node).GetName() for _ in range(3)}
    check(names == {"Result measures"}, f"the table is called {names}")
    bench.ui.copyMeasuresButton.click()
    text = slicer.app.clipboard().text()
    check("nan" not in text.split(), "nothing that is not defined is copied as a number")
    slicer.mrmlScene.Clear(0)
    texts = (bench.ui.measuresStateLabel, bench.ui.measuresHeadlineLabel, bench.ui.segmentStatusLabel)
    check(not any(label.text for label in texts), "nothing is said of the scene that was closed")


def a24_training_in_slicers_python_without_torch_is_not_started(bench):
    from MgImplantSegSections.engine import pythons

    if not pythons.missingPackages(pythons.OWN, pythons.PACKAGES_FOR_FILES):
        raise Left("Slicer's Python has torch")
    job, path = bench.panel.training.job, os.path.join(slicer.app.temporaryPath, "MgImplantSegInUse.toml")
    with open(path, "w") as file:
        file.write("name = 'x'\n")
    bench.panel.training.refillEnvironments()
    bench.ui.trainingEnvironmentSelector.setCurrentIndex(pythons.names().index(pythons.OWN))
    bench.ui.configurationEdit.currentPath = path
    try:
        bench.ui.startTrainingButton.click()
        check("lacks" in bench.ui.trainingStatusLabel.text, bench.ui.trainingStatusLabel.text)
        check(bench.panel.training.job == job, "the training that was known stays the chosen one")
    finally:
        bench.ui.configurationEdit.currentPath = ""
        os.remove(path)


def a30_nothing_of_this_is_in_the_error_log(bench):
    need_views()
    log = getattr(slicer.app, "errorLogModel")()  # noqa: B009 # not in the list of described classes
    before = log.logEntryCount()
    node = explant("Result")
    explant("Another")
    bench.chosen.measuredSegmentation = node
    bench.ui.surfaceColorSelector.setCurrentIndex(1)  # contact first of all, before any surface was made
    bench.ui.surfaceColorSelector.activated(1)
    wait(lambda: not bench.panel.display3D.isRunning(), "contact", 300)
    slicer.app.processEvents()
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    texts = [log.logEntryDescription(row) for row in range(before, log.logEntryCount())]
    faults = [text for text in texts if "Input port" in text or "Unable to find subject hierarchy" in text]
    check(not faults, f"the error log has {faults[:3]}")


def the_work_is_on_one_screen_and_the_panel_is_narrow(bench):
    bench.ui.sampleDataButton.click()
    for name in ("advanced", "measurements", "display3D", "compare", "teach", "training", "batch", "environments"):
        section = getattr(bench.ui, f"{name}Section")
        section.collapsed = False
        slicer.app.processEvents()
        width = bench.widget.parent.minimumSizeHint.width()
        check(width <= 400, f"with {name} open the panel needs {width} px")
        section.collapsed = True
    slicer.app.processEvents()
    height = bench.ui.WorkPanel.sizeHint.height()
    check(height <= 400, f"the work needs {height} px")


NUMBERED = {name: entry for name, entry in globals().items() if name.startswith("a") and name[1:2].isdigit()}
ITEMS = [NUMBERED[name] for name in sorted(NUMBERED, key=lambda name: int(name[1:].split("_")[0]))]
ITEMS.append(the_work_is_on_one_screen_and_the_panel_is_narrow)


def steps():
    """All items; raises with the names of those that did not hold."""
    try_items(ITEMS)
    check_no_torch()


def try_items(items):
    """Try each item; raises with the names of those that did not hold."""
    failed = []
    for item in items:
        title = item.__name__.replace("_", " ")
        try:
            item(Bench())
            say(f"holds: {title}")
        except Left as reason:
            say(f"left out ({reason}): {title}")
        except Exception:
            traceback.print_exc()
            failed.append(title)
    slicer.mrmlScene.Clear(0)
    if failed:
        raise AssertionError("did not hold: " + "; ".join(failed))


if __name__ == "__main__":
    run(PanelInUseTest)
