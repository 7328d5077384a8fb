"""``compare``: the paper's Table 3, segmentations of one scan, or of many in folders, and their measures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events, json_ready
from MgImplantSegLib.base.files import require_writable_folder
from MgImplantSegLib.cli.compare_folders import are_folders, rated_samples
from MgImplantSegLib.cli.measure_options import (
    add_measure_arguments,
    measure_options,
    read_scan_of,
    with_field_of_view,
)
from MgImplantSegLib.cli.parser import option, output_path
from MgImplantSegLib.cli.segmentation_options import add_reading_arguments, read_segmentation, roles
from MgImplantSegLib.cli.summarise import report as summary_text
from MgImplantSegLib.cli.tables import percent_text, text_table, value_text

if TYPE_CHECKING:
    from MgImplantSegLib.evaluation.comparison import Comparison

SCORES = ("mean IoU", "IoU", "Dice")
NAME = "compare"
HELP = "measures and IoU of several segmentations, or folders of them, compared with a reference"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The reference, the others, and the options of `quantify`."""
    parser.add_argument(
        "others",
        type=Path,
        nargs="+",
        metavar="OTHER",
        help="segmentations on the reference's grid; or folders of them, one a rater, whose files have the names of "
        "those in the reference's folder",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        required=True,
        metavar="SEG",
        help="segmentation, or folder, taken as the ground truth",
    )
    option(parser, "--reference-roles", roles, "V=ROLE,...", "as --roles, for the reference (default: same as --roles)")
    option(parser, "--csv", output_path, "FILE", "write one row per segmentation and measure as CSV")
    option(parser, "--figure", output_path, "FILE", "draw the deviations (.png, .pdf, .svg)")
    option(parser, "--summary", output_path, "FILE", "of folders: mean ± standard error over the samples as CSV")
    option(parser, "--agreement", output_path, "FILE", "of folders: Bland-Altman limits and ICC of the raters as CSV")
    add_reading_arguments(parser)
    add_measure_arguments(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Every number of every segmentation, the reference's, and the deviation in %; of folders also over the samples."""
    for path in filter(None, (arguments.csv, arguments.figure, arguments.summary, arguments.agreement)):
        require_writable_folder(path.absolute().parent)
    if are_folders(arguments.reference, arguments.others):
        return _run_folders(arguments, events)
    if arguments.summary or arguments.agreement:
        raise InputError(
            "Expected folders of segmentations for --summary and --agreement, got single segmentations.",
            "Give one folder per rater, or omit these options.",
        )
    names = distinct_names(arguments.others)
    comparison = _compare("", arguments.reference, names, arguments, events)
    _write([comparison], arguments)
    return {
        **comparison.to_dict(),
        "reference": str(arguments.reference),
        "others": {name: str(path) for name, path in names.items()},
    }


def _run_folders(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    from MgImplantSegLib.evaluation import agreement, summarise, write_agreement_csv, write_summary_csv
    from MgImplantSegLib.evaluation.agreement import agreement_cells

    raters = distinct_names(arguments.others)
    samples = rated_samples(arguments.reference, raters, events)
    comparisons = []
    with events.task("samples", len(samples)) as task:
        for sample in samples:
            comparisons.append(_compare(sample.name, sample.reference, sample.others, arguments, events))
            task.advance()
    _write(comparisons, arguments)
    rows = summarise(comparisons)
    agreed = [row for row in agreement(comparisons) if row.symbol not in SCORES]
    if arguments.summary:
        write_summary_csv(rows, arguments.summary)
    if arguments.agreement:
        write_agreement_csv(agreed, arguments.agreement)
    return {
        "comparison": [entry for comparison in comparisons for entry in comparison.to_dict()["comparison"]],
        "summary": [json_ready(vars(row)) for row in rows],
        "agreement": [json_ready(agreement_cells(row)) for row in agreed],
        "samples": [sample.name for sample in samples],
        "reference": str(arguments.reference),
        "others": {name: str(path) for name, path in raters.items()},
    }


def _compare(
    sample: str, reference_path: Path, others: Mapping[str, Path], arguments: argparse.Namespace, events: Events
) -> Comparison:
    from MgImplantSegLib.evaluation import compare

    reference = read_segmentation(reference_path, arguments, arguments.reference_roles)
    read = {name: read_segmentation(path, arguments) for name, path in others.items()}
    options = measure_options(arguments, reference, events)
    options = with_field_of_view(options, read_scan_of(reference, arguments))
    return compare(reference, read, options, events, sample)


def _write(comparisons: Sequence[Comparison], arguments: argparse.Namespace) -> None:
    from MgImplantSegLib.evaluation.comparison import write_comparisons_csv
    from MgImplantSegLib.evaluation.figure import write_deviation_figure

    if arguments.figure:
        write_deviation_figure(comparisons, arguments.figure)
    if arguments.csv:
        write_comparisons_csv(comparisons, arguments.csv)


def report(result: dict[str, Any]) -> str:
    """One row a segmentation and number, with the reference's and the deviation; of folders their means."""
    if "summary" in result:
        return f"{summary_text(result)}\n\n{agreement_text(result['agreement'])}"
    return _single_text(result)


def agreement_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bias, limits of agreement and ICC of each measure and pair."""
    cells = [
        (
            row["symbol"],
            row["unit"],
            row["region"],
            f"{row['second']} − {row['first']}" if row["first"] != row["second"] else row["first"],
            str(row["samples"]),
            value_text(row["bias"]),
            f"{value_text(row['lower_limit'])} to {value_text(row['upper_limit'])}" if row["lower_limit"] else "–",
            value_text(row["icc_2_1"]),
            value_text(row["icc_3_1"]),
        )
        for row in rows
    ]
    header = ("measure", "unit", "region", "raters", "samples", "bias", "limits of agreement", "ICC(2,1)", "ICC(3,1)")
    return text_table(header, cells)


def _single_text(result: dict[str, Any]) -> str:
    """One row a segmentation and number."""
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
