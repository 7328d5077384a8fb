"""What teach brings on looks that the bundled model does not know: ``python Testing/Benchmarks/teach.py FOLDER``.

For every look one or two explants are labelled on a few slices (those that `suggest` would name without knowing where
planes disagree), and IoU is measured on other explants of that look, of other shapes. Beside the taught model stand the
bundled one, a pixel classifier (random forest on multi-scale features, as in Trainable WEKA) on the same slices, and
multi-Otsu + watershed whose classes are assigned by the same slices. Training is counted in steps, and in minutes of
processor time, so that a busy machine does not matter.

The looks are in `teach_looks.py`; what settings were chosen on is in ``results/teach.md``. ``--also`` measures every
taught model in further ways (`teach_scores.py`): with the batch norm statistics of each tested scan, with 9 planes,
with single ones.

The rivals need packages that the project does not: ``pip install scikit-learn scikit-image``.

``--set KEY=VALUE`` changes settings of `TeachSettings`; ``--results FILE`` adds rows to a JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from teach_looks import KNOWN, LOOKS, TESTS, Look, explant_of, pairs_of
from teach_scores import ALSO, iou, scores_of_model

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.io import read_volume
from MgImplantSegLib.training.teach.settings import AUGMENTATION, Pair, TeachSettings

ROLES = ("background", "bone", "degradation_layer", "residual_material", "mean")
CORES = 2  # minutes are those of a user with so many cores


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
    also: list[str],
) -> dict[str, Any]:
    """One taught model, measured."""
    model, took = taught(pairs_of(explants, slices), settings, folder)
    held_out = took.pop("held_out")
    row = {"method": "teach", **took, "scores": scores_of_model(model, tests)}
    row["also"] = {name: ALSO[name](model, tests) for name in also}
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
    also = "".join(
        f"  {name} {np.mean([score['mean'] for score in scores]):.3f}" for name, scores in row.get("also", {}).items()
    )
    return (
        f"{row['look']:<12}{row['method']:<10}{row['slices']:>3} slices {row.get('iterations', 0):>5} steps "
        f"{row.get('minutes_on_2_cores', 0):>5.2f} min  "
        + "  ".join(f"{role[:10]} {value:.3f}" for role, value in means.items())
        + f"{also}  known {known_mean:.3f}  {row.get('held_out', '')} {row.get('changed', '')}"
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
    parser.add_argument("--looks", nargs="+", default=[make.__name__ for make in TESTS], choices=list(LOOKS))
    parser.add_argument("--methods", nargs="+", default=["bundled", "teach"])
    parser.add_argument("--slices", type=int, nargs="+", default=[5], help="0: all labelled")
    parser.add_argument("--scans", type=int, default=1, help="labelled explants that the slices are shared between")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--tests", type=int, default=2)
    parser.add_argument(
        "--known", type=int, default=0, help="explants of the bundled model's own look, to see what is forgotten"
    )
    parser.add_argument(
        "--also", nargs="*", default=[], choices=list(ALSO), help="measure taught models in these ways too"
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
                    row = row_of_teach(look, explants, tests, knowns, slices, settings, work, arguments.also)
                else:
                    row = row_of_rival(method, explants, tests, slices)
                facts = {"look": name, "size": arguments.size, "scans": arguments.scans, "slices": slices}
                keep({**facts, "changed": changed if method == "teach" else {}, **row}, arguments.results)
    (work / "taught.mgmodel").unlink(missing_ok=True)
    work.rmdir()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
