"""What the work on a sample of a batch depends on: options, contents of files, version; and whether it is done."""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MgImplantSegLib import __version__
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.file_digests import FileDigests
from MgImplantSegLib.base.option_kinds import Yes
from MgImplantSegLib.base.options import option, record
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.cli.batch_record import RECORD, read_record
from MgImplantSegLib.cli.batch_samples import Sample
from MgImplantSegLib.cli.batch_table import DONE, Row
from MgImplantSegLib.cli.measure_options import measure_declarations
from MgImplantSegLib.cli.opening_options import record_of_openings
from MgImplantSegLib.cli.segment_options import ScanOptions, segment_options
from MgImplantSegLib.io.companions import files_behind
from MgImplantSegLib.model.file import read_card

INPUTS = ("model", "initial", "transform", "roi")


@dataclass(frozen=True)
class BatchOptions:
    """What is made of each sample, and when a batch stops."""

    pictures: bool = option("draw view_3d.png and slices.png of each sample", Yes(), False)
    ranges: bool = option("give a range for each value, from the disagreement of the planes", Yes(), False)
    stop_at_error: bool = option("stop at the first sample that fails", Yes(), False, changes_result=False)


def work_key(sample: Sample, arguments: argparse.Namespace, digests: FileDigests) -> str:
    """Changes with every option that the result depends on, with the contents of all files, and with the version."""
    options = segment_options(arguments)
    chosen = record(arguments, BatchOptions, ScanOptions, *measure_declarations()) | record_of_openings(arguments)
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
            f"Expected {sample.image} to remain unchanged during processing, got a changed file.",
            "Start again when it is complete.",
        )


def _paths(name: str, value: Any) -> list[Path]:
    """The files that an option names."""
    if name == "model":
        return [find_model(value)]
    return [path for path in (value if isinstance(value, list) else [value]) if path is not None]


def inputs_of(sample: Sample, arguments: argparse.Namespace) -> list[Path]:
    """All files that the work on a sample reads."""
    paths = [sample.image, *(path for name in INPUTS for path in _paths(name, getattr(arguments, name)))]
    return [file for path in paths for file in files_behind(path)]


def finished_row(folder: Path, key: str, row: Row) -> Row | None:
    """The row of a sample that is done already, with the same key and all its files; None if it is not."""
    known = read_record(folder)
    if known is None or known.key != key or not known.is_complete(folder):
        return None
    done = replace(row, state=DONE, is_skipped=True, warnings=known.warnings)
    return replace(done, seconds=known.seconds, measures=known.measures)


def require_own_folder(folder: Path) -> None:
    """Raise InputError if there is something at that place which a batch has not made."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RECORD).is_file():
        raise InputError(
            f"Expected a new folder or one of an earlier batch, got {folder} with other files.",
            "Choose another OUTDIR or sample name, or move that folder away.",
        )
