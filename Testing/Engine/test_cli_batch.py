"""batch: many scans, one row each; what is done stays done, what fails is noted."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from threshold_model import save_threshold_model

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.cli import batch, main
from MgImplantSegLib.cli.batch_samples import samples_of
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import read_label_map, write_label_map, write_volume

CHECKOUT = Path(__file__).resolve().parents[2]
GREY_OF_CLASS = np.array([0, 100, 170, 255], np.uint8)
MODEL = ("--model", "../thresholds.mgmodel", "--planes", "1")


def labels(metal_voxels: int) -> np.ndarray:
    array = np.zeros((16, 16, 16), np.uint8)
    array[4:12, 4:12, 4:12] = 2
    array[6 : 6 + metal_voxels, 6:10, 6:10] = 3
    array[:, 13:, :] = 1
    return array


def scan(path, metal_voxels: int) -> None:
    write_volume(Volume(GREY_OF_CLASS[labels(metal_voxels)], Geometry((16, 16, 16), (0.02,) * 3)), path)


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """A folder `scans` with two scans and other files, beside a model that segments them exactly."""
    save_threshold_model(tmp_path / "thresholds.mgmodel", 20.0)
    folder = tmp_path / "scans"
    folder.mkdir()
    monkeypatch.chdir(folder)
    scan("first.nrrd", 2)
    scan("second.mha", 4)
    (folder / "notes.md").write_text("not a scan")
    return folder


def table(folder) -> dict[str, dict[str, str]]:
    with open(folder / "batch.csv", newline="", encoding="utf-8") as stream:
        return {row["sample"]: row for row in csv.DictReader(stream)}


def segmentation_times(folder) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/segmentation.seg.nrrd")}


def test_each_scan_of_a_folder_gets_a_row_and_a_folder(scans):
    assert main(["batch", ".", "out", *MODEL]) == 0
    rows = table(scans / "out")
    assert list(rows) == ["first", "second"]
    assert {row["state"] for row in rows.values()} == {"done"}
    volumes = [float(row["V_r [mm³], implant"]) for row in rows.values()]
    assert volumes == pytest.approx([2 * 16 * 0.02**3, 4 * 16 * 0.02**3])
    assert rows["first"]["DR [mm/year], implant"] == ""
    np.testing.assert_array_equal(read_label_map(scans / "out/second/segmentation.seg.nrrd").array, labels(4))
    assert (scans / "out/first/measures.csv").exists()


def test_a_second_run_does_only_what_is_new_or_changed(scans):
    assert main(["batch", ".", "out", *MODEL]) == 0
    before = segmentation_times(scans / "out")
    scan("third.nrrd", 1)
    scan("second.mha", 3)
    assert main(["batch", ".", "out", *MODEL]) == 0
    after = segmentation_times(scans / "out")
    assert after["first"] == before["first"]
    assert after["second"] != before["second"]
    assert set(after) == {"first", "second", "third"}
    assert float(table(scans / "out")["second"]["V_r [mm³], implant"]) == pytest.approx(3 * 16 * 0.02**3)


def test_other_options_make_the_work_again(scans):
    assert main(["batch", ".", "out", *MODEL]) == 0
    before = segmentation_times(scans / "out")
    assert main(["batch", ".", "out", *MODEL, "--distance-mm", "0.1"]) == 0
    assert all(segmentation_times(scans / "out")[name] != time for name, time in before.items())
    assert "BV/TV [%], shell 0–0.1 mm" in table(scans / "out")["first"]


def test_what_does_not_change_the_result_leaves_the_work_done(scans):
    assert main(["batch", ".", "out", *MODEL, "--stop-file", "first.stop"]) == 0
    before = segmentation_times(scans / "out")
    other = ("--stop-file", "second.stop", "--device", "cpu", "--memory-gb", "1", "--fusion", "soft", "--stop-at-error")
    assert main(["batch", ".", "out", *MODEL, *other]) == 0
    assert segmentation_times(scans / "out") == before
    assert main(["batch", ".", "out", *MODEL, "--precision", "fp32"]) == 0
    assert all(segmentation_times(scans / "out")[name] != time for name, time in before.items())


def test_a_sample_that_fails_is_noted_and_the_others_are_done(scans, capsys):
    (scans / "broken.nrrd").write_text("no image")
    assert main(["batch", ".", "out", *MODEL]) == 2
    error = capsys.readouterr().err
    assert "Expected 3 samples to succeed, got 1 that failed: broken" in error and "Traceback" not in error
    rows = table(scans / "out")
    assert {name: row["state"] for name, row in rows.items()} == {"broken": "failed", "first": "done", "second": "done"}
    assert "Expected an NRRD file" in rows["broken"]["problem"]
    assert not (scans / "out" / "broken").exists()


def test_it_stops_at_the_first_error_if_asked_to(scans):
    (scans / "broken.nrrd").write_text("no image")
    assert main(["batch", ".", "out", *MODEL, "--stop-at-error"]) == 2
    assert {name: row["state"] for name, row in table(scans / "out").items()} == {
        "broken": "failed",
        "first": "waiting",
        "second": "waiting",
    }


def test_a_manifest_gives_each_sample_its_own_numbers(scans):
    (scans / "study.csv").write_text(
        "name;image;days;initial_volume_mm3;initial_area_mm2\n"
        "rabbit 1;first.nrrd;73.05;0.004;0.2\n"
        "rabbit 2;second.mha;;;\n",
        "utf-8-sig",
    )
    assert main(["batch", "study.csv", "out", *MODEL, "--json", "r.json"]) == 0
    rows = table(scans / "out")
    lost_mm3 = 0.004 - 2 * 16 * 0.02**3
    assert float(rows["rabbit 1"]["DR [mm/year], implant"]) == pytest.approx(lost_mm3 / (0.2 * 0.2))
    assert rows["rabbit 2"]["DR [mm/year], implant"] == ""
    assert [row["sample"] for row in json.loads((scans / "r.json").read_text("utf-8"))["samples"]] == list(rows)


def test_a_common_file_that_cannot_be_used_stops_before_the_first_sample(scans):
    assert main(["batch", ".", "out", *MODEL, "--roi", "missing.mrk.json"]) == 2
    assert main(["batch", ".", "out", *MODEL, "--initial", "notes.md"]) == 2
    assert not (scans / "out").exists()


def test_a_folder_that_no_batch_has_made_is_not_replaced(scans):
    (scans / "out" / "first").mkdir(parents=True)
    (scans / "out" / "first" / "thesis.txt").write_text("mine")
    assert main(["batch", ".", "out", *MODEL]) == 2
    assert (scans / "out" / "first" / "thesis.txt").read_text() == "mine"
    assert table(scans / "out")["second"]["state"] == "done"


@pytest.mark.slow
def test_pictures_come_on_request(scans):
    (scans / "study.csv").write_text("image\nfirst.nrrd\n")
    assert main(["batch", "study.csv", "out", "--model", MODEL[1], "--pictures"]) == 0
    assert {"view_3d.png", "slices.png"} <= {path.name for path in (scans / "out" / "first").iterdir()}


@pytest.mark.parametrize(
    ("text", "part_of_the_message"),
    [
        ("", "Expected a column image"),
        ("image\n", "Expected at least one image"),
        ("images\nfirst.nrrd\n", "Did you mean image?"),
        ("image\nmissing.nrrd\n", "line 2, column image: expected a file that exists"),
        ("image,days\nfirst.nrrd,soon\n", "line 2, column days: expected a number of 0 or more in days, got 'soon'"),
        ("image,days\nfirst.nrrd\n", "Expected a cell for each column"),
        ("image,days\nfirst.nrrd,3,4\n", "Expected a cell for each column"),
        ("image,name\nfirst.nrrd,../../etc\n", "expected a name of letters"),
        ("image,name\nfirst.nrrd,a\nsecond.mha,A\n", "Expected unique names"),
        ("image,name\n,a\n", "Expected an image"),
        ("image,roi\nfirst.nrrd,missing.mrk.json\n", "expected a file that exists"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_where_and_why(scans, text, part_of_the_message):
    (scans / "study.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        samples_of(scans / "study.csv")
    assert part_of_the_message in str(caught.value)


def test_what_a_sample_is_in_its_study_goes_into_the_table_and_makes_no_work_again(scans):
    header = "image,Animal,group,Time point (days),alloy,side,surgeon,state\n"
    text = "first.nrrd,r 1,Mg-5Gd,84.0,Mg-5Gd,left,A. B.,fine\nsecond.mha,r 2,Ti,28,,,,\n"
    (scans / "study.csv").write_text(header + text)
    assert main(["batch", "study.csv", "out", *MODEL, "--json", "r.json"]) == 0
    rows, before = table(scans / "out"), segmentation_times(scans / "out")
    shown = ("animal", "group", "time_point_days", "alloy", "side", "surgeon", "state (manifest)", "state")
    assert [rows["first"][name] for name in shown] == ["r 1", "Mg-5Gd", "84", "Mg-5Gd", "left", "A. B.", "fine", "done"]
    assert [rows["second"][name] for name in shown] == ["r 2", "Ti", "28", "", "", "", "", "done"]
    assert json.loads((scans / "r.json").read_text("utf-8"))["samples"][0]["study"]["time_point_days"] == "84"
    (scans / "study.csv").write_text(header + text.replace("Ti", "PEEK"))
    assert main(["batch", "study.csv", "out", *MODEL]) == 0
    assert table(scans / "out")["second"]["group"] == "PEEK" and segmentation_times(scans / "out") == before


@pytest.mark.parametrize(
    ("text", "part_of_the_message"),
    [
        ("image,time point\nfirst.nrrd,12 weeks\n", "column time_point_days: expected a number of 0 or more in days"),
        ("image,time_point_days\nfirst.nrrd,-3\n", "expected a number of 0 or more in days, got '-3'"),
        ("image,groups\nfirst.nrrd,a\n", "Did you mean group?"),
        ("image,initial_volume_mm\nfirst.nrrd,1\n", "Did you mean initial_volume_mm3?"),
        ("image,group,Group\nfirst.nrrd,a,b\n", "Expected each column once, got group twice"),
        ("image,\nfirst.nrrd,stray\n", "'stray' in a column without a name"),
        ("image,animal\nfirst.nrrd," + "x" * 201, "expected at most 200 characters, got 201"),
    ],
)
def test_study_columns_that_cannot_be_used_say_where_and_why(scans, text, part_of_the_message):
    (scans / "study.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        samples_of(scans / "study.csv")
    assert part_of_the_message in str(caught.value)


def test_columns_of_ones_own_are_kept_and_empty_columns_of_a_spreadsheet_are_not(scans):
    (scans / "study.csv").write_text("image;group;group2;weight (g);;\nfirst.nrrd;a;b;2,5;;\n;;;;;\n")
    (sample,) = samples_of(scans / "study.csv")
    assert sample.study == {"group": "a", "group2": "b", "weight (g)": "2,5"}


def test_groups_that_differ_in_case_or_spaces_alone_are_warned_of(scans, caplog):
    (scans / "study.csv").write_text("image,group\nfirst.nrrd,Mg-5Gd\nsecond.mha,mg 5gd\n")
    assert [sample.study["group"] for sample in samples_of(scans / "study.csv")] == ["Mg-5Gd", "mg 5gd"]
    assert "'Mg-5Gd' and 'mg 5gd' count as different" in caplog.text
    caplog.clear()
    (scans / "study.csv").write_text("image,group\nfirst.nrrd,Mg-5Gd\nsecond.mha,Mg-10Gd\n")
    samples_of(scans / "study.csv")
    assert caplog.text == ""


def test_stacks_of_slices_are_samples_and_segmentations_are_not(scans):
    import tifffile

    (scans / "stack").mkdir()
    tifffile.imwrite(scans / "stack" / "slice_0.tif", np.zeros((8, 8), np.uint8))
    (scans / "empty").mkdir()
    write_label_map(LabelMap(labels(1), Geometry((16, 16, 16), (0.02,) * 3)), "first.seg.nrrd")
    assert [sample.name for sample in samples_of(scans)] == ["first", "second", "stack"]


def run_again(folder, *words: str) -> set[str]:
    """The samples that a second start has made again."""
    before = segmentation_times(folder / "out")
    assert main(["batch", ".", "out", *MODEL, *words]) == 0
    return {name for name, time in segmentation_times(folder / "out").items() if before.get(name) != time}


def test_options_that_do_not_change_the_result_make_no_work_again(scans):
    assert main(["batch", ".", "out", *MODEL, "--stop-file", "../stop-1", "--events", "../e1.jsonl"]) == 0
    others = [
        "--stop-file",
        "../stop-2",
        "--events",
        "../e2.jsonl",
        "--json",
        "../r.json",
        "--debug",
        "--stop-at-error",
    ]
    assert run_again(scans, *others, "--device", "cpu", "--memory-gb", "3") == set()
    assert run_again(scans, "--model", "./../thresholds.mgmodel") == set()


def test_a_scan_that_was_only_touched_is_not_segmented_again(scans):
    assert main(["batch", ".", "out", *MODEL]) == 0
    os.utime(scans / "first.nrrd")
    (scans / "second.mha").rename(scans / "x")
    shutil.copy(scans / "x", scans / "second.mha")
    assert run_again(scans) == set()


def test_other_voxels_of_equal_size_and_time_behind_an_equal_header_are_segmented_again(scans):
    header = "NDims = 3\nDimSize = 16 16 16\nElementType = MET_UCHAR\nElementSpacing = 0.02 0.02 0.02\n"
    (scans / "third.mhd").write_text(f"{header}ElementDataFile = third.raw\n")
    GREY_OF_CLASS[labels(1)].tofile(scans / "third.raw")
    os.utime(scans / "third.raw", (1, 1))
    assert main(["batch", ".", "out", *MODEL]) == 0
    GREY_OF_CLASS[labels(5)].tofile(scans / "third.raw")
    os.utime(scans / "third.raw", (1, 1))
    assert run_again(scans) == {"third"}
    assert float(table(scans / "out")["third"]["V_r [mm³], implant"]) == pytest.approx(5 * 16 * 0.02**3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "segmentation.seg.nrrd").unlink(),
        lambda folder: (folder / "measures.csv").write_text("short"),
        lambda folder: (folder / "sample.json").write_text("{ damaged"),
        lambda folder: (folder / "sample.json").write_text("[" * 100_000),
        lambda folder: (folder / "sample.json").write_text('{"key": 1, "seconds": 2, "measures": [3]}'),
    ],
)
def test_a_sample_with_a_file_missing_or_damaged_is_not_taken_for_done(scans, damage):
    assert main(["batch", ".", "out", *MODEL]) == 0
    damage(scans / "out" / "first")
    assert main(["batch", ".", "out", *MODEL]) == 0
    assert (scans / "out/first/segmentation.seg.nrrd").is_file()
    assert table(scans / "out")["first"]["state"] == "done"
    assert json.loads((scans / "out/first/sample.json").read_text())["measures"][0]["symbol"]


KILLED = """
import os, sys
from MgImplantSegLib.cli import batch, main
from MgImplantSegLib.base.files import atomic_output
def die(*_):
    with atomic_output("out/half.nrrd") as path:
        path.write_bytes(bytes(10))
        os.kill(os.getpid(), 9)
