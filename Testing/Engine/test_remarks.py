"""What was warned of when a file was read stands beside the numbers that follow from it: CSV, JSON and batch table."""

from __future__ import annotations

import csv
import json
import logging

import h5py
import numpy as np
import pytest
from threshold_model import save_threshold_model

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.cli import main
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import read_label_map, read_volume, write_label_map, write_volume
from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions, quantify

MM = 0.02
GREY_OF_CLASS = np.array([0, 100, 170, 255], np.float32)
ASSUMED = (
    "does not state what its values mean; they are interpreted as 1 bone, 2 degradation layer, 3 residual material."
)


def classes() -> np.ndarray:
    """A metal of 4 × 4 × 4 voxels in a layer of 8 × 8 × 8 beside bone."""
    array = np.zeros((16, 16, 16), np.uint8)
    array[4:12, 4:12, 4:12] = 2
    array[6:10, 6:10, 6:10] = 3
    array[:, 13:] = 1
    return array


def write_half(path, array: np.ndarray) -> None:
    """An HDF5 file in which all slices but the last two are written."""
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("volume", array.shape, array.dtype, chunks=(2, 16, 16))
        dataset[:-2] = array[:-2]
        dataset.attrs["element_size_um"] = [1000 * MM] * 3


def rows(path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_a_reader_warns_of_is_kept_with_the_data_and_still_logged(folder, caplog):
    write_half("half.h5", classes())
    with caplog.at_level(logging.WARNING):
        volume, labels = read_volume("half.h5"), read_label_map("half.h5")
    assert "1 of 8 chunks were never written" in volume.provenance["warnings"][0]
    assert volume.provenance["warnings"] == labels.provenance["warnings"][:-1]
    assert ASSUMED in labels.provenance["warnings"][-1]
    assert "1 of 8 chunks" in caplog.text
    write_label_map(LabelMap(classes(), Geometry((16, 16, 16), (MM,) * 3)), "clean.nrrd")
    assert "warnings" not in read_label_map("clean.nrrd").provenance


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii", "a.nii.gz", "a.mha", "a.tif", "a.h5"])
def test_nothing_is_said_of_ordinary_files(folder, name):
    grey = np.random.default_rng(1).integers(0, 255, (64, 8, 8), np.uint8)
    if name == "a.h5":
        with h5py.File(name, "w") as file:
            for dataset, array in (("entry/data", grey), ("entry/means", grey.mean(axis=0)), ("other", grey[:32])):
                file.create_dataset(dataset, data=array).attrs["element_size_um"] = [1000 * MM] * 3
    else:
        write_volume(Volume(grey, Geometry(grey.shape, (MM,) * 3)), name)
    volume = read_volume(name)
    np.testing.assert_array_equal(volume.array, grey)
    assert "warnings" not in volume.provenance


def test_each_row_of_measures_and_profiles_says_what_was_warned_of(folder, capsys):
    write_half("half.h5", classes())
    assert main(["quantify", "half.h5", "--csv", "m.csv", "--series-csv", "s.csv", "--json", "m.json"]) == 0
    for table in (rows("m.csv"), rows("s.csv")):
        assert table
        assert all("1 of 8 chunks were never written" in row["note"] and ASSUMED in row["note"] for row in table)
    assert "1 of 8 chunks" in json.loads((folder / "m.json").read_text())["measures"][0]["note"]


def test_each_row_of_a_comparison_says_what_was_warned_of(folder, capsys):
    write_half("half.h5", classes())
    write_label_map(LabelMap(classes(), Geometry((16, 16, 16), (MM,) * 3)), "truth.nrrd")
    assert main(["compare", "half.h5", "--reference", "truth.nrrd", "--csv", "c.csv"]) == 0
    told = {row["segmentation"] for row in rows("c.csv") if "chunks were never written" in row["note"]}
    untold = {row["segmentation"] for row in rows("c.csv") if "chunks were never written" not in row["note"]}
    assert (told, untold) == ({"half"}, {"reference"})


def test_a_warning_is_said_once_on_the_screen(folder, capsys):
    write_half("half.h5", classes())
    assert main(["quantify", "half.h5", "--measures", "volumes"]) == 0
    said = capsys.readouterr()
    assert said.err.count("chunks were never written") == 1 and "chunks" not in said.out
    assert "interpreted as 1 bone" in said.err and "interpreted as 1 bone" not in said.out


def test_what_was_warned_of_the_initial_screw_stands_beside_its_measures_alone(folder):
    write_half("half.h5", classes())
    screw = InitialScrew.from_label_map(read_label_map("half.h5"))
    explant = LabelMap(classes(), Geometry((16, 16, 16), (MM,) * 3))
    report = quantify(explant, QuantifyOptions(screw.moved(np.eye(4)), time_days=10))
    told = {measure.symbol for measure in report.measures if "never written" in measure.note}
    assert told == {"V_i", "A_i", "VL", "DR"}


def test_the_table_of_a_batch_says_what_was_warned_of_each_sample(folder, capsys):
    save_threshold_model(folder / "thresholds.mgmodel", 1000 * MM)
    (folder / "scans").mkdir()
    grey = GREY_OF_CLASS[classes()] + np.linspace(0, 9, 16**3, dtype=np.float32).reshape(16, 16, 16)
    grid = Geometry((16, 16, 16), (MM,) * 3)
    write_volume(Volume(grey, grid), "scans/clean.nrrd")
    write_half("scans/half.h5", grey)
    grey[:, :3, 0] = np.nan
    write_volume(Volume(grey, grid), "scans/round.nrrd")
    words = ["batch", "scans", "out", "--model", "thresholds.mgmodel", "--planes", "1"]
    assert main(words) == 0
    first = {row["sample"]: row["warnings"] for row in rows("out/batch.csv")}
    assert "chunks were never written" in first["half"] and "NaN" in first["round"]
    assert not any(word in first["clean"] for word in ("chunks", "NaN", "label map"))
    assert all("are NaN" in row["note"] for row in rows("out/round/measures.csv"))
    assert all("chunks" in row["note"] for row in rows("out/half/measures.csv"))
    capsys.readouterr()
    assert main(words) == 0
    assert {row["sample"]: row["warnings"] for row in rows("out/batch.csv")} == first
    assert "chunks were never written" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["result.seg.nrrd", "result.nrrd", "result.mha"])
