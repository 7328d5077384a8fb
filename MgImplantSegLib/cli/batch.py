"""``batch``: segment and measure many scans, one row a sample; what is done stays done when it is started again."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.cli.batch_samples import Sample, samples_of
from MgImplantSegLib.cli.batch_table import DONE, FAILED, WAITING, Row, table_text, write_table
from MgImplantSegLib.cli.measure_options import (
    add_measure_arguments,
    measure_declarations,
    measure_options,
    require_measure_files,
    with_field_of_view,
)
from MgImplantSegLib.cli.pictures import draw_measures, draw_pictures
from MgImplantSegLib.cli.segment_options import ScanOptions, add_segment_arguments, read_scan, segment_options
from MgImplantSegLib.errors import InputError, MgImplantSegError
from MgImplantSegLib.events import Events, json_ready
from MgImplantSegLib.files import atomic_folder, output_folder, require_writable_folder
from MgImplantSegLib.model_file import read_card
from MgImplantSegLib.option_kinds import Yes
from MgImplantSegLib.options import add_options, option, record

if TYPE_CHECKING:
    from MgImplantSegLib.quantification import QuantificationReport

NAME = "batch"
HELP = "segment and measure all scans of a folder or manifest; resumable"
RECORD, SEGMENTATION = "sample.json", "segmentation.seg.nrrd"


@dataclass(frozen=True)
class BatchOptions:
    """What is made of each sample, and when a batch stops."""

    pictures: bool = option("draw view_3d.png and slices.png of each sample", Yes(), False)
    ranges: bool = option("ranges beside values, from the disagreement of the planes", Yes(), False)
    stop_at_error: bool = option("stop at the first sample that fails", Yes(), False, changes_result=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where from, where to, and the options of `segment` and `quantify`."""
    parser.add_argument(
        "source",
        type=Path,
        metavar="FOLDER|MANIFEST",
        help="folder of images, or CSV with the columns image, and name, spacing_um, dataset, days, "
        "initial, initial_volume_mm3, initial_area_mm2, roi (several with |) as needed",
    )
    parser.add_argument("outdir", type=Path, metavar="OUTDIR", help="folder for the results, one folder a sample")
    add_options(parser, BatchOptions)
    add_segment_arguments(parser)
    add_measure_arguments(parser, of_one_scan=False)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Work on one sample after the other; a sample that fails is noted, and the next one follows."""
    samples = samples_of(arguments.source)
    segment_options(arguments)
    require_measure_files(arguments)
    rows = [Row(sample.name, str(sample.image)) for sample in samples]
    with output_folder(arguments.outdir), events.task("samples", len(samples)) as task:
        require_writable_folder(arguments.outdir)
        for index, sample in enumerate(samples):
            rows[index] = _row_of(sample, arguments, rows[index], events)
            table = write_table(rows, arguments.outdir)
            events.emit("sample", index=index + 1, total=len(samples), **rows[index].to_dict())
            task.advance()
            if rows[index].state == FAILED and arguments.stop_at_error:
                break
    _require_all_done(rows, table)
    return {"table": str(table), "samples": [row.to_dict() for row in rows]}


def report(result: dict[str, Any]) -> str:
    """The most important measures of each sample."""
    return f"{table_text(result['samples'])}\n\nAll measures: {result['table']}"


def _row_of(sample: Sample, common: argparse.Namespace, row: Row, events: Events) -> Row:
    """The row of a sample: taken from its record if the same work was done before, else worked out."""
    start, folder = time.monotonic(), common.outdir / sample.name
    try:
        arguments = sample.arguments(common)
        key = work_key(sample, arguments)
        if (record := _record_of(folder)) is not None and record["key"] == key:
            return replace(row, state=DONE, seconds=record["seconds"], measures=record["measures"])
        _require_own_folder(folder)
        with atomic_folder(folder, replace=True) as temporary:
            measures = _work(sample, arguments, temporary, events).to_dict()["measures"]
            seconds = round(time.monotonic() - start, 1)
            record = {"key": key, "image": str(sample.image), "seconds": seconds, "measures": measures}
            (temporary / RECORD).write_text(json.dumps(json_ready(record), indent=1, ensure_ascii=False), "utf-8")
        return replace(row, state=DONE, seconds=seconds, measures=measures)
    except MgImplantSegError as error:
        events.warning(f"{sample.name}: {error}", kind=error.kind)
        return replace(row, state=FAILED, seconds=round(time.monotonic() - start, 1), problem=str(error))


def _work(sample: Sample, arguments: argparse.Namespace, folder: Path, events: Events) -> QuantificationReport:
    from MgImplantSegLib.inference.segmenter import segment_volume
    from MgImplantSegLib.io import write_label_map
    from MgImplantSegLib.quantification import quantify

    require_measure_files(arguments)
    volume = read_scan(sample.image, arguments)
    result = segment_volume(volume, segment_options(arguments, want_disagreement=arguments.ranges), events)
    options = with_field_of_view(measure_options(arguments, result.label_map, events), volume)
    measures = quantify(result.label_map, replace(options, disagreement=result.disagreement), events)
    write_label_map(result.label_map, folder / SEGMENTATION)
    measures.write_json(folder / "measures.json")
    measures.write_csv(folder / "measures.csv")
    if arguments.pictures:
        draw_pictures(volume, result.label_map, folder, events)
        draw_measures(measures, result.label_map, options.initial, folder, events)
    return measures


def work_key(sample: Sample, arguments: argparse.Namespace) -> str:
    """Changes with the image, the model and every option that the result depends on."""
    options = segment_options(arguments)
    chosen = record(arguments, BatchOptions, ScanOptions, *measure_declarations())
    chosen |= record(options.with_defaults_of(read_card(options.model)))
    files = [
        sample.image,
        options.model,
        *arguments.roi,
        *filter(None, [arguments.initial, arguments.transform]),
    ]
    states = [_state_of(path) for path in files]
    text = json.dumps([{name: str(value) for name, value in chosen.items()}, states], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _state_of(path: Path) -> list[Any]:
    """Name, size and time of a file, or of all files in a folder of slices."""
    with_parts = sorted(entry for entry in path.iterdir()) if path.is_dir() else [path]
    states = [(entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in with_parts if entry.exists()]
    return [str(path.absolute()), states]


def _record_of(folder: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"key", "seconds", "measures"} <= set(record) else None


def _require_own_folder(folder: Path) -> None:
    """Raise InputError if there is something at that place which a batch has not made."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RECORD).is_file():
        raise InputError(
            f"Expected a new folder or one of an earlier batch, got {folder} with other files.",
            "Choose another OUTDIR or sample name, or move that folder away.",
        )


def _require_all_done(rows: list[Row], table: Path) -> None:
    failed = [row for row in rows if row.state == FAILED]
    if failed:
        waiting = sum(row.state == WAITING for row in rows)
        left = f", {waiting} not begun" if waiting else ""
        raise InputError(
            f"Expected {len(rows)} samples to succeed, got {len(failed)} that failed{left}: "
            f"{', '.join(row.sample for row in failed)}.",
            f"See the column problem in {table}; start again to do what is left.",
        )
