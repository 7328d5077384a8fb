"""``evaluate``: how well a segmentation agrees with a reference."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MgImplantSegLib.cli.parser import option
from MgImplantSegLib.cli.segmentation_options import add_reading_arguments, read_segmentation, roles
from MgImplantSegLib.cli.tables import text_table, value_text
from MgImplantSegLib.events import Events

NAME = "evaluate"
HELP = "compare a segmentation with a reference: IoU and Dice per class"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two segmentations and how to read them."""
    parser.add_argument("prediction", type=Path, metavar="PREDICTION", help=".seg.nrrd or a label image")
    parser.add_argument("reference", type=Path, metavar="REFERENCE", help="the same, taken for the truth")
    add_reading_arguments(parser)
    option(parser, "--reference-roles", roles, "V=ROLE,...", "the same for the reference; without it as --roles")


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """IoU and Dice of each class and their means."""
    from MgImplantSegLib.evaluation import evaluate

    with events.task("evaluate", 3) as task:
        prediction = read_segmentation(arguments.prediction, arguments)
        task.advance()
        reference = read_segmentation(arguments.reference, arguments, arguments.reference_roles)
        task.advance()
        return evaluate(prediction, reference).to_dict()


def report(result: dict[str, Any]) -> str:
    """One row a class, then the mean."""
    rows = [
        (entry["name"], value_text(entry["iou"]), value_text(entry["dice"]),
         str(entry["prediction_voxels"]), str(entry["reference_voxels"]))
        for entry in result["classes"].values()
    ]  # fmt: skip
    rows.append(("mean of the classes present", value_text(result["mean_iou"]), "", "", ""))
    return text_table(("class", "IoU", "Dice", "voxels", "in the reference"), rows)
