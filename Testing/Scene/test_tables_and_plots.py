"""Measures become a table node with units and reasons; series become charts."""

import csv
import math
from dataclasses import replace

import pytest

import MgImplantSegLib
from MgImplantSegLib.base.errors import InputError, OutputError
from MgImplantSegLib.quantification.results import Measure, QuantificationReport, Series
from MgImplantSegLib.scene.nodes import provenance_of_node
from MgImplantSegLib.scene.plots import add_chart
from MgImplantSegLib.scene.tables import add_measures_table, save_table

REPORT = QuantificationReport(
    (
        Measure("V_r", "residual volume", 1.25, "mm³", "implant", "voxel count", "number", counts={"voxels": 10}),
        Measure("DR", "degradation rate", math.nan, "mm/year", "implant", "initial area", "ΔV / At", "No time given."),
        Measure("BV/TV", "bone volume fraction", 40.5, "%", "ROI", "voxel count", "bone / all", low=38.0, high=42.0),
    ),
    {"spacing_zyx_um": [5.0, 5.0, 5.5], "time_days": None, "segmentation": {"path": "a.seg.nrrd"}},
)
PROFILE = Series(
    "BV/TV", "bone volume profile", "shell", "distance", "mm", (0.0, 0.05), (0.05, 0.1), (30.0, 50.0), "%", ""
)


def text(node, row, column):
    return node.GetCellText(row, node.GetColumnIndex(column))


def number(node, row, column):
    return node.GetTable().GetColumnByName(column).GetValue(row)


def test_a_series_without_values_or_with_one_alone_has_no_line(scene):
    empty = replace(PROFILE, region="ROI", values=(math.nan, math.nan))
    assert add_chart(scene, [empty, PROFILE], "Bone").GetNumberOfPlotSeriesNodes() == 1
    short = replace(PROFILE, x_low=(0.0,), x_high=(0.05,), values=(3.0,), note="The volume is small.")
    charts = scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode")
    for series in ([empty], [short]):
        with pytest.raises(InputError, match="at least 2 steps of distance with values to plot"):
            add_chart(scene, series, "Bone")
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == charts


def test_every_measure_is_a_row_with_value_unit_region_and_origin(scene):
    node = add_measures_table(scene, REPORT, "measures", model="simulated-20um")
    assert node.GetNumberOfRows() == 3
    assert [text(node, row, "Symbol") for row in range(3)] == ["V_r", "DR", "BV/TV"]
    assert (number(node, 2, "Value"), text(node, 2, "Unit"), text(node, 2, "Region")) == (40.5, "%", "ROI")
    assert (number(node, 2, "Low"), number(node, 2, "High")) == (38, 42)
    assert text(node, 0, "Counts") == "voxels=10"
    assert text(node, 0, "Voxel size") == "5 × 5 × 5.5 µm"
    assert text(node, 0, "Model") == "simulated-20um"
    assert text(node, 0, "Version") == MgImplantSegLib.__version__


def test_an_undefined_value_is_not_a_number_and_has_its_reason(scene):
    node = add_measures_table(scene, REPORT, "measures")
    assert math.isnan(number(node, 1, "Value"))
    assert text(node, 1, "Note") == "No time given."


def test_the_table_keeps_the_inputs_of_the_measures(scene):
    node = add_measures_table(scene, REPORT, "measures")
    assert provenance_of_node(node)["segmentation"] == {"path": "a.seg.nrrd"}


def test_the_csv_has_the_numbers_in_full_and_nothing_for_what_is_undefined(scene, tmp_path):
    save_table(add_measures_table(scene, REPORT, "measures"), tmp_path / "measures.csv")
    with open(tmp_path / "measures.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["Value"] for row in rows] == ["1.25", "", "40.5"]
    assert rows[0]["Unit"] == "mm³"
    with pytest.raises(OutputError):
        save_table(add_measures_table(scene, REPORT, "measures"), tmp_path / "missing" / "measures.csv")


def test_a_profile_becomes_a_chart_over_the_middles_of_its_bins(scene):
    chart = add_chart(scene, [PROFILE], "Bone around the implant")
    assert chart.GetXAxisTitle() == "distance [mm]"
    assert chart.GetYAxisTitle() == "BV/TV [%]"
    assert chart.GetNumberOfPlotSeriesNodes() == 1
    series = chart.GetNthPlotSeriesNode(0)
    table = series.GetTableNode().GetTable()
    assert [table.GetColumnByName(series.GetXColumnName()).GetValue(row) for row in (0, 1)] == [
        0.025,
        pytest.approx(0.075),
    ]
    assert [table.GetColumnByName(series.GetYColumnName()).GetValue(row) for row in (0, 1)] == [30, 50]


def test_charts_of_nothing_or_of_different_axes_are_refused(scene):
    with pytest.raises(InputError, match="got none"):
        add_chart(scene, [], "empty")
    other = Series("BIC", "bone contact", "slices", "position", "mm", (0.0,), (1.0,), (3.0,), "%", "")
    with pytest.raises(InputError, match="same axes"):
        add_chart(scene, [PROFILE, other], "mixed")
