"""A command that runs in another environment as if it ran here: inputs go there, outputs come back."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import require_writable_folder
from MgImplantSegLib.base.option_kinds import Kind, ResultPath
from MgImplantSegLib.cli.job_pairs import with_scans_of_pairs
from MgImplantSegLib.cli.parser import option
from MgImplantSegLib.jobs.environment_file import find_environment
from MgImplantSegLib.jobs.request import InputPath, JobRequest, Word, default_name, is_path, shown_word
from MgImplantSegLib.jobs.watch import run_job

ENVIRONMENT = "--environment"


def add_environment_option(parser: argparse.ArgumentParser) -> None:
    """The option that names where a command runs."""
    option(
        parser,
        ENVIRONMENT,
        str,
        "NAME",
        "run in this environment (see jobs environments list) and copy the results back",
    )


class Declarations:
    """Notes the arguments of a command in place of a parser: their names, and what was said of each."""

    def __init__(self) -> None:
        self.found: list[tuple[str, dict[str, Any]]] = []

    def add_argument(self, *names: str, **said: Any) -> None:
        """Note an argument."""
        self.found.append((names[0], said))

    def add_argument_group(self, *_texts: str) -> Declarations:
        """Arguments of a group are arguments like all others."""
        return self


def run_elsewhere(
    name: str, add_arguments: Callable[[Any], None], arguments: argparse.Namespace, events: Events
) -> dict[str, Any]:
    """Run the command with these arguments in the environment they name; returns its result, with the files here.

    Raises InputError if its outputs do not lie in one folder; MgImplantSegError if the environment cannot be reached or
    the command fails there.
    """
    entries = list(given(add_arguments, arguments))
    folders = result_folders(entries)
    words, has_outputs = (name, *(word(*entry) for entry in entries)), bool(folders)
    shown = [str(entry.path) if isinstance(entry, InputPath) else shown_word(entry) for entry in words]
    request = with_scans_of_pairs(JobRequest(words, default_name(shown)))
    environment = find_environment(arguments.environment)
    with _place_for_files(folders) as folder:
        done = run_job(environment, request, folder, events)
    files = [str(path) for path in done.files] if has_outputs else []
    return {**done.result, "files": files, "job": done.reference}


def result_folders(entries: Iterable[tuple[str, Any, Any]]) -> set[Path]:
    """The folder of a command's outputs; none without outputs. Raises InputError if there are several."""
    folders: set[Path] = {value.absolute().parent for _, _, value in entries if isinstance(value, ResultPath)}
    if len(folders) > 1:
        raise InputError("Expected all outputs in one folder when a command runs elsewhere.", "Correct the paths.")
    return folders


@contextmanager
def _place_for_files(folders: set[Path]) -> Iterator[Path]:
    """The folder of the outputs; of a command that has none one for a while."""
    if folders:
        yield require_writable_folder(folders.pop())
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def given(add_arguments: Callable[[Any], None], arguments: argparse.Namespace) -> Iterator[tuple[str, Any, Any]]:
    """Name, type and value of all arguments that are given, positional ones first; a list gives each of its values."""
    declared = Declarations()
    add_arguments(declared)
    for argument, said in sorted(declared.found, key=lambda entry: entry[0].startswith("-")):
        value = getattr(arguments, said.get("dest") or argument.lstrip("-").replace("-", "_"))
        for single in value if isinstance(value, (list, tuple)) and "nargs" in said else [value]:
            if single not in (None, False) and argument != ENVIRONMENT:
                yield argument, said.get("type"), single


def word(argument: str, kind: Any, value: Any) -> Word:
    """One word for an argument with its value; inputs go along, results get their name alone."""
    if value is True:
        return argument
    before = f"{argument}=" if argument.startswith("-") else ""
    if isinstance(value, ResultPath):
        return before + (f"./{value.name}" if value.name.startswith("-") else value.name)
    if isinstance(value, Path) or (isinstance(value, str) and is_path(value)):
        return InputPath(Path(value), before)
    written = getattr(kind, "__self__", None)
    return before + (written.word(value) if isinstance(written, Kind) else str(value))
