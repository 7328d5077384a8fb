"""``suggest``: slices that are worth labelling before a model is taught."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.cli.elsewhere import add_environment_option, run_elsewhere
from MgImplantSegLib.cli.parser import option, whole_number
from MgImplantSegLib.cli.segment_options import add_segment_arguments, read_scan, segment_options
from MgImplantSegLib.cli.segmentation_options import ROLES_HELP, roles
from MgImplantSegLib.cli.tables import text_table
from MgImplantSegLib.events import Events

if TYPE_CHECKING:
    from MgImplantSegLib.volume import Volume

NAME = "suggest"
HELP = "suggest slices to label for teach, where the planes disagree most"
DEFAULT_COUNT = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scan, its segmentation, how many slices, and what is known already."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="scan: image file, or folder of TIFF slices")
    parser.add_argument(
        "segmentation", type=Path, metavar="SEGMENTATION", help="its segmentation, with the same voxels"
    )
    option(parser, "--count", whole_number(1), "N", "how many slices", DEFAULT_COUNT)
    option(
        parser,
        "--disagreement",
        Path,
        "FILE",
        "what segment --disagreement wrote for IMAGE; without it IMAGE is segmented for it",
    )
    option(parser, "--done-slices", str, "z:40,y:12,...", "slices that are labelled already: axis and index of IMAGE")
    option(parser, "--roles", roles, "V=ROLE,...", f"{ROLES_HELP}; without it what the file says, else as here")
    add_segment_arguments(parser)
    add_environment_option(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """The slices, by axis and index of the image's array."""
    if arguments.environment:
        return run_elsewhere(NAME, add_arguments, arguments, events)
    from MgImplantSegLib.io import on_grid_of, read_label_map
    from MgImplantSegLib.training.teach.slices import parse_slices, slices_text
    from MgImplantSegLib.training.teach.suggestion import suggest_slices

    done = parse_slices(arguments.done_slices or "")
    scan = read_scan(arguments.image, arguments)
    label_map = read_label_map(arguments.segmentation, arguments.roles, spacing_um=arguments.spacing_um)
    segmentation = on_grid_of(label_map, scan.geometry)
    found = suggest_slices(segmentation, _disagreement(scan, arguments, events), arguments.count, done)
    return {"slices": [entry.to_dict() for entry in found], "done_slices": slices_text(entry.name for entry in found)}


def _disagreement(scan: Volume, arguments: argparse.Namespace, events: Events) -> Volume:
    from MgImplantSegLib.inference.segmenter import segment_volume
    from MgImplantSegLib.io import read_volume

    if arguments.disagreement is not None:
        return read_volume(arguments.disagreement)
    return segment_volume(scan, segment_options(arguments, want_disagreement=True), events).disagreement


def report(result: dict[str, Any]) -> str:
    """One row a slice."""
    rows = [
        (entry["slice"], f"{100 * entry['disagreement']:.2f} %", ", ".join(entry["classes"]))
        for entry in result["slices"]
    ]
    table = text_table(("slice", "planes disagree", "classes"), rows)
    return f"{table}\nWhen they are labelled: teach ... --done-slices {result['done_slices']}"
