"""``compare``: the paper's Table 3, segmentations of one scan and their measures against a reference."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MgImplantSegLib.cli.measure_options import (
    add_measure_arguments,
    measure_options,
    read_scan_of,
    with_field_of_view,
)
from MgImplantSegLib.cli.parser import option, output_path
from MgImplantSegLib.cli.segmentation_options import add_reading_arguments, read_segmentation, roles
from MgImplantSegLib.cli.tables import percent_text, text_table, value_text
from MgImplantSegLib.events import Events
from MgImplantSegLib.files import require_writable_folder

NAME = "compare"
HELP = "measures and IoU of several segmentations beside a reference"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The reference, the others, and the options of `quantify`."""
    parser.add_argument("others", type=Path, nargs="+", metavar="OTHER", help="segmentations on the reference's grid")
    parser.add_argument("--reference", type=Path, required=True, metavar="SEG", help="segmentation taken for the truth")
    option(parser, "--reference-roles", roles, "V=ROLE,...", "as --roles, for the reference (default: same as --roles)")
    option(parser, "--csv", output_path, "FILE", "write one row a segmentation and number as CSV")
    option(parser, "--figure", output_path, "FILE", "draw the deviations (.png, .pdf, .svg)")
    add_reading_arguments(parser)
    add_measure_arguments(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Every number of every segmentation, the reference's, and the deviation in %."""
    from MgImplantSegLib.evaluation import compare
    from MgImplantSegLib.evaluation.figure import write_deviation_figure

    for path in filter(None, (arguments.csv, arguments.figure)):
        require_writable_folder(path.absolute().parent)
    reference = read_segmentation(arguments.reference, arguments, arguments.reference_roles)
    names = distinct_names(arguments.others)
    others = {name: read_segmentation(path, arguments) for name, path in names.items()}
    options = measure_options(arguments, reference, events)
    options = with_field_of_view(options, read_scan_of(reference, arguments))
    comparison = compare(reference, others, options, events)
    if arguments.figure:
        write_deviation_figure([comparison], arguments.figure)
    if arguments.csv:
        comparison.write_csv(arguments.csv)
    return {
        **comparison.to_dict(),
        "reference": str(arguments.reference),
        "others": {name: str(path) for name, path in names.items()},
    }


def report(result: dict[str, Any]) -> str:
    """One row a segmentation and number, with the reference's and the deviation."""
    rows = [
        (
            entry["segmentation"],
            entry["symbol"],
            value_text(entry["value"]),
            value_text(entry["reference"]),
            percent_text(entry["deviation_percent"]),
            entry["unit"],
            entry["region"],
        )
        for entry in result["comparison"]
        if entry["segmentation"] in result["others"]
    ]
    return text_table(("segmentation", "measure", "value", "reference", "deviation", "unit", "region"), rows)


def distinct_names(paths: list[Path]) -> dict[str, Path]:
    """A short name for each file: its own without suffix, the whole path where two have the same."""
    from MgImplantSegLib.io.formats import without_suffix

    names: dict[str, Path] = {}
    for path in paths:
        name = without_suffix(path)
        names[str(path) if name in names or name == "reference" else name] = path
    return names
