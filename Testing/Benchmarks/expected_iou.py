"""How well a model tells its own IoU: ``python Testing/Benchmarks/expected_iou.py FOLDER``.

Segments the explants of `unseen_explants` at 10, 20 and 30 µm and of the project's own simulation, which neither
training nor calibration has seen, and sets the expected IoU beside the true one. Prints a row for each explant, then
the mean absolute error of the mean IoU and of each class, and how often a warning comes where the mean IoU is below
0.80 and above 0.88. Real bone and noise, without an implant, come last. FOLDER keeps what was segmented, so that
another calibration of the same weights is tested at once. No choice is made on these numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import calibrate_expected_iou as calibrate
from unseen_explants import FAMILIES
from unseen_families import FIRST_SEED, SIZE_OF_SPACING_UM, explants

from MgImplantSegLib.base.expected_iou import KEY, MEAN, Calibration
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.resources import find_model, resource
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.inference.run_statistics import features_of
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.io import read_volume
from MgImplantSegLib.model.card import ModelCard
from MgImplantSegLib.model.file import read_card
from MgImplantSegLib.simulation import Look, SimulationSettings, simulate_explant

FIRST_OWN_SEED, OWN_SIZE = 970_000, 96
LOW, HIGH = 0.80, 0.88
ROLES = ("bone", "degradation_layer", "residual_material")
Row = dict[str, Any]


def cases(count: int, own: int) -> Iterator[calibrate.Explant]:
    """Every explant."""
    for family, spacing_um, seed in explants(list(SIZE_OF_SPACING_UM), count, list(FAMILIES)):
        yield (
            f"{family} {spacing_um:g} µm {seed}",
            partial(FAMILIES[family], seed, SIZE_OF_SPACING_UM[spacing_um], spacing_um),
        )
    for look in Look:
        for seed in range(FIRST_OWN_SEED, FIRST_OWN_SEED + own):
            yield f"own {look.value} 20 µm {seed}", partial(_own, seed, look)


def _own(seed: int, look: Look) -> tuple[Volume, LabelMap]:
    explant = simulate_explant(SimulationSettings(OWN_SIZE, 20.0, seed, look=look))
    return explant.image, explant.labels


def told_of(row: calibrate.Row, card: ModelCard) -> Row:
    """True and expected IoU."""
    calibration = Calibration.from_dict(card.calibration)
    expected = None
    if calibration is not None:
        features = features_of(row.statistics, card.label_scheme)
        expected = calibration.expected(features, row.statistics.planes, frozenset(row.found))
    true = {name: round(row.iou[name], 3) for name in (MEAN, *ROLES) if name in row.iou}
    return {"true": true, "told": None if expected is None else expected.to_dict()}


def without_implant() -> Iterator[tuple[str, Volume]]:
    """Real bone, and noise."""
    yield "real bone", read_volume(resource("SampleData", "lhdl_trabecular_bone_19p5um.nrrd"))
    noise = np.random.default_rng(1).normal(100, 20, (72, 72, 72)).astype(np.float32)
    yield "noise", Volume(noise, Geometry(noise.shape, (0.02,) * 3))


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean absolute errors, how many lie within twice the error told, and how often a warning comes."""
    told = [row for row in rows if row["told"]]
    result: dict[str, Any] = {"explants": len(rows), "told": len(told)}
    for name in (MEAN, *ROLES):
        pairs = [(row["told"][name], row["true"][name]) for row in told if name in row["told"] and name in row["true"]]
        off = np.array([abs(part["value"] - true) for part, true in pairs])
        if len(off):
            result[f"mean error {name}"] = round(float(off.mean()), 3)
            result[f"within two errors {name}"] = round(
                float(np.mean(off <= 2 * np.array([p["error"] for p, _ in pairs]))), 3
            )
    warned = np.array([bool(row["told"]) and row["told"]["is_low"] for row in rows])
    true = np.array([row["true"][MEAN] for row in rows])
    for words, chosen in ((f"warned below {LOW}", true < LOW), (f"warned above {HIGH}", true > HIGH)):
        result[words] = f"{int(warned[chosen].sum())} of {int(chosen.sum())}"
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="keeps what was segmented")
    parser.add_argument("--model", default=None, help="model file or name; default the bundled model")
    parser.add_argument("--count", type=int, default=2, help="explants of each family and voxel size")
    parser.add_argument("--own", type=int, default=4, help="explants of each look of the own simulation")
    parser.add_argument("--json", type=Path, help="file for all rows and the summary")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    model = find_model(arguments.model)
    options, card = SegmentOptions(model, planes="3"), read_card(model)
    made = cases(arguments.count, arguments.own)
    measured = calibrate.rows_of(model, made, ("3",), arguments.folder, "unseen")
    rows = {row.family: told_of(row, card) for row in measured}
    for name, row in rows.items():
        _print_row(name, row)
    unseen = [row for name, row in rows.items() if not name.startswith("own")]
    result: dict[str, Any] = {
        "command": " ".join(["python", *sys.argv]),
        "first_seed": FIRST_SEED,
        "unseen families": summary(unseen),
        "own simulation": summary([row for name, row in rows.items() if name.startswith("own")]),
        "explants": rows,
        "without implant": {name: segment_volume(v, options).provenance.get(KEY) for name, v in without_implant()},
    }
    sys.stdout.write(
        json.dumps({k: v for k, v in result.items() if k != "explants"}, indent=1, ensure_ascii=False) + "\n"
    )
    if arguments.json:
        with atomic_output(arguments.json) as temporary:
            temporary.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0


def _print_row(name: str, row: Row) -> None:
    told = row["told"] or {}
    cells = [
        f"{row['true'].get(key, float('nan')):.3f} ({told.get(key, {}).get('value', float('nan')):.3f})"
        for key in (MEAN, *ROLES)
    ]
    sys.stdout.write(f"{name:28} {'  '.join(cells)}  {'warned' if told.get('is_low') else ''}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
