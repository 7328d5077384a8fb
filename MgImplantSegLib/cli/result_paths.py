"""Results do not take the place of what they are made of, nor of each other, and are of the right kind.

All of this is reported before the work begins. While it runs, `protected_files` guards the inputs.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.files import require_file_place, require_folder_place, require_writable_folder
from MgImplantSegLib.base.option_kinds import ResultFolderPath, ResultPath
from MgImplantSegLib.base.protected_files import file_identity
from MgImplantSegLib.cli.parser import flag_of

STANDARD_OUTPUT = "-"
COMMON_RESULTS = ("json", "events")
APPENDED_TO = ("events",)
NO_INPUTS = ("stop_file", "resume", "run")
NAMES_OR_FILES = ("model",)


def require_separate_files(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse results that would be written over an input, or over each other.

    Raises InputError if a path of a result is also that of an input or of another result.
    """
    files = [(_shown(parser, name), path) for name, path in _results(arguments) if not _is_folder(path)]
    if files:
        require_separate(input_files(arguments), files)


def require_separate(inputs: Iterable[Path], results: Iterable[tuple[str, Path]]) -> None:
    """Refuse files for results, each with what it is called, that are an input or another result.

    Raises InputError if two are the same file, also by a link, another spelling, or letter case on a disk that ignores
    it.
    """
    taken = {identity: "an input" for path in inputs for identity in _identities(path)}
    for shown, path in results:
        if os.path.exists(path) and not os.path.isfile(path):
            continue  # a device, or a folder, which is reported when the kinds are checked
        found = next((taken[identity] for identity in _identities(path) if identity in taken), None)
        if found:
            raise InputError(
                f"Expected a file of its own for {shown}, got {path}, which is {found} too.", "Choose another name."
            )
        taken |= dict.fromkeys(_identities(path), f"the file for {shown}")


def require_places(arguments: argparse.Namespace) -> None:
    """Check that every file and folder for results can be made: nothing of another kind is there.

    Raises OutputError if a folder is in the place of a file or the other way round, or a folder is missing or not
    writable.
    """
    for name, path in _results(arguments):
        if _is_folder(path):
            require_folder_place(path)
        elif name not in APPENDED_TO:
            require_writable_folder(require_file_place(path).parent)


def input_files(arguments: argparse.Namespace) -> list[Path]:
    """All files that the arguments name for reading, and the files behind them."""
    from MgImplantSegLib.io.companions import files_behind

    results = {name for name, _path in _results(arguments)}
    named = [path for name, value in vars(arguments).items() if name not in results for path in _paths(name, value)]
    return [file for path in named for file in files_behind(path)]


def _paths(name: str, value: object) -> Iterator[Path]:
    """The existing files and folders of an option's value; folders of runs are none, results go there too."""
    for entry in value if isinstance(value, (list, tuple)) else [value]:
        if not isinstance(entry, (Path, str)) or (isinstance(entry, str) and name not in NAMES_OR_FILES):
            continue
        is_result = isinstance(entry, (ResultPath, ResultFolderPath)) or name in (*COMMON_RESULTS, *NO_INPUTS)
        if not is_result and os.path.exists(entry):
            yield Path(entry)


def _results(arguments: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """The names of all results that are asked for, with their paths."""
    for name, value in vars(arguments).items():
        if isinstance(value, (ResultPath, ResultFolderPath)):
            yield name, value
        elif name in COMMON_RESULTS and value not in (None, STANDARD_OUTPUT):
            yield name, Path(value)


def _is_folder(path: Path) -> bool:
    return isinstance(path, ResultFolderPath)


def _shown(parser: argparse.ArgumentParser, name: str) -> str:
    """What an option is called in messages: its flag, or the name of a positional argument."""
    flag, text = flag_of(name), parser.format_help()
    return name.upper() if flag not in text and re.search(rf"\b{name.upper()}\b", text) else flag


def _identities(path: str | Path) -> Iterator[object]:
    """What is the same for the same file: where it is, and, if it exists, the file on its disk."""
    real = os.path.realpath(path)
    yield real.casefold() if _ignores_case(os.path.dirname(real)) else os.path.normcase(real)
    if (identity := file_identity(path)) is not None:
        yield identity


def _ignores_case(folder: str) -> bool:
    """Whether names in a folder that differ in case are the same file, as on most disks of macOS and Windows."""
    while folder and not os.path.exists(folder):
        folder = os.path.dirname(folder)
    swapped = folder.swapcase()
    return swapped != folder and file_identity(folder) is not None and file_identity(swapped) == file_identity(folder)
