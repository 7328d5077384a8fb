"""Scans that do not fit into memory are segmented as those that do, and their labels may lie on the model's grid."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from test_memory_limit import segment
from threshold_model import save_threshold_model

from MgImplantSegLib.cli import main
from MgImplantSegLib.cli import segment_options as options_of_scans
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.inference.segmenter import segment_volume
from MgImplantSegLib.io import open_volume, read_label_map, write_volume
from MgImplantSegLib.io.slices_on_disk import SlicesOnDisk
from MgImplantSegLib.preprocessing.preprocess import model_grid

FINE = Geometry((36, 40, 44), (0.005,) * 3, (1.0, -2.0, 3.0))


def grey():
    """Steps of grey values along x, from 0 to 1000."""
    return (np.ones((36, 40, 1)) * np.repeat([0, 400, 700, 1000], 11)).astype(np.float32)


def write_folder(folder, values):
    folder.mkdir()
    for number, image in enumerate(values):
        tifffile.imwrite(folder / f"s{number:04d}.tif", image, compression="zlib")
    (folder / "reco.log").write_text("effective_pixel_size : 5\n")
    return folder


@pytest.fixture
def model(tmp_path):
    return save_threshold_model(tmp_path / "m.mgmodel", 20.0)


def test_labels_on_the_models_grid_lie_where_those_on_the_scans_do(model):
    scan = Volume(grey(), FINE)
    fine = segment_volume(scan, SegmentOptions(model, planes="1"))
    coarse = segment_volume(scan, SegmentOptions(model, planes="1", grid="model"))
    assert fine.label_map.geometry == FINE and fine.provenance["grid"] == "input"
    grid = coarse.label_map.geometry
    assert grid.spacing_zyx_mm == (0.02,) * 3 and grid.shape_zyx == (9, 10, 11)
    np.testing.assert_allclose(grid.corners_lps_mm(), FINE.corners_lps_mm(), atol=1e-9)
    assert coarse.provenance["grid"] == "model"
    np.testing.assert_array_equal(coarse.label_map.array[:, :, [1, 4, 7, 10]], np.ones((9, 10, 1)) * [0, 1, 2, 3])
    np.testing.assert_array_equal(fine.label_map.array[:, :, [4, 18, 30, 40]], np.ones((36, 40, 1)) * [0, 1, 2, 3])


def test_nan_is_not_labelled_on_the_models_grid_either(model):
    values = grey()
    values[:, :9] = np.nan
    coarse = segment_volume(Volume(values, FINE), SegmentOptions(model, planes="1", grid="model"))
    unknown = coarse.label_map.array == coarse.label_map.scheme.ignore_value
    assert unknown[:, :2].all() and not unknown[:, 3:].any()


@pytest.mark.parametrize("with_nan", [False, True])
def test_a_scan_read_slice_by_slice_gives_the_same_labels(with_nan, model, tmp_path):
    values = grey()
    if with_nan:
        values[:, :9] = np.nan
    whole = segment_volume(Volume(values, replace(FINE, origin_lps_mm=(0, 0, 0))), SegmentOptions(model, planes="3"))
    with open_volume(write_folder(tmp_path / "s", values)) as scan:
        assert isinstance(scan.array, SlicesOnDisk)
        result = segment_volume(scan, SegmentOptions(model, planes="3"))
    np.testing.assert_array_equal(result.label_map.array, whole.label_map.array)
    assert result.label_map.geometry.same_grid(whole.label_map.geometry)


@pytest.mark.parametrize("at_once", [0, 1 << 28])
def test_the_command_reads_such_a_scan_and_writes_on_the_models_grid(at_once, model, tmp_path, monkeypatch):
    monkeypatch.setattr(options_of_scans, "MOST_BYTES_AT_ONCE", at_once)
    folder = write_folder(tmp_path / "s", grey())
    words = [str(folder), str(tmp_path / "o.seg.nrrd"), "--model", str(model), "--planes", "1", "--grid", "model"]
    assert main(["segment", *words, "--json", str(tmp_path / "r.json")]) == 0
    result = read_label_map(tmp_path / "o.seg.nrrd")
    assert result.geometry.spacing_zyx_mm == pytest.approx((0.02,) * 3)
    assert json.loads((tmp_path / "r.json").read_text())["provenance"]["grid"] == "model"


def test_labels_on_the_models_grid_need_less_memory_and_the_message_says_so(model, tmp_path):
    shape = (400, 500, 500)
    scan = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint16), shape, (0, 0, 0))
    grid = Geometry(shape, (0.002,) * 3)
    from MgImplantSegLib.inference.estimate import estimate
    from MgImplantSegLib.model.file import read_card

    on_input, on_model = (estimate(grid, read_card(model), on_grid=name) for name in ("input", "model"))
    assert on_input.finishing_bytes - on_model.finishing_bytes == scan.size - np.prod(
        model_grid(grid, read_card(model).preprocessing).shape_zyx
    )


def test_the_remedy_of_too_little_memory_names_the_models_grid(model, tmp_path):
    write_volume(Volume(grey(), FINE), tmp_path / "scan.nrrd")
    code, _, error = segment(tmp_path, "1", 0.1)
    assert code == 2 and "(--grid)" in error


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are measured as Linux gives them")
@pytest.mark.slow
def test_a_scan_read_slice_by_slice_is_not_in_memory(model, tmp_path):
    values = np.zeros((150, 1200, 1200), np.float32)
    values += np.repeat([0, 400, 700, 1000], 300).astype(np.float32)
    folder = write_folder(tmp_path / "s", values)
    del values
    script = """
import sys
from MgImplantSegLib.cli import main
code = main(sys.argv[1:])
print("peak", [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
sys.exit(code)
"""
    words = ["segment", str(folder), str(tmp_path / "o.seg.nrrd"), "--model", str(model), "--planes", "1"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words, "--grid", "model"], capture_output=True, text=True, check=False
    )
    peak = re.search(r"peak (\d+)", done.stdout)
    assert done.returncode == 0 and peak, done.stderr
    assert int(peak[1]) * 1024 < 864e6 + 0.3e9  # the scan alone has 864 MB, the program without it more than 0.3 GB
