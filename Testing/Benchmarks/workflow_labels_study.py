"""The paper's questions on simulated explants: ``python Testing/Benchmarks/workflow_labels_study.py FOLDER``.

14 explants are labelled as a manual workflow leaves them: cracks missing, the border of residual material and
degradation layer shifted slice by slice. Four models are trained on them by cross-validation and tested on three more
explants with exact labels, beside the workflow's labels of these three. Do three planes beat each single plane, soft
voting majority voting, do nine planes help the layer, does a model beat the labels that it was trained on? As in the
paper all explants are scanned alike; with ``--different-scans`` contrast, resolution, noise and artefacts differ from
explant to explant. Explants and folds that FOLDER holds already are kept. ``--results DIR`` keeps tables and answers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from scipy import ndimage

from MgImplantSegLib.base.files import atomic_folder, atomic_output
from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io import read_label_map, write_label_map, write_volume
from MgImplantSegLib.simulation import ImplantKind, SimulationSettings, simulate_explant
from MgImplantSegLib.training.studies.tables import Estimate

CONFIGURATION = Path(__file__).with_suffix(".toml")
NAME = "workflow-labels"
FIRST_SEED, TRAINING, TEST = 4000, 14, 3
IMAGING_SEED = 4000
SIZE, SPACING_UM = 112, 25.0
GAP_VOXELS = 2
BORDER_SHIFT_VOXELS = 2.0
BACKGROUND, BONE, LAYER, METAL = range(4)
THREE, MAJORITY, NINE = "3 planes, soft voting", "3 planes, majority voting", "9 planes, soft voting"
SINGLE_PLANES = ("rc", "cp", "pr")


def workflow_labels(exact: np.ndarray, seed: int) -> np.ndarray:
    """Labels (z, y, x) with the errors of a manual workflow, drawn from the seed.

    Cracks of the layer, and canals and clefts of the bone, up to four voxels wide are filled. The border of the
    residual material is moved within each slice along z by a distance that wanders from slice to slice, 2 voxels as
    standard deviation, outward on average.
    """
    labels = exact.copy()
    for body, value in ((exact >= LAYER, LAYER), (exact == BONE, BONE)):
        closed = ndimage.binary_closing(np.pad(body, 4, mode="edge"), iterations=GAP_VOXELS)[4:-4, 4:-4, 4:-4]
        labels[closed & (labels == BACKGROUND)] = value
    rng = np.random.default_rng([seed, 3])
    wander = ndimage.gaussian_filter1d(rng.standard_normal(len(exact)), 2.0)
    shifts = BORDER_SHIFT_VOXELS * (wander / wander.std() + 0.5)
    for section, shift in zip(labels, shifts, strict=True):
        implant = section >= LAYER
        metal = section == METAL
        if metal.any():
            to_border = ndimage.distance_transform_edt(~metal) - ndimage.distance_transform_edt(metal)
            section[implant] = np.where(to_border[implant] <= shift, METAL, LAYER)
    return labels


def write_explant(number: int, folder: Path, imaging_seed: int | None = IMAGING_SEED) -> None:
    """Image, exact and workflow labels of one explant in a folder of their own, unless they are there.

    Explants with the same `imaging_seed` are scanned alike; without one each has its own scan.
    """
    target = folder / ("training" if number < TRAINING else "test") / f"explant_{number:02d}"
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    seed = FIRST_SEED + number
    explant = simulate_explant(
        SimulationSettings(SIZE, SPACING_UM, seed, kind=ImplantKind.SCREW, imaging_seed=imaging_seed)
    )
    labels = explant.labels
    workflow = LabelMap(workflow_labels(labels.array, seed), labels.geometry, labels.scheme)
    with atomic_folder(target) as temporary:
        write_volume(explant.image, temporary / "image.nrrd")
        write_label_map(labels, temporary / "exact.seg.nrrd")
        write_label_map(workflow, temporary / "workflow.seg.nrrd")


def train_folds(configuration: Path, folds: int, processes: int) -> None:
    """Train and test the folds, several at a time with one thread each, then write the table."""
    words = [sys.executable, "-m", "MgImplantSegLib", "crossvalidate", str(configuration)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with ThreadPoolExecutor(processes) as pool:
        fold_words = [[*words, "--fold", str(number)] for number in range(1, folds + 1)]
        for code in pool.map(lambda one: subprocess.call(one, env=environment), fold_words):
            if code:
                raise SystemExit(code)
    code = subprocess.call(words)
    if code:
        raise SystemExit(code)


def workflow_scores(folder: Path) -> list[dict[str, float]]:
    """IoU of the workflow's labels of the test explants by role, and their mean."""
    rows = []
    for explant in sorted((folder / "test").iterdir()):
        found = evaluate(read_label_map(explant / "workflow.seg.nrrd"), read_label_map(explant / "exact.seg.nrrd"))
        rows.append(found.iou_by_role | {"mean": found.mean_iou})
    return rows