batch._work = die
main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_what_a_killed_batch_left_is_tidied_at_the_next_start(scans):
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", KILLED, "batch", ".", "out", *MODEL], env=env, check=False)
    assert done.returncode == -9
    left = [path for path in (scans / "out").iterdir() if path.name.startswith(".partial-")]
    assert {path.is_dir() for path in left} == {True, False}
    assert main(["batch", ".", "out", *MODEL]) == 0
    kept = {path.name for path in (scans / "out").iterdir()} - {".batch.lock"}
    assert kept == {"batch.csv", "batch.json", "first", "second"}


def test_names_that_look_like_formulas_stay_text_in_the_table(scans):
    (scans / "first.nrrd").rename(scans / "=1+1.nrrd")
    assert main(["batch", ".", "out", *MODEL]) == 0
    assert set(table(scans / "out")) == {"'=1+1", "second"}


def test_the_table_takes_the_place_of_neither_manifest_nor_result(scans, capsys):
    (scans / "batch.csv").write_text("image\nfirst.nrrd\n")
    (scans / "out").mkdir()
    assert main(["batch", "batch.csv", ".", *MODEL]) == 2
    assert main(["batch", "batch.csv", "out", *MODEL, "--json", "out/batch.csv"]) == 2
    assert main(["batch", "batch.csv", "out", *MODEL, "--json", "first.nrrd"]) == 2
    assert (scans / "batch.csv").read_text() == "image\nfirst.nrrd\n"
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3 and all("Expected a file of its own for" in line for line in errors)


