"""A surface model as the screw before implantation: the engine gets it where it is, checks it and measures it."""

import math

import pytest
import slicer
import vtk
from harness import person
from measure_cases import compute, measures, table_node
from module_cases import ball_in_half_bone
from test_measurements_live import states

RADIUS_MM = 0.3


def add_sphere(ui, open_it=False, radius_mm=RADIUS_MM):
    """A ball as model around the implant, in the world's RAS, chosen as the screw before."""
    grid = ball_in_half_bone().geometry
    centre = grid.lps_from_index_zyx([(size - 1) / 2 for size in grid.shape_zyx])
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(-centre[0], -centre[1], centre[2])
    sphere.SetRadius(radius_mm)
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    if open_it:
        sphere.SetEndPhi(90)
    sphere.Update()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "New screw")
    model.SetAndObservePolyData(sphere.GetOutput())
    person.choose(ui.initialKindSelector, "Surface model")
    ui.initialModelSelector.setCurrentNode(model)
    ui.daysSpinBox.value = 90
    return model


def scale(node, factor):
    """Put a node under a transform that makes it smaller around its centre."""
    bounds = [0.0] * 6
    node.GetPolyData().GetBounds(bounds)
    matrix = vtk.vtkMatrix4x4()
    for axis in range(3):
        middle = (bounds[2 * axis] + bounds[2 * axis + 1]) / 2
        matrix.SetElement(axis, axis, factor)
        matrix.SetElement(axis, 3, (1 - factor) * middle)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())


def initial_volume(rows):
    return next(float(row["Value"]) for (symbol, _region), row in rows.items() if symbol == "V_i")


def test_a_model_is_measured_where_its_transform_puts_it_and_a_new_transform_makes_the_rows_stale(
    measurable, widget, no_process
):
    model = add_sphere(measurable)
    whole = initial_volume(compute(widget, measurable))
    assert whole == pytest.approx(4 / 3 * math.pi * RADIUS_MM**3, rel=0.02)
    scale(model, 0.9)
    person.wait_until(lambda: states(measurable) == {"stale"}, 10)
    assert initial_volume(compute(widget, measurable)) == pytest.approx(whole * 0.9**3, rel=0.02)


def test_an_open_model_is_refused_with_its_name_and_no_path(measurable, widget):
    add_sphere(measurable, open_it=True)
    person.click(measurable.computeButton)
    person.wait_until(lambda: not widget.panel.measurements.isRunning())
    text = measurable.measuresStateLabel.text
    assert "open edges" in text and '"New screw"' in text and "/" not in text.replace("BV/TV", ""), text
    assert table_node(measurable) is None


def test_a_model_without_a_surface_is_refused(measurable, widget, no_process):
    add_sphere(measurable).SetAndObservePolyData(vtk.vtkPolyData())
    person.click(measurable.computeButton)
    person.wait_until(lambda: not widget.panel.measurements.isRunning())
    assert "without a surface" in measurable.measuresStateLabel.text


def test_a_moved_point_of_the_model_makes_the_rows_stale(measurable, widget, no_process):
    model = add_sphere(measurable)
    compute(widget, measurable)
    assert states(measurable) == {"current"} and measures(measurable)
    model.GetPolyData().GetPoints().SetPoint(0, 0, 0, 9)
    model.GetPolyData().GetPoints().Modified()
    person.wait_until(lambda: states(measurable) == {"stale"}, 10)
