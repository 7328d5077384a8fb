"""Measurements: the numbers are the engine's, whatever is known of the screw, in any ROI."""

import math

import numpy as np
import pytest
import slicer
from harness import person
from measure_cases import add_roi, box_beside, compute, expected, measures
from module_cases import add_segmentation, ball_in_half_bone, engine_without, rename_segment

from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.quantification import QuantifyOptions, quantify
from MgImplantSegLib.scene.markups import box_of_roi_node
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.volumes import add_volume_node


def test_compute_in_a_child_process_gives_the_engines_measures(measurable, widget):
    rows = compute(widget, measurable)
    for measure in expected().measures:
        row = rows[measure.symbol, measure.region]
        if math.isfinite(measure.value):
            assert float(row["Value"]) == pytest.approx(measure.value, rel=1e-6)
        assert row["State"] == "current" and row["Unit"] == measure.unit
    assert "All measures are up to date" in measurable.measuresStateLabel.text
    assert "DR" in measurable.measuresStateLabel.text  # not defined without the screw before, and the reason is said


def test_measures_need_no_package_that_slicer_lacks(module, monkeypatch):
    from MgImplantSegSections.engine import pythons

    engine = engine_without("torch", "nrrd", "h5py", "tifffile", "matplotlib")
    monkeypatch.setattr(pythons, "python", lambda name=None: engine)
    node = add_segmentation(slicer.mrmlScene)
    _table, found = module.MgImplantSegLogic().quantify(node, initialNode=node, days=56, distanceMm=0.06)
    assert {measure.symbol: measure.value for measure in found}["BIC"] == pytest.approx(expected().value("BIC"))


def test_what_the_scan_has_not_seen_does_not_count(module):
    labelMap = ball_in_half_bone()
    seen = np.zeros(labelMap.array.shape, bool)
    rows, columns = seen.shape[1:]
    y, x = np.ogrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    seen[:] = y**2 + x**2 < 0.97
    scan = add_volume_node(slicer.mrmlScene, Volume(np.where(seen, 7, 0).astype(np.int16), labelMap.geometry), "Scan")
    node = add_segmentation_node(slicer.mrmlScene, labelMap, "Explant", scan)
    _table, found = module.MgImplantSegLogic().quantify(node, distanceMm=0.6)
    wanted = quantify(labelMap, QuantifyOptions(distance_mm=0.6, field_of_view=seen)).find("BV/TV")
    got = next(measure for measure in found if measure.symbol == "BV/TV")
    assert got.value == pytest.approx(wanted.value)
    assert got.counts["unknown_voxels"] == wanted.counts["unknown_voxels"] > 0


def test_the_scripts_call_gives_a_table_and_measures(module):
    node = add_segmentation(slicer.mrmlScene)
    table, found = module.MgImplantSegLogic().quantify(
        node, initialVolumeMm3=0.05, initialAreaMm2=0.7, days=90, distanceMm=0.06
    )
    report = {measure.symbol: measure.value for measure in found}
    years = 90 / 365.25
    assert report["DR"] == pytest.approx((0.05 - report["V_r"]) / (0.7 * years), rel=1e-6)
    assert table.IsA("vtkMRMLTableNode") and table.GetNumberOfRows() == len(found)


def test_typed_volume_area_and_days_enter_the_degradation_rate(measurable, widget, no_process):
    assert measurable.initialVolumeSpinBox.isHidden()
    person.choose(measurable.initialKindSelector, "Typed")
    measurable.initialVolumeSpinBox.value, measurable.initialAreaSpinBox.value = 0.05, 0.7
    measurable.daysSpinBox.value = 90
    row = next(row for (symbol, _region), row in compute(widget, measurable).items() if symbol == "DR")
    residual = expected().value("V_r")
    assert float(row["Value"]) == pytest.approx((0.05 - residual) / (0.7 * 90 / 365.25), rel=1e-4)


