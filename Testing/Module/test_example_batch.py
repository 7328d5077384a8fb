"""The example for scripts writes beside its scans, whatever folder it was started in, and fails if it could not."""

import importlib.util
import pathlib

import pytest
import slicer
from module_cases import add_segmentation

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "SlicerSelfTests" / "example_batch.py"


@pytest.fixture
def example(module, monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("example_batch", SCRIPT)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slicer.util, "EXIT_SUCCESS", 0, raising=False)
    monkeypatch.setattr(slicer.util, "EXIT_FAILURE", 1, raising=False)
    return loaded


@pytest.fixture
def results(module):
    node = add_segmentation(slicer.mrmlScene)
    table, _measures = module.MgImplantSegLogic().quantify(node, distanceMm=0.06)
    return node, table


def test_results_stand_beside_a_scan_that_was_named_by_a_relative_path(example, results, tmp_path):
    (tmp_path / "scans").mkdir()
    example.write(pathlib.Path("scans/one.nrrd"), *results)
    names = {path.name for path in (tmp_path / "scans").iterdir()}
    assert names >= {"one.seg.nrrd", "one.csv", "one.mrb"}


def test_a_folder_that_is_not_there_is_an_error(example, results):
    with pytest.raises(OSError, match=r"one\.seg\.nrrd"):
        example.write(pathlib.Path("nowhere/one.nrrd"), *results)


def test_an_environment_that_is_not_there_ends_with_a_failure(example, tmp_path, capsys):
    from module_cases import ball_in_half_bone

    from MgImplantSegLib.grids.volume import Volume
    from MgImplantSegLib.io import write_volume

    labels = ball_in_half_bone(size=20, radius=4)
    write_volume(Volume(labels.array * 9, labels.geometry), tmp_path / "one.nrrd")
    assert example.main(["--", "--environment", "nowhere", "one.nrrd"]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert example.main(["--"]) == 2