def answers(folds: list[dict], workflow: list[dict[str, float]]) -> dict[str, Estimate]:
    """Differences in IoU that answer the questions: mean ± standard error over the folds."""

    def over_folds(scheme: str, column: str) -> np.ndarray:
        return np.array([np.mean([sample[scheme][column] for sample in fold.values()]) for fold in folds])

    single = np.max([over_folds(plane, "mean") for plane in SINGLE_PLANES], axis=0)
    of_workflow = {column: np.mean([row[column] for row in workflow]) for column in workflow[0]}
    differences = {
        "3 planes − best single plane, mean IoU": over_folds(THREE, "mean") - single,
        "soft − majority voting of 3 planes, mean IoU": over_folds(THREE, "mean") - over_folds(MAJORITY, "mean"),
        "9 − 3 planes, mean IoU": over_folds(NINE, "mean") - over_folds(THREE, "mean"),
        "9 − 3 planes, IoU of the layer": over_folds(NINE, "degradation_layer")
        - over_folds(THREE, "degradation_layer"),
        "model (3 planes) − workflow labels, mean IoU": over_folds(THREE, "mean") - of_workflow["mean"],
        "model (3 planes) − workflow labels, IoU of the layer": over_folds(THREE, "degradation_layer")
        - of_workflow["degradation_layer"],
    }
    return {question: Estimate.of(list(values)) for question, values in differences.items()}


def report(folder: Path, folds: list[dict], command: str, scans: str) -> str:
    """Table and answers as Markdown."""
    workflow = workflow_scores(folder)
    columns = list(workflow[0])
    beside = " | ".join(str(Estimate.of([row[column] for row in workflow])) for column in columns)
    table = (folder / "runs" / NAME / "table2.md").read_text(encoding="utf-8").split("\n\n", 2)[2].rstrip()
    lines = [f"- {question}: {estimate}" for question, estimate in answers(folds, workflow).items()]
    setting = (
        f"{TRAINING} training explants with the errors of manual labels, {TEST} test explants with exact ones: screws, "
        f"{scans}, {SIZE}³ voxels of {SPACING_UM:g} µm, seeds from {FIRST_SEED}. IoU, mean ± standard error over "
        f"{len(folds)} folds; that of the workflow's own labels over the {TEST} test explants."
    )
    return (
        f"# Trained on workflow labels, tested on exact ones\n\n`{command}`: {setting}\n\n{table}\n"
        f"| workflow labels | {beside} |\n\nDifferences, mean ± standard error over the folds:\n\n"
        + "\n".join(lines)
        + "\n"
    )


def keep_results(folder: Path, name: str, text: str, table: Path) -> None:
    """Put the text, and the .csv and .png of a table, into a folder under one name."""
    with atomic_output(folder / f"{name}.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    for suffix in (".csv", ".png"):
        with atomic_output(folder / f"{name}{suffix}") as temporary:
            shutil.copyfile(table.with_suffix(suffix), temporary)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=4, help="as in the configuration beside this file")
    parser.add_argument("--processes", type=int, default=2, help="folds that train at the same time")
    parser.add_argument("--different-scans", action="store_true", help="each explant is scanned in its own way")
    parser.add_argument("--results", type=Path, help="folder for the tables and the answers")
    arguments = parser.parse_args()
    for number in range(TRAINING + TEST):
        write_explant(number, arguments.folder, None if arguments.different_scans else IMAGING_SEED)
    configuration = arguments.folder / CONFIGURATION.name
    shutil.copyfile(CONFIGURATION, configuration)
    train_folds(configuration, arguments.folds, arguments.processes)
    run = arguments.folder / "runs" / NAME
    folds = json.loads((run / "folds.json").read_text(encoding="utf-8"))
    words = [Path(__file__).name, *(["--different-scans"] if arguments.different_scans else []), "FOLDER"]
    scans = "each scanned in its own way" if arguments.different_scans else "all scanned alike"
    text = report(arguments.folder, folds, f"python Testing/Benchmarks/{' '.join(words)}", scans)
    sys.stdout.write(text)
    if arguments.results:
        name = "workflow_labels_study" + ("_different_scans" if arguments.different_scans else "")
        keep_results(arguments.results, name, text, run / "table2")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
