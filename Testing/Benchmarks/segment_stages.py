"""Where the CPU time of `segment` goes: reading, network, sums, labels on the scan's grid, writing.

    python Testing/Benchmarks/segment_stages.py [--shape 100,1200,1200] [--backend auto] [--planes 3]

Makes a scan of 5 µm voxels (a corroded screw in noisy trabecular bone, uint16) in a temporary folder, segments it with
the bundled model and prints CPU seconds of each stage with all threads, largest first, and the peak of the resident
memory. Labels are then brought onto the scan's grid once more with every voxel interpolated, as a comparison within the
run; the labels have to be the same. CPU time can be compared on a busy machine, wall time cannot.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from measures_speed import explant, say

from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.grids.volume import Geometry, Volume
from MgImplantSegLib.inference import output_grid, segmenter
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.io import open_volume, write_label_map, write_volume

GREY = np.array([14000, 22000, 26000, 38000], np.float32)
NOISE = 900.0
STAGES = {
    "preprocess": "reading, resampling, clipping",
    "load_network": "loading the network",
    "predict_fused": "slices and sums, with the network",
    "_probabilities": "network alone",
    "labels": "labels on the model's grid",
    "run_statistics": "statistics",
    "_clean_contact": "post-processing",
    "classes_on_grid": "labels on the scan's grid",
    "write_label_map": "writing the segmentation",
}


def make_scan(path: Path, shape_zyx: tuple[int, int, int]) -> None:
    """Write the scan."""
    labels, _ = explant(shape_zyx)
    noise = np.random.default_rng(0).normal(0, NOISE, (4, *shape_zyx[1:])).astype(np.float32)
    grey = np.empty(shape_zyx, np.uint16)
    for z, classes in enumerate(labels.array):
        grey[z] = np.clip(GREY[classes] + noise[z % len(noise)], 0, 65535)
    write_volume(Volume(grey, Geometry(shape_zyx, (0.005,) * 3)), path)


def cpu_seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and its CPU time."""
    start = time.process_time()
    return work(), time.process_time() - start


def measure(scan: Path, out: Path, options: SegmentOptions) -> None:
    """Segment under the profiler and print its stages."""
    on_grid: list[Any] = []
    classes_on_grid = output_grid.classes_on_grid

    def watched(prediction: Any, classes: np.ndarray, *given: Any) -> np.ndarray:
        on_grid[:] = prediction, classes.copy(), *given
        return classes_on_grid(prediction, classes, *given)

    output_grid.classes_on_grid = watched
    profile = cProfile.Profile(time.process_time)
    with open_volume(scan) as volume:
        profile.enable()
        result = segmenter.segment_volume(volume, options)
        write_label_map(result.label_map, out)
        profile.disable()
    output_grid.classes_on_grid = classes_on_grid
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = dict.fromkeys(STAGES, 0.0)
    for (_file, _line, name), (_calls, _own, _tottime, total, _callers) in pstats.Stats(profile).stats.items():
        if name in found:
            found[name] = max(found[name], total)
    for name, seconds in sorted(found.items(), key=lambda item: -item[1]):
        say(f"{STAGES[name]:36} {seconds:8.2f} s CPU")
    say(f"{'peak of resident memory':36} {peak_mb:8.0f} MB")
    compare(result.label_map.array, on_grid)


def compare(labels: np.ndarray, on_grid: list[Any]) -> None:
    """Time labels on the scan's grid both ways in turns."""
    ways = {}
    for name, is_finer in (("every voxel interpolated", lambda _matrices: False), ("now", output_grid.is_finer)):
        output_grid.is_finer = is_finer
        ways[name] = cpu_seconds(lambda: output_grid.classes_on_grid(on_grid[0], on_grid[1].copy(), *on_grid[2:]))
        say(f"{'labels on the grid, ' + name:46} {ways[name][1]:8.2f} s CPU")
    say(f"same labels: {all(np.array_equal(found, labels) for found, _ in ways.values())}")


def main() -> None:
    """Make the scan, segment it, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="100,1200,1200", help="z,y,x")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--planes", default="3")
    arguments = parser.parse_args()
    z, y, x = (int(number) for number in arguments.shape.split(","))
    options = SegmentOptions(
        find_model(), planes=arguments.planes, device="cpu", precision="fp32", backend=arguments.backend
    )
    with tempfile.TemporaryDirectory() as folder:
        make_scan(Path(folder, "scan.nrrd"), (z, y, x))
        measure(Path(folder, "scan.nrrd"), Path(folder, "labels.seg.nrrd"), options)


if __name__ == "__main__":
    main()
