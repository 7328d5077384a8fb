"""``teach`` in another environment: scans and labels go there, of a file of pairs too, and the model comes back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from MgImplantSegLib.cli import main
from MgImplantSegLib.cli.job_pairs import with_scans_of_pairs
from MgImplantSegLib.cli.segmentation_options import Roles, roles
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io import read_volume, write_volume
from MgImplantSegLib.jobs.environment_file import save_environment
from MgImplantSegLib.jobs.request import InputPath, InputText, JobRequest
from MgImplantSegLib.model.file import read_card

sys.path.append(str(Path(__file__).parents[1] / "Engine"))
from teach_cases import write_model, write_pair

PAIRS = '[[pairs]]\nimage = "more/scan.nrrd"\nlabels = "more/labels.nrrd"\nname = "second"\nroles = {1 = "bone"}\n'


def test_a_model_taught_elsewhere_on_two_scans_comes_back(make_environment, tmp_path, monkeypatch):
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.chdir(tmp_path)
    save_environment(make_environment("this"))
    write_model(tmp_path / "parent.mgmodel")
    write_pair(tmp_path, slices="z:4,y:12")
    write_pair(tmp_path / "more", seed=1, slices="z:9")
    Path("pairs.toml").write_text(PAIRS.replace('roles = {1 = "bone"}\n', ""), encoding="utf-8")
    words = ["teach", "scan.nrrd", "labels.nrrd", "out.mgmodel", "--from", "parent.mgmodel", "--pairs", "pairs.toml"]
    options = ["--iterations", "2", "--device", "cpu", "--roles", "1=bone,2=degradation_layer,3=residual_material"]
    assert main([*words, *options, "--environment", "test this", "--json", "result.json"]) == 0
    scans = read_card(tmp_path / "out.mgmodel").training["lineage"][0]["scans"]
    assert [(scan["name"], scan["slices"]) for scan in scans] == [("scan", "z:4,y:12"), ("second", "z:9")]
    assert json.loads(Path("result.json").read_text("utf-8"))["model"] == "out.mgmodel"


def test_slices_suggested_elsewhere_are_those_suggested_here(make_environment, tmp_path, monkeypatch):
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    monkeypatch.chdir(tmp_path)
    save_environment(make_environment("this"))
    write_pair(tmp_path)
    scan = read_volume("scan.nrrd")
    parts = (scan.array - scan.array.min()) / np.ptp(scan.array)
    write_volume(Volume(parts.astype(np.float32), scan.geometry), Path("disagreement.nrrd"))
    words = ["suggest", "scan.nrrd", "labels.nrrd", "--disagreement", "disagreement.nrrd", "--count", "3", "--json"]
    assert main([*words, "here.json"]) == 0
    assert main([*words, "there.json", "--environment", "test this"]) == 0
    here, there = (json.loads(Path(name).read_text("utf-8")) for name in ("here.json", "there.json"))
    assert there["slices"] == here["slices"]
    assert there["files"] == []


def test_the_scans_that_a_file_of_pairs_names_go_along(tmp_path):
    (tmp_path / "pairs.toml").write_text(PAIRS, encoding="utf-8")
    for words in (("--pairs", InputPath(tmp_path / "pairs.toml")), (InputPath(tmp_path / "pairs.toml", "--pairs="),)):
        found = with_scans_of_pairs(JobRequest(("teach", *words), "job")).words
        assert found[1] == "--pairs"
        assert isinstance(found[2], InputText)
        text = found[2].compose(lambda path: f"there/{path.relative_to(tmp_path).as_posix()}")
        assert 'image = "there/more/scan.nrrd"' in text
        assert 'roles = {"1" = "bone"}' in text or "[pairs.roles]" in text


def test_roles_are_said_again_as_they_were_typed():
    typed = "0=background,1=bone,7=residual_material,255=ignore"
    assert Roles("V=ROLE,...").word(roles(typed)) == typed
