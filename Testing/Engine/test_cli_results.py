"""segment, quantify, evaluate, simulate and demo as a user runs them, on volumes whose result is known."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from threshold_model import save_threshold_model

from MgImplantSegLib.base.errors import OutputError
from MgImplantSegLib.base.option_kinds import ResultFolderPath, ResultPath
from MgImplantSegLib.cli import main, result_paths
from MgImplantSegLib.cli.demo_case import middle_box
from MgImplantSegLib.cli.parser import Parser
from MgImplantSegLib.cli.registry import COMMANDS, command
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.grids.regions import OrientedBox, read_roi_markups, write_roi_markups
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import read_label_map, read_volume, write_label_map, write_volume

CHECKOUT = Path(__file__).resolve().parents[2]
# columns are the axes x, y, z of a turned, left-handed frame
TURNED = (0.8, 0.0, -0.6, 0.36, 0.8, 0.48, -0.48, 0.6, -0.64)
GREY_OF_CLASS = np.array([0, 100, 170, 255], np.uint8)


@pytest.fixture
def geometry():
    return Geometry((20, 22, 24), (0.02, 0.02, 0.02), (1.5, -2.25, 3.125), TURNED)


@pytest.fixture
def labels():
    """A rod of metal (4×4) in a layer of 2 voxels along z, bone in one corner."""
    array = np.zeros((20, 22, 24), np.uint8)
    array[2:18, 8:16, 8:16] = 2
    array[2:18, 10:14, 10:14] = 3
    array[:, 16:, 8:16] = 1
    return array


@pytest.fixture
def folder(tmp_path, monkeypatch, geometry, labels):
    """A folder with a scan that thresholds segment exactly, its truth and the model with the thresholds."""
    monkeypatch.chdir(tmp_path)
    write_volume(Volume(GREY_OF_CLASS[labels], geometry), "scan.nrrd")
    write_label_map(LabelMap(labels, geometry), "truth.seg.nrrd")
    save_threshold_model(tmp_path / "thresholds.mgmodel", 20.0)
    return tmp_path


def run(*words: str) -> None:
    assert main(list(words)) == 0


def read_json(path) -> dict:
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("planes", ["1", "3"])
def test_a_scan_becomes_the_segmentation_that_the_model_says_on_the_grid_of_the_scan(folder, geometry, labels, planes):
    run("segment", "scan.nrrd", "out.seg.nrrd", "--model", "thresholds.mgmodel", "--planes", planes)
    result = read_label_map("out.seg.nrrd")
    assert result.geometry.same_grid(geometry)
    np.testing.assert_array_equal(result.array, labels)


def test_the_result_of_segment_names_files_classes_and_provenance(folder, labels):
    run(
        "segment",
        "scan.nrrd",
        "out.nrrd",
        "--model",
        "thresholds.mgmodel",
        "--json",
        "result.json",
        "--disagreement",
        "d.nrrd",
        "--probabilities",
        "p.nrrd",
    )
    result = read_json(folder / "result.json")
    assert result["classes"]["residual_material"]["voxels"] == int((labels == 3).sum())
    assert result["classes"]["residual_material"]["volume_mm3"] == pytest.approx((labels == 3).sum() * 0.02**3)
    assert result["files"] == [
        "out.nrrd",
        "d.nrrd",
        *(f"p_{name}.nrrd" for name in ("background", "bone", "degradation_layer", "residual_material")),
    ]
    assert all((folder / name).exists() for name in result["files"])
    np.testing.assert_allclose(read_volume("d.nrrd").array, 0)
    np.testing.assert_allclose(read_volume("p_bone.nrrd").array, labels == 1, atol=1e-3)
    assert result["provenance"]


def test_a_region_limits_what_is_segmented_and_the_rest_is_unknown(folder, geometry, labels):
    centre = tuple(geometry.lps_from_index_zyx(np.array([5.0, 11.5, 11.5])))
    write_roi_markups([OrientedBox(centre, geometry.direction_matrix, (0.16, 0.16, 0.12))], "roi.mrk.json")
    run("segment", "scan.nrrd", "out.nrrd", "--model", "thresholds.mgmodel", "--roi", "roi.mrk.json")
    result = read_label_map("out.nrrd")
    inside = np.zeros(labels.shape, bool)
    inside[3:8, 8:16, 8:16] = True
    known = ~result.ignore_mask()
    assert inside[known].mean() > 0.7 and known[4:7, 9:15, 9:15].all()
    np.testing.assert_array_equal(result.array[known], labels[known])


def test_a_folder_of_tiff_slices_needs_its_voxel_size_from_the_user(folder, labels, capsys):
    import tifffile

    (folder / "slices").mkdir()
    for z, image in enumerate(GREY_OF_CLASS[labels]):
        tifffile.imwrite(folder / "slices" / f"slice_{z:04d}.tif", image)
    assert main(["segment", "slices", "out.seg.nrrd", "--model", "thresholds.mgmodel"]) == 2
    assert "--spacing-um" in capsys.readouterr().err
    run("segment", "slices", "out.seg.nrrd", "--model", "thresholds.mgmodel", "--spacing-um", "20")
    np.testing.assert_array_equal(read_label_map("out.seg.nrrd").array, labels)


def test_the_measures_come_as_json_and_csv_with_units_and_reasons(folder, labels):
    run("quantify", "truth.seg.nrrd", "--json", "m.json", "--csv", "m.csv")
    measures = {entry["symbol"]: entry for entry in read_json(folder / "m.json")["measures"]}
    assert set(measures) >= {"V_i", "A_i", "V_r", "V_DL", "VL", "DR", "BIC", "BV/TV"}
    assert measures["V_r"]["value"] == pytest.approx(16 * 4 * 4 * 0.02**3)
    assert measures["V_DL"]["value"] == pytest.approx(16 * (8 * 8 - 4 * 4) * 0.02**3)
    assert measures["BIC"]["value"] == pytest.approx(100 * (16 * 8) / (4 * 16 * 8 + 2 * 8 * 8))
    assert measures["DR"]["value"] is None and measures["DR"]["note"]
    with open(folder / "m.csv", newline="", encoding="utf-8") as stream:
        rows = {row["symbol"]: row for row in csv.DictReader(stream)}
    assert float(rows["V_r"]["value"]) == pytest.approx(measures["V_r"]["value"])
    assert rows["DR"]["value"] == "" and rows["DR"]["note"] and rows["DR"]["unit"] == "mm/year"


def test_the_degradation_rate_follows_from_typed_volume_area_and_days(folder):
    run(
        "quantify",
        "truth.seg.nrrd",
        "--initial-volume-mm3",
        "0.009",
        "--initial-area-mm2",
        "0.5",
        "--days",
        "73.05",
        "--json",
        "m.json",
    )
    measures = {entry["symbol"]: entry["value"] for entry in read_json(folder / "m.json")["measures"]}
    lost_mm3 = 0.009 - 16 * 4 * 4 * 0.02**3
    assert measures["DR"] == pytest.approx(lost_mm3 / (0.5 * 0.2))
    assert measures["VL"] == pytest.approx(100 * lost_mm3 / 0.009)


def test_a_segmentation_of_the_screw_before_gives_volume_and_rate(folder, geometry):
    screw = np.zeros(geometry.shape_zyx, np.uint8)
    screw[2:18, 8:16, 8:16] = 255
    write_volume(Volume(screw, geometry), "before.mha")
    run(
        "quantify",
        "truth.seg.nrrd",
        "--initial",
        "before.mha",
        "--initial-roles",
        "255=residual_material",
        "--days",
        "84",
        "--json",
        "m.json",
    )
    measures = {entry["symbol"]: entry["value"] for entry in read_json(folder / "m.json")["measures"]}
    assert measures["V_i"] == pytest.approx(16 * 8 * 8 * 0.02**3)
    assert measures["DR"] == pytest.approx((measures["V_i"] - measures["V_r"]) / measures["A_i"] / (84 / 365.25))


def test_chosen_measures_and_profiles_are_written(folder):
    run("quantify", "truth.seg.nrrd", "--measures", "volumes,bone-profile", "--series-csv", "s.csv", "--json", "m.json")
    assert {entry["symbol"] for entry in read_json(folder / "m.json")["measures"]} == {"V_r", "V_DL"}
    with open(folder / "s.csv", newline="", encoding="utf-8") as stream:
        assert {row["x_unit"] for row in csv.DictReader(stream)} == {"mm"}


def test_another_numbering_is_read_with_roles(folder, geometry, labels):
    other = np.array([0, 50, 7, 9], np.uint8)[labels]
    write_volume(Volume(other, geometry), "other.nrrd")
    run("quantify", "truth.seg.nrrd", "--json", "a.json")
    run("quantify", "other.nrrd", "--roles", "50=bone,7=degradation_layer,9=residual_material", "--json", "b.json")
    values = [[entry["value"] for entry in read_json(folder / name)["measures"]] for name in ("a.json", "b.json")]
    assert values[0] == values[1]


def test_several_regions_give_a_measure_each(folder, geometry):
    for name, index in (("left", 6.0), ("right", 18.0)):
        centre = tuple(geometry.lps_from_index_zyx(np.array([10.0, index, 12.0])))
        write_roi_markups([OrientedBox(centre, geometry.direction_matrix, (0.1, 0.1, 0.1), name)], f"{name}.mrk.json")
    run("quantify", "truth.seg.nrrd", "--roi", "left.mrk.json", "right.mrk.json", "--json", "m.json")
    values = {
        entry["region"]: entry["value"]
        for entry in read_json(folder / "m.json")["measures"]
        if entry["symbol"] == "BV/TV"
    }
    assert {"left", "right"} <= set(values)
    assert values["right"] == pytest.approx(100) and values["left"] == pytest.approx(0)


def test_evaluate_gives_iou_and_dice_by_hand(folder, geometry, labels, capsys):
    shifted = np.roll(labels, 1, axis=0)
    write_label_map(LabelMap(shifted, geometry), "shifted.seg.nrrd")
    run("evaluate", "shifted.seg.nrrd", "truth.seg.nrrd", "--json", "e.json")
    metal = read_json(folder / "e.json")["classes"]["residual_material"]
    assert metal["iou"] == pytest.approx(15 / 17) and metal["dice"] == pytest.approx(15 / 16)
    run("evaluate", "truth.seg.nrrd", "truth.seg.nrrd")
    assert "residual material" in capsys.readouterr().out


def test_distances_between_surfaces_come_on_request(folder, geometry, labels, capsys):
    thinner = labels.copy()
    thinner[:, 16, :][thinner[:, 16, :] == 1] = 0  # one sheet of bone is missing
    write_label_map(LabelMap(thinner, geometry), "thinner.seg.nrrd")
    run("evaluate", "thinner.seg.nrrd", "truth.seg.nrrd", "--surface-distances", "--json", "e.json")
    classes = read_json(folder / "e.json")["classes"]
    assert classes["residual_material"]["surface_distance"]["max_mm"] == pytest.approx(0)
    assert classes["bone"]["surface_distance"]["max_mm"] == pytest.approx(0.02)
    run("evaluate", "thinner.seg.nrrd", "truth.seg.nrrd", "--surface-distances")
    assert "max mm" in capsys.readouterr().out


def test_compare_sets_each_segmentation_beside_the_reference(folder, geometry, labels, capsys):
    less_metal = np.where(labels == 3, 2, labels).astype(np.uint8)
    less_metal[2:10, 10:14, 10:14] = 3
    write_label_map(LabelMap(less_metal, geometry), "less.seg.nrrd")
    words = ["compare", "less.seg.nrrd", "truth.seg.nrrd", "--reference", "truth.seg.nrrd"]
    run(*words, "--csv", "c.csv", "--json", "c.json", "--figure", "c.png")
    rows = {(entry["segmentation"], entry["symbol"]): entry for entry in read_json(folder / "c.json")["comparison"]}
    assert rows["less", "V_r"]["deviation_percent"] == pytest.approx(-50)
    assert rows["truth", "V_r"]["deviation_percent"] == pytest.approx(0)
    assert rows["truth", "mean IoU"]["value"] == pytest.approx(1)
    assert (folder / "c.png").stat().st_size > 1000
    run(*words)
    assert "-50.0 %" in capsys.readouterr().out


@pytest.mark.slow
def test_a_screw_in_another_place_is_registered_to_the_explant(folder, geometry, labels):
    """The screw before implantation lies on a grid of its own, shifted by known millimetres."""
    screw = np.isin(labels, (2, 3)).astype(np.uint8) * 3
    shifted = Geometry(geometry.shape_zyx, geometry.spacing_zyx_mm, (11.5, -7.25, 8.125), TURNED)
    write_label_map(LabelMap(screw, shifted), "before.seg.nrrd")
    run("register", "truth.seg.nrrd", "before.seg.nrrd", "place.tfm", "--json", "r.json")
    result = read_json(folder / "r.json")
    assert result["dice"] > 0.9 and (folder / "place.tfm").exists()
    moved = np.array(result["matrix_lps"]) @ [11.5, -7.25, 8.125, 1]
    assert np.linalg.norm(moved[:3] - np.array([1.5, -2.25, 3.125])) < 1.0  # a rod may be turned about its axis
    values = []
    for way in (["--transform", "place.tfm"], ["--register"]):
        run("quantify", "truth.seg.nrrd", "--initial", "before.seg.nrrd", *way, "--days", "84", "--json", "m.json")
        values.append({e["symbol"]: e["value"] for e in read_json(folder / "m.json")["measures"]})
    for measures in values:
        assert measures["V_i"] == pytest.approx(16 * 8 * 8 * 0.02**3, rel=0.05)
        assert measures["DR"] > 0


@pytest.mark.slow
def test_all_pictures_of_an_explant_come_with_one_command(folder, geometry, labels):
    screw = np.isin(labels, (2, 3)).astype(np.uint8) * 3
    write_label_map(LabelMap(screw, geometry), "before.seg.nrrd")
    run(
        "quantify",
        "truth.seg.nrrd",
        "--initial",
        "before.seg.nrrd",
        "--days",
        "84",
        "--image",
        "scan.nrrd",
        "--pictures",
        "pictures",
        "--csv",
        "m.csv",
        "--json",
        "m.json",
    )
    drawn = {path.name for path in (folder / "pictures").iterdir()}
    assert drawn >= {"view_3d.png", "slices.png", "contact.png", "depth.png"}
    assert any(name.startswith("BV_TV") for name in drawn)
    assert {str(folder / path) for path in read_json(folder / "m.json")["pictures"]} == {
        str(folder / "pictures" / name) for name in drawn
    }


def test_a_scan_on_another_grid_than_its_segmentation_is_refused(folder, geometry, labels, capsys):
    write_volume(Volume(GREY_OF_CLASS[labels][:18], geometry.cropped((0, 0, 0), (18, 22, 24))), "other.nrrd")
    assert main(["quantify", "truth.seg.nrrd", "--image", "other.nrrd"]) == 2
    assert "Expected scan and segmentation on one grid, got 18×22×24 and 20×22×24" in capsys.readouterr().err


def test_an_explant_is_turned_upright_with_its_scan(folder):
    run("upright", "truth.seg.nrrd", "up", "scan.nrrd", "--json", "u.json")
    assert {path.name for path in (folder / "up").iterdir()} == {"segmentation.seg.nrrd", "scan.nrrd", "upright.tfm"}
    upright = read_label_map("up/segmentation.seg.nrrd")
    assert upright.geometry.direction_lps == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))
    metal = np.argwhere(upright.mask(Role.RESIDUAL_MATERIAL))
    extent_zyx = metal.max(axis=0) - metal.min(axis=0)
    assert extent_zyx[0] >= 14 and max(extent_zyx[1:]) <= 7
    assert read_volume("up/scan.nrrd").geometry.same_grid(upright.geometry)


def test_simulated_explants_come_in_folders_that_are_the_same_for_the_same_seed(tmp_path):
    words = ["--size", "48", "--spacing-um", "40", "--seed", "3"]
    run("simulate", str(tmp_path / "a"), *words, "--count", "2")
    run("simulate", str(tmp_path / "b"), *words)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["explant_000003", "explant_000004"]
    one, same, other = (tmp_path / "a/explant_000003", tmp_path / "b/explant_000003", tmp_path / "a/explant_000004")
    assert (one / "image.nrrd").read_bytes() == (same / "image.nrrd").read_bytes()
    assert (one / "image.nrrd").read_bytes() != (other / "image.nrrd").read_bytes()
    assert set(read_json(one / "truth.json")["truth"]) >= {"V_i_mm3", "DR_mm_per_year", "BIC_percent", "BV_TV_percent"}
    metal = read_label_map(one / "initial.seg.nrrd").mask(Role.RESIDUAL_MATERIAL)
    assert metal.sum() >= read_label_map(one / "labels.seg.nrrd").mask(Role.RESIDUAL_MATERIAL).sum()


def test_an_explant_that_is_there_already_is_not_overwritten(tmp_path, capsys):
    words = ["simulate", str(tmp_path), "--size", "48", "--spacing-um", "40"]
    run(*words)
    before = (tmp_path / "explant_000000" / "truth.json").stat().st_mtime_ns
    assert main(words) == 2
    assert (tmp_path / "explant_000000" / "truth.json").stat().st_mtime_ns == before


FILES_OF_EVERY_DEMO = {
    "image.nrrd",
    "segmentation.seg.nrrd",
    "measures.csv",
    "measures.json",
    "demo.json",
    "slices.png",
    "view_3d.png",
    "report.html",
}


@pytest.mark.slow
def test_the_demo_shows_every_number_beside_the_truth_and_keeps_other_files(folder, capsys):
    (folder / "demo").mkdir()
    (folder / "demo" / "notes.txt").write_text("mine")
    run("demo", "--size", "64", "--out", "demo", "--model", "thresholds.mgmodel", "--planes", "1", "--json", "r.json")
    assert {path.name for path in (folder / "demo").iterdir()} == FILES_OF_EVERY_DEMO | {
        "truth.seg.nrrd",
        "initial.seg.nrrd",
        "notes.txt",
    }
    result = read_json(folder / "r.json")
    truths = {entry["symbol"]: entry["truth"] for entry in result["measures"]}
    assert all(math.isfinite(truths[symbol]) for symbol in ("V_r", "DR", "BIC", "BV/TV"))
    truth = read_label_map("demo/truth.seg.nrrd")
    bone = next(entry for entry in result["classes"] if entry["class"] == "bone")
    assert bone["truth_mm3"] == pytest.approx(truth.mask(Role.BONE).sum() * truth.geometry.voxel_volume_mm3)
    assert 0 <= bone["iou"] <= 1


@pytest.mark.slow
def test_the_demo_on_a_scan_without_implant_says_why_there_is_no_degradation_rate(folder, geometry, labels, capsys):
    bone_alone = np.where(labels == 1, 1, 0)
    bone_alone[0, 0, 0] = 3  # the brightest grey value, so that the thresholds stay where they are
    write_volume(Volume(GREY_OF_CLASS[bone_alone], geometry), "bone.nrrd")
    run("demo", "--input", "bone.nrrd", "--out", "demo", "--model", "thresholds.mgmodel", "--postprocessing", "none")
    shown = capsys.readouterr().out
    assert {path.name for path in (folder / "demo").iterdir()} == FILES_OF_EVERY_DEMO | {"roi.mrk.json"}
    assert "Not found in this scan: degradation layer." in shown
    assert "No initial screw was given." in shown and "truth" not in shown
    assert "ROI in the middle: a box of 0.36 × 0.33 × 0.30 mm" in shown
    (roi,) = read_roi_markups("demo/roi.mrk.json")
    assert roi.size_mm == pytest.approx(middle_box(geometry).size_mm)


def test_the_box_in_the_middle_has_three_quarters_of_each_edge(geometry):
    box = middle_box(geometry)
    mask = box.mask(geometry)
    assert mask.sum() == pytest.approx(0.75**3 * mask.size, rel=0.1)
    assert box.size_mm == pytest.approx((0.75 * 24 * 0.02, 0.75 * 22 * 0.02, 0.75 * 20 * 0.02))


def test_a_part_of_the_volume_is_evaluated_against_the_whole_on_the_voxels_of_both(folder, geometry, labels, capsys):
    box = np.s_[3:15, 8:20, 2:20]
    part = LabelMap(labels[box].copy(), geometry.cropped((3, 8, 2), (12, 12, 18)))
    part.array[0] = 0
    write_label_map(part, "part.seg.nrrd")
    whole = labels[box]
    for words in (("part.seg.nrrd", "truth.seg.nrrd"), ("truth.seg.nrrd", "part.seg.nrrd")):
        run("evaluate", *words, "--json", "result.json")
        result = read_json(folder / "result.json")
        assert result["compared_voxels"] == part.array.size
        metal = np.count_nonzero(whole[1:] == 3) / np.count_nonzero(whole == 3)
        assert result["classes"]["residual_material"]["iou"] == pytest.approx(metal)
        assert "18 × 12 × 12 voxels are compared" in capsys.readouterr().err


@pytest.mark.parametrize("shift", [(0.5, 0, 0), (40, 0, 0)])
def test_segmentations_whose_voxels_lie_elsewhere_are_not_evaluated(folder, geometry, labels, capsys, shift):
    moved = tuple(geometry.lps_from_index_zyx(shift))
    write_label_map(LabelMap(labels, Geometry(labels.shape, geometry.spacing_zyx_mm, moved, TURNED)), "moved.seg.nrrd")
    assert main(["evaluate", "moved.seg.nrrd", "truth.seg.nrrd"]) == 2
    error = capsys.readouterr().err
    assert "coincide" in error or "overlapping" in error
    assert "24 × 22 × 20 voxels of 20 × 20 × 20 µm" in error and error.count("\n") == 1


SEGMENT = ("segment", "scan.nrrd", "out.seg.nrrd", "--model", "thresholds.mgmodel")


@pytest.mark.parametrize(
    "words",
    [
        ["segment", "scan.nrrd", "out.seg.nrrd", "--model", "thresholds.mgmodel", "--json", "scan.nrrd"],
        ["segment", "scan.nrrd", "./scan.nrrd", "--model", "thresholds.mgmodel"],
        ["segment", "scan.nrrd", "out.seg.nrrd", "--model", "thresholds.mgmodel", "--json", "out.seg.nrrd"],
        ["segment", "scan.nrrd", "out.seg.nrrd", "--model", "thresholds.mgmodel", "--disagreement", "out.seg.nrrd"],
        ["evaluate", "truth.seg.nrrd", "truth.seg.nrrd", "--json", "truth.seg.nrrd"],
        ["quantify", "truth.seg.nrrd", "--csv", "truth.seg.nrrd"],
        ["quantify", "truth.seg.nrrd", "--csv", "a", "--json", "a"],
        ["quantify", "truth.seg.nrrd", "--events", "linked.nrrd"],
        ["quantify", "truth.seg.nrrd", "--csv", "same.nrrd"],
        ["quantify", "same.nrrd", "--csv", "linked.nrrd"],
        ["quantify", "truth.seg.nrrd", "--csv", "new/../a.csv", "--json", "a.csv"],
        [*SEGMENT, "--probabilities", "p.nrrd", "--json", "p_bone.nrrd"],
        [*SEGMENT, "--probabilities", "p.nrrd", "--disagreement", "p_background.nrrd"],
        [*SEGMENT, "--probabilities", "scan.nrrd", "--json", "new/../scan_bone.nrrd"],
        ["segment", "scan_bone.nrrd", "out.seg.nrrd", "--model", "thresholds.mgmodel", "--probabilities", "scan.nrrd"],
        ["segment", "apart.mhd", "out.seg.nrrd", "--model", "thresholds.mgmodel", "--json", "apart.raw"],
        [*SEGMENT, "--json", "thresholds.mgmodel"],
        ["upright", "truth.seg.nrrd", ".", "scan.nrrd"],
        ["surfaces", "scan.nrrd", "scan.seg.nrrd", "--out", "."],
        ["demo", "--input", "image.nrrd", "--out", ".", "--model", "thresholds.mgmodel"],
    ],
    ids=lambda words: " ".join(words),
)
def test_results_never_take_the_place_of_an_input_or_of_each_other(folder, words, capsys):
    (folder / "linked.nrrd").symlink_to("truth.seg.nrrd")
    os.link(folder / "truth.seg.nrrd", folder / "same.nrrd")
    (folder / "new").mkdir()
    for name in ("scan_bone.nrrd", "image.nrrd"):
        shutil.copy(folder / "scan.nrrd", folder / name)
    shutil.copy(folder / "truth.seg.nrrd", folder / "scan.seg.nrrd")
    (folder / "apart.raw").write_bytes(bytes(8))
    (folder / "apart.mhd").write_text("NDims = 3\nDimSize = 2 2 2\nElementDataFile = apart.raw\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "Expected a file of its own for" in error and "Choose another name" in error and error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


RESULT_TYPES = (ResultPath, ResultFolderPath)


def test_an_option_of_several_actions_of_a_command_is_one_result(tmp_path):
    parser = Parser()
    command("jobs").add_arguments(parser)
    arguments = argparse.Namespace(json=str(tmp_path / "r.json"), to=ResultFolderPath(tmp_path / "folder"))
    result_paths.require_separate_files(parser, arguments)
    assert [path.name for _, path in result_paths._results(arguments)] == ["r.json", "folder"]


def results_of_all_commands() -> dict[str, argparse.Action]:
    found = {}
    for name in COMMANDS:
        parser = Parser()
        command(name).add_arguments(parser)
        found |= {f"{name} {action.dest}": action for action in actions_with_results(parser)}
    return found


def actions_with_results(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The options for files and folders that are written, of commands inside the command too."""
    for action in parser._actions:
        if isinstance(action.choices, Mapping):
            for inner in action.choices.values():
                yield from actions_with_results(inner)
        elif action.dest in result_paths.COMMON_RESULTS or isinstance(value_of(action), RESULT_TYPES):
            yield action


