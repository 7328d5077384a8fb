"""Time and memory of the measures on a label map with all four classes: a threaded, corroded screw in trabecular bone.

    python Testing/Benchmarks/measures_speed.py [--size 400] [--measures default|all|NAME,...] [--alone]

Prints CPU seconds, wall seconds and the peak of the resident memory, each group of measures in a process of its own and
all default measures together, with the memory of the label map itself; `--alone` measures the label map without screw
and ROI, as `quantify LABELS` does. Wanted on two idle cores for the label map alone: 400³ within 4 s, and
1000 × 1200 × 1200 within 60 s and 5 GB. On a busy machine only CPU seconds can be compared. `--check`
measures by distances of the whole array too and prints the largest difference.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from scipy import ndimage

from MgImplantSegLib.grids.regions import OrientedBox
from MgImplantSegLib.grids.volume import Geometry, LabelMap
from MgImplantSegLib.quantification import MEASURES, InitialScrew, QuantificationReport, QuantifyOptions, quantify
from MgImplantSegLib.quantification.measures.all_measures import DEFAULT_MEASURES
from MgImplantSegLib.quantification.measures.distance import distance_to_mm

SPACING_MM = 0.005
CHILD = "--child"
BONE, LAYER, METAL = 1, 2, 3


def explant(shape_zyx: tuple[int, int, int]) -> tuple[LabelMap, LabelMap]:
    """A screw along z with thread, layer and cracks in a bone of smoothed noise, and the screw before."""
    geometry = Geometry(shape_zyx, (SPACING_MM,) * 3)
    labels, before = (np.zeros(shape_zyx, dtype=np.uint8) for _ in range(2))
    half = min(shape_zyx[1:]) / 2
    y, x = np.ogrid[: shape_zyx[1], : shape_zyx[2]]
    y, x = y - shape_zyx[1] / 2 + 0.3, x - shape_zyx[2] / 2 + 0.1
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    noise = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(noise.random((64, 64, 64)).astype(np.float32), 3, mode="wrap")
    texture = np.kron(texture > np.median(texture), np.ones((3, 3, 3), dtype=bool))
    for z in range(shape_zyx[0]):
        bone = texture[z % texture.shape[0]]
        bone = np.tile(bone, (shape_zyx[1] // bone.shape[0] + 1, shape_zyx[2] // bone.shape[1] + 1))
        labels[z] = bone[: shape_zyx[1], : shape_zyx[2]]
        if not 0.06 < z / shape_zyx[0] < 0.94:
            continue
        thread = 0.05 * half * np.abs(2 * ((z / 60 - angle / (2 * np.pi)) % 1) - 1)
        outer = 0.45 * half + thread
        crack = (np.abs((z + 3 * np.sin(6 * angle)) % 37) < 1.5) & (radius > 0.4 * half)
        before[z] = np.where(radius <= outer, METAL, 0)
        labels[z][radius <= outer] = LAYER
        labels[z][(radius <= outer) & crack] = 0
        labels[z][radius <= outer - 0.05 * half - 0.03 * half * np.cos(3 * angle)] = METAL
    return LabelMap(labels, geometry), LabelMap(before, geometry)


def run_child(shape_zyx: tuple[int, int, int], measures: tuple[str, ...], alone: bool, check: bool) -> None:
    """Make the explant, measure it, print CPU seconds, wall seconds and the peak in MB."""
    label_map, before = explant(shape_zyx)
    middle = label_map.geometry.lps_from_index_zyx(np.array(shape_zyx) / 2)
    roi = OrientedBox(
        tuple(middle + np.array([0.4, 0.0, 0.1])), ((0.8, 0.6, 0), (-0.6, 0.8, 0), (0, 0, 1)), (0.8, 0.6, 1.0), "ROI"
    )
    known = {} if alone else {"initial": InitialScrew.from_label_map(before), "rois": (roi,)}
    del before
    options = QuantifyOptions(time_days=84, measures=measures, **known)
    cpu, wall = time.process_time(), time.perf_counter()
    report = quantify(label_map, options)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    checked = f" {difference_from_plain(label_map, report):12.3g}" if check else ""
    say(f"{cpu:8.1f} {wall:8.1f} {peak_mb:9.0f}{checked}")


def difference_from_plain(label_map: LabelMap, report: QuantificationReport) -> float:
    """Largest difference in % of BV/TV in the shells from voxels counted by distances of the whole array."""
    distance_mm = distance_to_mm(label_map.array >= LAYER, label_map.geometry.spacing_zyx_mm)
    shells = [entry for entry in report.series if entry.region == "shells"]
    tolerance_mm, largest = 1e-3 * SPACING_MM, 0.0
    for entry in shells:
        for low_mm, high_mm, value in zip(entry.x_low, entry.x_high, entry.values, strict=True):
            inside = (distance_mm > (low_mm + tolerance_mm if low_mm else 0)) & (distance_mm <= high_mm + tolerance_mm)
            largest = max(largest, abs(value - 100 * float((label_map.array[inside] == BONE).mean())))
    return largest


def say(line: str) -> None:
    """Write one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """One line per group, each measured in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs="+", default=[400], help="edge, or the numbers of voxels z y x")
    parser.add_argument("--measures", default="default", help="default, all, or names separated by commas")
    parser.add_argument("--alone", action="store_true", help="without the screw before and without ROI")
    parser.add_argument("--check", action="store_true", help="compare shells with the plain computation")
    parser.add_argument(CHILD, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    shape = tuple(arguments.size * 3) if len(arguments.size) == 1 else tuple(arguments.size)
    if arguments.child:
        run_child(shape, tuple(arguments.child.split(",")), arguments.alone, arguments.check)
        return
    names = {"default": DEFAULT_MEASURES, "all": tuple(MEASURES)}.get(arguments.measures)
    names = names or tuple(arguments.measures.split(","))
    say(f"{shape} voxels, label map {np.prod(shape) / 2**20:.0f} MB, {os.cpu_count()} cores")
    say(f"{'measures':20} {'CPU s':>8} {'wall s':>8} {'peak MB':>9}{'  difference %' if arguments.check else ''}")
    for group in (*names, ",".join(names)):
        flags = [f"--{name}" for name in ("alone", "check") if getattr(arguments, name)]
        command = [sys.executable, __file__, "--size", *map(str, shape), *flags, CHILD, group]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        say(f"{group if group in names else 'all of these':20} {done.stdout.strip()}")


if __name__ == "__main__":
    main()
