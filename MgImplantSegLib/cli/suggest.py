"""``suggest``: slices that are worth labelling before a model is taught."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.option_kinds import File, Kind, WholeNumber
from MgImplantSegLib.base.options import add_options, option
from MgImplantSegLib.base.typed import present
from MgImplantSegLib.cli.elsewhere import add_environment_option, run_elsewhere
from MgImplantSegLib.cli.segment_options import (
    add_segment_arguments,
    read_scan,
    segment_options,
)
from MgImplantSegLib.cli.segmentation_options import ReadingOptions
from MgImplantSegLib.cli.tables import text_table

if TYPE_CHECKING:
    from MgImplantSegLib.grids.volume import LabelMap, Volume

NAME = "suggest"
HELP = "suggest slices to label for teach, where the planes disagree most"
DEFAULT_COUNT = 5


@dataclass(frozen=True)
class SuggestOptions:
    """The scan, its segmentation, how many slices, and what is known already."""

    image: Path = option("scan: image file, or folder of slices (TIFF, BMP, PNG)", File("IMAGE"), is_positional=True)
    segmentation: Path = option("its segmentation, on the same voxels", File("SEGMENTATION"), is_positional=True)
    count: int = option("number of slices", WholeNumber(1), DEFAULT_COUNT)
    disagreement: Path | None = option(
        "file written by segment --disagreement for IMAGE",
        File("FILE"),
        None,
        default_help="IMAGE is segmented to compute it",
    )
    done_slices: str | None = option("slices already labelled: axis and index in IMAGE", Kind("z:40,y:12,..."), None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scan, its segmentation, how many slices, and what is known already."""
    add_options(parser, SuggestOptions)
    add_options(parser, ReadingOptions, only=("roles",))
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
    _warn_of_nothing(segmentation, events)
    found = suggest_slices(segmentation, _disagreement(scan, arguments, events), arguments.count, done)
    return {"slices": [entry.to_dict() for entry in found], "done_slices": slices_text(entry.name for entry in found)}


def _warn_of_nothing(segmentation: LabelMap, events: Events) -> None:
    from MgImplantSegLib.training.teach.labelled import painted_mask

    if not painted_mask(segmentation).any():
        events.warning("The segmentation has no class: slices are spread over the whole scan.", "labels")


def _disagreement(scan: Volume, arguments: argparse.Namespace, events: Events) -> Volume:
    from MgImplantSegLib.inference.segmenter import segment_volume
    from MgImplantSegLib.io import read_volume

    if arguments.disagreement is not None:
        return read_volume(arguments.disagreement)
    return present(segment_volume(scan, segment_options(arguments, want_disagreement=True), events).disagreement)


def report(result: dict[str, Any]) -> str:
    """One row a slice."""
    rows = [
        (entry["slice"], f"{100 * entry['disagreement']:.2f} %", ", ".join(entry["classes"]))
        for entry in result["slices"]
    ]
    table = text_table(("slice", "planes disagree", "classes"), rows)
    return f"{table}\nWhen they are labelled: teach ... --done-slices {result['done_slices']}"
