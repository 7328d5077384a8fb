"""Classical methods beside the network, on the paper's question: ``python Testing/Benchmarks/classical.py``.

Global threshold (Otsu), four classes by multi-Otsu, seeded watershed, and a random forest on multi-scale features (as
Trainable WEKA) see five labelled slices of one explant and are tested on two others of the same scanner: the classes of
grey values are assigned to tissue by the labelled slices, the forest learns from them. The bundled model sees no label
of them; it was trained on many other simulated explants: single planes, 3 and 9 planes. Explants: ``simulated``, of the
project's own simulation in the look of a scanner with seeds that no training uses, with the screw before implantation,
and ``other``, whose simulation shares no code (`other_explants`; no screw is known, so DR is empty).

One table: IoU by class, deviations of DR, BIC and BV/TV in % of the truth (means of absolute values), seconds of
processor time an explant, without learning. Needs ``pip install scikit-learn scikit-image``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import teach_rivals as rivals
from other_explants import explant as other_explant

from MgImplantSegLib.base.events import json_ready
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.resources import DEFAULT_MODEL, find_model
from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.io import write_label_map, write_volume
from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions, quantify
from MgImplantSegLib.simulation import Look, SimulationSettings, simulate_explant
from MgImplantSegLib.training.teach.settings import Pair

SEEDS = {"simulated": (957_000, 957_001, 957_002), "other": (60, 62, 64)}  # labelled, tested, tested
LABELLED_SLICES = 5
SYMBOLS = ("DR", "BIC", "BV/TV")
ROLES = ("background", "bone", "degradation_layer", "residual_material")
COLUMNS = (*ROLES, "mean_iou", *SYMBOLS, "cpu_seconds")
CLASSICAL: dict[str, Callable[[tuple[Pair, ...]], rivals.Predict]] = {
    "global threshold": lambda pairs: rivals.assigned(rivals.threshold_classes, pairs),
    "multi-Otsu": lambda pairs: rivals.assigned(rivals.multi_otsu_classes, pairs),
    "seeded watershed": rivals.otsu,
    "random forest": rivals.forest,
}
NETWORK = {"single plane rc": "rc", "single plane cp": "cp", "single plane pr": "pr", "3 planes": "3", "9 planes": "9"}
Case = tuple[Volume, LabelMap, QuantifyOptions]
Row = dict[str, Any]


def case(family: str, seed: int, size: int) -> Case:
    """Scan, true labels, and how they are measured."""
    if family == "other":
        return (*other_explant(seed, size), QuantifyOptions())
    first = SEEDS[family][0]
    settings = SimulationSettings(size=size, seed=seed, imaging_seed=first, look=Look.SCANNER)
    made = simulate_explant(settings)
    options = QuantifyOptions(InitialScrew.from_label_map(made.initial), made.truth["time_days"])
    return made.image, made.labels, options


def labelled_pair(family: str, size: int, folder: Path) -> Pair:
    """The explant with labelled slices, as files."""
    volume, labels, _options = case(family, SEEDS[family][0], size)
    write_volume(volume, folder / "scan.nrrd")
    write_label_map(labels, folder / "labels.nrrd")
    middle = np.linspace(0.3, 0.7, LABELLED_SLICES - 2) * size
    slices = [f"z:{round(z)}" for z in middle] + [f"y:{size // 2}", f"x:{size // 2}"]
    return Pair(folder / "scan.nrrd", folder / "labels.nrrd", done_slices=",".join(slices))


def row_of(segment: Callable[[Volume], LabelMap], tested: Case) -> Row:
    """IoU, deviations and processor time of one method on one explant."""
    volume, truth, options = tested
    start = time.process_time()
    found = segment(volume)
    seconds = time.process_time() - start
    overlap = evaluate(found, truth)
    measured, expected = quantify(found, options), quantify(truth, options)
    deviations = {
        symbol: 100 * abs(measured.value(symbol) - expected.value(symbol)) / expected.value(symbol)
        if expected.value(symbol)
        else math.nan
        for symbol in SYMBOLS
    }
    return {**overlap.iou_by_role, "mean_iou": overlap.mean_iou, **deviations, "cpu_seconds": seconds}


def methods(pair: Pair, model: Path) -> dict[str, Callable[[Volume], LabelMap]]:
    """All methods, those that learn taught by the labelled slices."""

    def by_grey(predict: rivals.Predict) -> Callable[[Volume], LabelMap]:
        return lambda volume: LabelMap(predict(volume.array), volume.geometry)

    def by_network(planes: str) -> Callable[[Volume], LabelMap]:
        options = SegmentOptions(model, planes=planes, device="cpu")
        return lambda volume: segment_volume(volume, options).label_map

    classical = {name: by_grey(learn((pair,))) for name, learn in CLASSICAL.items()}
    return classical | {f"network, {name}": by_network(planes) for name, planes in NETWORK.items()}


def table(result: Row) -> str:
    """The results as Markdown, means over the tested explants."""
    lines = ["# Classical methods beside the network", "", f"`{result['command']}`", ""]
    lines += [
        "IoU by class; deviation of DR, BIC and BV/TV in % of the truth, absolute; seconds of processor time. "
        f"Explants of {result['size']}³ voxels of 20 µm, two tested a family.",
        "",
    ]
    for family, rows in result["families"].items():
        lines += [f"## {family}", "", "| method | " + " | ".join(key.replace("_", " ") for key in COLUMNS) + " |"]
        lines.append("|---" + "|--:" * len(COLUMNS) + "|")
        for name, each in rows.items():
            means = [mean_of(each, key) for key in COLUMNS]
            cells = [
                f"{value:.3f}"
                if key in (*ROLES, "mean_iou")
                else f"{value:.2f}"
                if key == "cpu_seconds"
                else f"{value:.1f}"
                if math.isfinite(value)
                else ""
                for key, value in zip(COLUMNS, means, strict=True)
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def mean_of(each: list[Row], key: str) -> float:
    """Mean of a column over the rows where it is defined."""
    values = [row[key] for row in each if row.get(key) is not None and math.isfinite(row[key])]
    return float(np.mean(values)) if values else math.nan


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    parser.add_argument("--size", type=int, default=72, help="edge of the explants in voxels")
    parser.add_argument("--model", default=str(DEFAULT_MODEL), help="model file or name")
    arguments = parser.parse_args()
    result: Row = {"command": f"python Testing/Benchmarks/classical.py --size {arguments.size}"}
    result |= {"size": arguments.size, "seeds": SEEDS, "families": {}}
    for family, seeds in SEEDS.items():
        with tempfile.TemporaryDirectory() as folder:
            chosen = methods(labelled_pair(family, arguments.size, Path(folder)), find_model(arguments.model))
        rows: dict[str, list[Row]] = {name: [] for name in chosen}
        for seed in seeds[1:]:
            tested = case(family, seed, arguments.size)
            for name, segment in chosen.items():
                rows[name].append(row_of(segment, tested))
                cells = " ".join(f"{rows[name][-1][key]:8.3f}" for key in COLUMNS)
                sys.stdout.write(f"{family:10}{seed:<8}{name:24}{cells}\n")
                sys.stdout.flush()
        result["families"][family] = rows
    with atomic_output(arguments.out / "classical.json") as temporary:
        temporary.write_text(json.dumps(json_ready(result), indent=1, ensure_ascii=False) + "\n", "utf-8")
    (arguments.out / "classical.md").write_text(table(result), "utf-8")
    sys.stdout.write(table(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