def test_warnings_about_the_scan_are_stored_with_the_result_and_said_again_when_it_is_measured(folder, capsys, name):
    save_threshold_model(folder / "thresholds.mgmodel", 1000 * MM)
    write_half("half.h5", GREY_OF_CLASS[classes()])
    assert main(["segment", "half.h5", name, "--model", "thresholds.mgmodel", "--planes", "1"]) == 0
    capsys.readouterr()
    assert main(["quantify", name, "--csv", "m.csv", "--measures", "volumes"]) == 0
    assert capsys.readouterr().err.count("1 of 8 chunks were never written") == 1
    assert all("1 of 8 chunks were never written" in row["note"] for row in rows("m.csv"))


def test_a_result_without_warnings_has_none_stored(folder):
    grid = Geometry((16, 16, 16), (MM,) * 3)
    for name in ("a.seg.nrrd", "a.nrrd", "a.mha"):
        write_label_map(LabelMap(classes(), grid), name)
        assert b"Warnings" not in (folder / name).read_bytes()


def test_stored_warnings_of_any_number_and_length_leave_the_file_readable(folder):
    told = {"warnings": [f"{number} {'ä' * 900}" for number in range(40)]}
    for name in ("a.seg.nrrd", "a.nrrd", "a.mha"):
        write_label_map(LabelMap(classes(), Geometry((16, 16, 16), (MM,) * 3), provenance=told), name)
        again = read_label_map(name)
        np.testing.assert_array_equal(again.array, classes())
        assert again.provenance["warnings"][0] == told["warnings"][0]


@pytest.mark.parametrize("text", ["{", "3", '{"a": 1}', "[1]"])
def test_damaged_stored_warnings_are_refused(folder, text):
    write_label_map(LabelMap(classes(), Geometry((16, 16, 16), (MM,) * 3), provenance={"warnings": ["x"]}), "a.nrrd")
    content = (folder / "a.nrrd").read_bytes()
    (folder / "a.nrrd").write_bytes(content.replace(b'["x"]', text.encode()))
    with pytest.raises(InputError, match="list of warnings"):
        read_label_map("a.nrrd")


def test_what_was_warned_of_the_scan_stands_in_the_notes_of_all_measures(folder, capsys):
    write_half("half.h5", GREY_OF_CLASS[classes()])
    write_label_map(LabelMap(classes(), Geometry((16, 16, 16), (MM,) * 3)), "labels.seg.nrrd")
    assert main(["quantify", "labels.seg.nrrd", "--image", "half.h5", "--csv", "m.csv"]) == 0
    assert rows("m.csv") and all("chunks were never written" in row["note"] for row in rows("m.csv"))
    assert capsys.readouterr().err.count("chunks were never written") == 1
