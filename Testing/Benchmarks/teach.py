"""What teach brings on looks that the bundled model does not know: ``python Testing/Benchmarks/teach.py FOLDER``.

For every look one or two explants are labelled on a few slices (those that `suggest` would name without knowing where
planes disagree), and IoU is measured on other explants of that look, of other shapes. Beside the taught model stand the
bundled one, a pixel classifier (random forest on multi-scale features, as in Trainable WEKA) on the same slices, and
multi-Otsu + watershed whose classes are assigned by the same slices. Training is counted in steps, and in minutes of
processor time, so that a busy machine does not matter.

Looks: ``fringes`` (the project's simulation with another scanner, `fine_tuning_gain.py`), ``projections``
(`other_explants.py`), ``tube`` (`lab_explants.py`), ``laboratory`` (`teach_explants.py`, made for this benchmark and
used for nothing else). All explants of a look have one scanner and alloy; settings were chosen on ``fringes`` and
``laboratory``, see ``results/teach.md``.

The rivals need packages that the project does not: ``pip install scikit-learn scikit-image``.

``--set KEY=VALUE`` changes settings of `TeachSettings`; ``--results FILE`` adds rows to a JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_folder, atomic_output
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.evaluation import evaluate
from MgImplantSegLib.grids.volume import LabelMap, Volume
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.io import read_label_map, read_volume, write_label_map, write_volume
from MgImplantSegLib.simulation import ImplantKind, SimulationSettings, simulate_explant
from MgImplantSegLib.training.teach.settings import AUGMENTATION, Pair, TeachSettings
from MgImplantSegLib.training.teach.slices import slices_text
from MgImplantSegLib.training.teach.suggestion import suggest_slices

ROLES = ("background", "bone", "degradation_layer", "residual_material", "mean")
SPACING_UM = 20.0
CORES = 2  # minutes are those of a user with so many cores


@dataclass(frozen=True)
class Look:
    """A look: explant `number` of edge `size`; numbers 0 and 1 are for labelling, from 2 on for tests."""

    name: str
    make: Callable[[int, int], tuple[Volume, LabelMap]]


def fringes(number: int, size: int) -> tuple[Volume, LabelMap]:
    """The project's simulation, the scan made over by `fine_tuning_gain.another_look`."""
    from fine_tuning_gain import FIRST_SEED, IMAGING_SEED, another_look

    settings = SimulationSettings(size, seed=FIRST_SEED + number, kind=ImplantKind.SCREW, imaging_seed=IMAGING_SEED)
    explant = simulate_explant(settings)
    return another_look(explant.image, number), explant.labels


def projections(number: int, size: int) -> tuple[Volume, LabelMap]:
    """`other_explants.py`: painted screws seen by a parallel-beam tomograph."""
    import other_explants

    _, labels = other_explants.explant(8100 + number, size, SPACING_UM)
    scanner = Scanner(8003, number)
    grey = other_explants._grey(labels.array, scanner) * round_view(size)
    scan = other_explants._scanned(grey, SPACING_UM / 1000, scanner)
    return Volume(scan, labels.geometry), labels


def tube(number: int, size: int) -> tuple[Volume, LabelMap]:
    """`lab_explants.py`: several energies, beam hardening, grain."""
    import lab_explants

    _, labels = lab_explants.explant(8200 + number, size, SPACING_UM)
    scan = lab_explants._scanned(Scanner(8005, number), labels.array, round_view(size), SPACING_UM / 1000)
    return Volume(scan, labels.geometry), labels


class Scanner:
    """Random numbers of a family of explants: single ones are those of the scanner `look`, noise is that of a scan."""

    def __init__(self, look: int, scan: int) -> None:
        look_random, scan_random = np.random.default_rng(look), np.random.default_rng([look, scan])
        self.uniform, self.random, self.choice = look_random.uniform, look_random.random, look_random.choice
        self.normal, self.standard_normal = scan_random.normal, scan_random.standard_normal
        self.poisson = scan_random.poisson


def round_view(size: int) -> np.ndarray:
    """What a scanner sees of a slice."""
    y, x = np.ogrid[:size, :size]
    return np.hypot(y - (size - 1) / 2, x - (size - 1) / 2) < 0.49 * size


def laboratory(number: int, size: int) -> tuple[Volume, LabelMap]:
    """Pins and plates seen by an imaginary laboratory scanner."""
    from teach_explants import make_explant

    return make_explant(10 + number, look=1, size=size)


def known(number: int, size: int) -> tuple[Volume, LabelMap]:
    """The project's simulation as the bundled model knows it: what must not be forgotten."""
    explant = simulate_explant(SimulationSettings(size, seed=9_300_000 + number, kind=ImplantKind.SCREW))
    return explant.image, explant.labels