def test_a_fault_of_one_sample_that_is_the_computers_does_not_stop_the_others(scans, monkeypatch):
    work = batch._work

    def short_of_memory(sample, *rest):
        if sample.name == "first":
            raise MemoryError
        return work(sample, *rest)

    monkeypatch.setattr(batch, "_work", short_of_memory)
    assert main(["batch", ".", "out", *MODEL]) == 2
    rows = table(scans / "out")
    assert rows["first"]["state"] == "failed" and "memory" in rows["first"]["problem"]
    assert rows["second"]["state"] == "done"


def test_a_scan_that_changes_during_the_work_is_not_taken_for_done(scans, monkeypatch):
    work = batch._work

    def while_it_is_written(sample, *rest):
        measures = work(sample, *rest)
        if sample.name == "first":
            shutil.copy("second.mha", "first.nrrd")
        return measures

    monkeypatch.setattr(batch, "_work", while_it_is_written)
    assert main(["batch", ".", "out", *MODEL]) == 2
    assert "a changed file" in table(scans / "out")["first"]["problem"]
    assert not (scans / "out" / "first").exists()


def test_links_that_lead_nowhere_are_samples_that_fail(scans):
    (scans / "lost.nrrd").symlink_to("/not/mounted/lost.nrrd")
    (scans / "lost_folder").symlink_to("/not/mounted/lost_folder")
    (scans / "notes.txt").symlink_to("/not/mounted/notes.txt")
    assert main(["batch", ".", "out", *MODEL]) == 2
    rows = table(scans / "out")
    assert {name: row["state"] for name, row in rows.items()} == {
        "first": "done",
        "lost": "failed",
        "lost_folder": "failed",
        "second": "done",
    }
    assert "points to /not/mounted/lost.nrrd" in rows["lost"]["problem"]