def test_the_screw_before_may_be_a_segmentation_of_any_name_or_a_model(measurable, widget, no_process):
    from MgImplantSegLib.scene.closed_surfaces import create_closed_surfaces

    initial = add_segmentation(slicer.mrmlScene, "Before", radius=11)
    person.choose(measurable.initialKindSelector, "Segmentation")
    assert "initial segmentation" in measurable.computeButton.toolTip
    measurable.initialSegmentationSelector.setCurrentNode(initial)
    measurable.daysSpinBox.value = 90
    volume = next(float(row["Value"]) for (symbol, _), row in compute(widget, measurable).items() if symbol == "V_i")
    assert volume == pytest.approx(4 / 3 * math.pi * (14 * 0.02) ** 3, rel=0.05)
    create_closed_surfaces(initial)
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Before")
    model.SetAndObservePolyData(initial.GetClosedSurfaceInternalRepresentation("degradation_layer"))
    person.choose(measurable.initialKindSelector, "Surface model")
    measurable.initialModelSelector.setCurrentNode(model)
    assert "DR" in {symbol for symbol, _region in compute(widget, measurable)}


def test_an_oriented_roi_gives_the_engines_bone_volume(measurable, widget, no_process):
    box = box_beside((0.1, 0.0, 0.2))
    add_roi(measurable, box)
    rows = compute(widget, measurable)
    assert float(rows["BV/TV", "ROI A"]["Value"]) == pytest.approx(
        expected(rois=(box,)).value("BV/TV", "ROI A"), rel=1e-6
    )


def test_a_roi_under_a_transform_gives_the_bone_volume_of_its_place_in_the_world(measurable, widget, no_process):
    import vtk

    roi = add_roi(measurable, box_beside())
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 0.15)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix)
    roi.SetAndObserveTransformNodeID(transform.GetID())
    rows = compute(widget, measurable)
    moved = box_beside((0, 0, 0.15))
    assert box_of_roi_node(roi).centre_lps_mm == pytest.approx(moved.centre_lps_mm)
    assert float(rows["BV/TV", "ROI A"]["Value"]) == pytest.approx(
        expected(rois=(moved,)).value("BV/TV", "ROI A"), rel=1e-6
    )


def test_add_around_implant_places_a_roi_of_the_implants_size_plus_twice_the_distance(measurable):
    person.click(measurable.addRoiAroundButton)
    person.wait_until(lambda: measurable.roiTable.rowCount)
    (row,) = person.rows_of(measurable.roiTable)
    sizes = [float(text) for text in row[1].split(" × ")]
    assert sizes == pytest.approx([2 * 12 * 0.02 + 2 * 0.06] * 3, abs=0.03)
    assert row[0] == "ROI around implant"
    measurable.roiTable.selectRow(0)
    person.click(measurable.removeRoiButton)
    assert person.rows_of(measurable.roiTable) == []
    assert slicer.mrmlScene.GetFirstNodeByName("ROI around implant") is not None


def test_the_roi_around_a_tilted_implant_is_turned_with_it(widget, ui):
    axis = np.array([0.6, 0.48, 0.64])  # (L, P, S)
    grid = Geometry((60, 50, 55), (0.02, 0.03, 0.025))
    position = grid.lps_from_index_zyx(np.moveaxis(np.indices(grid.shape_zyx), 0, -1))
    position = position - grid.lps_from_index_zyx((np.array(grid.shape_zyx) - 1) / 2)
    along = position @ axis
    across = np.linalg.norm(position - along[..., None] * axis, axis=-1)
    rod = (np.abs(along) <= 0.45) & (across <= 0.15)
    add_segmentation_node(slicer.mrmlScene, LabelMap(rod * np.uint8(3), grid), "Rod")
    widget.enter()
    ui.distanceSpinBox.value = 0.06
    person.click(ui.addRoiAroundButton)
    person.wait_until(lambda: ui.roiTable.rowCount)
    box = box_of_roi_node(slicer.mrmlScene.GetFirstNodeByName("ROI around implant"))
    longest = int(np.argmax(box.size_mm))
    assert abs(box.axes_matrix[:, longest] @ axis) > 0.999
    assert box.size_mm[longest] == pytest.approx(0.9 + 0.12, abs=0.05)
    assert sorted(box.size_mm)[:2] == pytest.approx([0.3 + 0.12] * 2, abs=0.07)
    assert box.mask(grid)[rod].all()


