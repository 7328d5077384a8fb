"""``batch``: segment and measure many scans, one row a sample; what is done stays done when it is started again."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib import __version__
from MgImplantSegLib.cli.batch_record import RECORD, Record, read_record
from MgImplantSegLib.cli.batch_samples import Sample, samples_of
from MgImplantSegLib.cli.batch_table import DONE, FAILED, TABLE, WAITING, Row, table_text, write_table
from MgImplantSegLib.cli.elsewhere import add_environment_option
from MgImplantSegLib.cli.measure_options import (
    add_measure_arguments,
    measure_declarations,
    measure_options,
    require_measure_files,
    with_field_of_view,
)
from MgImplantSegLib.cli.parser import folder_path
from MgImplantSegLib.cli.pictures import draw_measures, draw_pictures
from MgImplantSegLib.cli.result_paths import COMMON_RESULTS, STANDARD_OUTPUT, require_separate
from MgImplantSegLib.cli.segment_options import ScanOptions, add_segment_arguments, read_scan, segment_options
from MgImplantSegLib.cli.user_errors import as_user_error
from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events
from MgImplantSegLib.file_digests import FileDigests
from MgImplantSegLib.files import atomic_folder, output_folder, require_writable_folder
from MgImplantSegLib.io.companions import files_behind
from MgImplantSegLib.model_file import read_card
from MgImplantSegLib.option_kinds import Yes
from MgImplantSegLib.options import add_options, option, record
from MgImplantSegLib.protected_files import protected_files
from MgImplantSegLib.resources import find_model

if TYPE_CHECKING:
    from MgImplantSegLib.quantification import QuantificationReport

NAME = "batch"
HELP = "segment and measure all scans of a folder or manifest; resumable"
SEGMENTATION = "segmentation.seg.nrrd"
INPUTS = ("model", "initial", "transform", "roi")


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
    parser.add_argument(
        "outdir", type=folder_path, metavar="OUTDIR", help="folder for the results, one folder a sample"
    )
    add_options(parser, BatchOptions)
    add_segment_arguments(parser)
    add_measure_arguments(parser, of_one_scan=False)
    add_environment_option(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Work on one sample after the other; a sample that fails is noted, and the next one follows."""
    samples = samples_of(arguments.source)
    segment_options(arguments)
    require_measure_files(arguments)
    rows = [Row(sample.name, str(sample.image)) for sample in samples]
    require_separate(
        [arguments.source, *(file for sample in samples for file in _inputs(sample, sample.arguments(arguments)))],
        [(TABLE, arguments.outdir / TABLE), *_written_besides(arguments)],
    )
    with output_folder(arguments.outdir):
        require_writable_folder(arguments.outdir)
        work = _elsewhere if arguments.environment else _here
        table = work(samples, arguments, rows, events)
    _require_all_done(rows, table)
    return {"table": str(table), "samples": [row.to_dict() for row in rows]}


def _here(samples: list[Sample], arguments: argparse.Namespace, rows: list[Row], events: Events) -> Path:
    """Work on one sample after the other; changes `rows`, returns the table."""
    with events.task("samples", len(samples)) as task:
        for index, sample in enumerate(samples):
            rows[index] = _row_of(sample, arguments, rows[index], events)
            table = write_table(rows, arguments.outdir)
            events.emit("sample", index=index + 1, total=len(samples), **rows[index].to_dict())
            task.advance()
            if rows[index].state == FAILED and arguments.stop_at_error:
                break
    return table


def _elsewhere(samples: list[Sample], arguments: argparse.Namespace, rows: list[Row], events: Events) -> Path:
    """Take finished samples from their records and send the others to the environment; as `_here`."""
    from MgImplantSegLib.cli.batch_elsewhere import rows_from_elsewhere

    for index, sample in enumerate(samples):
        events.check_cancelled()
        rows[index] = _row_before(sample, arguments, rows[index], events)
        if rows[index].state != WAITING:
            events.emit("sample", index=index + 1, total=len(samples), **rows[index].to_dict())
    left = [sample for sample, row in zip(samples, rows, strict=True) if row.state == WAITING]
    if left:
        found = rows_from_elsewhere(left, arguments, add_arguments, events)
        rows[:] = [found.get(row.sample, row) for row in rows]
    return write_table(rows, arguments.outdir)