LOOKS = {make.__name__: Look(make.__name__, make) for make in (fringes, projections, tube, laboratory)}
KNOWN = Look("known", known)


def explant_of(look: Look, number: int, size: int, folder: Path) -> Path:
    """The folder of an explant, made unless it is there."""
    target = folder / f"{look.name}_{size}_{number}"
    if not target.exists():
        image, labels = look.make(number, size)
        with atomic_folder(target) as temporary:
            write_volume(image, temporary / "image.nrrd")
            write_label_map(labels, temporary / "labels.seg.nrrd")
    return target


def slices_of(explant: Path, count: int) -> str:
    """The slices that are labelled, as ``--done-slices`` takes them."""
    labels = read_label_map(explant / "labels.seg.nrrd")
    nothing = Volume(np.zeros(labels.array.shape, np.float32), labels.geometry)
    return slices_text(entry.name for entry in suggest_slices(labels, nothing, count))


def pairs_of(explants: list[Path], slices: int) -> tuple[Pair, ...]:
    """The labelled explants, the slices shared between them."""
    share = slices // len(explants)
    return tuple(
        Pair(e / "image.nrrd", e / "labels.seg.nrrd", e.name, done_slices=slices_of(e, share)) for e in explants
    )


def iou(found: LabelMap, explant: Path) -> dict[str, float]:
    """IoU by role, and their mean."""
    result = evaluate(found, read_label_map(explant / "labels.seg.nrrd"))
    return {role: round(float(value), 4) for role, value in (result.iou_by_role | {"mean": result.mean_iou}).items()}


def scores_of_model(model: Path, explants: list[Path]) -> list[dict[str, float]]:
    """IoU of a model on explants, 3 planes, soft voting."""
    return [iou(segment_volume(read_volume(e / "image.nrrd"), SegmentOptions(model)).label_map, e) for e in explants]


def taught(pairs: tuple[Pair, ...], settings: TeachSettings, folder: Path) -> tuple[Path, dict[str, Any]]:
    """A taught model and what teaching took."""
    from MgImplantSegLib.training.teach.run import teach

    started, out = time.process_time(), folder / "taught.mgmodel"
    curve: list[list[float]] = []

    def note(record: dict[str, Any]) -> None:
        if record["event"] == "metric" and "held_out_mean_iou" in record:
            curve.append([record["iteration"], round(record["held_out_mean_iou"], 4)])

    outcome = teach(pairs, out, find_model(), settings, Events(note))
    minutes = (time.process_time() - started) / 60 / CORES
    return out, {
        "iterations": outcome.iterations,
        "minutes_on_2_cores": round(minutes, 2),
        "held_out": outcome.held_out,
        "curve": curve,
    }


def row_of_teach(
    look: Look,
    explants: list[Path],
    tests: list[Path],
    knowns: list[Path],
    slices: int,
    settings: TeachSettings,
    folder: Path,
) -> dict[str, Any]:
    """One taught model, measured."""
    model, took = taught(pairs_of(explants, slices), settings, folder)
    held_out = took.pop("held_out")
    row = {"method": "teach", **took, "scores": scores_of_model(model, tests)}
    if held_out["slices"]:
        row["held_out"] = {"before": held_out["before"]["mean"], "after": held_out["after"]["mean"]}
    if knowns:
        row["known"] = scores_of_model(model, knowns)
    return row


def row_of_rival(method: str, explants: list[Path], tests: list[Path], slices: int) -> dict[str, Any]:
    """A rival on the same slices."""
    import teach_rivals

    started = time.process_time()
    predict = teach_rivals.RIVALS[method](pairs_of(explants, slices))
    minutes = (time.process_time() - started) / 60 / CORES
    scores = []
    for explant in tests:
        volume = read_volume(explant / "image.nrrd")
        scores.append(iou(LabelMap(predict(volume.array), volume.geometry), explant))
    return {"method": method, "minutes_on_2_cores": round(minutes, 2), "scores": scores}


def summary(row: dict[str, Any]) -> str:
    """One line."""
    means = {role: np.mean([score[role] for score in row["scores"]]) for role in ROLES if role in row["scores"][0]}
    known_mean = np.mean([score["mean"] for score in row["known"]]) if row.get("known") else np.nan
    return (
        f"{row['look']:<12}{row['method']:<10}{row['slices']:>3} slices {row.get('iterations', 0):>5} steps "
        f"{row.get('minutes_on_2_cores', 0):>5.2f} min  "
        + "  ".join(f"{role[:10]} {value:.3f}" for role, value in means.items())
        + f"  known {known_mean:.3f}  {row.get('held_out', '')} {row.get('changed', '')}"
    )


