"""Whatever a user gives to the command line: one line that helps, exit code 2, and no file left behind."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from MgImplantSegLib.cli import main
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.quantification.surfaces.triangle_mesh import MESH_SUFFIXES

CHECKOUT = Path(__file__).resolve().parents[2]
SHAPE = (24, 22, 20)
SPACING_MM = (0.02, 0.02, 0.02)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A model file with random weights for voxels of 20 µm."""
    import torch

    from MgImplantSegLib.model.card import ModelCard
    from MgImplantSegLib.model.file import save_model
    from MgImplantSegLib.networks import build_network
    from MgImplantSegLib.preprocessing.preprocess import Preprocessing

    torch.manual_seed(0)
    network = {"name": "unet", "depth": 1, "width": 4, "classes": 4, "in_channels": 1}
    path = tmp_path_factory.mktemp("model") / "tiny.mgmodel"
    save_model(path, ModelCard("tiny", network, Preprocessing(20.0)), build_network(network).state_dict())
    return path


def grey() -> np.ndarray:
    return np.random.default_rng(1).normal(100, 20, SHAPE).astype(np.float32)


def labels() -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[8:16, 8:16, 8:16] = 3
    array[2:5] = 1
    return array


def volume_file(folder: Path, array: np.ndarray, spacing_mm=SPACING_MM, name: str = "scan.nrrd") -> Path:
    write_volume(Volume(array, Geometry(array.shape, spacing_mm)), folder / name)
    return folder / name


def label_file(folder: Path, array: np.ndarray, spacing_mm=SPACING_MM, name: str = "labels.nrrd") -> Path:
    write_label_map(LabelMap(array, Geometry(array.shape, spacing_mm)), folder / name)
    return folder / name


def raw_nrrd(folder: Path, header: str, data: bytes = b"", name: str = "scan.nrrd") -> Path:
    (folder / name).write_bytes(b"NRRD0004\n" + header.encode() + b"\n\n" + data)
    return folder / name


def text_file(folder: Path, name: str, content: bytes | str = "no image at all\n") -> Path:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def with_value(value: float) -> np.ndarray:
    array = grey()
    array[3, 4, 5] = value
    return array


def truncated(folder: Path) -> Path:
    path = volume_file(folder, grey())
    path.write_bytes(path.read_bytes()[:-100])
    return path


def two_dimensional(folder: Path) -> Path:
    header = "type: uint8\ndimension: 2\nsizes: 16 16\nencoding: raw"
    return raw_nrrd(folder, header, bytes(256))


def colour(folder: Path) -> Path:
    header = "type: uint8\ndimension: 4\nsizes: 3 16 16 16\nkinds: RGB-color domain domain domain\nencoding: raw"
    return raw_nrrd(folder, header, bytes(3 * 16**3))


def colour_tiff(folder: Path) -> Path:
    import tifffile

    tifffile.imwrite(folder / "photo.tif", np.zeros((16, 16, 3), np.uint8), photometric="rgb")
    return folder / "photo.tif"


def huge_on_paper(folder: Path) -> Path:
    header = "type: float\ndimension: 3\nsizes: 99999 99999 99999\nspacings: 0.02 0.02 0.02\nencoding: raw"
    return raw_nrrd(folder, header, bytes(64))


def bomb(folder: Path) -> Path:
    header = "type: uint8\ndimension: 3\nsizes: 16 16 16\nspacings: 0.02 0.02 0.02\nencoding: gzip"
    return raw_nrrd(folder, header, gzip.compress(bytes(10)))


def complex_numbers(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "scan.h5", "w") as file:
        file["entry/data/data"] = np.ones((16, 16, 16), np.complex64)
    return folder / "scan.h5"


