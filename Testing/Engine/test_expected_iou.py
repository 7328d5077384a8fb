"""A model says how good its segmentation is likely to be, from what the run shows, and warns where it is not good."""

from __future__ import annotations

import csv
import json
import logging
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import ndimage, special
from threshold_model import save_threshold_model

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.expected_iou import KEY, Calibration, Expected, ExpectedIoU
from MgImplantSegLib.cli import main
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.inference.fused import FusedPlan, predict_fused
from MgImplantSegLib.inference.run_statistics import features_of, run_statistics
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.io import read_label_map, write_label_map, write_volume
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.planes.plane_sets import plane_set
from MgImplantSegLib.preprocessing.preprocess import Preprocessing
from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions, quantify
from MgImplantSegLib.training.teach.card import Round, taught_card
from MgImplantSegLib.training.teach.settings import TeachSettings

MM = 0.02
ROLES = ("background", "bone", "degradation_layer", "residual_material")
BY_AGREEMENT = {"intercept": -2.0, "weights": {"agreement": 4.0}, "error": 0.05, "error_growth": 0.2}
BY_NOTHING = {"intercept": 0.0, "weights": {}, "error": 0.1, "error_growth": 0.0}
LOW = ExpectedIoU(
    {"bone": Expected(0.9, 0.04), "degradation_layer": Expected(0.45, 0.12)}, Expected(0.62, 0.08), is_low=True
)


def calibration(warn_below: float = 0.8) -> dict:
    mean = {"mean": BY_AGREEMENT | {"weights": {"mean_agreement": 4.0}}}
    return {
        "several_planes": dict.fromkeys(ROLES, BY_AGREEMENT) | mean,
        "one_plane": dict.fromkeys(ROLES, BY_NOTHING) | mean,
        "warn_below": warn_below,
    }


def scan(spread: float) -> Volume:
    """Four levels of grey in boxes, with noise."""
    array = np.zeros((24, 24, 24), np.float32)
    array[4:20, 4:20, 4:20], array[8:16, 8:16, 8:16], array[:, 21:] = 0.65, 1.0, 0.38
    noise = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=array.shape), 0.6)
    return Volume((array + spread * noise / noise.std()).astype(np.float32), Geometry(array.shape, (MM,) * 3))


def plane_dependent(slices: np.ndarray) -> np.ndarray:
    """Probabilities that depend on where in its slice a pixel lies, so that the planes do not agree."""
    rows = np.linspace(0, 1, slices.shape[2], dtype=np.float32)[None, :, None]
    scores = np.stack([0 * slices[:, 0], 3 * slices[:, 0], rows + slices[:, 0], 2 - 2 * slices[:, 0]], axis=1)
    return special.softmax(4 * scores, axis=1).astype(np.float32)


def test_the_sums_are_those_of_the_probabilities_of_all_planes():
    array = np.random.default_rng(1).random((9, 11, 13)).astype(np.float32)
    prediction = predict_fused(array, plane_dependent, FusedPlan("3"))
    of_planes = []
    for plane in plane_set("3"):
        predicted = plane_dependent(
            np.ascontiguousarray(plane.view(array))[:, None]
        )  # (slices, classes, rows, columns)
        back = np.empty((4, *array.shape), np.float32)
        plane.view(back)[:] = np.moveaxis(predicted, 1, 0)
        of_planes.append(back.astype(float))
    mean = np.mean(of_planes, axis=0)
    labels = mean.argmax(axis=0)
    statistics = run_statistics(prediction)
    expected_agreement, expected_certainty = [], []
    for index in range(4):
        pairs = [(a[index], b[index]) for a, b in combinations(of_planes, 2)]
        common = np.mean([(a * b).sum() for a, b in pairs])
        squares = np.mean([(values[index] ** 2).sum() for values in of_planes])
        expected_agreement.append(common / (2 * squares - common))
        inside = mean[index][labels == index].sum()
        expected_certainty.append(inside / ((labels == index).sum() + mean[index].sum() - inside))
    np.testing.assert_allclose(statistics.agreement(), expected_agreement, rtol=1e-3)
    np.testing.assert_allclose(statistics.certainty(), expected_certainty, rtol=1e-3)
    np.testing.assert_array_equal(statistics.voxels, np.bincount(labels.ravel(), minlength=4))
    features = features_of(statistics, LabelScheme())
    assert set(features) == {"mean", *(role for role, count in zip(ROLES, statistics.voxels, strict=True) if count)}
    assert features["mean"]["mean_agreement"] == pytest.approx(
        np.mean([value for value, count in zip(expected_agreement, statistics.voxels, strict=True) if count]), rel=1e-3
    )