def test_pictures_in_a_folder_are_no_sample_but_numbered_slices_are(scans):
    for name, count in (("figures", 3), ("slices", 16)):
        (scans / name).mkdir()
        for n in range(count):
            image = sitk.GetImageFromArray(GREY_OF_CLASS[labels(2)][n])
            sitk.WriteImage(image, str(scans / name / f"s{n}.png"))
    assert [sample.name for sample in samples_of(scans)] == ["first", "second", "slices"]


def test_a_label_map_among_the_scans_is_told(scans, capsys):
    write_label_map(LabelMap(labels(2), Geometry((16, 16, 16), (0.02,) * 3)), scans / "first-label.nrrd")
    main(["batch", ".", "out", *MODEL])
    assert "0, 1, 2, 3, as a label map does" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_names_that_are_not_utf_8_do_not_stop_a_batch(scans, capsys):
    os.rename(b"first.nrrd", b"premi\xe8re.nrrd")
    os.rename(b"second.mha", b"deuxi\xe8me.mha")
    assert main(["batch", ".", "out", *MODEL, "--json", "out.json", "--events", "events.jsonl"]) == 0
    assert set(table(scans / "out")) == {"premi%E8re", "deuxi%E8me"}
    assert {sample["image"] for sample in json.loads((scans / "out.json").read_text("utf-8"))["samples"]} == {
        "premi%E8re.nrrd",
        "deuxi%E8me.mha",
    }
    times = segmentation_times(scans / "out")
    assert main(["batch", ".", "out", *MODEL]) == 0
    assert segmentation_times(scans / "out") == times
    os.rename(b"deuxi\xe8me.mha", b"deuxi\xe8me.nrrd")  # damaged now
    assert main(["batch", ".", "out", *MODEL]) == 2
    assert "deuxi%E8me.nrrd" in capsys.readouterr().err
