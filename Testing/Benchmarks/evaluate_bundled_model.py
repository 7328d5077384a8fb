"""What a model reaches on explants it has never seen: ``python Testing/Benchmarks/evaluate_bundled_model.py``.

Explants of the project's own simulation in the looks of ``--looks`` with seeds that no training uses, and explants of
`other_explants`, which shares no code with it. 3 planes, soft voting. Prints one row an explant with IoU per class
and the deviation of DR, BV/TV and BIC from the truth in %, then the means; ``--json`` keeps them, ``--card`` writes
the means into the card of the model file.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MgImplantSegLib.base.events import json_ready
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.model.file import load_model, save_model
from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions, quantify
from MgImplantSegLib.quantification.field_of_view import field_of_view_of
from MgImplantSegLib.simulation import Look, SimulationSettings, simulate_explant

FIRST_UNSEEN_SEED = 950_000
ROLES = ("background", "bone", "degradation_layer", "residual_material")
COLUMNS = (*ROLES, "mean_iou", "DR_deviation", "BVTV_deviation", "BIC_deviation")
Case = tuple[str, Volume, LabelMap, QuantifyOptions, dict[str, float]]


def own_cases(first_seed: int, count: int, size: int, look: Look) -> Iterator[Case]:
    """Explants of the project's own simulation, with their exact truth."""
    for seed in range(first_seed, first_seed + count):
        explant = simulate_explant(SimulationSettings(size=size, seed=seed, look=look))
        truth = explant.truth
        screw, seen = InitialScrew.from_label_map(explant.initial), field_of_view_of(explant.image)
        options = QuantifyOptions(screw, truth["time_days"], field_of_view=seen)
        values = {"DR": truth["DR_mm_per_year"], "BV/TV": truth["BV_TV_percent"], "BIC": truth["BIC_percent"]}
        yield str(seed), explant.image, explant.labels, options, values


def other_cases(count: int) -> Iterator[Case]:
    """Explants of the other generator; the truth of the measures is that of its label maps."""
    from other_explants import explant

    for seed in range(count):
        volume, labels = explant(seed)
        options = QuantifyOptions()
        report = quantify(labels, options)
        yield f"other {seed}", volume, labels, options, {key: _value(report, key) for key in ("BV/TV", "BIC")}


def scores(case: Case, options: SegmentOptions) -> dict[str, float]:
    """IoU per class and deviations in % of one explant."""
    _name, volume, labels, measuring, truth = case
    segmentation = segment_volume(volume, options).label_map
    evaluation = evaluate(segmentation, labels)
    report = quantify(segmentation, measuring)
    row = evaluation.iou_by_role | {"mean_iou": evaluation.mean_iou}
    for symbol in ("DR", "BV/TV", "BIC"):
        expected, got = truth.get(symbol, math.nan), _value(report, symbol)
        row[f"{symbol.replace('/', '')}_deviation"] = 100 * (got - expected) / expected if expected else math.nan
    return row


def _value(report: Any, symbol: str) -> float:
    values = [measure.value for measure in report.measures if measure.symbol == symbol]
    return values[0] if values else math.nan


def summary(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means of IoU; means of the absolute deviations; how many explants."""
    table = {key: np.array([row[key] for row in rows], dtype=float) for key in COLUMNS}
    means = {key: float(np.nanmean(np.abs(values))) for key, values in table.items() if np.isfinite(values).any()}
    return means | {"explants": len(rows)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None, help="model file or name; default the bundled model")
    parser.add_argument("--planes", default="3")
    parser.add_argument("--first-seed", type=int, default=FIRST_UNSEEN_SEED, help="of the own simulation")
    parser.add_argument("--count", type=int, default=12, help="explants of the own simulation")
    parser.add_argument("--size", type=int, default=160, help="their edge in voxels")
    parser.add_argument("--looks", nargs="+", default=["fast"], choices=[look.value for look in Look])
    parser.add_argument("--other", type=int, default=0, help="explants of the other generator")
    parser.add_argument("--json", type=Path, help="file for all rows and means")
    parser.add_argument("--card", action="store_true", help="write the means into the model's card")
    arguments = parser.parse_args()
    model = find_model(arguments.model)
    options = SegmentOptions(model, planes=arguments.planes)
    result: dict[str, Any] = {
        "planes": arguments.planes,
        "fusion": options.fusion,
        "size": arguments.size,
        "first_seed": arguments.first_seed,
    }
    own = (arguments.first_seed, arguments.count, arguments.size)
    sets = {f"simulated_{look}": own_cases(*own, Look(look)) for look in arguments.looks}
    for name, cases in {**sets, "other_generator": other_cases(arguments.other)}.items():
        rows = {}
        for case in cases:
            rows[case[0]] = scores(case, options)
            _print_row(case[0], rows[case[0]])
        if rows:
            result[name] = {"rows": rows, "means": summary(list(rows.values()))}
            _print_row(f"{name}: means", result[name]["means"])
    if arguments.json:
        with atomic_output(arguments.json) as temporary:
            temporary.write_text(json.dumps(json_ready(result), indent=1) + "\n", "utf-8")
    if arguments.card:
        _write_card(model, result)
    return 0


def _print_row(name: str, row: dict[str, float]) -> None:
    cells = " ".join(f"{row.get(key, math.nan):8.3f}" for key in COLUMNS)
    sys.stdout.write(f"{name:28}{cells}\n")
    sys.stdout.flush()


def _write_card(model: Path, result: dict[str, Any]) -> None:
    card, weights = load_model(model)
    means = {name: part["means"] for name, part in result.items() if isinstance(part, dict) and "means" in part}
    is_first = result["first_seed"] == FIRST_UNSEEN_SEED
    name = "unseen_explants" if is_first else f"unseen_explants_from_seed_{result['first_seed']}"
    metrics = card.metrics | {name: {"planes": result["planes"], "fusion": result["fusion"], **means}}
    save_model(model, replace(card, metrics=json_ready(metrics)), weights)


if __name__ == "__main__":
    sys.stdout.write(f"{'':28}" + " ".join(f"{key[:8]:>8}" for key in COLUMNS) + "\n")
    raise SystemExit(main())
