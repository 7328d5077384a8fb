"""A command that runs in another environment as if it ran here: inputs go there, outputs come back."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from MgImplantSegLib.cli.job_pairs import with_scans_of_pairs
from MgImplantSegLib.cli.parser import Parser, option, output_path
from MgImplantSegLib.cli.segmentation_options import roles_text
from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events
from MgImplantSegLib.files import require_writable_folder
from MgImplantSegLib.jobs.environment_file import find_environment
from MgImplantSegLib.jobs.request import InputPath, JobRequest, Word, default_name, is_path
from MgImplantSegLib.jobs.watch import run_job
from MgImplantSegLib.labels import LabelScheme

OPTION = "environment"


def add_environment_option(parser: argparse.ArgumentParser) -> None:
    """The option that names where a command runs."""
    option(
        parser, f"--{OPTION}", str, "NAME", "run in this environment (jobs environments list) and bring the result back"
    )


def run_elsewhere(
    name: str, add_arguments: Callable[[argparse.ArgumentParser], None], arguments: argparse.Namespace, events: Events
) -> dict[str, Any]:
    """Run the command with these arguments in the environment they name; returns its result, with the files here.

    Raises
    ------
    InputError
        If its outputs do not lie in one folder.
    MgImplantSegError
        If the environment cannot be reached or the command fails there.
    """
    parser = Parser()
    add_arguments(parser)
    words, outputs = (name, *_words(parser, arguments)), _outputs(parser, arguments)
    folders = {path.absolute().parent for path in outputs}
    if len(folders) > 1:
        raise InputError("Expected all outputs in one folder when a command runs elsewhere.", "Correct the paths.")
    shown = [str(word.path) if isinstance(word, InputPath) else word for word in words]
    request = with_scans_of_pairs(JobRequest(words, default_name(shown)))
    environment = find_environment(arguments.environment)
    with _place_for_files(folders) as folder:
        done = run_job(environment, request, folder, events)
    files = [str(path) for path in done.files] if outputs else []
    return {**done.result, "files": files, "job": done.reference}


@contextmanager
def _place_for_files(folders: set[Path]) -> Iterator[Path]:
    """The folder of the outputs; of a command that has none one for a while."""
    if folders:
        yield require_writable_folder(folders.pop())
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def _words(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Iterator[Word]:
    """The arguments as words again: positional ones, then options that differ from their default."""
    actions = [action for action in parser._actions if action.dest not in ("help", OPTION)]
    for action in sorted(actions, key=lambda action: bool(action.option_strings)):
        value = getattr(arguments, action.dest)
        if not action.option_strings:
            yield from (_word(action, entry, "") for entry in _entries(value))
        elif value is True:
            yield action.option_strings[0]
        elif value != action.default:
            yield from (_word(action, entry, f"{action.option_strings[0]}=") for entry in _entries(value))


def _word(action: argparse.Action, value: Any, before: str) -> Word:
    if action.type is output_path:
        name = Path(value).name
        return before + (f"./{name}" if name.startswith("-") else name)
    if isinstance(value, Path) or (isinstance(value, str) and is_path(value)):
        return InputPath(Path(value), before)
    return before + (roles_text(value) if isinstance(value, LabelScheme) else str(value))


def _outputs(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[Path]:
    values = (getattr(arguments, action.dest) for action in parser._actions if action.type is output_path)
    return [Path(value) for value in values if value is not None]


def _entries(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
