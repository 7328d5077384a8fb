"""Reports as data, JSON and CSV; the choice of measures, warnings, progress and cancelling; fields of view; figures."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from measured_shapes import BONE, METAL, ball, labelled, plain_grid, positions_mm, turned_grid

from MgImplantSegLib.base.errors import Cancelled, InputError, OutputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.quantification import (
    MEASURES,
    InitialScrew,
    Measure,
    QuantificationReport,
    QuantifyOptions,
    Series,
    quantify,
)
from MgImplantSegLib.quantification.field_of_view import field_of_view_of
from MgImplantSegLib.quantification.figures import write_series_figure
from MgImplantSegLib.quantification.measures.all_measures import DEFAULT_MEASURES
from MgImplantSegLib.simulation import SimulationSettings, simulate_explant


def explant():
    grid = turned_grid(1.0, (0.05, 0.04, 0.05))
    return labelled(grid, (positions_mm(grid)[..., 0] > 0, BONE), (ball(grid, 0.3), METAL))


def everything(label_map):
    initial = InitialScrew.from_label_map(labelled(label_map.geometry, (ball(label_map.geometry, 0.35), METAL)))
    roi = OrientedBox(label_map.geometry.lps_from_index_zyx(np.array([10.0, 10, 10])), size_mm=(0.3, 0.3, 0.3))
    return QuantifyOptions(initial, 84, distance_mm=0.15, rois=(roi,), measures=tuple(MEASURES))


def test_every_measure_names_its_unit_method_definition_and_region():
    report = quantify(explant(), everything(explant()))
    assert {"V_i", "A_i", "V_r", "V_DL", "VL", "DR", "BIC", "BV/TV"} <= {m.symbol for m in report.measures}
    for measure in report.measures:
        for part in ("symbol", "name", "unit", "region", "method", "definition"):
            assert getattr(measure, part), (measure.symbol, part)
        assert math.isfinite(measure.value) or measure.note, measure.symbol


def test_the_default_measures_are_those_of_the_paper():
    report = quantify(explant())
    assert [m.symbol for m in report.measures] == ["V_r", "V_DL", "V_i", "A_i", "VL", "DR", "BIC", "BV/TV"]
    assert tuple(report.inputs["measures"]) == DEFAULT_MEASURES


def test_no_measure_without_a_reason_for_being_undefined():
    with pytest.raises(ValueError, match="note"):
        Measure("X", "x", float("nan"), "mm", "implant", "m", "d")
    assert math.isnan(Measure("X", "x", float("inf"), "mm", "implant", "m", "d", "divided by zero").value)


def test_the_report_finds_measures_by_symbol_and_region():
    report = quantify(explant(), everything(explant()))
    assert report.value("BV/TV") == report.value("BV/TV", "shell 0–0.15 mm")
    assert report.find("BV/TV", "ROI").region == "ROI"
    with pytest.raises(InputError, match="BV/TV"):
        report.find("BV/TV", "elsewhere")


def test_json_holds_measures_series_and_inputs_and_no_nan(tmp_path):
    report = quantify(explant(), everything(explant()))
    report.write_json(tmp_path / "measures.json")
    text = (tmp_path / "measures.json").read_text(encoding="utf-8")
    data = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert set(data) == {"measures", "series", "inputs"}
    assert {"symbol", "name", "value", "unit", "region", "method", "definition", "note"} <= set(data["measures"][0])
    assert data["inputs"]["spacing_zyx_um"] == pytest.approx([50, 40, 50])
    assert data["inputs"]["time_days"] == 84
    assert len(data["measures"]) == len(report.measures)


def test_csv_has_one_row_per_measure_and_region_with_empty_cells_for_nan(tmp_path):
    report = quantify(explant(), QuantifyOptions(time_days=84))
    report.write_csv(tmp_path / "measures.csv")
    with (tmp_path / "measures.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(report.measures)
    by_symbol = {row["symbol"]: row for row in rows}
    assert by_symbol["DR"]["value"] == ""
    assert "No initial screw" in by_symbol["DR"]["note"]
    assert float(by_symbol["BIC"]["value"]) == pytest.approx(report.value("BIC"))
    assert by_symbol["V_r"]["unit"] == "mm³"
    assert by_symbol["V_r"]["voxel_size_um"] == "50 × 40 × 50"
    assert by_symbol["V_r"]["software_version"]


def test_series_csv_has_one_row_per_bin(tmp_path):
    report = quantify(explant(), everything(explant()))
    report.write_series_csv(tmp_path / "series.csv")
    with (tmp_path / "series.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(len(series.values) for series in report.series)


def test_a_file_that_cannot_be_written_is_an_output_error(tmp_path):
    with pytest.raises(OutputError):
        quantify(explant()).write_csv(tmp_path / "no folder" / "measures.csv")
    assert list(tmp_path.iterdir()) == []


def test_only_the_chosen_measures_are_computed():
    report = quantify(explant(), QuantifyOptions(measures=("contact",)))
    assert [m.symbol for m in report.measures] == ["BIC"]


@pytest.mark.parametrize("measures", [("contact", "colour"), ()])
def test_unknown_or_no_measures_are_refused(measures):
    with pytest.raises(InputError, match="bone-volume"):
        quantify(explant(), QuantifyOptions(measures=measures))


def test_notes_are_told_as_warnings_once_but_not_what_was_not_given():
    said = []
    quantify(explant(), QuantifyOptions(distance_mm=5), Events(said.append))
    warnings = [event["message"] for event in said if event["event"] == "warning"]
    assert len(warnings) == 1
    assert "border" in warnings[0]


def test_measuring_reports_progress_and_can_be_cancelled():
    said = []
    quantify(explant(), QuantifyOptions(), Events(said.append))
    progress = [event for event in said if event["event"] == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"]
    with pytest.raises(Cancelled):
        quantify(explant(), QuantifyOptions(), Events(is_cancelled=lambda: True))


def test_a_new_measure_is_a_function_and_an_entry(monkeypatch):
    from MgImplantSegLib.quantification.measures import all_measures as measures

    def porosity(context):
        bone = int(context.voxels_of_code[1])
        return (Measure("N_b", "bone voxels", bone, "1", "volume", "count", "number of bone voxels"),)

    monkeypatch.setitem(measures.MEASURES, "bone-count", measures.MeasureGroup("N_b", porosity))
    report = quantify(explant(), QuantifyOptions(measures=("bone-count",)))
    assert report.value("N_b") == (explant().array == BONE).sum()


def test_an_empty_label_map_gives_reasons_and_no_numbers():
    report = quantify(labelled(plain_grid(6, 6, 6)), QuantifyOptions(time_days=84, measures=tuple(MEASURES)))
    assert report.value("V_r") == report.value("V_DL") == 0
    assert all(math.isnan(m.value) and m.note for m in report.measures if m.symbol not in ("V_r", "V_DL"))


def test_the_field_of_view_of_a_simulated_scan_is_its_round_view():
    scan = simulate_explant(SimulationSettings(size=64, spacing_um=40.0, seed=1))
    seen = field_of_view_of(scan.image)
    assert seen.mean() == pytest.approx(math.pi / 4, abs=0.03)
    assert not seen[:, 0, 0].any()
    assert seen[:, 32, 32].all()
    for order in ((1, 0, 2), (1, 2, 0)):
        turned = Volume(scan.image.array.transpose(order), plain_grid(64, 64, 64))
        np.testing.assert_array_equal(field_of_view_of(turned), seen.transpose(order))


def test_nan_outside_a_round_view_is_seen_too():
    array = np.random.default_rng(0).random((5, 40, 40)).astype(np.float32)
    y, x = np.ogrid[-1:1:40j, -1:1:40j]
    array[:, y**2 + x**2 > 1] = np.nan
    seen = field_of_view_of(Volume(array, plain_grid(5, 40, 40)))
    np.testing.assert_array_equal(seen, ~np.isnan(array))


@pytest.mark.parametrize("kind", ["noise", "constant", "clipped air"])
def test_a_scan_without_a_round_view_counts_whole(kind):
    array = np.random.default_rng(0).random((6, 30, 30))
    if kind == "constant":
        array[:] = 3
    if kind == "clipped air":
        array[:, :, :14] = 0
        array[:, :3] = array[:, -3:] = array[..., -3:] = 0
    assert field_of_view_of(Volume(array, plain_grid(6, 30, 30))).all()


def test_a_series_is_drawn(tmp_path):
    series = Series(
        "BV/TV",
        "bone volume fraction",
        "shells",
        "distance",
        "mm",
        (0, 0.05),
        (0.05, 0.1),
        (20.0, float("nan")),
        "%",
        "voxel count",
    )
    write_series_figure(series, tmp_path / "profile.png")
    assert (tmp_path / "profile.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="png"):
        write_series_figure(series, tmp_path / "profile.bmp")


def test_importing_the_measures_loads_no_heavy_package():
    heavy = ("torch", "vtkmodules", "vtk", "slicer", "matplotlib", "h5py", "tifffile")
    code = (
        "import sys, MgImplantSegLib.quantification, MgImplantSegLib.evaluation;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reports_are_complete_after_construction():
    assert QuantificationReport((), {}).to_dict() == {"measures": [], "series": [], "inputs": {}}
