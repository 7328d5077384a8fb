"""Memory, time and disk of ``prepare``, and of ``segment --grid model``, on a raw scan of at least 8 GB.

    python Testing/Benchmarks/prepare_large.py [--folder /tmp] [--gigabytes 8.5] [--kinds folder,h5] [--distinct N]

Makes a scan of 2510 × 2510 float32 slices (a bright sample in a round field of view, NaN around it), as a folder of
TIFF slices or as an HDF5 file with chunks of 32 × 256 × 256, prepares it (5 µm, cropped to the sample), segments it on
the model's grid, compares with what is known of the sample, and removes all again. Each command runs in a process of
its own whose peak is read from the system. With `--distinct N` only N slices are made, and the others are links to
them, or copies in an HDF5 file: each is read and decoded as any other, but the disk may have it in memory already.

What counts: peaks below 2 GB for `prepare`, and not above what was said beforehand. Times hold for the machine and what
else it does; the file says both. Not part of the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from MgImplantSegLib.io import open_volume, read_label_map

CHECKOUT = Path(__file__).resolve().parents[2]
EDGE, VOXEL_UM, TARGET_UM = 2510, 2.4, 5.0
RADIUS_MM, CENTRE_XY_MM = 1.6, (3.2, 2.8)
CHUNK = (32, 256, 256)
RUN = """
import json, resource, sys, time
from MgImplantSegLib.cli import main
start = time.time()
code = main(sys.argv[2:])
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0]
usage = resource.getrusage(resource.RUSAGE_SELF)
numbers = {"code": code, "peak_gb": int(peak) * 1024 / 1e9, "seconds": time.time() - start,
           "cpu_seconds": usage.ru_utime + usage.ru_stime}
open(sys.argv[1], "w").write(json.dumps(numbers))
sys.exit(code)
"""


def slices(count: int):
    """Slices of a cylinder with a bright core in noise, NaN outside the round field of view."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 40, (EDGE, 2 * EDGE)).astype(np.float32)
    mm = (np.arange(EDGE) + 0.5) * VOXEL_UM / 1000
    y, x = mm[:, None] - CENTRE_XY_MM[1], mm - CENTRE_XY_MM[0]
    radius = np.hypot(y, x)
    still = np.where(radius < RADIUS_MM, 400, 0) + np.where(radius < RADIUS_MM / 4, 900, 0) + 500
    outside = np.hypot(mm[:, None] - mm.mean(), mm - mm.mean()) > mm.mean()
    still = still.astype(np.float32)
    still[outside] = np.nan
    for number in range(count):
        shift = int(rng.integers(EDGE))
        yield number, still + noise[:, shift : shift + EDGE]


def write_folder(folder: Path, count: int, distinct: int) -> Path:
    """One TIFF a slice, with the log of a beamline."""
    import tifffile

    folder.mkdir(parents=True)
    for number, image in slices(min(count, distinct)):
        tifffile.imwrite(folder / f"reco_{number:05d}.tif", image)
    for number in range(distinct, count):
        os.link(folder / f"reco_{number % distinct:05d}.tif", folder / f"reco_{number:05d}.tif")
    (folder / "reco.log").write_text(f"effective_pixel_size : {VOXEL_UM}\n")
    return folder


