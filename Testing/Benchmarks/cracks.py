"""How well cracks are found, by width and noise: ``python Testing/Benchmarks/cracks.py --out FOLDER``.

Explants of `crack_explants` with exact cracks of 1 to 6 voxels and four noise levels (in the layer, by the contrast of
layer and background). The filter gets the true labels without cracks, so that its own errors are seen alone, and its
default options. Its thresholds were chosen on the project's own simulation (seeds 700 to 703, both looks), which shares
no code with these explants; these are used once, for this table.

Writes ``cracks.json`` with a row an explant, ``cracks.md`` with the tables, and ``cracks.png`` with the plot of what
width is found at which noise. Recall: share of the true crack voxels that are found. Centre: share of the voxels in the
middle of the true cracks. Precision: share of the found voxels that are cracks; within 1: that are cracks or touch one.
BIC error: of the labels without cracks, and with those that are found, from the truth, in percentage points.

``--model`` runs the filter after the bundled model instead, which sees wide cracks itself, on explants of the project's
own simulation with seeds that neither training nor the choice of thresholds has used (in most explants of
`crack_explants`, which are unlike those it was trained on, it finds no implant). Writes ``cracks_after_model.md`` and
``.json``. Open before, open after: share of the true crack voxels that are background or crack, before and after the
filter.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from crack_explants import CRACKS, FAMILIES, CrackedExplant, explant

from MgImplantSegLib.base.events import json_ready
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.resources import DEFAULT_MODEL, find_model
from MgImplantSegLib.cracks.openings import with_openings
from MgImplantSegLib.cracks.options import OpeningOptions
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.grids.volume import LabelMap
from MgImplantSegLib.inference.segmenter import SegmentOptions, segment_volume
from MgImplantSegLib.quantification import QuantifyOptions, quantify
from MgImplantSegLib.simulation import Look, SimulationSettings, simulate_explant
from MgImplantSegLib.simulation.drawing import draw_parameters

WIDTHS = (1, 2, 3, 4, 5, 6)
NOISES = (0.05, 0.1, 0.2, 0.3)
FIRST_SEED = 5000
SEGMENTED, FIRST_SEGMENTED_SEED = (2.5, 3, 4, 6, 2.5, 4), 958_000
TOUCHING = np.ones((3, 3, 3), bool)
COLUMNS = ("recall", "centre", "precision", "within_1", "bic_error_without", "bic_error_with", "metal_change_percent")
Row = dict[str, Any]


def bic(labels: LabelMap) -> float:
    """BIC in %, by faces."""
    return quantify(labels, QuantifyOptions(measures=("contact",))).value("BIC")


def overlap(found: np.ndarray, truth: np.ndarray) -> Row:
    """Recall and precision by voxels, of the cracks' middle, and within one voxel."""
    if not truth.any():
        return {}
    inside = ndimage.distance_transform_edt(truth)
    centre = truth & (inside >= ndimage.maximum_filter(inside, 3) - 0.01)
    near = ndimage.binary_dilation(truth, TOUCHING)
    count = max(1, int(found.sum()))
    return {
        "recall": float((found & truth).sum() / truth.sum()),
        "centre": float((found & centre).sum() / centre.sum()),
        "precision": float((found & truth).sum() / count) if found.any() else float("nan"),
        "within_1": float((found & near).sum() / count) if found.any() else float("nan"),
    }


def row_of(made: CrackedExplant, given: LabelMap) -> Row:
    """What the filter makes of a segmentation."""
    result = with_openings(made.volume, given, OpeningOptions(("cracks",)))
    value = next(label.value for label in result.scheme.labels if label.is_opening)
    truth, before, after = bic(made.labels), bic(given), bic(result)
    metal = int((given.array == 3).sum())
    empty = {"open_before": given.mask(Role.BACKGROUND), "open_after": result.mask(Role.BACKGROUND)}
    return overlap(result.array == value, made.cracks) | {
        "noise": made.noise,
        **{key: float(mask[made.cracks].mean()) if made.cracks.any() else float("nan") for key, mask in empty.items()},
        "bic": truth,
        "bic_error_without": abs(before - truth),
        "bic_error_with": abs(after - truth),
        "metal_change_percent": 100 * abs(int((result.array == 3).sum()) - metal) / max(1, metal),
    }


def rows(tell: Callable[[str], Any]) -> list[Row]:
    """All explants of the table; each combination has a crack kind and a seed of its own in each family."""
    found = []
    for family in FAMILIES:
        for width in WIDTHS:
            for number, noise in enumerate(NOISES):
                kind = CRACKS[(width + number) % len(CRACKS)]
                seed = FIRST_SEED + 10 * width + number
                made = explant(family, kind, width, noise, seed)
                found.append(
                    {"family": family, "kind": kind, "width": width, "level": noise, "seed": seed}
                    | row_of(made, made.without_cracks)
                )
                tell(_line(found[-1]))
    return found


def simulated(width: float, seed: int) -> CrackedExplant:
    """An explant of the project's own simulation in the look of a scanner, with cracks of about that width.

    Where the cracks are follows from the same explant without cracks.
    """
    settings = SimulationSettings(size=80, seed=seed, look=Look.SCANNER)
    drawn = draw_parameters(settings)
    spacing_mm = settings.spacing_um / 1000
    depth_mm = max(drawn.corrosion.depth_mm, 0.12)
    cracks = {"crack_part": 0.6, "crack_width_mm": width * spacing_mm, "crack_spacing_mm": 0.3, "depth_mm": depth_mm}
    cracked, whole = (
        simulate_explant(settings, parameters=replace(drawn, corrosion=replace(drawn.corrosion, **changes)))
        for changes in (cracks, cracks | {"crack_part": 0.0})
    )
    is_crack = (whole.labels.array >= 2) & (cracked.labels.array < 2)
    return CrackedExplant(cracked.image, cracked.labels, is_crack, float("nan"))


