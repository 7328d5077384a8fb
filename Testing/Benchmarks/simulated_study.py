"""Make a study of simulated explants: two groups, two time points, animals with two implants, and a known difference.

    python Testing/Benchmarks/simulated_study.py my_study --difference 1.6

writes scans, the screws before implantation, and the manifest ``my_study/study.csv`` for `batch`. The second group
degrades so many times as fast as the first; with ``--difference 1`` the groups are alike.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.simulation import SimulatedExplant, SimulationSettings, simulate_explant
from MgImplantSegLib.simulation.drawing import draw_parameters
from MgImplantSegLib.simulation.settings import ImplantKind

GROUPS, TIMES_DAYS, SIDES = ("Mg-5Gd", "Mg-10Gd"), (56, 112), ("left", "right")
RATE_MM_PER_YEAR, OF_ANIMALS, OF_IMPLANTS = 0.4, 0.06, 0.04
SEED, IMAGING_SEED = 980_000, 980_003
CLEAR_GREYS, CLEAR_NOISE = np.array([20.0, 100.0, 170.0, 250.0]), 4.0


@dataclass(frozen=True)
class Implant:
    """One explant of the study; `rate` in mm/year."""

    animal: str
    group: str
    time_days: int
    side: str
    rate: float
    seed: int


def implants(difference: float, animals: int, seed: int) -> Iterator[Implant]:
    """All implants: `animals` of each group at each time point, both sides of each.

    Animals and implants vary alike in both groups, so that the difference that is put in is exactly the one asked for.
    """
    number = 0
    for place, group in enumerate(GROUPS):
        rng = np.random.default_rng(seed)
        for time_days in TIMES_DAYS:
            for _ in range(animals):
                number += 1
                of_animal = RATE_MM_PER_YEAR * (difference if place else 1.0) * (1 + OF_ANIMALS * rng.standard_normal())
                for side in SIDES:
                    rate = of_animal * (1 + OF_IMPLANTS * rng.standard_normal())
                    yield Implant(
                        f"rat {number:02d}", group, time_days, side, rate, seed + 2 * number + (side == "right")
                    )


def explant_of(implant: Implant, size: int, spacing_um: float) -> SimulatedExplant:
    """The explant: a pin of one kind in bone, whose corrosion follows the rate of its group."""
    settings = SimulationSettings(size, spacing_um, implant.seed, ImplantKind.PIN, imaging_seed=IMAGING_SEED)
    drawn, like = draw_parameters(settings), draw_parameters(replace(settings, seed=SEED))
    depth = implant.rate * implant.time_days / 365.25
    corrosion = replace(
        drawn.corrosion,
        time_days=float(implant.time_days),
        depth_mm=depth,
        depth_variation=0.2,
        pits=0,
        swelling_mm=0.2 * depth,
        swelling_variation_mm=0.0,
        bare_part=0.0,
        crack_part=0.0,
    )
    return simulate_explant(settings, parameters=replace(drawn, implant=like.implant, corrosion=corrosion))


def clear_scan(explant: SimulatedExplant, seed: int) -> Volume:
    """A scan in which grey values alone tell the classes, for tests without a trained network."""
    noise = CLEAR_NOISE * np.random.default_rng(seed).standard_normal(explant.labels.array.shape)
    image = (CLEAR_GREYS[explant.labels.array] + noise).astype(np.float32)
    image.flat[:2] = 0.0, 270.0  # the same scale for all
    return Volume(image, explant.image.geometry)


def write_study(
    folder: Path,
    difference: float,
    animals: int = 3,
    size: int = 64,
    spacing_um: float = 20.0,
    is_clear: bool = False,
    seed: int = SEED,
) -> Path:
    """Write scans, screws before implantation and manifest; returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for implant in implants(difference, animals, seed):
        explant = explant_of(implant, size, spacing_um)
        name = f"{implant.animal} {implant.side}"
        stem = name.replace(" ", "_")
        write_volume(clear_scan(explant, implant.seed) if is_clear else explant.image, folder / f"{stem}.nrrd")
        write_label_map(explant.initial, folder / f"{stem}_initial.seg.nrrd")
        row = {"image": f"{stem}.nrrd", "name": name, "animal": implant.animal, "group": implant.group}
        row |= {"time_point_days": implant.time_days, "days": implant.time_days, "side": implant.side}
        rows.append(row | {"initial": f"{stem}_initial.seg.nrrd"})
    with open(folder / "study.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "study.csv"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder for scans and manifest")
    parser.add_argument(
        "--difference", type=float, default=1.6, help="rate of the second group, times that of the first"
    )
    parser.add_argument("--animals", type=int, default=3, help="animals of each group at each time point")
    parser.add_argument("--size", type=int, default=64, help="voxels along each edge")
    parser.add_argument("--spacing-um", type=float, default=20.0, help="voxel size in µm")
    parser.add_argument("--clear", action="store_true", help="scans in which grey values alone tell the classes")
    arguments = parser.parse_args()
    write_study(
        arguments.folder,
        arguments.difference,
        arguments.animals,
        arguments.size,
        arguments.spacing_um,
        arguments.clear,
    )


if __name__ == "__main__":
    main()