BAD_SCANS = {
    "missing": lambda folder: folder / "no_such_scan.nrrd",
    "empty file": lambda folder: text_file(folder, "scan.nrrd", b""),
    "text": lambda folder: text_file(folder, "scan.nrrd"),
    "text as TIFF": lambda folder: text_file(folder, "scan.tif"),
    "text as HDF5": lambda folder: text_file(folder, "scan.h5"),
    "text as NIfTI": lambda folder: text_file(folder, "scan.nii.gz"),
    "text as MetaImage": lambda folder: text_file(folder, "scan.mha"),
    "unknown suffix": lambda folder: text_file(folder, "scan.docx"),
    "no suffix": lambda folder: text_file(folder, "scan"),
    "folder without images": lambda folder: folder,
    "2D": two_dimensional,
    "colour": colour,
    "colour TIFF": colour_tiff,
    "complex": complex_numbers,
    "truncated": truncated,
    "larger than any memory": huge_on_paper,
    "compressed data too short": bomb,
    "all equal": lambda folder: volume_file(folder, np.full(SHAPE, 7.0, np.float32)),
    "NaN": lambda folder: volume_file(folder, with_value(np.nan)),
    "infinity": lambda folder: volume_file(folder, with_value(np.inf)),
    "spacing unset": lambda folder: volume_file(folder, grey(), (1.0, 1.0, 1.0)),
    "spacing far too coarse": lambda folder: volume_file(folder, grey(), (0.02, 0.02, 30.0)),
    "spacing zero": lambda folder: raw_nrrd(
        folder, "type: uint8\ndimension: 3\nsizes: 16 16 16\nspacings: 0 0.02 0.02\nencoding: raw", bytes(4096)
    ),
    "too small": lambda folder: volume_file(folder, grey()[:3]),
    "one voxel": lambda folder: volume_file(folder, grey()[:1, :1, :1]),
    "a segmentation": lambda folder: label_file(folder, labels(), name="scan.seg.nrrd"),
}


def require_one_helpful_line(code: int, error: str) -> None:
    lines = [line for line in error.splitlines() if not re.match(r"warning: |.*: \d+ %", line)]
    assert code == 2, error
    assert len(lines) == 1, error
    assert lines[0].startswith("mgimplantseg")
    assert "error: " in lines[0] and "xpected" in lines[0]
    assert "Traceback" not in error and "internal error" not in error
    assert len(lines[0].split("error: ")[1]) > 40


