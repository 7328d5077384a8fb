"""Calibrate what a model says of itself: ``python Testing/Benchmarks/calibrate_expected_iou.py FOLDER --write MODEL``.

Segments explants of `calibration_explants` and of the project's own simulation with seeds that no training uses, along
three planes and along one, and fits the regressions of `MgImplantSegLib.base.expected_iou` to the IoU that came out.
Each family is then told by regressions that have not seen it; the errors of the card are those. FOLDER keeps scans and
rows, so that the command goes on after an interruption. ``--write`` puts the calibration into the card of the model,
whose network for OpenVINO, if it has one, is to be added again.

Nothing of `unseen_explants` is used here: `expected_iou.py` tests the calibration on these.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special
from scipy.optimize import least_squares, nnls

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from calibration_explants import FAMILIES

from MgImplantSegLib.base.expected_iou import FEATURES, FEATURES_OF_MEAN, MEAN, NAMES
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.base.typed import present
from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.volume import Geometry, LabelMap, Volume
from MgImplantSegLib.inference.run_statistics import RunStatistics, features_of
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.model.file import load_model, save_model
from MgImplantSegLib.simulation import Look, SimulationSettings, simulate_explant

FIRST_SEED, FIRST_OWN_SEED = 15_000, 915_000
PLANES = ("3", "1")
SPACINGS_UM = (20.0, 15.0, 20.0, 30.0, 20.0, 12.0, 25.0, 20.0)
FIELD_MM = 1.7
OWN_SIZE = 88
RIDGE = 0.01
LOW, HIGH = 0.80, 0.88  # scans with a mean IoU below have to be warned of, and those above not
DEVIATION_OF_MEAN = 1.25  # standard deviation by mean absolute deviation of normal numbers
Explant = tuple[str, Callable[[], tuple[Volume, LabelMap]]]  # family or name, and what makes scan and labels


@dataclass(frozen=True)
class Row:
    """One segmented explant: what the run showed, and the IoU by role and on average (`MEAN`)."""

    family: str
    planes: int
    statistics: RunStatistics
    iou: dict[str, float]
    found: tuple[str, ...]


def explants(count: int, folder: Path) -> Iterator[Explant]:
    """Family, scan and labels; kept in the folder."""
    names = {
        **{f"own {look.value}": count for look in Look},
        **dict.fromkeys(FAMILIES, count),
        "noise": 3,
        "no implant": 4,
    }
    for number in range(count):
        for family, most in names.items():
            if number < most:
                yield family, partial(_kept, folder / f"{family} {number}.npz", family, number)


def _kept(path: Path, family: str, number: int) -> tuple[Volume, LabelMap]:
    if not path.exists():
        volume, labels = _made(family, number)
        with atomic_output(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, scan=volume.array, labels=labels.array, spacing_mm=volume.geometry.spacing_zyx_mm)
    with np.load(path) as kept:
        geometry = Geometry(kept["scan"].shape, tuple(kept["spacing_mm"].tolist()))
        return Volume(kept["scan"], geometry), LabelMap(kept["labels"], geometry)


def _made(family: str, number: int) -> tuple[Volume, LabelMap]:
    if family.startswith("own "):
        look = Look(family.removeprefix("own "))
        explant = simulate_explant(SimulationSettings(OWN_SIZE, 20.0, FIRST_OWN_SEED + number, look=look))
        return explant.image, explant.labels
    spacing_um = SPACINGS_UM[number % len(SPACINGS_UM)]
    return FAMILIES[family](FIRST_SEED + number, round(1000 * FIELD_MM / spacing_um), spacing_um)


def rows_of(model: Path, cases: Iterable[Explant], planes: Sequence[str], folder: Path, name: str) -> list[Row]:
    """All rows for the model; those that are in the folder are read, a row for each explant and set of planes."""
    known, rows = known_rows(folder, name, model), []
    with _file(folder, name, model).open("a", encoding="utf-8") as stream:
        for place, (family, make) in enumerate(cases):
            for number, chosen in enumerate(planes):
                index = place * len(planes) + number
                row = known[index] if index < len(known) else measured(family, *make(), model, chosen)
                if index >= len(known):
                    stream.write(json.dumps(_data_of(row)) + "\n")
                    stream.flush()
                    sys.stdout.write(f"{family:28} planes {chosen} mean IoU {row.iou[MEAN]:.3f}\n")
                    sys.stdout.flush()
                rows.append(row)
    return rows


def known_rows(folder: Path, name: str, model: Path) -> list[Row]:
    """The rows that are in the folder for the model's weights."""
    file = _file(folder, name, model)
    return [_row_of(json.loads(line)) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def _file(folder: Path, name: str, model: Path) -> Path:
    return folder / f"{name}_{_digest(model)}.jsonl"


def _digest(model: Path) -> str:
    """Of the weights, so that a card with a calibration does not make the rows anew."""
    _card, weights = load_model(model)
    parts = b"".join(weights[name].numpy().tobytes() for name in sorted(weights))
    return hashlib.sha256(parts).hexdigest()[:12]


def measured(family: str, volume: Volume, labels: LabelMap, model: Path, planes: str) -> Row:
    """Segment one explant, with what is true of it."""
    result = segment_volume(volume, SegmentOptions(model, planes=planes, want_statistics=True))
    evaluation = evaluate(result.label_map, labels)
    found = {result.label_map.scheme.by_value(int(value)).role.value for value in np.unique(result.label_map.array)}
    iou = {role: value for role, value in evaluation.iou_by_role.items() if math.isfinite(value)}
    statistics = present(result.statistics)
    return Row(family, statistics.planes, statistics, iou | {MEAN: evaluation.mean_iou}, tuple(sorted(found)))


def _data_of(row: Row) -> dict[str, Any]:
    statistics = {key: value if key == "planes" else value.tolist() for key, value in vars(row.statistics).items()}
    return {**asdict(replace(row, statistics=None)), "statistics": statistics}


def _row_of(data: dict[str, Any]) -> Row:
    kept = {entry.name: data["statistics"][entry.name] for entry in fields(RunStatistics)}
    sums = {key: value if key == "planes" else np.array(value) for key, value in kept.items()}
    return Row(data["family"], data["planes"], RunStatistics(**sums), data["iou"], tuple(data["found"]))


Regressions = dict[str, tuple[float, np.ndarray]]


def regression(table: np.ndarray, target: np.ndarray, families: Sequence[str]) -> tuple[float, np.ndarray]:
    """Intercept and weights of 0 or more of a logistic curve; families count alike, and large weights cost."""
    weight = np.sqrt([1 / families.count(family) for family in families])

    def off(values: np.ndarray) -> np.ndarray:
        told = special.expit(values[0] + table @ values[1:])
        return np.append((told - target) * weight, RIDGE * values[1:])

    lower = [-np.inf] + [0.0] * table.shape[1]
    values = least_squares(off, [-2.0] + [2.0] * table.shape[1], bounds=(lower, np.inf)).x
    return float(values[0]), values[1:]


@dataclass(frozen=True)
class Fit:
    """Regressions from the features of every row; of the mean too, which has features of its own."""

    rows: Sequence[Row]
    features: list[dict[str, dict[str, float]]]
    names: dict[str, list[str]]

    def table(self, role: str, numbers: Iterable[int]) -> np.ndarray:
        """The features of a role, (rows, features)."""
        return np.array([[self.features[n][role][name] for name in self.names[role]] for n in numbers])

    def without(self, family: str) -> Regressions:
        """The regressions, made of all families but one."""
        made = {}
        for role in self.names:
            used = [n for n, row in enumerate(self.rows) if row.family != family and self.is_told(role, n)]
            used = [n for n in used if role in self.rows[n].iou]
            target = np.array([self.rows[n].iou[role] for n in used])
            made[role] = regression(self.table(role, used), target, [self.rows[n].family for n in used])
        return made

    def is_told(self, role: str, n: int) -> bool:
        """Whether row `n` is told an IoU of the role: the role was found, before post-processing and after."""
        return role == MEAN or (role in self.rows[n].found and role in self.features[n])

    def told(self, regressions: Regressions, n: int) -> dict[str, float]:
        """Expected IoU of row `n` by role."""
        return {
            role: float(special.expit(intercept + self.table(role, [n])[0] @ weights))
            for role, (intercept, weights) in regressions.items()
            if self.is_told(role, n)
        }


def fitted(rows: Sequence[Row], scheme: Any, several: bool) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """The regressions as the card holds them, and what each row is told by regressions without its family."""
    names = {role: list(FEATURES) for role in NAMES} | {MEAN: list(FEATURES_OF_MEAN)}
    if not several:
        names = {role: [name for name in of_role if "agreement" not in name] for role, of_role in names.items()}
    fit = Fit(rows, [features_of(row.statistics, scheme) for row in rows], names)
    by_family = {family: fit.without(family) for family in dict.fromkeys(row.family for row in rows)}
    told = [fit.told(by_family[row.family], n) for n, row in enumerate(rows)]
    card = {}
    for role, (intercept, weights) in fit.without("").items():
        pairs = [(told[n][role], row.iou[role]) for n, row in enumerate(rows) if role in told[n] and role in row.iou]
        error, growth = error_line(np.array(pairs))
        kept = {name: round(float(w), 4) for name, w in zip(names[role], weights, strict=True) if w > 1e-3}
        card[role] = {"intercept": round(intercept, 4), "weights": kept, "error": error, "error_growth": growth}
    return card, told


def error_line(pairs: np.ndarray) -> tuple[float, float]:
    """Standard error at an expected IoU of 1 and how it grows towards 0, from pairs (told, true)."""
    table = np.column_stack((np.ones(len(pairs)), 1 - pairs[:, 0]))
    constant, growth = nnls(table, DEVIATION_OF_MEAN * np.abs(pairs[:, 0] - pairs[:, 1]))[0]
    return round(max(float(constant), 0.01), 4), round(float(growth), 4)


def threshold(told: np.ndarray, true: np.ndarray) -> float:
    """Where a warning is right most often, scans below `LOW` and above `HIGH` counting alike."""
    places = np.round(np.arange(0.7, 0.92, 0.005), 3)
    right = [np.mean(told[true < LOW] < place) + np.mean(told[true > HIGH] >= place) for place in places]
    best = np.flatnonzero(np.isclose(right, max(right)))
    return float(places[best[len(best) // 2]])


def calibration_of(rows: Sequence[Row], scheme: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the card holds, and how well each family is told by the others."""
    card: dict[str, Any] = {}
    report: dict[str, Any] = {}
    for name in ("several_planes", "one_plane"):
        several = name == "several_planes"
        used = [row for row in rows if (row.planes > 1) == several]
        card[name], told = fitted(used, scheme, several)
        report[name] = _report(used, told)
        if several:
            means = np.array([[t[MEAN], row.iou[MEAN]] for t, row in zip(told, used, strict=True)])
            card["warn_below"] = threshold(*means.T)
            report["warned"] = {
                f"below {LOW}": round(float(np.mean(means[means[:, 1] < LOW, 0] < card["warn_below"])), 3),
                f"above {HIGH}": round(float(np.mean(means[means[:, 1] > HIGH, 0] < card["warn_below"])), 3),
            }
    return card, report


def _report(rows: Sequence[Row], told: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Mean absolute error of each family left out, by role and of the mean, and over all families."""
    table = {}
    for family in dict.fromkeys(row.family for row in rows):
        here = [n for n, row in enumerate(rows) if row.family == family]
        table[family] = {"mean_iou": round(float(np.mean([rows[n].iou[MEAN] for n in here])), 3)} | {
            f"error {role}": round(float(np.mean(errors)), 3)
            for role in (MEAN, *NAMES)
            if (
                errors := [
                    abs(told[n][role] - rows[n].iou[role]) for n in here if role in told[n] and role in rows[n].iou
                ]
            )
        }
    return {"families": table, "error": round(float(np.mean([row[f"error {MEAN}"] for row in table.values()])), 3)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="keeps scans and rows")
    parser.add_argument("--model", default=None, help="model file or name; default the bundled model")
    parser.add_argument("--count", type=int, default=8, help="explants of each family")
    parser.add_argument("--write", type=Path, help="model file whose card gets the calibration; it is written anew")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    model = find_model(arguments.model)
    card, weights = load_model(model)
    rows = rows_of(model, explants(arguments.count, arguments.folder), PLANES, arguments.folder, "rows")
    calibration, report = calibration_of(rows, card.label_scheme)
    calibration["from"] = {
        "command": "python Testing/Benchmarks/calibrate_expected_iou.py FOLDER",
        "explants": len(rows) // len(PLANES),
        "mean_error_of_families_left_out": {name: report[name]["error"] for name in ("several_planes", "one_plane")},
    }
    sys.stdout.write(json.dumps({**calibration, "report": report}, indent=1) + "\n")
    if arguments.write:
        save_model(arguments.write, replace(card, calibration=calibration), weights)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
