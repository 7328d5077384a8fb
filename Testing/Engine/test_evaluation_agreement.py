"""Agreement of raters against published values, and compare over folders of segmentations."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.cli import main
from MgImplantSegLib.evaluation import bland_altman, intraclass_correlation
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.io import write_label_map

# Shrout & Fleiss, Psychol. Bull. 86:420 (1979), Table 2: six targets, four judges
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
# Bland & Altman, Lancet 327:307 (1986), first readings of the Wright and the mini Wright peak flow meter, l/min
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_intraclass_correlations_are_those_of_shrout_and_fleiss():
    found = intraclass_correlation(np.array(JUDGES, float))
    assert (found.icc_2_1, found.icc_3_1) == pytest.approx((0.2898, 0.7148), abs=5e-5)  # .29 and .71 in the paper
    assert (found.icc_2_1_low, found.icc_2_1_high) == pytest.approx((0.019, 0.761), abs=5e-4)  # R: psych::ICC
    assert (found.icc_3_1_low, found.icc_3_1_high) == pytest.approx((0.342, 0.946), abs=5e-4)
    assert (found.samples, found.raters) == (6, 4)


def test_limits_of_agreement_are_those_of_bland_and_altman():
    found = bland_altman([float(value) for value in MINI], [float(value) for value in WRIGHT])
    assert (found.samples, found.bias, found.standard_deviation) == pytest.approx((17, -2.1, 38.8), abs=0.05)
    assert (found.lower_limit, found.upper_limit) == pytest.approx(
        (-78.1, 73.9), abs=0.1
    )  # the paper: 2 SD, -79.7, 75.5
    assert (found.bias_low, found.bias_high) == pytest.approx((-22.0, 17.8), abs=0.1)
    assert found.limit_half_interval == pytest.approx(34.6, abs=0.15)  # the paper: -114.3 to -45.1 around -79.7


def test_samples_that_one_rater_could_not_measure_are_left_out():
    ratings = np.array([*JUDGES, [np.nan, 3, 4, 5]], float)
    assert intraclass_correlation(ratings) == intraclass_correlation(np.array(JUDGES, float))
    assert bland_altman([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0]).bias == pytest.approx(1.5)


@pytest.mark.parametrize("ratings", [np.ones((5, 2)), np.ones((1, 3)), np.full((4, 2), np.nan)])
def test_without_spread_or_samples_a_correlation_is_undefined(ratings):
    found = intraclass_correlation(ratings)
    assert math.isnan(found.icc_2_1) and math.isnan(found.icc_3_1_low)


def test_raters_that_agree_exactly_have_one_and_a_constant_shift_is_seen_by_agreement_alone():
    values = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    assert intraclass_correlation(values).icc_2_1 == pytest.approx(1.0)
    shifted = intraclass_correlation(values + np.array([0.0, 10.0]))
    assert shifted.icc_3_1 == pytest.approx(1.0) and shifted.icc_2_1 < 0.1


def test_ratings_that_are_no_table_are_refused():
    with pytest.raises(InputError, match="two raters or more"):
        intraclass_correlation(np.ones((4, 1)))
    with pytest.raises(InputError, match="same samples"):
        bland_altman([1.0], [1.0, 2.0])


def label_map(metal: int) -> LabelMap:
    array = np.zeros((12, 12, 12), np.uint8)
    array[3:9, 3:9, 3:9] = 2
    array[4 : 4 + metal, 4:8, 4:8] = 3
    array[:, 10:, :] = 1
    return LabelMap(array, Geometry((12, 12, 12), (0.02,) * 3))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A reference and two raters, three samples of 1, 2 and 4 layers of metal; the second lacks one sample."""
    monkeypatch.chdir(tmp_path)
    for folder, layers in (("truth", (1, 2, 4)), ("anna", (2, 3, 4)), ("ben", (1, 2))):
        (tmp_path / folder).mkdir()
        for name, count in zip("abc", layers, strict=False):
            write_label_map(label_map(count), tmp_path / folder / f"{name}.{'nrrd' if folder == 'ben' else 'seg.nrrd'}")
    return tmp_path


def test_folders_give_the_papers_table_and_the_raters_agreement(folders, capsys):
    words = ["--json", "r.json", "--csv", "all.csv", "--summary", "table.csv", "--agreement", "agreement.csv"]
    assert main(["compare", "--reference", "truth", "anna", "ben", *words]) == 0
    assert "c: no file of that name in ben" in capsys.readouterr().err
    result = json.loads((folders / "r.json").read_text("utf-8"))
    layer = 16 * 0.02**3
    rows = {(row["segmentation"], row["symbol"]): row for row in result["summary"]}
    anna = rows["anna", "V_r"]
    assert (anna["samples"], anna["mean"]) == (3, pytest.approx(3 * layer))
    assert anna["standard_error"] == pytest.approx(layer / math.sqrt(3))
    assert anna["mean_deviation_percent"] == pytest.approx((100 + 50 + 0) / 3)
    assert rows["ben", "V_r"]["samples"] == 2
    agreed = {(row["first"], row["second"], row["symbol"]): row for row in result["agreement"]}
    pair = agreed["reference", "anna", "V_r"]
    assert (pair["samples"], pair["bias"]) == (3, pytest.approx(layer * 2 / 3))
    assert pair["standard_deviation"] == pytest.approx(layer / math.sqrt(3))
    expected = intraclass_correlation(np.array([[1, 2], [2, 3], [4, 4]], float))
    assert pair["icc_2_1"] == pytest.approx(expected.icc_2_1)
    assert agreed["all", "all", "V_r"]["samples"] == 2
    with open("table.csv", newline="", encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == len(result["summary"])
    with open("agreement.csv", newline="", encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == len(result["agreement"])
    with open("all.csv", newline="", encoding="utf-8") as stream:
        assert {row["sample"] for row in csv.DictReader(stream)} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["truth", "anna/a.seg.nrrd"], "Expected folders of segmentations or segmentations, got both"),
        (["truth", "empty"], "Expected files with the same names"),
        (
            ["truth/a.seg.nrrd", "anna/a.seg.nrrd", "--summary", "t.csv"],
            "Expected folders of segmentations for --summary",
        ),
    ],
)
def test_folders_that_do_not_fit_are_one_line(folders, capsys, words, part):
    (folders / "empty").mkdir()
    assert main(["compare", "--reference", *words]) == 2
    error = capsys.readouterr().err.splitlines()
    assert part in error[-1]