def segmented_rows(model: str, tell: Callable[[str], Any]) -> list[Row]:
    """What the filter makes of a model's segmentation."""
    found = []
    for number, width in enumerate(SEGMENTED):
        seed = FIRST_SEGMENTED_SEED + number
        made = simulated(width, seed)
        given = segment_volume(made.volume, SegmentOptions(find_model(model), planes="3", device="cpu")).label_map
        known = {"family": "simulated", "kind": "sheets", "width": width, "level": float("nan"), "seed": seed}
        found.append(known | row_of(made, given))
        tell(_line(found[-1]))
    return found


def _line(row: Row) -> str:
    words = [f"{row[key]:<9}" for key in ("family", "kind", "width", "level")]
    return " ".join([*words, *(f"{row.get(key, float('nan')):8.3f}" for key in COLUMNS)])


def mean_of(chosen: list[Row], key: str) -> float:
    """Mean of a column over the rows that have it."""
    values = [row[key] for row in chosen if np.isfinite(row.get(key, np.nan))]
    return float(np.mean(values)) if values else float("nan")


def summary(found: list[Row]) -> Row:
    """What is wanted: cracks of two voxels and more, over all noise levels and families; BIC over all explants."""
    wide = [row for row in found if row["width"] >= 2]
    return {f"{key}, 2 voxels and more": mean_of(wide, key) for key in COLUMNS[:4]} | {
        key: mean_of(found, key) for key in COLUMNS[4:]
    }


def table(found: list[Row], key: str, title: str) -> list[str]:
    """A table in Markdown: widths by noise levels."""
    lines = [f"{title}:", "", "| width in voxels | " + " | ".join(f"noise {level:g}" for level in NOISES) + " |"]
    lines.append("|--:" * (len(NOISES) + 1) + "|")
    for width in WIDTHS:
        cells = [mean_of([r for r in found if (r["width"], r["level"]) == (width, level)], key) for level in NOISES]
        lines.append(f"| {width} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    return [*lines, ""]


def text_of(result: Row) -> str:
    """The results as Markdown."""
    found = result["explants"]
    lines = ["# Cracks by width and noise", "", f"`{result['command']}`", ""]
    lines += [f"- {key.replace('_', ' ')}: {value:.3f}" for key, value in result["summary"].items()]
    lines += [
        "",
        "Means of both families. Noise: standard deviation in the layer by the contrast to background.",
        "",
    ]
    for key, title in (
        ("recall", "Recall"),
        ("centre", "Recall of the middle of the cracks"),
        ("precision", "Precision"),
        ("within_1", "Precision within one voxel"),
        ("bic_error_without", "BIC error without the filter, percentage points"),
        ("bic_error_with", "BIC error with it"),
    ):
        lines += table(found, key, title)
    return "\n".join(lines)


def text_after_model(result: Row) -> str:
    """The results with a model as Markdown."""
    columns = ("open_before", "open_after", *COLUMNS)
    lines = ["# Cracks after the bundled model's segmentation", "", f"`{result['command']}`", ""]
    lines += ["| width | seed | " + " | ".join(key.replace("_", " ") for key in columns) + " |"]
    lines += ["|--:|--:" + "|--:" * len(columns) + "|"]
    for row in result["segmented"]:
        cells = " | ".join(f"{row.get(key, float('nan')):.3f}" for key in columns)
        lines.append(f"| {row['width']:g} | {row['seed']} | {cells} |")
    means = " | ".join(f"{mean_of(result['segmented'], key):.3f}" for key in columns)
    return "\n".join([*lines, f"| mean | | {means} |", ""])


def draw(found: list[Row], path: Path) -> None:
    """The plot: recall of the middle and precision by width, a line a noise level."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
    for axis, key, title in zip(
        axes, ("centre", "precision"), ("found of the cracks' middle", "precision"), strict=True
    ):
        for level in NOISES:
            values = [
                mean_of([r for r in found if (r["width"], r["level"]) == (width, level)], key) for width in WIDTHS
            ]
            axis.plot(WIDTHS, values, marker="o", label=f"noise {level:g}")
        axis.axhline(0.85 if key == "centre" else 0.8, color="grey", linewidth=0.8, linestyle=":")
        axis.set(xlabel="crack width in voxels", title=title, ylim=(0, 1.02))
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def write(path: Path, result: Row, text: str) -> None:
    """The results as JSON and as Markdown."""
    with atomic_output(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(json_ready(result), indent=1, ensure_ascii=False) + "\n", "utf-8")
    path.with_suffix(".md").write_text(text, "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    parser.add_argument("--model", action="store_true", help="after the bundled model's segmentations instead")
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    result: Row = {"command": " ".join(["python", "Testing/Benchmarks/cracks.py", *(["--model"] * arguments.model)])}
    if arguments.model:
        result["segmented"] = segmented_rows(str(DEFAULT_MODEL), tell)
        write(arguments.out / "cracks_after_model", result, text_after_model(result))
        return 0
    found = rows(tell)
    result |= {"summary": summary(found), "explants": found}
    write(arguments.out / "cracks", result, text_of(result))
    draw(found, arguments.out / "cracks.png")
    tell(json.dumps(result["summary"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
