"""``--memory-gb`` is kept: the peak of the whole process as the system counts it, or the least that can be is named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threshold_model import save_threshold_model

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.mapped_memory import give_back_pages, is_mapped
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io import open_volume, write_volume
from MgImplantSegLib.preprocessing.preprocess import Preprocessing, preprocess

CHECKOUT = Path(__file__).resolve().parents[2]
SEGMENT = """
import sys
from MgImplantSegLib.cli import main
code = main(sys.argv[1:])
peaks = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]  # not the parent's
print("peak", int(peaks[0]) * 1024)
sys.exit(code)
"""


def segment(folder: Path, planes: str, memory_gb: float) -> tuple[int, float, str]:
    """Exit code, peak of resident memory in GB, and what was said."""
    words = [
        "segment",
        "scan.nrrd",
        "s.nrrd",
        "--model",
        "m.mgmodel",
        "--planes",
        planes,
        "--memory-gb",
        f"{memory_gb}",
    ]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SEGMENT, *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    peak = re.search(r"peak (\d+)", done.stdout)
    assert peak, done.stderr
    return done.returncode, int(peak[1]) / 1e9, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are measured as Linux gives them")
@pytest.mark.parametrize(
    ("planes", "shape", "on_disk"),
    [
        ("3", (48, 48, 48), False),
        ("9", (48, 48, 48), False),
        pytest.param("3", (64, 400, 400), True, marks=pytest.mark.slow),
    ],
    ids=["3", "9", "3 on disk"],
)
def test_the_least_that_is_named_is_kept(planes, shape, on_disk, tmp_path):
    grey = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint16)
    write_volume(Volume(grey, Geometry(shape, (0.02,) * 3)), tmp_path / "scan.nrrd")
    save_threshold_model(tmp_path / "m.mgmodel", 20.0, sharpness=40.0)
    code, _, error = segment(tmp_path, planes, 0.1)
    named = re.search(r"Expected at least (\d+\.\d\d) GB of memory for this volume, got 0\.10 GB", error)
    assert code == 2 and named, error
    least = float(named[1])
    code, peak, error = segment(tmp_path, planes, least + 0.01)  # a start may take some pages more than the other
    assert code == 0, error
    assert ("the accumulator is kept on disk" in error) is on_disk
    assert 0.7 * least < peak <= least + 0.01
    assert (tmp_path / "s.nrrd").exists()


def resident(path: Path) -> int:
    """Bytes of a mapped file that are in this process's memory."""
    mapped = Path("/proc/self/smaps").read_text().partition(f" {path}\n")[2]
    return 1024 * int(re.search(r"^Rss:\s+(\d+) kB", mapped, re.MULTILINE)[1])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep the pages")
@pytest.mark.parametrize("mode", ["c", "r+"])
def test_pages_that_are_given_back_leave_memory_and_what_was_written_stays(mode, tmp_path):
    np.zeros(64 << 20, np.uint8).tofile(tmp_path / "a.raw")
    array = np.memmap(tmp_path / "a.raw", np.uint8, mode)
    assert is_mapped(array[10:]) and not is_mapped(np.zeros(3))
    array[:5000] = 7
    array.sum()
    assert resident(tmp_path / "a.raw") > 8 << 20  # a busy machine may have taken some back already
    give_back_pages(array)
    assert resident(tmp_path / "a.raw") < 8 << 20
    assert (array[:5000] == 7).all() and array[5000] == 0
    give_back_pages(np.zeros(3))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep the pages")
def test_a_scan_that_is_preprocessed_does_not_stay_in_memory(tmp_path):
    grey = np.random.default_rng(0).integers(0, 255, (64, 1024, 1024)).astype(np.uint8)
    write_volume(Volume(grey, Geometry(grey.shape, (0.005,) * 3)), tmp_path / "scan.nrrd")
    most: list[int] = []
    events = Events(lambda _event: most.append(resident(tmp_path / "scan.nrrd")))
    with open_volume(tmp_path / "scan.nrrd") as scan:
        assert is_mapped(scan.array) and not scan.array.flags.writeable
        expected = preprocess(Volume(grey, scan.geometry), Preprocessing(40.0)).array
        np.testing.assert_array_equal(preprocess(scan, Preprocessing(40.0), events).array, expected)
        assert resident(tmp_path / "scan.nrrd") < 1 << 20
    assert len(most) > 1 and max(most) < 40 << 20  # of a quick machine few events come
