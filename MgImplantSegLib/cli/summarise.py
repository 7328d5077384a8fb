"""``summarise``: mean and standard error over the comparisons of several samples."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events, json_ready
from MgImplantSegLib.base.files import require_writable_folder
from MgImplantSegLib.cli.parser import option, output_path
from MgImplantSegLib.cli.tables import percent_text, text_table, value_text

NAME = "summarise"
HELP = "mean ± standard error over the tables written by compare, one per sample"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The tables, and where their summary goes."""
    parser.add_argument(
        "tables", type=Path, nargs="+", metavar="TABLE.csv", help="tables written by compare --csv, one per sample"
    )
    option(parser, "--csv", output_path, "FILE", "write one row per segmentation and measure as CSV")
    option(
        parser,
        "--figure",
        output_path,
        "FILE",
        "draw the mean deviations with their standard errors (.png, .pdf, .svg)",
    )


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Every number's mean, standard error and mean deviation from the reference."""
    from MgImplantSegLib.evaluation import read_comparisons, summarise, write_summary_csv
    from MgImplantSegLib.evaluation.figure import write_deviation_figure

    for path in filter(None, (arguments.csv, arguments.figure)):
        require_writable_folder(path.absolute().parent)
    comparisons = read_comparisons(arguments.tables)
    rows = summarise(comparisons)
    if arguments.figure:
        write_deviation_figure(comparisons, arguments.figure)
    if arguments.csv:
        write_summary_csv(rows, arguments.csv)
    return {"summary": [json_ready(vars(row)) for row in rows], "samples": len(comparisons)}


def report(result: dict[str, Any]) -> str:
    """One row a segmentation and number."""
    rows = [
        (
            entry["segmentation"],
            entry["symbol"],
            value_text(entry["mean"]),
            value_text(entry["standard_error"]),
            entry["unit"],
            percent_text(entry["mean_deviation_percent"]),
            percent_text(entry["deviation_standard_error"]),
            str(entry["samples"]),
            entry["region"],
        )
        for entry in result["summary"]
    ]
    header = ("segmentation", "measure", "mean", "± error", "unit", "deviation", "± error", "samples", "region")
    return text_table(header, rows)