def write_h5(path: Path, count: int, distinct: int) -> Path:
    """One HDF5 file with chunks over several slices."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("entry/data/data", (count, EDGE, EDGE), np.float32, chunks=CHUNK)
        block = np.empty((CHUNK[0], EDGE, EDGE), np.float32)
        made = list[np.ndarray]() if distinct < count else None
        for number, image in repeated(slices(distinct), count, made):
            block[number % CHUNK[0]] = image
            if number % CHUNK[0] == CHUNK[0] - 1 or number == count - 1:
                start = number // CHUNK[0] * CHUNK[0]
                data[start : number + 1] = block[: number + 1 - start]
    return path


def repeated(found, count: int, kept: list | None):
    """The numbered slices, and from `kept` further ones up to `count`."""
    for number, image in found:
        if kept is not None:
            kept.append(image)
        yield number, image
    for number in range(len(kept or ()), count if kept else 0):
        yield number, kept[number % len(kept)]


WRITERS = {"folder": (write_folder, "slices"), "h5": (write_h5, "scan.h5")}


def measured(folder: Path, *words: str) -> dict:
    """Exit code, peak and times of a command, and its result."""
    numbers, result = folder / "numbers.json", folder / "result.json"
    result.unlink(missing_ok=True)
    command = [sys.executable, "-c", RUN, str(numbers), *words, "--json", str(result)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode or not result.exists():
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")
    return {**json.loads(numbers.read_text()), "result": json.loads(result.read_text())}


def measure(kind: str, folder: Path, gigabytes: float, distinct: int | None) -> dict:
    """Make a scan, prepare it, segment it, and say what that took."""
    write, name = WRITERS[kind]
    count = int(np.ceil(gigabytes * 1e9 / (EDGE**2 * 4)))
    start = time.time()
    distinct = count if distinct is None else min(distinct, count)
    scan = write(folder / name, count, distinct)
    made = time.time() - start
    given = [] if kind == "folder" else ["--spacing-um", str(VOXEL_UM)]
    out, labels = folder / "prepared.nrrd", folder / "labels.seg.nrrd"
    prepared = measured(
        folder, "prepare", str(scan), str(out), *given, "--target-um", str(TARGET_UM), "--crop", "sample"
    )
    said = prepared.pop("result")
    segmented = measured(folder, "segment", str(scan), str(labels), *given, "--grid", "model", "--planes", "1")
    segmented.pop("result")
    scan_gb = count * EDGE**2 * 4 / 1e9
    return {
        "kind": kind,
        "scan_gb": scan_gb,
        "scan_voxels_xyz": [EDGE, EDGE, count],
        "distinct_slices": distinct,
        "made_in_seconds": made,
        "prepare": {
            **prepared,
            "gb_per_second": scan_gb / prepared["seconds"],
            "said_memory_gb": said["memory_bytes"] / 1e9,
            "said_seconds": said["seconds"],
            "output_gb": said["output_bytes"] / 1e9,
            "box_xyz": said["box"],
            "voxels_xyz": said["voxels"],
            "error_of_sample_radius_um": radius_error_um(out),
        },
        "segment_on_model_grid": {**segmented, "voxels_xyz": list(read_label_map(labels).array.shape[::-1])},
    }


def radius_error_um(path: Path) -> float:
    """Radius of the sample in the prepared scan, from its area in the middle slice, minus what it was made with."""
    with open_volume(path) as volume:
        image = np.array(volume.array[volume.array.shape[0] // 2], np.float32)
        area_mm2 = volume.geometry.spacing_zyx_mm[1] * volume.geometry.spacing_zyx_mm[2]
    window = volume.provenance["grey_window"]
    grey = window["intercept"] + window["slope"] * image
    return float(1000 * (np.sqrt((grey > 700).sum() * area_mm2 / np.pi) - RADIUS_MM))


def main() -> None:
    """Measure all kinds and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--gigabytes", type=float, default=8.5)
    parser.add_argument("--kinds", default="folder,h5")
    parser.add_argument("--distinct", type=int)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results") / "prepare_large.json")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="prepare_large_", dir=arguments.folder))
    if shutil.disk_usage(folder).free < 2.2e9 * arguments.gigabytes:
        raise SystemExit(f"Expected {2.2 * arguments.gigabytes:.0f} GB free in {folder}.")
    results = []
    try:
        for kind in arguments.kinds.split(","):
            results.append(measure(kind, folder / kind, arguments.gigabytes, arguments.distinct))
            shutil.rmtree(folder / kind)
            sys.stdout.write(json.dumps(results[-1], indent=1) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    machine = {"cpu_cores": os.cpu_count(), "system": platform.system(), "load_average": os.getloadavg()}
    about = {
        "note": "on a machine that others used too, at the lowest priority: times are upper limits, memory is exact"
    }
    arguments.out.write_text(json.dumps({**about, "machine": machine, "runs": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
