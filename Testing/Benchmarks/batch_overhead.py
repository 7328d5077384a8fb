"""What a batch costs beside its work: many tiny scans by processes of this computer, or by a job array.

    python Testing/Benchmarks/batch_overhead.py --count 200 --at-once 2
    python Testing/Benchmarks/batch_overhead.py --count 200 --at-once 4 --environment local-slurm --scans-per-task 10

prints seconds a scan beyond the work itself (starting, submitting, collecting, table), and those of a second start,
when all is done already. `results/batch_overhead.md` has what it gave; `--results FILE` adds a row to such a table.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from MgImplantSegLib.base.text_files import read_json
from MgImplantSegLib.cli import main as run_command
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.io import write_volume

sys.path.append(str(Path(__file__).parents[1] / "Engine"))
from threshold_model import save_threshold_model

EDGE, SPACING_MM = 16, 0.02


def write_scans(folder: Path, count: int) -> None:
    """Scans of one cube of metal in a layer beside bone, which differ in their noise."""
    folder.mkdir()
    array = np.zeros((EDGE,) * 3, np.float32)
    array[4:12, 4:12, 4:12], array[6:8, 6:10, 6:10], array[:, 13:, :] = 170, 255, 100
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 1, array.shape).astype(np.float32)
        write_volume(
            Volume(array + noise, Geometry(array.shape, (SPACING_MM,) * 3)), folder / f"scan_{number:04d}.nrrd"
        )


def timed(words: list[str]) -> float:
    """Seconds that a command takes; ends the program if it fails."""
    start = time.monotonic()
    if run_command(words) != 0:
        sys.exit(1)
    return time.monotonic() - start


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="scans")
    parser.add_argument("--at-once", type=int, default=2, help="processes, or tasks that run at once")
    parser.add_argument("--environment", help="of jobs; without it processes of this computer")
    parser.add_argument("--scans-per-task", type=int, default=1, help="scans in each task of the array")
    parser.add_argument("--results", type=Path, help="table in Markdown that gets a row")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scans(folder / "scans", arguments.count)
        save_threshold_model(folder / "thresholds.mgmodel", 1000 * SPACING_MM)
        words = ["batch", str(folder / "scans"), str(folder / "out"), "--model", str(folder / "thresholds.mgmodel")]
        words += [
            "--planes",
            "1",
            "--device",
            "cpu",
            "--at-once",
            str(arguments.at_once),
            "--json",
            str(folder / "r.json"),
        ]
        if arguments.environment:
            words += ["--environment", arguments.environment, "--scans-per-task", str(arguments.scans_per_task)]
        load = os.getloadavg()[0]
        first, second = timed(words), timed(words)
        work = sum(row["seconds"] for row in read_json(folder / "r.json")["samples"])
    beside = (first - work / arguments.at_once) / arguments.count
    way = f"array, {arguments.scans_per_task} scans a task" if arguments.environment else "processes"
    if arguments.results:
        row = (arguments.count, way, arguments.at_once, f"{first:.0f}", f"{work:.0f}", f"{beside:.2f}")
        cells = (*row, f"{second / arguments.count:.3f}", f"{load:.1f}")
        with arguments.results.open("a", encoding="utf-8") as stream:
            stream.write(f"| {' | '.join(map(str, cells))} |\n")
    sys.stdout.write(
        f"{arguments.count} scans, {arguments.at_once} at once: {first:.1f} s, of which work {work:.1f} s; "
        f"{beside:.3f} s a scan beside the work; {second / arguments.count:.3f} s a scan at a second start.\n"
    )


if __name__ == "__main__":
    main()