def test_planes_that_say_the_same_agree_wholly_and_one_plane_always():
    array = np.random.default_rng(1).random((8, 8, 8)).astype(np.float32)

    def pointwise(slices):
        return special.softmax(np.stack([2 * slices[:, 0], slices[:, 0], 1 - slices[:, 0]], axis=1), axis=1)

    for planes in ("3", "1"):
        prediction = predict_fused(array, pointwise, FusedPlan(planes, classes=3))
        np.testing.assert_allclose(run_statistics(prediction).agreement(), 1, atol=1e-4)


def features(agreement: float) -> dict[str, dict[str, float]]:
    return {role: {"agreement": agreement} for role in ROLES} | {"mean": {"mean_agreement": agreement}}


def test_of_two_scans_the_one_on_which_the_planes_agree_less_is_expected_to_be_worse():
    calibrated = Calibration.from_dict(calibration())
    good, bad = (calibrated.expected(features(value), 3, frozenset(ROLES)) for value in (0.9, 0.5))
    assert good.mean.value == pytest.approx(1 / (1 + np.exp(-1.6)))
    assert not good.is_low
    assert bad.mean.value == bad.of_role["bone"].value == pytest.approx(0.5)
    assert bad.is_low
    assert bad.mean.error == pytest.approx(0.05 + 0.2 * 0.5)
    assert good.warning() == ""


def test_only_what_was_found_is_told_and_nothing_where_nothing_was_found():
    calibrated = Calibration.from_dict(calibration())
    told = calibrated.expected(features(0.7), 3, frozenset({"background", "bone"}))
    assert set(told.of_role) == {"background", "bone"}
    assert calibrated.expected(features(0.7), 3, frozenset({"background"})) is None
    assert calibrated.expected(features(0.7), 1, frozenset(ROLES)).of_role["bone"].value == pytest.approx(0.5)


@pytest.mark.parametrize(
    "damage",
    [
        {"warn_below": "high"},
        {"several_planes": {"bone": BY_AGREEMENT | {"weights": {"luck": 1.0}}}},
        {"several_planes": {"bone": BY_AGREEMENT | {"weights": {"agreement": -1.0}}}},
        {"one_plane": []},
        {"one_plane": {"bone": BY_AGREEMENT | {"error": float("nan")}}},
    ],
)
def test_a_damaged_calibration_is_one_line(damage, tmp_path):
    with pytest.raises(InputError, match="calibration"):
        save_threshold_model(tmp_path / "m.mgmodel", 20.0, calibration=calibration() | damage)


def test_a_model_without_calibration_says_nothing(tmp_path, capsys):
    model = save_threshold_model(tmp_path / "m.mgmodel", 20.0)
    write_volume(scan(0.02), tmp_path / "scan.nrrd")
    out = tmp_path / "s.seg.nrrd"
    assert main(["segment", str(tmp_path / "scan.nrrd"), str(out), "--model", str(model), "--device", "cpu"]) == 0
    assert "xpected IoU" not in "".join(capsys.readouterr())
    assert KEY not in read_label_map(out).provenance


