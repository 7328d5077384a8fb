"""``evaluate``: how well a segmentation agrees with a reference."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.parser import option
from MgImplantSegLib.cli.segmentation_options import add_reading_arguments, read_segmentation, roles
from MgImplantSegLib.cli.tables import text_table, value_text

NAME = "evaluate"
HELP = "compare a segmentation with a reference: IoU and Dice per class"
HEADER = ("class", "IoU", "Dice", "voxels", "in the reference")
DISTANCES = {"mean_mm": "mean mm", "p95_mm": "95 % mm", "max_mm": "max mm"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two segmentations and how to read them."""
    parser.add_argument("prediction", type=Path, metavar="PREDICTION", help=".seg.nrrd or a label image")
    parser.add_argument("reference", type=Path, metavar="REFERENCE", help="the same formats; taken as the ground truth")
    add_reading_arguments(parser)
    option(parser, "--reference-roles", roles, "V=ROLE,...", "the same for the reference (default: same as --roles)")
    parser.add_argument(
        "--surface-distances", action="store_true", help="also measure the distances between the surfaces in mm"
    )


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """IoU and Dice of each class and their means, over the voxels that both show."""
    from MgImplantSegLib.evaluation import evaluate
    from MgImplantSegLib.io.grids import on_common_grid

    with events.task("evaluate", 3) as task:
        prediction = read_segmentation(arguments.prediction, arguments)
        task.advance()
        reference = read_segmentation(arguments.reference, arguments, arguments.reference_roles)
        task.advance()
        parts = on_common_grid(prediction, reference)
        if parts[0].array.size < max(prediction.array.size, reference.array.size):
            shown = " × ".join(str(n) for n in parts[0].geometry.shape_zyx[::-1])
            events.warning(f"One segmentation covers only part of the other: {shown} voxels are compared.", kind="grid")
        return evaluate(*parts, surface_distances=arguments.surface_distances).to_dict()


def report(result: dict[str, Any]) -> str:
    """One row a class, then the mean."""
    classes = result["classes"].values()
    keys = DISTANCES if any(entry["surface_distance"] for entry in classes) else {}
    rows = [_row(entry, keys) for entry in classes]
    rows.append(("mean of the classes present", value_text(result["mean_iou"]), "", "", "", *[""] * len(keys)))
    return text_table((*HEADER, *keys.values()), rows)


def _row(entry: dict[str, Any], distances: Iterable[str]) -> tuple[str, ...]:
    found = entry["surface_distance"] or {}
    return (
        entry["name"],
        value_text(entry["iou"]),
        value_text(entry["dice"]),
        str(entry["prediction_voxels"]),
        str(entry["reference_voxels"]),
        *(value_text(found.get(key)) for key in distances),
    )
