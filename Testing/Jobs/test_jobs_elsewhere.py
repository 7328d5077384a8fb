"""``segment --environment``: the scan goes there, the segmentation comes back, as if it had been done here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from MgImplantSegLib.cli import main
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io import read_label_map, write_volume
from MgImplantSegLib.jobs.environment_file import save_environment

sys.path.append(str(Path(__file__).parents[1] / "Engine"))
from threshold_model import save_threshold_model
from training_cases import OBLIQUE, Geometry


@pytest.mark.parametrize("name", ["this", "slurm through ssh"])
def test_a_scan_segmented_elsewhere_is_as_if_segmented_here(name, make_environment, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.chdir(tmp_path)
    save_environment(make_environment(name))
    random = np.random.default_rng(0)
    geometry = Geometry((12, 14, 16), (0.02, 0.02, 0.02), (3.0, -2.0, 1.0), OBLIQUE)
    write_volume(
        Volume(random.uniform(0, 255, geometry.shape_zyx).astype(np.float32), geometry), tmp_path / "my scan é.nrrd"
    )
    save_threshold_model(tmp_path / "own.mgmodel", 20.0)
    Path("here").mkdir()
    words = [
        "segment",
        "my scan é.nrrd",
        "./-out put.seg.nrrd",
        "--model",
        "own.mgmodel",
        "--planes",
        "1",
        "--device",
        "cpu",
    ]
    assert main([*words, "--environment", f"test {name}", "--json", "there.json"]) == 0
    assert main([*words[:2], "here/-out put.seg.nrrd", *words[3:], "--json", "here.json"]) == 0
    there, here = (
        read_label_map(tmp_path / "-out put.seg.nrrd"),
        read_label_map(tmp_path / "here" / "-out put.seg.nrrd"),
    )
    assert np.array_equal(there.array, here.array)
    assert len(np.unique(here.array)) > 1
    assert there.geometry == here.geometry
    results = [json.loads(Path(file).read_text("utf-8")) for file in ("there.json", "here.json")]
    assert results[0]["classes"] == results[1]["classes"]
    assert results[0]["files"] == [str(tmp_path / "-out put.seg.nrrd")]


def test_a_failure_there_is_the_commands_own_error(make_environment, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.chdir(tmp_path)
    save_environment(make_environment("this"))
    Path("scan.nrrd").write_text("no scan")
    save_threshold_model(tmp_path / "own.mgmodel", 20.0)
    words = ["segment", "scan.nrrd", "out.seg.nrrd", "--model", "own.mgmodel"]
    assert main([*words, "--environment", "test this"]) == 2
    assert "scan.nrrd" in capsys.readouterr().err
    assert not Path("out.seg.nrrd").exists()
