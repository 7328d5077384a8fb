"""What the tests of batches elsewhere have in common: scans, the table, and a result at which it can be held."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from job_cases import wait_for

from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io import write_volume

EDGE, SPACING_MM, METAL = 12, 0.02, 255
WORDS = ("--model", "thresholds.mgmodel", "--planes", "1", "--device", "cpu")
started: list[subprocess.Popen] = []
GATE = """
import fnmatch, os, sys, time

def at_rename(event, words):
    if event == "os.rename" and fnmatch.fnmatch(os.path.basename(str(words[1])), {name!r}):
        while os.path.exists({hold!r}):
            open({reached!r}, "w").close()
            time.sleep(0.05)

if "batch" in sys.orig_argv or "segment" in sys.orig_argv:
    sys.addaudithook(at_rename)
"""


def write_scan(path: Path, metal: int) -> None:
    """A cube with `metal` voxels of residual material in a layer beside bone."""
    array = np.zeros((EDGE,) * 3, np.uint8)
    array[3:9, 3:9, 3:9], array[:, 10:, :] = 170, 100
    array[4:8, 4:8, 4:8].flat[:metal] = METAL
    path.parent.mkdir(exist_ok=True)
    write_volume(Volume(array, Geometry(array.shape, (SPACING_MM,) * 3)), path)


def write_study(place: Path, count: int, broken: int | None = None) -> list[str]:
    """A manifest of scans with 1, 2, 3 and so on voxels of residual material; one may be no image."""
    names = [f"scan {number:02d}" for number in range(1, count + 1)]
    for number, name in enumerate(names, start=1):
        write_scan(place / "scans" / f"{name}.nrrd", number)
        if number == broken:
            (place / "scans" / f"{name}.nrrd").write_text("no image")
    (place / "study.csv").write_text("\n".join(["image", *(f"scans/{name}.nrrd" for name in names)]), "utf-8")
    return names


def residual_mm3(metal: int) -> float:
    """Volume of so many voxels."""
    return metal * SPACING_MM**3


IMPATIENT = """
import sys
from MgImplantSegLib.cli import main
from MgImplantSegLib.jobs import ssh_connection
ssh_connection.SECONDS_BEFORE_RETRIES = (1, 2)
sys.exit(main(sys.argv[1:]))
"""


class Gate:
    """Has the work wait when a result is about to get its name, as long as the gate is closed.

    Parameters
    ----------
    folder : Path
        For a Python whose programs wait; `python` starts it.
    name : str
        Of the result's file or folder, or a pattern like ``scan *``.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._hold, self._reached = folder / "hold", folder / "reached"
        self.python = folder / "python"
        site = folder / "site"
        site.mkdir(parents=True)
        names = {"name": name, "hold": str(self._hold), "reached": str(self._reached)}
        (site / "sitecustomize.py").write_text(GATE.format(**names), "utf-8")
        self.python.write_text(f'#!/bin/sh\nPYTHONPATH="{site}:$PYTHONPATH" exec "{sys.executable}" "$@"\n', "utf-8")
        self.python.chmod(0o755)
        self._hold.touch()

    def is_reached(self) -> bool:
        """Whether the work waits there, or has waited."""
        return self._reached.exists()

    def open(self) -> None:
        """Have the work go on."""
        self._hold.unlink()


def start_batch(*words: str, program: Sequence[str] = ("-m", "MgImplantSegLib")) -> subprocess.Popen:
    """A batch as a program of its own."""
    command = [sys.executable, *program, "batch", "study.csv", "out", *WORDS, *words]
    batch = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    started.append(batch)
    return batch


def table(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of the batch in ``out``, by sample."""
    with open(folder / "out" / "batch.csv", newline="", encoding="utf-8") as stream:
        return {row["sample"]: row for row in csv.DictReader(stream)}


def states(folder: Path) -> dict[str, str]:
    """The state of each sample in the table; empty before there is one."""
    if not (folder / "out" / "batch.csv").exists():
        return {}
    return {name: row["state"] for name, row in table(folder).items()}


def wait_during(batch: subprocess.Popen, holds: Callable[[], object], what: str) -> None:
    """Wait until something holds while a batch goes on; AssertionError with its words if it ends before."""
    wait_for(lambda: holds() or batch.poll() is not None, what)
    assert holds(), f"the batch has ended: {batch.communicate()[1]}"


def arrays(folder: Path) -> list[dict]:
    """What the batch in ``out`` has submitted."""
    path = folder / "out" / "batch-jobs.json"
    return json.loads(path.read_text("utf-8"))["arrays"] if path.exists() else []
