"""A measure, a file format and an option are added where the README says, and nowhere else; in a copy of the engine."""

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
from changed_tree import replace

from MgImplantSegLib.grids.labels import DEFAULT_SCHEME
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.io import write_label_map

CHECKOUT = Path(__file__).resolve().parents[2]
MEASURE = '''

def layer_share(context: MeasureContext) -> tuple[Measure, ...]:
    """Layer in percent of metal and layer."""
    layer, metal = (int(context.voxels_of_code[code]) for code in (LAYER, METAL))
    words = ("% of implant", "implant", "voxel count", "100 V_DL / (V_r + V_DL)")
    return (Measure("DL/Im", "share of the layer", 100 * layer / (layer + metal), *words),)
'''
FORMAT = '''"""Voxels of a segmentation as NumPy keeps them."""
from pathlib import Path
import numpy as np
from MgImplantSegLib.io.image_data import ImageData, ReadOptions

def read_npy(path: Path, options: ReadOptions) -> ImageData:
    return ImageData(np.load(path), (0.02, 0.02, 0.02))
'''
OPTION = '    trial_um: float = option("a length that changes nothing", Number("µm"), 3.0)\n'


@pytest.fixture
def engine(tmp_path):
    """A copy of the engine that may be changed."""
    leave_out = shutil.ignore_patterns("Resources")  # what is compiled is still valid there
    return Path(shutil.copytree(CHECKOUT / "MgImplantSegLib", tmp_path / "tree" / "MgImplantSegLib", ignore=leave_out))


@pytest.fixture
def label_map():
    """A block of 4 × 2 × 2 voxels: three quarters metal, one quarter layer, in a corner of bone."""
    values = np.ones((8, 8, 8), np.uint8)
    values[2:6, 3:5, 3:5] = 3
    values[5, 3:5, 3:5] = 2
    return LabelMap(values, Geometry((8, 8, 8), (0.02, 0.02, 0.02)), DEFAULT_SCHEME)


def run(engine: Path, *words: str) -> str:
    """Standard output of a command of the changed engine, which has to succeed."""
    variables = {**os.environ, "PYTHONPATH": str(engine.parent)}
    command = [sys.executable, "-m", "MgImplantSegLib", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=engine.parent, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_measure_is_a_function_and_an_entry(engine, label_map, tmp_path):
    measures = engine / "quantification" / "measures"
    with open(measures / "degradation.py", "a", encoding="utf-8") as stream:
        stream.write(MEASURE)
    registry = measures / "all_measures.py"
    replace(registry, "import degradation, volumes", "import degradation, layer_share, volumes")
    start = '    "a measure",\n    {\n'
    replace(registry, start, start + '        "layer-share": MeasureGroup("DL/Im", layer_share),\n')
    write_label_map(label_map, tmp_path / "labels.seg.nrrd")
    table, found = tmp_path / "measures.csv", tmp_path / "measures.json"
    run(engine, "quantify", str(tmp_path / "labels.seg.nrrd"), "--csv", str(table), "--json", str(found))
    by_symbol = {measure["symbol"]: measure for measure in json.loads(found.read_text("utf-8"))["measures"]}
    assert by_symbol["DL/Im"]["value"] == 25
    with open(table, encoding="utf-8-sig", newline="") as stream:
        assert any("DL/Im" in row and "25" in {cell.split(".")[0] for cell in row} for row in csv.reader(stream))
    assert "layer-share" in run(engine, "quantify", "--help")


def test_a_format_is_a_file_and_an_entry(engine, label_map, tmp_path):
    (engine / "io" / "npy_file.py").write_text(FORMAT, "utf-8")
    registry = engine / "io" / "formats.py"
    replace(
        registry,
        "from MgImplantSegLib.io.slice_folder import",
        "from MgImplantSegLib.io.npy_file import read_npy\nfrom MgImplantSegLib.io.slice_folder import",
    )
    start = '    "a file format",\n    {\n'
    replace(registry, start, start + '        "npy": FileFormat("NumPy", (".npy",), read_npy),\n')
    np.save(tmp_path / "labels.npy", label_map.array)
    found = tmp_path / "measures.json"
    run(engine, "quantify", str(tmp_path / "labels.npy"), "--json", str(found))
    by_symbol = {measure["symbol"]: measure for measure in json.loads(found.read_text("utf-8"))["measures"]}
    assert by_symbol["V_r"]["value"] == pytest.approx(12 * 0.02**3)
    assert by_symbol["V_DL"]["value"] == pytest.approx(4 * 0.02**3)


@pytest.mark.slow
def test_an_option_is_a_field(engine, label_map, tmp_path):
    options = engine / "quantification" / "options.py"
    replace(options, "    time_days: float | None = option(", OPTION + "    time_days: float | None = option(")
    write_label_map(label_map, tmp_path / "labels.seg.nrrd")
    found = tmp_path / "measures.json"
    run(engine, "quantify", str(tmp_path / "labels.seg.nrrd"), "--json", str(found), "--trial-um", "7")
    assert json.loads(found.read_text("utf-8"))["inputs"]["trial_um"] == 7
    text = " ".join(run(engine, "quantify", "--help").split())
    assert "a length that changes nothing" in text and "(default: 3)" in text
    batch = " ".join(run(engine, "batch", "--help").split())
    assert "--trial-um" in batch
