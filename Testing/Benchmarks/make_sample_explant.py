"""Make the simulated explant of the sample data: ``python Testing/Benchmarks/make_sample_explant.py FOLDER``.

Writes the scan with 8 bits a voxel and the screw before implantation, and prints the exact measures that
`Resources/SampleData/README.md`, the tutorial of the module and its self-test quote.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.simulation import ImplantKind, SimulationSettings, simulate_explant

SETTINGS = SimulationSettings(size=128, spacing_um=20.0, seed=2029, kind=ImplantKind.SCREW)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    explant = simulate_explant(SETTINGS)
    array = explant.image.array.astype(np.float32)
    grey = np.rint(255 * np.clip(array / np.percentile(array, 99.9), 0, 1)).astype(np.uint8)
    write_volume(replace(explant.image, array=grey), folder / "simulated_explant.nrrd")
    write_label_map(explant.initial, folder / "simulated_explant_initial.seg.nrrd")
    for key, value in explant.truth.items():
        sys.stdout.write(f"{key:18}{value:.4g}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
