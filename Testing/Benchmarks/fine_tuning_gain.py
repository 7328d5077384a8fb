"""What fine-tuning on one labelled explant brings: ``python Testing/Benchmarks/fine_tuning_gain.py FOLDER``.

Explants get a look that the bundled model was not trained on: detail lost, broad dark and bright fringes around every
edge, grey values bent. The bundled model is fine-tuned on one of them with `Resources/Configurations/fine-tuning.toml`,
and both models are tested on others. ``--results FILE`` keeps the table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from scipy import ndimage

from MgImplantSegLib.base.files import atomic_folder, atomic_output
from MgImplantSegLib.base.resources import find_model, resource
from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.io import read_label_map, read_volume, write_label_map, write_volume
from MgImplantSegLib.simulation import ImplantKind, SimulationSettings, simulate_explant

FIRST_SEED, IMAGING_SEED, TEST = 970_000, 960_001, 4
SIZE = 144
NAME = "my-scans"
ROLES = ("background", "bone", "degradation_layer", "residual_material", "mean")


def another_look(scan: Volume, seed: int) -> Volume:
    """The scan with less detail, fringes three voxels wide, bent grey values and fresh noise."""
    array = scan.array.astype(np.float32)
    low, high = np.percentile(array, (0.5, 99.5))
    grey = np.clip((array - low) / (high - low), 0, 1.2)
    grey = ndimage.gaussian_filter(grey, 1.0)
    grey = grey + 2.0 * (grey - ndimage.gaussian_filter(grey, 3.0))
    grey = np.sign(grey) * np.abs(grey) ** 2
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(grey.shape), 1.0)
    grey = grey + 0.05 * noise / noise.std()
    return replace(scan, array=np.where(array == 0, 0, grey + 1).astype(np.float32))


def write_explant(number: int, folder: Path) -> Path:
    """Scan and labels of one explant in a folder of their own, unless they are there."""
    target = folder / f"explant_{number}"
    if not target.exists():
        explant = simulate_explant(
            SimulationSettings(SIZE, seed=FIRST_SEED + number, kind=ImplantKind.SCREW, imaging_seed=IMAGING_SEED)
        )
        with atomic_folder(target) as temporary:
            write_volume(another_look(explant.image, number), temporary / "explant.nrrd")
            write_label_map(explant.labels, temporary / "explant_labels.seg.nrrd")
    return target


def scores(model: Path, explants: list[Path]) -> np.ndarray:
    """IoU of every explant (rows) by role and their mean, 3 planes, soft voting."""
    rows = []
    for explant in explants:
        segmented = segment_volume(read_volume(explant / "explant.nrrd"), SegmentOptions(model)).label_map
        found = evaluate(segmented, read_label_map(explant / "explant_labels.seg.nrrd"))
        by_role = found.iou_by_role | {"mean": found.mean_iou}
        rows.append([by_role[role] for role in ROLES])
    return np.array(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=Path, help="file for the table, .md")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    labelled, *tested = (write_explant(number, arguments.folder) for number in range(1 + TEST))
    configuration = labelled / "fine-tuning.toml"
    configuration.write_bytes(resource("Configurations", "fine-tuning.toml").read_bytes())
    tuned = labelled / "runs" / NAME / f"{NAME}.mgmodel"
    started = time.monotonic()
    if not tuned.exists():
        subprocess.run([sys.executable, "-m", "MgImplantSegLib", "train", str(configuration)], check=True)
    minutes = (time.monotonic() - started) / 60
    before, after = scores(find_model(), tested), scores(tuned, tested)
    lines = ["| model | " + " | ".join(ROLES) + " |", "|" + "---|" * (len(ROLES) + 1)]
    for name, rows in (("bundled model", before), ("fine-tuned on one explant", after)):
        error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
        lines.append(
            f"| {name} | " + " | ".join(f"{m:.3f} ± {e:.3f}" for m, e in zip(rows.mean(0), error, strict=True)) + " |"
        )
    text = (
        f"# Fine-tuning on one labelled explant with another look\n\n"
        f"`python Testing/Benchmarks/{Path(__file__).name} FOLDER`, {minutes:.1f} minutes of training; IoU, mean ± "
        f"standard error over {TEST} other explants of that look, seeds from {FIRST_SEED + 1}.\n\n"
    ) + "\n".join(lines)
    sys.stdout.write(text + "\n")
    if arguments.results:
        with atomic_output(arguments.results) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