def value_of(action: argparse.Action) -> object:
    try:
        return action.type("x") if action.type else None
    except (argparse.ArgumentTypeError, ValueError):
        return None


RESULTS = {name: result for name, result in results_of_all_commands().items() if not name.endswith(" events")}


def test_all_commands_with_results_are_known():
    assert {"segment out", "batch outdir", "quantify csv", "model file", "jobs to", "upright outdir"} <= set(RESULTS)


@pytest.mark.parametrize("result", RESULTS)
def test_a_file_in_the_place_of_a_folder_and_the_other_way_round_is_told_before_the_work(result, tmp_path):
    action = RESULTS[result]
    is_folder = isinstance(value_of(action), ResultFolderPath)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    wrong = (
        [tmp_path / "file", tmp_path / "file" / "x"] if is_folder else [tmp_path / "folder", tmp_path / "file" / "x"]
    )
    for path in wrong:
        with pytest.raises(OutputError, match=re.escape(str(path))):
            result_paths.require_places(arguments_with(action, path))
    for path in [tmp_path / "folder", tmp_path / "new" / "x"] if is_folder else [tmp_path / "file", tmp_path / "new"]:
        result_paths.require_places(arguments_with(action, path))
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file"}


def arguments_with(action: argparse.Action, path: Path) -> argparse.Namespace:
    return argparse.Namespace(**{action.dest: action.type(str(path)) if action.type else path})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_events_on_a_full_disk_are_told_in_one_line(folder):
    words = ["quantify", "truth.seg.nrrd", "--events", "/dev/full"]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [sys.executable, "-m", "MgImplantSegLib", *words],
        capture_output=True,
        text=True,
        env=env,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 2
    assert "Expected free disk space" in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value"), [("--profile-step-mm", "1e-9"), ("--slice-mm", "1e-9"), ("--distance-mm", "1e9")]
)
def test_steps_that_nobody_could_count_are_refused_at_once(folder, option, value, capsys):
    assert main(["quantify", "truth.seg.nrrd", option, value]) == 2
    error = capsys.readouterr().err
    assert "Expected at most 100,000 steps" in error and "Give lengths in mm" in error


@pytest.mark.slow
def test_a_scan_that_lists_its_voxels_along_other_axes_belongs_to_its_segmentation(folder, geometry, labels):
    """The same voxels, z backwards and x and y exchanged: the picture is the one of the scan itself."""
    directions = geometry.direction_matrix * [1, 1, -1]
    last = geometry.lps_from_index_zyx(np.array([19, 0, 0]))
    turned = Geometry((20, 24, 22), geometry.spacing_zyx_mm, tuple(last), tuple(directions[:, [1, 0, 2]].ravel()))
    write_volume(Volume(GREY_OF_CLASS[labels][::-1].transpose(0, 2, 1), turned), "turned.nrrd")
    for scan in ("scan", "turned"):
        words = ("--image", f"{scan}.nrrd", "--measures", "volumes", "--pictures", scan)
        run("quantify", "truth.seg.nrrd", *words)
    assert (folder / "turned" / "slices.png").read_bytes() == (folder / "scan" / "slices.png").read_bytes()
