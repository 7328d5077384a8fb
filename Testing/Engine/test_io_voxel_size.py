"""Voxel sizes that no scan of an explant has are told; those that scanners give are not."""

import csv
import json

import numpy as np
import pytest

from MgImplantSegLib.cli.application import main
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.io.voxel_size import voxel_size_doubt
from MgImplantSegLib.quantification import QuantifyOptions, quantify

UM = 1e-3


def explant():
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[:, :4] = 1
    labels[:, 4:6] = 2
    labels[:, 6:8] = 3
    return labels


@pytest.mark.parametrize(
    ("spacing_um", "shape"),
    [
        ((0.3,) * 3, (2000,) * 3),
        ((5,) * 3, (2048,) * 3),
        ((20,) * 3, (48,) * 3),
        ((250,) * 3, (1000,) * 3),
        ((50, 10, 10), (300,) * 3),
        ((10, 10, 2), (300,) * 3),
    ],
)
def test_ordinary_voxel_sizes_are_not_doubted(spacing_um, shape):
    assert voxel_size_doubt(Geometry(shape, tuple(size * UM for size in spacing_um))) == ""


@pytest.mark.parametrize(
    ("spacing_um", "shape", "reason"),
    [
        ((20000,) * 3, (48,) * 3, "more than 500 µm"),
        ((20e6,) * 3, (48,) * 3, "more than 500 µm"),
        ((1000, 20, 20), (48,) * 3, "along one axis"),
        ((20, 20, 1000), (48,) * 3, "along one axis"),
        ((0.02,) * 3, (48,) * 3, "less than 0.1 µm"),
        ((0.00002,) * 3, (48,) * 3, "less than 0.1 µm"),
        ((250, 250, 250), (2000,) * 3, "500 mm long"),
    ],
)
def test_a_voxel_size_that_cannot_be_is_doubted_with_the_reason(spacing_um, shape, reason):
    assert reason in voxel_size_doubt(Geometry(shape, tuple(size * UM for size in spacing_um)))


def test_the_doubt_stands_beside_every_measure():
    report = quantify(LabelMap(explant(), Geometry((12,) * 3, (20.0,) * 3)), QuantifyOptions(measures=("volumes",)))
    assert all("20000 × 20000 × 20000 µm" in measure.note for measure in report.measures)
    report = quantify(LabelMap(explant(), Geometry((12,) * 3, (0.02,) * 3)), QuantifyOptions(measures=("volumes",)))
    assert not any("cannot be" in measure.note for measure in report.measures)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    geometry = Geometry((12,) * 3, (1.0, 0.02, 0.02))
    write_label_map(LabelMap(explant(), geometry), "a.seg.nrrd")
    write_volume(Volume(explant().astype(np.float32), geometry), "scan.nrrd")


@pytest.mark.parametrize(
    "words",
    [
        ["quantify", "a.seg.nrrd", "--measures", "volumes"],
        ["evaluate", "a.seg.nrrd", "a.seg.nrrd"],
        ["compare", "a.seg.nrrd", "--reference", "a.seg.nrrd", "--measures", "volumes"],
    ],
    ids=lambda words: words[0],
)
def test_every_command_that_reads_a_segmentation_tells_it(files, tmp_path, capsys, words):
    assert main([*words, "--json", "result.json"]) == 0
    assert "20 × 20 × 1000 µm (x, y, z) cannot be right" in capsys.readouterr().err
    result = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert any("cannot be right" in line for line in result["warnings"])


def test_a_typed_voxel_size_in_the_wrong_unit_is_told_too(files, capsys):
    main(["quantify", "a.seg.nrrd", "--measures", "volumes", "--spacing-um", "0.02"])
    assert "cannot be right" in capsys.readouterr().err
    main(["quantify", "a.seg.nrrd", "--measures", "volumes", "--spacing-um", "20"])
    assert "cannot be right" not in capsys.readouterr().err


def test_the_table_of_measures_has_it_in_every_row(files):
    assert main(["quantify", "a.seg.nrrd", "--measures", "volumes", "--csv", "a.csv"]) == 0
    with open("a.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows and all("cannot be right" in row["note"] for row in rows)


def test_the_roles_that_were_assumed_are_told_unless_the_file_or_the_user_says_them(files, capsys):
    write_label_map(LabelMap(explant(), Geometry((12,) * 3, (0.02,) * 3)), "plain.nii.gz")
    write_label_map(LabelMap(explant(), Geometry((12,) * 3, (0.02,) * 3)), "keeps.mha")
    main(["quantify", "plain.nii.gz", "--measures", "volumes"])
    told = "they are interpreted as 1 bone, 2 degradation layer, 3 residual material"
    assert told in capsys.readouterr().err
    main(["quantify", "keeps.mha", "--measures", "volumes"])
    main(
        [
            "quantify",
            "plain.nii.gz",
            "--measures",
            "volumes",
            "--roles",
            "1=bone,2=degradation_layer,3=residual_material",
        ]
    )
    assert told not in capsys.readouterr().err


def test_a_mask_of_0_and_255_as_initial_screw_gives_advice_that_helps(files, capsys):
    geometry = Geometry((12,) * 3, (0.02,) * 3)
    write_volume(Volume((explant() >= 2).astype(np.uint8) * 255, geometry), "screw.nrrd")
    write_label_map(LabelMap(explant(), geometry), "b.seg.nrrd")
    words = ["quantify", "b.seg.nrrd", "--measures", "volumes", "--initial", "screw.nrrd"]
    assert main(words) == 2
    assert "(--initial-roles), for example 255=residual_material" in capsys.readouterr().err
    assert main([*words, "--initial-roles", "255=residual_material"]) == 0
