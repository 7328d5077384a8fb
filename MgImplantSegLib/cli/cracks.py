"""``cracks``: cracks of the degradation layer and canals of bone in an existing segmentation."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_output, require_writable_folder
from MgImplantSegLib.base.option_kinds import File, ResultFile
from MgImplantSegLib.base.options import add_options, option
from MgImplantSegLib.cli.elsewhere import add_environment_option, run_elsewhere
from MgImplantSegLib.cli.opening_options import add_opening_arguments, opening_options
from MgImplantSegLib.cli.segment import class_sizes
from MgImplantSegLib.cli.segment_options import ScanOptions, read_scan
from MgImplantSegLib.cli.segmentation_options import ReadingOptions
from MgImplantSegLib.cli.tables import text_table, value_text

NAME = "cracks"
HELP = "find cracks in the degradation layer, and canals in bone, of a segmented scan"


@dataclass(frozen=True)
class CrackFiles:
    """The scan, its segmentation, and what is written."""

    image: Path = option("scan: image file, or folder of slices (TIFF, BMP, PNG)", File("IMAGE"), is_positional=True)
    segmentation: Path = option("its segmentation, with the same voxels", File("SEGMENTATION"), is_positional=True)
    out: Path = option("segmentation to write, .seg.nrrd or label image", ResultFile("OUT"), is_positional=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scan, its segmentation, the result, and what is looked for."""
    add_options(parser, CrackFiles)
    add_opening_arguments(parser)
    add_options(parser, ReadingOptions, only=("roles",))
    add_options(parser, ScanOptions)
    add_environment_option(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Find the openings and write the segmentation."""
    if arguments.environment:
        return run_elsewhere(NAME, add_arguments, arguments, events)
    from MgImplantSegLib.cracks.openings import with_openings
    from MgImplantSegLib.cracks.options import OPENINGS
    from MgImplantSegLib.io import on_grid_of, read_label_map, write_label_map
    from MgImplantSegLib.io.volumes import writable_format

    writable_format(arguments.out, labels=True)
    require_writable_folder(arguments.out.absolute().parent)
    options = opening_options(arguments)
    scan = read_scan(arguments.image, arguments)
    label_map = read_label_map(arguments.segmentation, arguments.roles, spacing_um=arguments.spacing_um)
    chosen = options if options.openings else replace(options, openings=tuple(OPENINGS))
    result = with_openings(scan, on_grid_of(label_map, scan.geometry), chosen, events)
    with atomic_output(arguments.out) as temporary:
        write_label_map(result, temporary)
    return {"file": str(arguments.out), "classes": class_sizes(result)}


def report(result: dict[str, Any]) -> str:
    """Size of each class, and the file."""
    rows = [(name, str(size["voxels"]), value_text(size["volume_mm3"])) for name, size in result["classes"].items()]
    return "\n".join([text_table(("class", "voxels", "volume mm³"), rows), f"written: {result['file']}"])
