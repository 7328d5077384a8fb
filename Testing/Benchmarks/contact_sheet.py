"""Slices of simulated explants beside real scans: ``python Testing/Benchmarks/contact_sheet.py sheet.png``.

The first row are real: the degraded wire, trabecular bone, a tooth. Below, explants of `Look.SCANNER`, each with a seed
that no training uses.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import tifffile

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MgImplantSegLib.base.resources import resource
from MgImplantSegLib.io import read_volume
from MgImplantSegLib.simulation import ImplantKind, Look, SimulationSettings, simulate_explant

TILE, COLUMNS, ROWS = 152, 6, 3
FIRST_SEED = 930_000
KINDS = (ImplantKind.SCREW, ImplantKind.PIN, ImplantKind.WIRE, ImplantKind.SCREW, ImplantKind.PLATE)


def tile(slice_yx: np.ndarray) -> np.ndarray:
    """A slice with grey values as the network sees them, in the middle of a square, uint8."""
    low, high = np.percentile(slice_yx, (0.5, 99.9))
    grey = np.rint(255 * np.clip((slice_yx - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8)
    grey = grey[:TILE, :TILE]
    pads = [((TILE - n) // 2, TILE - n - (TILE - n) // 2) for n in grey.shape]
    return np.pad(grey, pads)


def real_slices() -> list[np.ndarray]:
    """The wire, bone from two directions, and the tooth in three parts."""
    wire = tifffile.imread(resource("SampleData", "mg_wire_slice_grey.tif"))[80:384, 60:364].astype(float)
    bone = read_volume(resource("SampleData", "lhdl_trabecular_bone_19p5um.nrrd")).array
    tooth = read_volume(resource("SampleData", "tooth_synchrotron_2slices.nrrd")).array[0]
    whole = tooth.reshape(160, 4, 160, 4).mean(axis=(1, 3))[4:156, 4:156]
    parts = [tooth[190:342, 260:412], tooth[300:452, 300:452]]
    halved = wire.reshape(152, 2, 152, 2).mean(axis=(1, 3))
    return [halved, bone[100, 20:172, 20:172], bone[20:172, 100, 20:172], whole, *parts]


def simulated_slice(number: int) -> np.ndarray:
    """Across or along the axis of an explant."""
    kind = KINDS[number % len(KINDS)]
    settings = SimulationSettings(TILE, 20.0, FIRST_SEED + number, kind, look=Look.SCANNER)
    scan = simulate_explant(settings).image.array
    return scan[TILE // 2] if number % 3 else scan[:, TILE // 2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="PNG to write")
    slices = [*real_slices(), *(simulated_slice(number) for number in range(COLUMNS * (ROWS - 1)))]
    tiles = [tile(slice_yx) for slice_yx in slices]
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    sitk.WriteImage(sitk.GetImageFromArray(np.vstack(rows)), str(parser.parse_args().file))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
