"""A batch that runs in another environment: scans that are not finished here go there, finished ones come back."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.cli.batch_record import RECORD, read_record
from MgImplantSegLib.cli.batch_samples import Sample
from MgImplantSegLib.cli.batch_table import DONE, FAILED, Row
from MgImplantSegLib.cli.elsewhere import given, word
from MgImplantSegLib.cli.job_manifest import NAME_THERE, manifest_text
from MgImplantSegLib.errors import Cancelled, MgImplantSegError
from MgImplantSegLib.events import Events
from MgImplantSegLib.files import output_errors
from MgImplantSegLib.jobs.agent.job_folder import State
from MgImplantSegLib.jobs.backend import Backend, JobStatus
from MgImplantSegLib.jobs.environment_file import find_environment
from MgImplantSegLib.jobs.request import InputText, JobRequest
from MgImplantSegLib.jobs.watch import follow

COMMAND, RESULTS_THERE = "batch", "batch"
POSITIONAL = ("source", "outdir")


def rows_from_elsewhere(
    samples: Sequence[Sample],
    arguments: argparse.Namespace,
    add_arguments: Callable[[Any], None],
    events: Events,
) -> dict[str, Row]:
    """Work on samples in the environment of `arguments`; their rows by name, their files in OUTDIR.

    What was finished there when the job failed or was cancelled comes back too.

    Raises
    ------
    MgImplantSegError
        If the environment cannot be reached, or the job ends before all samples had their turn.
    Cancelled
        If `events` are cancelled; the job is stopped then.
    """
    request = _request(samples, arguments, add_arguments)
    with Backend(find_environment(arguments.environment)) as backend:
        status = backend.submit(request, events)
        try:
            status = follow(backend, status.job, events)
        except Cancelled:
            backend.cancel(status.job)
            _fetch(backend, status.job, samples, arguments.outdir, Events())
            raise
        _fetch(backend, status.job, samples, arguments.outdir, events)
        told = _told(backend, status.job)
    rows = {sample.name: _row(sample, told.get(sample.name, {}), arguments.outdir) for sample in samples}
    _require_all_had_their_turn(rows, status)
    return rows


def _request(
    samples: Sequence[Sample], arguments: argparse.Namespace, add_arguments: Callable[[Any], None]
) -> JobRequest:
    manifest = InputText(NAME_THERE, lambda path_there: manifest_text(samples, path_there))
    options = [entry for entry in given(add_arguments, arguments) if entry[0] not in POSITIONAL]
    words = (COMMAND, manifest, RESULTS_THERE, *(word(*entry) for entry in options))
    return JobRequest(words, f"{COMMAND}-{arguments.outdir.name}")


def _fetch(backend: Backend, job: str, samples: Sequence[Sample], outdir: Path, events: Events) -> None:
    """Copy the results, and put the folders of finished samples in their places, each whole."""
    with output_errors(outdir), tempfile.TemporaryDirectory(prefix=".fetched-", dir=outdir) as folder:
        backend.fetch(job, Path(folder), events)
        for sample in samples:
            found, place = Path(folder) / RESULTS_THERE / sample.name, outdir / sample.name
            if (found / RECORD).is_file():
                shutil.rmtree(place, ignore_errors=True)
                found.replace(place)


def _told(backend: Backend, job: str) -> dict[str, Mapping[str, Any]]:
    """What the job has said of each sample."""
    found: dict[str, Mapping[str, Any]] = {}
    offset = 0
    while records := (chunk := backend.read_events(job, offset))[0]:
        offset = chunk[1]
        found |= {str(record.get("sample")): record for record in records if record["event"] == "sample"}
    return found


def _row(sample: Sample, told: Mapping[str, Any], outdir: Path) -> Row:
    """The row of a sample: done if its files are here, else as the job has said."""
    row, record = Row(sample.name, str(sample.image)), read_record(outdir / sample.name)
    if told.get("state") == DONE and record is not None:
        return replace(row, state=DONE, seconds=record.seconds, measures=record.measures, warnings=record.warnings)
    if told.get("state") == FAILED:
        return replace(row, state=FAILED, problem=str(told.get("problem", "")))
    return row


def _require_all_had_their_turn(rows: Mapping[str, Row], status: JobStatus) -> None:
    failed = any(row.state == FAILED for row in rows.values())
    if status.state is not State.DONE and not failed:
        raise MgImplantSegError(
            f"Expected the job {status.reference} to end well, got {status.state.value}: {status.reason}",
            status.remedy or f"See: jobs log {status.reference}",
        )
