"""The paper's Table 3: deviations from the reference, means and standard errors over samples, CSV and figure."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from measured_shapes import BONE, LAYER, METAL, plain_grid

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.evaluation import Comparison, compare, read_comparisons, summarise, write_summary_csv
from MgImplantSegLib.evaluation.comparison import ComparedValue
from MgImplantSegLib.evaluation.figure import write_deviation_figure
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions

GRID = plain_grid(6, 6, 24, spacing_zyx_mm=(0.1, 0.1, 0.1))
OPTIONS = QuantifyOptions(InitialScrew.from_values(1.0, 5.0), 365.25, distance_mm=0.8)
LAYER_MM3 = 36 * 1e-3


def layered(metal: int, bone: int = 4) -> LabelMap:
    labels = np.zeros(GRID.shape_zyx, np.uint8)
    labels[..., :9], labels[..., :metal], labels[..., 9 : 9 + bone] = LAYER, METAL, BONE
    return LabelMap(labels, GRID)


def compared(sample: str = "a") -> Comparison:
    return compare(layered(6), {"network": layered(5, bone=3), "same": layered(6)}, OPTIONS, sample=sample)


def test_measures_deviate_in_percent_of_the_reference():
    table = compared()
    volume = table.value("network", "V_r")
    assert volume.reference == pytest.approx(6 * LAYER_MM3)
    assert volume.deviation_percent == pytest.approx(-100 / 6)
    rate = table.value("network", "DR")
    assert rate.deviation_percent == pytest.approx(100 * LAYER_MM3 / (1 - 6 * LAYER_MM3))
    assert table.value("network", "BV/TV").deviation_percent == pytest.approx(-25)


def test_an_equal_segmentation_deviates_by_nothing():
    for entry in compared().values:
        if entry.segmentation in ("same", "reference") and math.isfinite(entry.deviation_percent):
            assert entry.deviation_percent == pytest.approx(0, abs=1e-9)


def test_overlap_scores_stand_in_the_same_table():
    table = compared()
    assert table.value("network", "IoU", "residual material").value == pytest.approx(5 / 6)
    assert table.value("network", "mean IoU").value == pytest.approx((11 / 12 + 3 / 4 + 3 / 4 + 5 / 6) / 4)


def test_a_reference_of_zero_leaves_the_deviation_undefined_and_says_so():
    table = compare(layered(6, bone=0), {"network": layered(6)}, OPTIONS)
    contact = table.value("network", "BIC")
    assert contact.value == 100
    assert math.isnan(contact.deviation_percent)
    assert "reference is 0" in contact.note


def test_means_and_standard_errors_over_samples_are_those_of_the_formula():
    values = [2.0, 4.0, 9.0]
    tables = [
        Comparison((ComparedValue(str(k), "network", "DR", "", "implant", v, "mm/year", 4.0, 100 * (v - 4) / 4),))
        for k, v in enumerate(values)
    ]
    (row,) = summarise(tables)
    assert row.samples == 3
    assert row.mean == pytest.approx(5)
    assert row.standard_error == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))
    assert row.mean_deviation_percent == pytest.approx(25)


def test_undefined_values_are_left_out_and_one_sample_has_no_error():
    nan = float("nan")
    tables = [
        Comparison((ComparedValue("1", "n", "DR", "", "implant", 3.0, "mm/year", 3.0, 0.0),)),
        Comparison((ComparedValue("2", "n", "DR", "", "implant", nan, "mm/year", nan, nan, "no time"),)),
    ]
    (row,) = summarise(tables)
    assert (row.samples, row.mean) == (1, 3.0)
    assert math.isnan(row.standard_error)


def test_tables_are_written_with_empty_cells_for_nan(tmp_path):
    compared().write_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["segmentation"] for row in rows} == {"reference", "network", "same"}
    assert "nan" not in (tmp_path / "table.csv").read_text(encoding="utf-8").replace(" reference", "")
    write_summary_csv(summarise([compared("a"), compared("b")]), tmp_path / "summary.csv")
    with (tmp_path / "summary.csv").open(encoding="utf-8", newline="") as stream:
        summary = {(row["segmentation"], row["symbol"]): row for row in csv.DictReader(stream)}
    assert float(summary["network", "DR"]["standard_error"]) == 0
    assert summary["network", "DR"]["samples"] == "2"


def test_tables_of_samples_are_read_back_and_named_after_their_files(tmp_path):
    for name in ("one", "two"):
        compared("").write_csv(tmp_path / f"{name}.csv")
    tables = read_comparisons([tmp_path / "one.csv", tmp_path / "two.csv"])
    assert [table.values[0].sample for table in tables] == ["one", "two"]
    assert tables[0].value("network", "DR").deviation_percent == pytest.approx(
        compared().value("network", "DR").deviation_percent
    )
    rows = {(row.segmentation, row.symbol): row for row in summarise(tables)}
    assert rows["network", "DR"].samples == 2


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\x00", "sample,segmentation\n"])
def test_other_tables_are_refused(tmp_path, text):
    (tmp_path / "other.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="compare"):
        read_comparisons([tmp_path / "other.csv"])
    with pytest.raises(InputError):
        read_comparisons([tmp_path / "missing.csv"])


def test_the_figure_is_drawn(tmp_path):
    write_deviation_figure([compared("a"), compared("b")], tmp_path / "deviations.png")
    assert (tmp_path / "deviations.png").stat().st_size > 5000
    with pytest.raises(InputError, match="none"):
        write_deviation_figure([], tmp_path / "empty.png")


def test_nothing_to_compare_or_a_taken_name_is_refused():
    for others in ({}, {"reference": layered(6)}):
        with pytest.raises(InputError, match="besides"):
            compare(layered(6), others, OPTIONS)


def test_segmentations_on_other_grids_are_refused():
    other = LabelMap(np.zeros((2, 2, 2), np.uint8), plain_grid(2, 2, 2))
    with pytest.raises(InputError, match="grid"):
        compare(layered(6), {"other": other}, OPTIONS)


def test_a_number_that_is_not_there_is_an_error():
    with pytest.raises(InputError):
        compared().value("network", "colour")