METHODS = {"bundled": "bundled model", "otsu": "multi-Otsu + watershed", "forest": "random forest", "teach": "teach"}


def table(rows: list[dict[str, Any]]) -> str:
    """Rows with default settings as Markdown: mean IoU (that of the layer), means over the test explants."""
    rows = [row for row in rows if not row["changed"]]
    rivals = {(row["look"], row["slices"], row["scans"], row["method"]): _cell(row) for row in rows}
    names = ["look", "slices", "explants", *METHODS.values(), "steps", "minutes", "held out"]
    lines = [names, ["---"] * len(names)]
    for row in (row for row in rows if row["method"] == "teach"):
        key = row["look"], row["slices"], row["scans"]
        beside = [rivals.get((*key, method), "–") for method in METHODS if method != "teach"]
        beside[0] = rivals.get((row["look"], 5, 1, "bundled"), "–")  # knows no labels
        held_out = f"{row['held_out']['after']:.3f}" if "held_out" in row else "–"
        took = [f"{row['iterations']}", f"{row['minutes_on_2_cores']:.1f}", held_out]
        lines.append([row["look"], str(row["slices"]), str(row["scans"]), *beside, _cell(row), *took])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: dict[str, Any]) -> str:
    means = [np.mean([score[role] for score in row["scores"]]) for role in ("mean", "degradation_layer")]
    return f"{means[0]:.3f} ({means[1]:.3f})"


def settings_of(arguments: argparse.Namespace) -> tuple[TeachSettings, dict[str, Any]]:
    """The settings with those of ``--set``; ``augmentation.KEY`` changes augmentation."""
    changed = {key: json.loads(value) for key, _, value in (text.partition("=") for text in arguments.set)}
    inner = {key.removeprefix("augmentation."): v for key, v in changed.items() if key.startswith("augmentation.")}
    inner = {key: tuple(value) if isinstance(value, list) else value for key, value in inner.items()}
    outer = {key: value for key, value in changed.items() if "." not in key}
    base = TeachSettings(minutes=0, iterations=arguments.iterations, seed=arguments.seed, device="cpu")
    return replace(base, augmentation=replace(AUGMENTATION, **inner), **outer), changed


def keep(row: dict[str, Any], path: Path | None) -> None:
    """Say the row, and add it to the file."""
    sys.stdout.write(summary(row) + "\n")
    sys.stdout.flush()
    if path is not None:
        rows = json.loads(path.read_text("utf-8")) if path.exists() else []
        with atomic_output(path) as temporary:
            temporary.write_text(json.dumps([*rows, row], indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--looks", nargs="+", default=list(LOOKS), choices=list(LOOKS))
    parser.add_argument("--methods", nargs="+", default=["bundled", "teach"])
    parser.add_argument("--slices", type=int, nargs="+", default=[5])
    parser.add_argument("--scans", type=int, default=1, help="labelled explants that the slices are shared between")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--tests", type=int, default=2)
    parser.add_argument(
        "--known", type=int, default=0, help="explants of the bundled model's own look, to see what is forgotten"
    )
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--table", action="store_true", help="print the rows of --results as Markdown, run nothing")
    arguments = parser.parse_args()
    if arguments.table:
        sys.stdout.write(table(json.loads(arguments.results.read_text("utf-8"))) + "\n")
        return 0
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    settings, changed = settings_of(arguments)
    work = folder / f"work_{os.getpid()}"
    work.mkdir(exist_ok=True)
    knowns = [explant_of(KNOWN, n, arguments.size, folder) for n in range(arguments.known)]
    for name in arguments.looks:
        look = LOOKS[name]
        explants = [explant_of(look, n, arguments.size, folder) for n in range(arguments.scans)]
        tests = [explant_of(look, n, arguments.size, folder) for n in range(2, 2 + arguments.tests)]
        for slices in arguments.slices:
            for method in arguments.methods:
                if method == "bundled":
                    row = {"method": method, "scores": scores_of_model(find_model(), tests)}
                    row |= {"known": scores_of_model(find_model(), knowns)} if knowns else {}
                elif method == "teach":
                    row = row_of_teach(look, explants, tests, knowns, slices, settings, work)
                else:
                    row = row_of_rival(method, explants, tests, slices)
                facts = {"look": name, "size": arguments.size, "scans": arguments.scans, "slices": slices}
                keep({**facts, "changed": changed if method == "teach" else {}, **row}, arguments.results)
    (work / "taught.mgmodel").unlink(missing_ok=True)
    work.rmdir()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
