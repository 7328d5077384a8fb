"""``batch``: segment and measure many scans, one row a sample; what is done stays done when it is started again."""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.file_digests import FileDigests
from MgImplantSegLib.base.files import atomic_folder, output_folder, require_writable_folder
from MgImplantSegLib.base.option_kinds import OneOf, WholeNumber
from MgImplantSegLib.base.options import add_options, option, words
from MgImplantSegLib.base.protected_files import protected_files
from MgImplantSegLib.cli.batch_board import Board, batch_lock, require_all_done
from MgImplantSegLib.cli.batch_cluster import run_elsewhere
from MgImplantSegLib.cli.batch_keys import (
    BatchOptions,
    finished_row,
    inputs_of,
    require_own_folder,
    require_unchanged,
    work_key,
)
from MgImplantSegLib.cli.batch_progress import counts_of, time_left_s
from MgImplantSegLib.cli.batch_record import Record, read_record
from MgImplantSegLib.cli.batch_samples import Sample, samples_of
from MgImplantSegLib.cli.batch_site import LEAVE, WHEN_STOPPED
from MgImplantSegLib.cli.batch_status import BatchStatus, follow_status, require_overview
from MgImplantSegLib.cli.batch_table import DONE, FAILED, OVERVIEW, RUNNING, TABLE, Row, table_text
from MgImplantSegLib.cli.batch_workers import names_from, run_workers
from MgImplantSegLib.cli.elsewhere import ENVIRONMENT
from MgImplantSegLib.cli.measure_options import (
    add_measure_arguments,
    measure_declarations,
    measure_options,
    require_measure_files,
    with_field_of_view,
)
from MgImplantSegLib.cli.opening_options import add_opening_arguments, opening_declarations, opening_options
from MgImplantSegLib.cli.parser import folder_path
from MgImplantSegLib.cli.pictures import draw_measures, draw_pictures
from MgImplantSegLib.cli.registry import PROGRAM
from MgImplantSegLib.cli.result_paths import COMMON_RESULTS, STANDARD_OUTPUT, require_separate
from MgImplantSegLib.cli.segment import segment_scan
from MgImplantSegLib.cli.segment_options import (
    add_segment_arguments,
    read_scan,
    segment_declarations,
    segment_options,
)
from MgImplantSegLib.cli.user_errors import as_user_error
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.environment_file import find_environment

if TYPE_CHECKING:
    from MgImplantSegLib.quantification import QuantificationReport

NAME = "batch"
PROGRAM_MODULE = "MgImplantSegLib"
HELP = "segment and measure all scans of a folder or manifest; resumable"
SEGMENTATION = "segmentation.seg.nrrd"


