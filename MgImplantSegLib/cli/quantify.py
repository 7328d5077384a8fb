"""``quantify``: the measures of a segmentation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import require_writable_folder
from MgImplantSegLib.cli.measure_options import (
    add_measure_arguments,
    measure_options,
    read_scan_of,
    with_field_of_view,
)
from MgImplantSegLib.cli.parser import folder_path, option, output_path
from MgImplantSegLib.cli.pictures import draw_measures, draw_pictures
from MgImplantSegLib.cli.segmentation_options import add_reading_arguments, read_segmentation
from MgImplantSegLib.cli.staging import staged_files
from MgImplantSegLib.cli.tables import text_table, value_text

NAME = "quantify"
HELP = "measure a segmentation: volumes, DR, BIC, BV/TV"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The segmentation, how to read it, how to measure it, and where the table goes."""
    parser.add_argument("segmentation", type=Path, metavar="SEGMENTATION", help=".seg.nrrd or a label image")
    add_reading_arguments(parser)
    add_measure_arguments(parser)
    option(parser, "--csv", output_path, "FILE", "write the measures as CSV")
    option(parser, "--series-csv", output_path, "FILE", "write profiles as CSV: over shells, along the screw axis")
    option(
        parser, "--pictures", folder_path, "DIR", "draw the segmentation, bone contact, degradation depth and profiles"
    )


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Measure; the result is what `--json` writes."""
    from MgImplantSegLib.quantification import quantify

    for path in filter(None, (arguments.csv, arguments.series_csv)):
        require_writable_folder(path.absolute().parent)
    label_map = read_segmentation(arguments.segmentation, arguments)
    scan = read_scan_of(label_map, arguments)
    options = with_field_of_view(measure_options(arguments, label_map, events), scan)
    report = quantify(label_map, options, events)
    pictures = []
    if arguments.pictures:
        with staged_files(arguments.pictures) as folder:
            pictures = draw_pictures(scan, label_map, folder, events)
            pictures += draw_measures(report, label_map, options.initial, folder, events)
    if arguments.csv:
        report.write_csv(arguments.csv)
    if arguments.series_csv:
        report.write_series_csv(arguments.series_csv)
    drawn = {"pictures": [str(arguments.pictures / name) for name in pictures]} if pictures else {}
    return {**report.to_dict(), **drawn}


def report(result: dict[str, Any]) -> str:
    """One row a measure, and below why some are undefined."""
    table = measures_text(result["measures"], said=result.get("warnings", ()))
    return "\n".join([table, *(f"written: {path}" for path in result.get("pictures", ()))])


def measures_text(measures: list[dict[str, Any]], said: Sequence[str] = ()) -> str:
    """A table of measures as plain data, followed by those notes that were not said before as warnings."""
    rows = [
        (entry["symbol"], value_text(entry["value"]), _range_text(entry), entry["unit"], entry["name"], entry["region"])
        for entry in measures
    ]
    table = text_table(("measure", "value", "range", "unit", "name", "region"), rows)
    return "\n".join([table, *_notes_not_said(measures, said)])


def _notes_not_said(measures: list[dict[str, Any]], said: Sequence[str]) -> list[str]:
    """The notes with their symbols, without the sentences that were warnings."""
    spoken = {line for warning in said for line in (warning, warning.partition(": ")[2])}
    lines: dict[str, list[str]] = {}
    for note, symbols in symbols_by_note(measures).items():
        for sentence in sorted(filter(None, spoken), key=len, reverse=True):
            note = note.replace(sentence, "")
        if left := " ".join(note.split()):
            lines.setdefault(left, []).extend(symbols)
    return [f"{', '.join(dict.fromkeys(symbols))}: {note}" for note, symbols in lines.items()]


def symbols_by_note(measures: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The symbols of the measures that each note belongs to, each once."""
    symbols: dict[str, list[str]] = {}
    for entry in measures:
        if entry["note"] and entry["symbol"] not in symbols.setdefault(entry["note"], []):
            symbols[entry["note"]].append(entry["symbol"])
    return symbols


def _range_text(entry: dict[str, Any]) -> str:
    known = entry["low"] is not None and entry["high"] is not None
    return f"{value_text(entry['low'])} to {value_text(entry['high'])}" if known else ""
