"""``quantify``: the measures of a segmentation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MgImplantSegLib.cli.measure_options import add_measure_arguments, measure_options
from MgImplantSegLib.cli.parser import option, output_path
from MgImplantSegLib.cli.segmentation_options import add_reading_arguments, read_segmentation
from MgImplantSegLib.cli.tables import text_table, value_text
from MgImplantSegLib.events import Events
from MgImplantSegLib.files import require_writable_folder

NAME = "quantify"
HELP = "measure a segmentation: volumes, DR, BIC, BV/TV"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The segmentation, how to read it, how to measure it, and where the table goes."""
    parser.add_argument("segmentation", type=Path, metavar="SEGMENTATION", help=".seg.nrrd or a label image")
    add_reading_arguments(parser)
    add_measure_arguments(parser)
    option(parser, "--csv", output_path, "FILE", "write the measures as CSV")


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Measure; the result is what `--json` writes."""
    from MgImplantSegLib.quantification import quantify

    if arguments.csv:
        require_writable_folder(arguments.csv.absolute().parent)
    options = measure_options(arguments, events)
    report = quantify(read_segmentation(arguments.segmentation, arguments), options, events)
    if arguments.csv:
        report.write_csv(arguments.csv)
    return report.to_dict()


def report(result: dict[str, Any]) -> str:
    """One row a measure, and below why some are undefined."""
    return measures_text(result["measures"])


def measures_text(measures: list[dict[str, Any]]) -> str:
    """A table of measures as plain data, followed by their notes."""
    rows = [
        (entry["symbol"], value_text(entry["value"]), entry["unit"], entry["name"], entry["region"])
        for entry in measures
    ]
    notes = {entry["note"]: [] for entry in measures if entry["note"]}
    for entry in measures:
        notes.get(entry["note"], []).append(entry["symbol"])
    table = text_table(("measure", "value", "unit", "name", "region"), rows)
    return "\n".join([table, *(f"{', '.join(symbols)}: {note}" for note, symbols in notes.items())])
