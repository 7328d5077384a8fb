"""cracks, segment, batch and quantify as a user runs them on a scan with a crack of known place."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from threshold_model import save_threshold_model

from MgImplantSegLib.cli import main
from MgImplantSegLib.grids.labels import CRACK, LabelScheme
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import read_label_map, write_label_map, write_volume

GREY_OF_CLASS = np.array([0, 100, 170, 255], np.uint8)
GEOMETRY = Geometry((24, 40, 40), (0.02, 0.02, 0.02), (1.5, -2.25, 3.125))


@pytest.fixture
def crack() -> np.ndarray:
    """A slab of three voxels across one side of the layer."""
    mask = np.zeros(GEOMETRY.shape_zyx, bool)
    mask[2:22, 18:21, 24:35] = True
    return mask


@pytest.fixture
def folder(tmp_path, monkeypatch, crack):
    """A scan, its segmentation without the crack, and a model of thresholds, to which the crack is background."""
    monkeypatch.chdir(tmp_path)
    labels = np.zeros(GEOMETRY.shape_zyx, np.uint8)
    labels[2:22, 4:35, 4:35] = 2
    labels[2:22, 14:24, 14:24] = 3
    grey = GREY_OF_CLASS[labels]
    grey[crack] = 0
    write_volume(Volume(grey, GEOMETRY), "scan.nrrd")
    write_label_map(LabelMap(labels, GEOMETRY), "labels.seg.nrrd")
    save_threshold_model(tmp_path / "thresholds.mgmodel", 20.0)
    return tmp_path


def test_cracks_of_a_given_segmentation_are_a_segment_of_the_file_that_is_read_back(folder, crack):
    assert main(["cracks", "scan.nrrd", "labels.seg.nrrd", "out.seg.nrrd", "--json", "out.json"]) == 0
    found = read_label_map("out.seg.nrrd")
    label = next(label for label in found.scheme.segments if label.is_opening)
    assert (label.segment_id, label.name, label.type) == ("crack", "crack", CRACK.type)
    assert (found.array[crack] == label.value).mean() > 0.9
    assert (found.array[~crack] == label.value).sum() < 0.05 * crack.sum()
    classes = json.loads((folder / "out.json").read_text())["classes"]
    assert classes["crack"]["voxels"] == int((found.array == label.value).sum())


def test_cracks_as_background_leave_the_classes_as_they_are(folder, crack):
    words = ["cracks", "scan.nrrd", "labels.seg.nrrd", "out.seg.nrrd", "--opening-result", "background"]
    assert main([*words, "--openings", "cracks"]) == 0
    found = read_label_map("out.seg.nrrd")
    assert (found.array[crack] == 0).mean() > 0.9
    assert {label.segment_id for label in found.scheme.segments} <= {label.segment_id for label in LabelScheme().labels}


def test_segment_looks_for_cracks_if_asked_to_and_not_otherwise(folder, crack):
    words = ["--model", "thresholds.mgmodel", "--device", "cpu"]
    assert main(["segment", "scan.nrrd", "plain.seg.nrrd", *words]) == 0
    assert main(["segment", "scan.nrrd", "cracked.seg.nrrd", *words, "--openings", "cracks"]) == 0
    plain, cracked = read_label_map("plain.seg.nrrd"), read_label_map("cracked.seg.nrrd")
    value = next(label.value for label in cracked.scheme.labels if label.is_opening)
    inside = np.zeros_like(crack)  # without the mouths: a gap is closed where a ball does not fit through
    inside[4:20, :, :31] = crack[4:20, :, :31]
    assert (cracked.array[inside] == value).mean() > 0.9
    assert np.array_equal(np.where(cracked.array == value, 0, cracked.array), np.where(crack, 0, plain.array))


def test_batch_looks_for_cracks_and_measures_them_and_a_changed_option_is_new_work(folder):
    (folder / "samples.csv").write_text("name,image\nscan,scan.nrrd\n")
    model = ["--model", "thresholds.mgmodel", "--device", "cpu"]
    words = ["batch", "samples.csv", "results", *model, "--measures", "cracks"]
    assert main([*words, "--openings", "cracks"]) == 0
    made = (folder / "results" / "scan" / "segmentation.seg.nrrd").stat().st_mtime_ns
    with (folder / "results" / "scan" / "measures.csv").open(newline="", encoding="utf-8") as stream:
        values = {row["symbol"]: row["value"] for row in csv.DictReader(stream)}
    assert float(values["Cr.V"]) > 0
    assert main([*words, "--openings", "cracks"]) == 0
    assert (folder / "results" / "scan" / "segmentation.seg.nrrd").stat().st_mtime_ns == made
    assert main([*words, "--openings", "cracks", "--opening-contrast", "0.6"]) == 0
    assert (folder / "results" / "scan" / "segmentation.seg.nrrd").stat().st_mtime_ns != made


def test_a_segmentation_of_another_grid_and_wrong_options_are_errors_of_one_line(folder, capsys):
    assert main(["cracks", "scan.nrrd", "labels.seg.nrrd", "out.seg.nrrd", "--openings", "crack"]) == 2
    assert "Did you mean cracks?" in capsys.readouterr().err
    too_narrow = ["--openings", "cracks", "--opening-width-um", "5", "--model", "thresholds.mgmodel"]
    assert main(["segment", "scan.nrrd", "out.seg.nrrd", *too_narrow]) == 2
    assert "at least a voxel" in capsys.readouterr().err
    shape = (10, 10, 10)
    write_label_map(LabelMap(np.ones(shape, np.uint8), Geometry(shape, (0.5,) * 3)), "other.seg.nrrd")
    assert main(["cracks", "scan.nrrd", "other.seg.nrrd", "out.seg.nrrd"]) == 2
    assert not (folder / "out.seg.nrrd").exists()