def test_a_low_expectation_is_said_kept_in_the_file_and_repeated_at_what_depends_on_the_implant(tmp_path, capsys):
    model = save_threshold_model(tmp_path / "m.mgmodel", 20.0, sharpness=20.0, calibration=calibration(warn_below=1.0))
    write_volume(scan(0.1), tmp_path / "scan.nrrd")
    out, told, table = (str(tmp_path / name) for name in ("s.seg.nrrd", "told.json", "m.csv"))
    words = ["segment", str(tmp_path / "scan.nrrd"), out, "--model", str(model), "--device", "cpu", "--json", told]
    assert main(words[:-2]) == 0
    said = capsys.readouterr()
    assert "teach it before you use DR and BIC" in said.err
    assert "expected IoU" in said.out
    assert main(words) == 0
    result = json.loads((tmp_path / "told.json").read_text("utf-8"))["expected_iou"]
    assert set(result) == {*ROLES, "mean", "is_low", "voxels"}
    assert result["voxels"] == read_label_map(out).voxels_of_roles()
    assert read_label_map(out).provenance[KEY] == result
    assert main(["quantify", out, "--csv", table]) == 0
    assert "teach it before" in capsys.readouterr().out
    assert main(["quantify", out, "--json", told]) == 0
    with open(table, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    note_of = {row["symbol"]: row["note"] for row in rows}
    mean = ExpectedIoU.from_dict(result).mean.text()
    assert {row["expected_iou"] for row in rows} == {mean}
    assert all("Expected IoU: mean" in note_of[symbol] for symbol in ("V_r", "V_DL", "DR", "BIC"))
    assert not any("Expected IoU" in note_of[symbol] for symbol in ("V_i", "A_i", "BV/TV"))
    inputs = json.loads((tmp_path / "told.json").read_text("utf-8"))["inputs"]
    assert inputs["segmentation"][KEY] == result


def test_a_segmentation_that_was_corrected_is_no_longer_warned_of():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[2:8, 2:8, 2:8], labels[4:6, 4:6, 4:6], labels[:, 9] = 2, 3, 1
    label_map = LabelMap(labels, Geometry(labels.shape, (MM,) * 3))
    voxels = {"bone": 100, "degradation_layer": 208, "residual_material": 8}
    assert label_map.voxels_of_roles() == voxels
    told = replace(LOW, voxels=voxels).to_dict()
    corrected = labels.copy()
    corrected[2, 2, 2] = 0
    for array, is_said in ((labels, True), (corrected, False)):
        report = quantify(replace(label_map, array=array, provenance={KEY: told}))
        assert ("Expected IoU" in report.find("V_r").note) is is_said
        assert (KEY in report.inputs["segmentation"]) is is_said


def test_a_good_expectation_makes_no_note(tmp_path):
    model = save_threshold_model(tmp_path / "m.mgmodel", 20.0, calibration=calibration(warn_below=0.5))
    warnings: list[str] = []
    events = Events()
    with events.warnings_into(warnings):
        label_map = segment_volume(scan(0.02), SegmentOptions(model, device="cpu"), events).label_map
        report = quantify(label_map, QuantifyOptions(InitialScrew(1.0, 5.0), 30.0), events)
    assert label_map.provenance[KEY]["mean"]["value"] > 0.5
    assert not [text for text in (*warnings, *(m.note for m in report.measures)) if "xpected IoU" in text]


@pytest.mark.parametrize("name", ["s.seg.nrrd", "s.nrrd", "s.mha"])
def test_what_is_expected_stays_in_the_file(tmp_path, name):
    labels = np.arange(4, dtype=np.uint8).repeat(250).reshape(10, 10, 10)
    label_map = LabelMap(labels, Geometry(labels.shape, (MM,) * 3), provenance={KEY: LOW.to_dict()})
    write_label_map(label_map, tmp_path / name)
    assert ExpectedIoU.from_dict(read_label_map(tmp_path / name).provenance[KEY]) == LOW


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"mean": 3}', '{"is_low": true}'])
def test_a_damaged_expectation_in_a_header_is_told_of_and_the_rest_is_read(tmp_path, caplog, text):
    labels = np.arange(4, dtype=np.uint8).repeat(250).reshape(10, 10, 10)
    label_map = LabelMap(labels, Geometry(labels.shape, (MM,) * 3), provenance={KEY: LOW.to_dict()})
    path = tmp_path / "s.seg.nrrd"
    write_label_map(label_map, path)
    good = f"MgImplantSeg_ExpectedIoU:={json.dumps(LOW.to_dict())}".encode()
    content = path.read_bytes()
    assert good in content
    path.write_bytes(content.replace(good, f"MgImplantSeg_ExpectedIoU:={text}".encode()))
    with caplog.at_level(logging.WARNING):
        read = read_label_map(path)
    assert "expected IoU in its header cannot be read" in caplog.text
    assert KEY not in read.provenance
    np.testing.assert_array_equal(read.array, labels)


def test_the_words_name_layer_and_remedy():
    assert LOW.warning() == (
        "Expected IoU: mean 0.62 ± 0.08 (bone 0.90 ± 0.04, layer 0.45 ± 0.12): the model is unsure of this scan; "
        "teach it before you use DR and BIC."
    )


def test_a_taught_model_has_to_be_calibrated_anew():
    parent = ModelCard("p", {"name": "unet", "depth": 1, "width": 1}, Preprocessing(20.0), calibration=calibration())
    taught = taught_card(parent, "t", TeachSettings(), [], Round("settled", 3, 0.1, {}), "teach")
    assert parent.calibration
    assert taught.calibration == {}
    assert "calibration" not in taught.to_dict()
