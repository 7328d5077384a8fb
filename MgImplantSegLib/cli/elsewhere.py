"""A command that runs in another environment as if it ran here: inputs go there, outputs come back."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from MgImplantSegLib.cli.job_pairs import with_scans_of_pairs
from MgImplantSegLib.cli.parser import option
from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events
from MgImplantSegLib.files import require_writable_folder
from MgImplantSegLib.jobs.environment_file import find_environment
from MgImplantSegLib.jobs.request import InputPath, JobRequest, Word, default_name, is_path
from MgImplantSegLib.jobs.watch import run_job
from MgImplantSegLib.option_kinds import ResultPath
from MgImplantSegLib.options import Declared, given_values


def add_environment_option(parser: argparse.ArgumentParser) -> None:
    """The option that names where a command runs."""
    option(
        parser,
        "--environment",
        str,
        "NAME",
        "run in this environment (see jobs environments list) and copy the results back",
    )


def run_elsewhere(
    name: str, declarations: Iterable[type], arguments: argparse.Namespace, events: Events
) -> dict[str, Any]:
    """Run a command with the options of `declarations` in the environment that is named; returns its result.

    The files are here afterwards.

    Raises
    ------
    InputError
        If its outputs do not lie in one folder.
    MgImplantSegError
        If the environment cannot be reached or the command fails there.
    """
    given = sorted(given_values(arguments, *declarations), key=lambda pair: not pair[0].option.is_positional)
    folders = {value.absolute().parent for _, value in given if isinstance(value, ResultPath)}
    if len(folders) > 1:
        raise InputError("Expected all outputs in one folder when a command runs elsewhere.", "Correct the paths.")
    words, has_outputs = (name, *(_word(entry, value) for entry, value in given)), bool(folders)
    shown = [str(word.path) if isinstance(word, InputPath) else word for word in words]
    request = with_scans_of_pairs(JobRequest(words, default_name(shown)))
    environment = find_environment(arguments.environment)
    with _place_for_files(folders) as folder:
        done = run_job(environment, request, folder, events)
    files = [str(path) for path in done.files] if has_outputs else []
    return {**done.result, "files": files, "job": done.reference}


@contextmanager
def _place_for_files(folders: set[Path]) -> Iterator[Path]:
    """The folder of the outputs; of a command that has none one for a while."""
    if folders:
        yield require_writable_folder(folders.pop())
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def _word(entry: Declared, value: Any) -> Word:
    """One word for an option with its value; inputs go along, results get their name alone."""
    if value is True:
        return entry.flag
    before = f"{entry.flag}=" if entry.flag else ""
    if isinstance(value, ResultPath):
        return before + (f"./{value.name}" if value.name.startswith("-") else value.name)
    if isinstance(value, Path) or (isinstance(value, str) and is_path(value)):
        return InputPath(Path(value), before)
    return before + entry.option.kind.word(value)