def test_a_segment_of_unknown_meaning_is_asked_for_and_its_role_is_kept_with_the_node(measurable, widget, no_process):
    from harness.values import unwrap, wrap

    node = measurable.measuredSegmentationSelector.currentNode()
    rename_segment(node.GetSegmentation(), "residual_material", "s3", "Segment_3")
    person.process_events()
    assert 'a class for the segment "Segment_3"' in measurable.computeButton.toolTip
    combo = wrap(unwrap(measurable.classTable).cellWidget(2, 1))
    person.choose(combo, "residual material")
    combo.activated(2)
    assert measurable.computeButton.enabled, measurable.computeButton.toolTip
    value = next(float(row["Value"]) for (symbol, _), row in compute(widget, measurable).items() if symbol == "V_r")
    assert value == pytest.approx(expected().value("V_r"), rel=1e-6)


def test_rows_stand_below_their_region_with_name_digits_and_unit_and_those_of_a_moved_roi_are_grey(
    measurable, widget, no_process
):
    roi = add_roi(measurable, box_beside())
    rows = compute(widget, measurable)
    shown = person.rows_of(measurable.measuresTable)
    regions = [row[0] for row in shown if not any(row[1:]) and ", " not in row[0]]
    assert regions == list(dict.fromkeys(region for _symbol, region in rows))
    assert ["V_r, residual volume", f"{float(rows['V_r', 'implant']['Value']):#.4g}", "mm³"] in shown
    roi.SetCenter(roi.GetCenter()[0] + 0.1, roi.GetCenter()[1], roi.GetCenter()[2])
    person.process_events()
    grey = {item.text() for item in person.items_of(measurable.measuresTable, 0) if item.font().italic()}
    assert "ROI A" in grey and "V_r, residual volume" not in grey


def test_every_button_says_what_it_does_once_there_are_measures(measurable, widget, no_process):
    compute(widget, measurable)
    for button in (measurable.showPlotButton, measurable.exportCsvButton, measurable.copyMeasuresButton):
        assert button.enabled and button.toolTip


def test_the_table_can_be_saved_copied_and_plotted(measurable, widget, no_process, tmp_path):
    from PySide6.QtWidgets import QApplication

    assert not measurable.showPlotButton.enabled
    compute(widget, measurable)
    widget.panel.measurements.view.export(tmp_path / "m.csv")
    assert "Symbol" in (tmp_path / "m.csv").read_text("utf-8").splitlines()[0]
    person.click(measurable.copyMeasuresButton)
    assert QApplication.clipboard().text().splitlines()[0].split("\t") == [
        "Symbol",
        "Measure",
        "Value",
        "Unit",
        "Region",
        "State",
    ]
    for _twice in range(2):
        person.click(measurable.showPlotButton)
    (chart,) = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert "mm" in chart.GetXAxisTitle() and chart.GetNumberOfPlotSeriesNodes() >= 1


def test_unfolding_a_section_does_not_show_what_is_hidden(measurable):
    measurable.measurementsSection.collapsed = False
    assert measurable.initialVolumeSpinBox.isHidden() and measurable.initialModelSelector.isHidden()
    measurable.measurementsSection.collapsed = True
    person.choose(measurable.initialKindSelector, "Surface model")
    measurable.measurementsSection.collapsed = False
    assert not measurable.initialModelSelector.isHidden() and measurable.initialVolumeSpinBox.isHidden()


def test_methods_are_the_engines_and_all_measures_can_be_asked_for(measurable, widget, no_process):
    from MgImplantSegLib.quantification.measures.contact_methods import CONTACT_METHODS
    from MgImplantSegLib.quantification.measures.rate_forms import RATE_FORMS
    from MgImplantSegLib.quantification.surfaces.surface import SURFACE_METHODS

    methods = {
        measurable.surfaceAreaSelector: SURFACE_METHODS,
        measurable.rateFormSelector: RATE_FORMS,
        measurable.contactSelector: CONTACT_METHODS,
    }
    for combo, registry in methods.items():
        assert len(person.texts_of(combo)) == len(registry)
    few = set(compute(widget, measurable))
    person.choose(measurable.contactSelector, "Crofton")
    assert {row["State"] for row in measures(measurable).values()} == {"stale"}
    measurable.methodsGroup.collapsed = False
    person.click(measurable.allMeasuresCheckBox)
    rows = compute(widget, measurable)
    assert len(rows) > len(few)
    method = next(row["Method"] for (symbol, _region), row in rows.items() if symbol == "BIC")
    assert "Crofton" in method
