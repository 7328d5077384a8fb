"""What `prepare` says of its memory is kept, as the system counts it, whatever the file holds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from MgImplantSegLib.cli import main

CHECKOUT = Path(__file__).resolve().parents[2]
PREPARE = """
import sys
from MgImplantSegLib.cli import main
code = main(sys.argv[2:])
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0]  # not the parent's
open(sys.argv[1], "w").write(peak)
sys.exit(code)
"""


def sparse_nrrd(path, kind, bytes_per_voxel, shape):
    """A scan of zeros that takes no room on the disk."""
    z, y, x = shape
    header = ["NRRD0004", f"type: {kind}", "dimension: 3", "space: left-posterior-superior", f"sizes: {x} {y} {z}"]
    header += ["space directions: (0.005,0,0) (0,0.005,0) (0,0,0.005)", "kinds: domain domain domain"]
    header += ["endian: little", "encoding: raw", "space origin: (0,0,0)"]
    path.write_bytes("\n".join(header).encode() + b"\n\n")
    os.truncate(path, path.stat().st_size + z * y * x * bytes_per_voxel)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are measured as Linux gives them")
@pytest.mark.parametrize("way", [["--crop", "sample"], ["--box", "0:900,0:1000,0:320"]], ids=["sample", "box"])
def test_a_mapped_scan_larger_than_the_limit_is_not_in_memory(way, tmp_path):
    scan = sparse_nrrd(tmp_path / "scan.nrrd", "uint16", 2, (400, 1000, 1000))  # 800 MB
    words = ["prepare", str(scan), str(tmp_path / "out.nrrd"), "--target-um", "40", *way, "--memory-gb", "0.6"]
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(tmp_path / "peak"), *words, "--json", str(tmp_path / "result.json")],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peak = int((tmp_path / "peak").read_text()) * 1024
    said = json.loads((tmp_path / "result.json").read_text())["memory_bytes"]
    assert 0.4 * said < peak <= said < 0.6e9, (peak, said)


LIMITED = """
import resource, sys
from MgImplantSegLib.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)  # as a disk that is full after so many bytes
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
def test_a_file_that_cannot_be_written_to_its_end_leaves_nothing(tmp_path):
    scan = sparse_nrrd(tmp_path / "scan.nrrd", "uint16", 2, (40, 100, 100))  # 800 kB
    (tmp_path / "out").mkdir()
    words = ["prepare", str(scan), str(tmp_path / "out" / "o.nrrd")]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "300000", *words],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("mgimplantseg prepare: error: Expected to write") and "o.nrrd" in last, last
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_with_too_little_room_is_told_before_the_work(tmp_path, monkeypatch, capsys):
    scan = sparse_nrrd(tmp_path / "scan.nrrd", "uint16", 2, (40, 100, 100))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_500_000))
    assert main(["prepare", str(scan), str(tmp_path / "o.nrrd")]) == 2
    assert "Expected 1.8 MB of free disk space" in capsys.readouterr().err
    assert not (tmp_path / "o.nrrd").exists()