@dataclass(frozen=True)
class WorkOptions:
    """Where and how the samples are worked on; nothing of it changes a result."""

    at_once: int | None = option(
        "samples processed at the same time: local processes; with --environment, tasks of the job array, with several "
        "environments tasks of each",
        WholeNumber(1),
        None,
        default_help="1 locally; as many as the cluster allows if it is the only environment",
        changes_result=False,
    )
    scans_per_task: int = option(
        "with --environment: scans per task of the job array, if single scans are short",
        WholeNumber(1),
        1,
        changes_result=False,
    )
    when_stopped: str = option(
        "with --environment: what happens to its jobs after Ctrl-C",
        OneOf(WHEN_STOPPED),
        LEAVE,
        changes_result=False,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where from, where to, and the options of `segment` and `quantify`."""
    parser.add_argument(
        "source",
        type=Path,
        metavar="FOLDER|MANIFEST",
        help="folder of images, or CSV with the columns image, and name, spacing_um, dataset, days, "
        "initial, initial_volume_mm3, initial_area_mm2, roi (several separated by |) as needed; animal, "
        "group, time_point_days, alloy, side and any other columns go into the tables and the report",
    )
    parser.add_argument(
        "outdir",
        type=folder_path,
        metavar="OUTDIR",
        nargs="?",
        help="folder for the results, one subfolder per sample; with --status it may be named alone",
    )
    add_options(parser, BatchOptions, WorkOptions)
    parser.add_argument(
        ENVIRONMENT,
        action="append",
        metavar="NAME",
        help="run in this environment (see jobs environments list); may be repeated: each gets new tasks as it becomes "
        "free, and one that fails gives its samples back to the others",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="process this sample only, may be repeated; the table in OUTDIR is not changed",
    )
    parser.add_argument(
        "--status", action="store_true", help="show the progress of a batch in OUTDIR; nothing is processed"
    )
    parser.add_argument("--follow", action="store_true", help="as --status, and go on until the batch has ended")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    add_segment_arguments(parser)
    add_opening_arguments(parser)
    add_measure_arguments(parser, of_one_scan=False)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Work on all samples, one after the other or several at once; one that fails is noted, and others follow."""
    if arguments.status or arguments.follow:
        return _status(arguments, events)
    if arguments.outdir is None:
        raise InputError("Expected a folder for the results, got none.", "Give OUTDIR after the folder of images.")
    samples, rows = _samples(arguments)
    segment_options(arguments)
    opening_options(arguments)
    require_measure_files(arguments)
    environments = _environments(arguments.environment or ())
    require_separate(
        [arguments.source, *(file for sample in samples for file in inputs_of(sample, sample.arguments(arguments)))],
        [*((name, arguments.outdir / name) for name in (TABLE, OVERVIEW)), *_written_besides(arguments)],
    )
    with output_folder(arguments.outdir):
        require_writable_folder(arguments.outdir)
        if arguments.worker or arguments.only:
            return _run_some(samples, arguments, rows, events)
        board = Board(rows, arguments.outdir, command_line(arguments), events)
        with batch_lock(arguments.outdir) as lock, board:
            _run_all(samples, arguments, environments, board, lock, events)
    require_all_done(board.rows, arguments.outdir / TABLE)
    return _result(board.rows, arguments)


def _run_all(
    samples: list[Sample],
    arguments: argparse.Namespace,
    environments: Sequence[Environment],
    board: Board,
    lock: int,
    events: Events,
) -> None:
    """All samples of a batch, by whatever way was chosen."""
    if environments:
        run_elsewhere(samples, arguments, environments, board, events)
        return
    if (arguments.at_once or 1) > 1:
        run_workers(
            [PROGRAM_MODULE, NAME, *_words(arguments)], board, arguments.at_once, lock, events, arguments.stop_at_error
        )
        return
    for sample in samples:
        events.check_cancelled()
        row = _row_of(sample, arguments, board.row(sample.name), events, board)
        board.set(row)
        if row.state == FAILED and arguments.stop_at_error:
            break


def _samples(arguments: argparse.Namespace) -> tuple[list[Sample], list[Row]]:
    """The samples of the source, and their rows as they are before anything is known of them."""
    samples = samples_of(arguments.source)
    return samples, [Row(sample.name, str(sample.image), study=sample.study) for sample in samples]


def _status(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """How far a batch is, by what it has written; of the samples of the source or, without one, of the batch's own."""
    if arguments.outdir is None:
        arguments.outdir = arguments.source
        require_overview(arguments.outdir)
        status = BatchStatus(arguments.outdir)
    else:
        status = BatchStatus(arguments.outdir, _samples(arguments)[1])
    if arguments.follow:
        follow_status(status, events)
    else:
        status.look()
    progress = {"counts": counts_of(status.rows), "eta_s": time_left_s(status.rows, time.time())}
    return {**_result(status.rows, arguments), **progress, "is_running": status.is_running}


def _environments(names: Sequence[str]) -> list[Environment]:
    """The environments of these names, each once."""
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise InputError(f"Expected each environment once, got {repeated[0]!r} again.", "Name it once.")
    return [find_environment(name) for name in names]


def _run_some(samples: list[Sample], arguments: argparse.Namespace, rows: list[Row], events: Events) -> dict[str, Any]:
    """The samples that are named, or that a batch names one by one; their rows are events, the table is not written."""
    known = {sample.name: (sample, row) for sample, row in zip(samples, rows, strict=True)}
    done: list[Row] = []
    for name in names_from(sys.stdin) if arguments.worker else dict.fromkeys(arguments.only):
        if name not in known:
            raise InputError(f"Expected a sample of {arguments.source}, got {name!r}.", "See the column name.")
        done.append(_row_of(known[name][0], arguments, known[name][1], events))
        events.emit("sample", **done[-1].to_dict())
        events.check_cancelled()
    if not arguments.worker:
        require_all_done(done, arguments.outdir / TABLE)
    return {"samples": [row.to_dict() for row in done] if arguments.only else []}


def _result(rows: Sequence[Row], arguments: argparse.Namespace) -> dict[str, Any]:
    return {"table": str(arguments.outdir / TABLE), "samples": [row.to_dict() for row in rows]}


def report(result: dict[str, Any]) -> str:
    """The most important measures of each sample."""
    where = f"\n\nAll measures: {result['table']}" if "table" in result else ""
    return f"{table_text(result['samples'])}{where}"


def command_line(arguments: argparse.Namespace) -> str:
    """The command as text that can be typed again."""
    return shlex.join([PROGRAM, NAME, *_words(arguments)])


def _words(arguments: argparse.Namespace) -> list[str]:
    """Source, folder and options that change results, as they can be typed."""
    chosen = words(arguments, BatchOptions, *segment_declarations(), *opening_declarations(), *measure_declarations())
    return [str(arguments.source), str(arguments.outdir), *chosen]


def _written_besides(arguments: argparse.Namespace) -> list[tuple[str, Path]]:
    """The files of the common options, which must not be the table."""
    values = {f"--{name}": getattr(arguments, name, None) for name in COMMON_RESULTS}
    return [(name, Path(value)) for name, value in values.items() if value not in (None, STANDARD_OUTPUT)]


def _row_of(sample: Sample, common: argparse.Namespace, row: Row, events: Events, board: Board | None = None) -> Row:
    """The row of a sample: taken from its record if the same work was done before, else worked out.

    `board` is told that it is worked on, and where.
    """
    start, folder = time.monotonic(), common.outdir / sample.name
    warnings: list[str] = []
    try:
        arguments = sample.arguments(common)
        known = read_record(folder)
        digests = FileDigests(known.digests if known else None)
        key = work_key(sample, arguments, digests)
        finished = finished_row(folder, key, row)
        if finished is not None:
            for sentence in finished.warnings:
                events.warning(sentence)
            return finished
        require_own_folder(folder)
        if board is not None:
            board.mark([sample.name], RUNNING, platform.node())
        with protected_files(inputs_of(sample, arguments)), atomic_folder(folder, replace=True) as temporary:
            with events.warnings_into(warnings):
                measures = _work(sample, arguments, temporary, events).to_dict()["measures"]
            require_unchanged(sample, arguments, digests, key)
            seconds = round(time.monotonic() - start, 1)
            Record(
                key,
                str(sample.image),
                seconds,
                measures,
                digests.known,
                warnings=warnings,
                spacing_um=arguments.spacing_um,
                dataset=arguments.dataset,
            ).write(temporary)
        return replace(row, state=DONE, seconds=seconds, measures=measures, warnings=warnings)
    except Exception as error:
        said = as_user_error(error)
        if said is None:
            raise
        events.warning(f"{sample.name}: {said}", kind=said.kind)
        seconds = round(time.monotonic() - start, 1)
        return replace(row, state=FAILED, seconds=seconds, problem=str(said), warnings=warnings)


def _work(sample: Sample, arguments: argparse.Namespace, folder: Path, events: Events) -> QuantificationReport:
    from MgImplantSegLib.io import write_label_map
    from MgImplantSegLib.quantification import quantify

    require_measure_files(arguments)
    volume = read_scan(sample.image, arguments)
    chosen = segment_options(arguments, want_disagreement=arguments.ranges)
    result = segment_scan(volume, chosen, arguments, events)
    options = with_field_of_view(measure_options(arguments, result.label_map, events), volume)
    measures = quantify(result.label_map, replace(options, disagreement=result.disagreement), events)
    write_label_map(result.label_map, folder / SEGMENTATION)
    measures.write_json(folder / "measures.json")
    measures.write_csv(folder / "measures.csv")
    if arguments.pictures:
        draw_pictures(volume, result.label_map, folder, events)
        draw_measures(measures, result.label_map, options.initial, folder, events)
    return measures