def _row_before(sample: Sample, arguments: argparse.Namespace, row: Row, events: Events) -> Row:
    """The row of a sample before anything is sent: done if it was finished before, failed if its folder is taken."""
    finished = _finished_before(sample, arguments, row, events)
    if finished is not None:
        return finished
    try:
        _require_own_folder(arguments.outdir / sample.name)
    except InputError as error:
        events.warning(f"{sample.name}: {error}", kind=error.kind)
        return replace(row, state=FAILED, problem=str(error))
    return row


def _finished_before(sample: Sample, common: argparse.Namespace, row: Row, events: Events) -> Row | None:
    """The row of a sample of which the same work was done before; None if it has to be done."""
    folder = common.outdir / sample.name
    record = read_record(folder)
    if record is None:
        return None
    arguments, digests = sample.arguments(common), FileDigests(record.digests)
    try:
        is_same = record.key == work_key(sample, arguments, digests) and record.is_complete(folder)
    except Exception as error:
        if as_user_error(error) is None:
            raise
        return None  # it is told where the work is done
    return _row_of_record(row, record, events) if is_same else None


def _row_of_record(row: Row, record: Record, events: Events) -> Row:
    for sentence in record.warnings:
        events.warning(sentence)
    return replace(row, state=DONE, seconds=record.seconds, measures=record.measures, warnings=record.warnings)


def report(result: dict[str, Any]) -> str:
    """The most important measures of each sample."""
    return f"{table_text(result['samples'])}\n\nAll measures: {result['table']}"


def _written_besides(arguments: argparse.Namespace) -> list[tuple[str, Path]]:
    """The files of the common options, which must not be the table."""
    values = {f"--{name}": getattr(arguments, name, None) for name in COMMON_RESULTS}
    return [(name, Path(value)) for name, value in values.items() if value not in (None, STANDARD_OUTPUT)]


def _row_of(sample: Sample, common: argparse.Namespace, row: Row, events: Events) -> Row:
    """The row of a sample: taken from its record if the same work was done before, else worked out."""
    start, folder = time.monotonic(), common.outdir / sample.name
    warnings: list[str] = []
    try:
        arguments = sample.arguments(common)
        record = read_record(folder)
        digests = FileDigests(record.digests if record else None)
        key = work_key(sample, arguments, digests)
        if record is not None and record.key == key and record.is_complete(folder):
            return _row_of_record(row, record, events)
        _require_own_folder(folder)
        with protected_files(_inputs(sample, arguments)), atomic_folder(folder, replace=True) as temporary:
            with events.warnings_into(warnings):
                measures = _work(sample, arguments, temporary, events).to_dict()["measures"]
            require_unchanged(sample, arguments, digests, key)
            seconds = round(time.monotonic() - start, 1)
            Record(key, str(sample.image), seconds, measures, digests.known, warnings=warnings).write(temporary)
        return replace(row, state=DONE, seconds=seconds, measures=measures, warnings=warnings)
    except Exception as error:
        known = as_user_error(error)
        if known is None:
            raise
        events.warning(f"{sample.name}: {known}", kind=known.kind)
        seconds = round(time.monotonic() - start, 1)
        return replace(row, state=FAILED, seconds=seconds, problem=str(known), warnings=warnings)


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


def work_key(sample: Sample, arguments: argparse.Namespace, digests: FileDigests) -> str:
    """Changes with every option that the result depends on, with the contents of all files, and with the version."""
    options = segment_options(arguments)
    chosen = record(arguments, BatchOptions, ScanOptions, *measure_declarations())
    chosen |= record(options.with_defaults_of(read_card(options.model)))
    contents = {"image": [digests.of_all(files_behind(sample.image))]}
    for name in INPUTS:
        contents[name] = [digests.of_all(files_behind(path)) for path in _paths(name, getattr(arguments, name))]
    texts = {name: str(value) for name, value in chosen.items() if name not in INPUTS}
    text = json.dumps([__version__, texts, contents], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def require_unchanged(sample: Sample, arguments: argparse.Namespace, digests: FileDigests, key: str) -> None:
    """Raise InputError if a file has changed since its key was made, while the work was done."""
    if work_key(sample, arguments, digests) != key:
        raise InputError(
            f"Expected {sample.image} to stay as it is during the work, got a file that has changed.",
            "Start again when it is complete.",
        )


def _paths(name: str, value: Any) -> list[Path]:
    """The files that an option names."""
    if name == "model":
        return [find_model(value)]
    return [path for path in (value if isinstance(value, list) else [value]) if path is not None]


def _inputs(sample: Sample, arguments: argparse.Namespace) -> list[Path]:
    paths = [sample.image, *(path for name in INPUTS for path in _paths(name, getattr(arguments, name)))]
    return [file for path in paths for file in files_behind(path)]


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
