"""``batch --environment``: scans go there, finished samples come back, and what is finished here is not sent again."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from MgImplantSegLib.cli import main
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io import read_label_map, write_volume
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment_file import save_environment

sys.path.append(str(Path(__file__).parents[1] / "Engine"))
from threshold_model import save_threshold_model
from training_cases import OBLIQUE, Geometry

WORDS = ("batch", "scans", "results", "--model", "own.mgmodel", "--planes", "1", "--device", "cpu")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two scans and a model in the working folder."""
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    for seed, name in enumerate(("a é", "b")):
        write_scan(Path("scans", f"{name}.nrrd"), seed)
    save_threshold_model(tmp_path / "own.mgmodel", 20.0)
    return tmp_path


def write_scan(path, seed, spacing_mm=0.02):
    geometry = Geometry((12, 14, 16), (spacing_mm,) * 3, (3.0, -2.0, 1.0), OBLIQUE)
    grey = np.random.default_rng(seed).uniform(0, 255, geometry.shape_zyx).astype(np.float32)
    write_volume(Volume(grey, geometry), path)


def run(environment, *further):
    return main([*WORDS, "--environment", environment.name, *further, "--events", "events.jsonl"])


def table(folder="results"):
    text = Path(folder, "batch.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def sample_events():
    records = [json.loads(line) for line in Path("events.jsonl").read_text("utf-8").splitlines()]
    return {record["sample"]: record["state"] for record in records if record["event"] == "sample"}


@pytest.mark.parametrize("name", ["this", "slurm through ssh"])
def test_a_batch_elsewhere_is_as_if_it_had_run_here(name, place, make_environment):
    environment = make_environment(name)
    save_environment(environment)
    assert run(environment) == 0
    assert sample_events() == {"a é": "done", "b": "done"}
    assert main([*WORDS[:2], "here", *WORDS[3:]]) == 0
    for sample in ("a é", "b"):
        there, here = (read_label_map(Path(folder, sample, "segmentation.seg.nrrd")) for folder in ("results", "here"))
        assert np.array_equal(there.array, here.array) and len(np.unique(here.array)) > 1
    tables = [table("results"), table("here")]
    kept = [[{**row, "seconds": ""} for row in rows] for rows in tables]
    assert kept[0] == kept[1]
    assert {path.name for path in Path("results").iterdir()} == {"a é", "b", "batch.csv"}


def test_finished_samples_are_not_sent_again_wherever_they_were_finished(place, make_environment):
    environment = make_environment("this")
    save_environment(environment)
    assert run(environment) == 0
    with Backend(environment) as backend:
        before = len(backend.list())
        assert run(environment) == 0
        assert main(list(WORDS)) == 0
        assert len(backend.list()) == before
        write_scan(Path("scans", "c.nrrd"), 7)
        Path("events.jsonl").unlink()
        assert run(environment) == 0
        (new,) = backend.list()[before:]
    assert "c" in sample_events() and len(table()) == 3
    assert {path.name for path in Path(new.folder, "results", "batch").iterdir()} == {"c", "batch.csv"}


def test_a_sample_that_fails_there_is_told_and_the_others_come_back(place, make_environment, capsys):
    environment = make_environment("this")
    save_environment(environment)
    write_scan(Path("scans", "b.nrrd"), 1, spacing_mm=1.0)
    assert run(environment) == 2
    assert "1 that failed: b" in capsys.readouterr().err
    assert Path("results", "a é", "segmentation.seg.nrrd").is_file() and not Path("results", "b").exists()
    rows = {row["sample"]: row for row in table()}
    assert rows["b"]["state"] == "failed" and "voxel size" in rows["b"]["problem"]


def test_a_folder_of_ones_own_in_the_results_is_not_replaced(place, make_environment, capsys):
    environment = make_environment("this")
    save_environment(environment)
    Path("results", "b").mkdir(parents=True)
    Path("results", "b", "notes.txt").write_text("mine")
    assert run(environment) == 2
    assert "with other files" in capsys.readouterr().err and Path("results", "b", "notes.txt").is_file()
    assert [row["state"] for row in table()] == ["done", "failed"]


def test_an_environment_that_nobody_knows_is_told(place, capsys):
    assert main([*WORDS, "--environment", "nowhere"]) == 2
    assert "'nowhere'" in capsys.readouterr().err and not Path("results").exists()
