"""The process of a command: stopped while it starts, and files that shrink under it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io import write_volume

CHECKOUT = Path(__file__).resolve().parents[2]
INTERRUPTED_AT_IMPORT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(1000))  # the signal is handled at one of these steps
sys.meta_path.insert(0, Interrupts())
sys.argv[1:] = {words!r}
from MgImplantSegLib.cli import main
sys.exit(main())
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")


def run_code(code: str, folder: Path) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "MGIMPLANTSEG_CONFIG": str(folder / "configuration")}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def scan(tmp_path):
    grey = np.random.default_rng(0).integers(0, 255, (200, 64, 64)).astype(np.uint8)
    write_volume(Volume(grey, Geometry(grey.shape, (0.02,) * 3)), tmp_path / "scan.nrrd")
    return tmp_path / "scan.nrrd"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["segment", "scan.nrrd", "s.seg.nrrd"], "MgImplantSegLib.cli.application"),
        (["segment", "scan.nrrd", "s.seg.nrrd"], "numpy"),
        (["segment", "scan.nrrd", "s.seg.nrrd"], "SimpleITK"),
        (["segment", "scan.nrrd", "s.seg.nrrd"], "MgImplantSegLib.inference.segmenter"),
        (["quantify", "scan.nrrd"], "SimpleITK"),
        (["train", "t.toml"], "MgImplantSegLib.cli.train"),
        (["jobs", "list"], "MgImplantSegLib.jobs.backend"),
        (["doctor"], "MgImplantSegLib.cli.doctor"),
        (["--help"], "MgImplantSegLib.cli.batch"),
    ],
    ids=" ".join,
)
def test_ctrl_c_while_a_command_starts_is_one_line(words, name, scan, tmp_path):
    before = set(tmp_path.iterdir())
    done = run_code(INTERRUPTED_AT_IMPORT.format(name=name, words=words), tmp_path)
    lines = done.stderr.splitlines()
    assert done.returncode == 130 and len(lines) == 1, done.stderr
    assert lines[0].startswith("mgimplantseg") and lines[0].endswith("cancelled; no partial files were left.")
    assert done.stdout == "" and set(tmp_path.iterdir()) == before


INTERRUPTED_BEFORE = """
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "MgImplantSegLib.cli":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(1000))
sys.meta_path.insert(0, Interrupts())
sys.argv[1:] = ["doctor"]
runpy.run_module("MgImplantSegLib", run_name="__main__", alter_sys=True)
"""


def test_ctrl_c_before_the_command_line_is_there_is_one_line(tmp_path):
    done = run_code(INTERRUPTED_BEFORE, tmp_path)
    assert done.returncode == 130
    assert done.stderr == "mgimplantseg: cancelled; no partial files were left.\n"


SHORTENED = """
import os, sys
from contextlib import contextmanager
from MgImplantSegLib.cli import application
from MgImplantSegLib import io
open_volume = io.open_volume
@contextmanager
def open_and_shorten(path, **options):
    with open_volume(path, **options) as volume:
        os.truncate(path, 4096)
        yield volume
io.open_volume = open_and_shorten
sys.argv[1:] = ["segment", "scan.nrrd", "s.seg.nrrd"]
from MgImplantSegLib.cli import main
sys.exit(main())
"""


@pytest.mark.slow
def test_a_scan_that_is_shortened_while_it_is_read_is_one_line(scan, tmp_path):
    done = run_code(SHORTENED, tmp_path)
    lines = [line for line in done.stderr.splitlines() if not re.match(r"warning: |\w+: \d+ %", line)]
    assert done.returncode == 2 and len(lines) == 1, (done.returncode, done.stderr)
    assert lines[0].startswith("mgimplantseg: error: Expected files to stay as they are")
    assert not (tmp_path / "s.seg.nrrd").exists()