def files_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("kind", BAD_SCANS)
def test_segment_refuses_a_scan_that_is(kind, tiny_model, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    scan = BAD_SCANS[kind](tmp_path / "in")
    before = files_below(tmp_path)
    code = main(["segment", str(scan), str(tmp_path / "out" / "s.seg.nrrd"), "--model", str(tiny_model)])
    require_one_helpful_line(code, capsys.readouterr().err)
    assert files_below(tmp_path) == before


def damaged_model(folder: Path, model: Path) -> Path:
    (folder / "m.mgmodel").write_bytes(model.read_bytes()[:-200])
    return folder / "m.mgmodel"


def model_without_card(folder: Path, _model: Path) -> Path:
    with zipfile.ZipFile(folder / "m.mgmodel", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    return folder / "m.mgmodel"


def model_with_other_card(folder: Path, model: Path, **changes) -> Path:
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(folder / "m.mgmodel", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "card.json":
                content = json.dumps(json.loads(content) | changes).encode()
            new.writestr(name, content)
    return folder / "m.mgmodel"


BAD_MODELS = {
    "missing": lambda folder, _model: folder / "m.mgmodel",
    "text": lambda folder, _model: text_file(folder, "m.mgmodel"),
    "a folder": lambda folder, _model: folder,
    "damaged": damaged_model,
    "without a card": model_without_card,
    "of another format version": lambda folder, model: model_with_other_card(folder, model, format_version=99),
    "with an unknown key": lambda folder, model: model_with_other_card(folder, model, colour="red"),
    "with weights of another network": lambda folder, model: model_with_other_card(
        folder, model, network={"name": "unet", "depth": 1, "width": 8, "classes": 4, "in_channels": 1}
    ),
    "with an unknown network": lambda folder, model: model_with_other_card(folder, model, network={"name": "vit"}),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_segment_refuses_a_model_that_is(kind, tiny_model, tmp_path, capsys):
    (tmp_path / "m").mkdir()
    scan, model = volume_file(tmp_path, grey()), BAD_MODELS[kind](tmp_path / "m", tiny_model)
    before = files_below(tmp_path)
    code = main(["segment", str(scan), str(tmp_path / "s.seg.nrrd"), "--model", str(model)])
    require_one_helpful_line(code, capsys.readouterr().err)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(
    "out",
    ["scan.nrrd", "missing_folder/s.seg.nrrd", "scan.nrrd/s.seg.nrrd", "s.docx", "s", ".", "n" * 300 + ".seg.nrrd"],
)
def test_segment_refuses_an_output_before_the_work_begins(out, tiny_model, tmp_path, capsys):
    scan = volume_file(tmp_path, grey())
    before = files_below(tmp_path)
    code = main(["segment", str(scan), str(tmp_path / out), "--model", str(tiny_model)])
    require_one_helpful_line(code, capsys.readouterr().err)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(
    "words",
    [
        ["--device", "cuda:77"],
        ["--device", "tpu"],
        ["--memory-gb", "0.000001"],
        ["--precision", "fp16", "--device", "cpu"],
        ["--roi", "scan.nrrd"],
        ["--roi", "missing.mrk.json"],
        ["--spacing-um", "-5"],
        ["--planes", "5"],
        ["--dataset", "entry/data"],
        ["--fusion", "mean"],
        ["--spacing-um", "1e9"],
        ["--spacing-um", "1e-9"],
    ],
    ids=" ".join,
)
def test_segment_refuses_options_that_cannot_be_met(words, tiny_model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    volume_file(tmp_path, grey())
    before = files_below(tmp_path)
    code = main(["segment", "scan.nrrd", "s.seg.nrrd", "--model", str(tiny_model), *words])
    require_one_helpful_line(code, capsys.readouterr().err)
    assert files_below(tmp_path) == before


FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
from MgImplantSegLib.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="file sizes cannot be limited here")
def test_a_disk_that_fills_up_while_writing_leaves_nothing_half_written(tiny_model, tmp_path):
    scan = volume_file(tmp_path, np.random.default_rng(2).normal(size=(60, 60, 60)).astype(np.float32))
    before = files_below(tmp_path)
    words = ["segment", str(scan), "s.nrrd", "--model", str(tiny_model), "--disagreement", "d.nrrd"]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    require_one_helpful_line(done.returncode, done.stderr)
    assert re.search(r"Expected to write \S*[sd]\.nrrd, got: File too large", done.stderr)
    assert files_below(tmp_path) == before


def fractions(folder: Path) -> Path:
    return volume_file(folder, grey(), name="labels.nrrd")


BAD_SEGMENTATIONS = {
    "missing": lambda folder: folder / "labels.seg.nrrd",
    "text": lambda folder: text_file(folder, "labels.seg.nrrd"),
    "empty": lambda folder: text_file(folder, "labels.seg.nrrd", b""),
    "2D": two_dimensional,
    "colour": colour,
    "a grey image": fractions,
    "of unknown values": lambda folder: label_file_of_values(folder, 9),
    "without spacing": lambda folder: label_file(folder, labels(), (1.0, 1.0, 1.0)),
    "truncated": truncated,
}


def label_file_of_values(folder: Path, value: int) -> Path:
    array = np.zeros(SHAPE, np.uint8)
    array[5:9, 5:9, 5:9] = value
    return volume_file(folder, array, name="labels.nrrd")


@pytest.mark.parametrize("kind", BAD_SEGMENTATIONS)
@pytest.mark.parametrize("command", ["quantify", "evaluate"])
def test_measuring_refuses_a_segmentation_that_is(command, kind, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    path = BAD_SEGMENTATIONS[kind](tmp_path / "in")
    good = label_file(tmp_path, labels(), name="good.seg.nrrd")
    before = files_below(tmp_path)
    further = ["--csv", str(tmp_path / "m.csv")] if command == "quantify" else [str(good)]
    code = main([command, str(path), *further, "--json", str(tmp_path / "m.json")])
    require_one_helpful_line(code, capsys.readouterr().err)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(
    "words",
    [
        ["--initial", "missing.nrrd"],
        ["--initial", "scan.nrrd"],
        ["--initial", "empty.nrrd"],
        ["--initial", "good.seg.nrrd", "--initial-volume-mm3", "3"],
        ["--initial-volume-mm3", "-3"],
        ["--initial-area-mm2", "0"],
        ["--days", "-1"],
        ["--days", "soon"],
        ["--distance-mm", "0"],
        ["--distance-mm", "inf"],
        ["--roi", "good.seg.nrrd"],
        ["--roi", "bad.mrk.json"],
        ["--roles", "3=wood"],
        ["--roles", "1=bone"],
        ["--surface", "guess"],
        ["--csv", "missing/m.csv"],
        ["--json", "missing/m.json"],
        ["--csv", "."],
        ["--spacing-um", "0"],
        ["--dataset", "entry"],
    ],
    ids=" ".join,
)
def test_quantify_refuses_options_that_cannot_be_met(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    label_file(tmp_path, labels(), name="good.seg.nrrd")
    label_file(tmp_path, np.zeros(SHAPE, np.uint8), name="empty.nrrd")
    volume_file(tmp_path, grey())
    text_file(tmp_path, "bad.mrk.json", '{"markups": [{"type": "ROI", "center": "middle"}]}')
    before = files_below(tmp_path)
    code = main(["quantify", "good.seg.nrrd", *words])
    require_one_helpful_line(code, capsys.readouterr().err)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("out", ["scan.nrrd", "scan.nrrd/demo"])
def test_the_demo_refuses_a_folder_that_cannot_be(out, tiny_model, tmp_path, capsys):
    volume_file(tmp_path, grey())
    before = files_below(tmp_path)
    code = main(["demo", "--size", "60", "--out", str(tmp_path / out), "--model", str(tiny_model)])
    require_one_helpful_line(code, capsys.readouterr().err)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("words", [["demo", "--input", "bad.nrrd"], ["simulate", "--count", "100000000"]])
def test_a_folder_that_was_made_for_results_goes_with_the_error(words, tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text_file(tmp_path, "bad.nrrd", "no scan")
    before = files_below(tmp_path)
    out = ["--model", str(tiny_model), "--out", "new/results"] if words[0] == "demo" else ["new/results"]
    require_one_helpful_line(main([*words, *out]), capsys.readouterr().err)
    assert files_below(tmp_path) == before


EACH = """
import sys
from MgImplantSegLib.cli import main
for name in sys.argv[2:]:
    code = main(["quantify", sys.argv[1], "--initial", name])
    sys.stderr.write(f"|{code}|")
"""


@pytest.mark.slow
def test_a_mesh_file_without_a_mesh_is_told_in_one_line(tmp_path):
    explant = label_file(tmp_path, labels(), name="good.seg.nrrd")
    names = [f"junk{suffix}" for suffix in MESH_SUFFIXES]
    for name in names:
        text_file(tmp_path, name, "this is no mesh")
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    words = [sys.executable, "-c", EACH, str(explant), *names]  # VTK writes past Python's streams
    done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=tmp_path, check=True)
    said = done.stderr.split("|")[:-1]
    for name, error, code in zip(names, said[::2], said[1::2], strict=True):
        assert name in error
        require_one_helpful_line(int(code), error)


def test_a_value_that_begins_with_a_dash_is_told_how_to_be_written(tmp_path, capsys):
    explant = label_file(tmp_path, labels(), name="good.seg.nrrd")
    error = main(["quantify", str(explant), "--roles", "-1=bone"]), capsys.readouterr().err
    require_one_helpful_line(*error)
    assert "--option=value" in error[1]


def test_evaluate_refuses_segmentations_on_different_grids(tmp_path, capsys):
    one = label_file(tmp_path, labels(), name="one.seg.nrrd")
    other = label_file(tmp_path, labels()[:20], (0.02, 0.03, 0.02), name="other.seg.nrrd")
    require_one_helpful_line(main(["evaluate", str(one), str(other)]), capsys.readouterr().err)
