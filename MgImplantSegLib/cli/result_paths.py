"""Results do not take the place of what they are made of, nor of each other."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from MgImplantSegLib.cli.parser import output_path
from MgImplantSegLib.errors import InputError


def require_separate_files(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse results that would be written over an input, or over each other.

    Raises
    ------
    InputError
        If a path of a result is also that of an input or of another result.
    """
    written = {action.dest: action for action in parser._actions if action.type is output_path}
    written |= {action.dest: action for action in parser._actions if action.dest in ("json", "events")}
    taken = {}
    for name, value in vars(arguments).items():
        if name not in written:
            paths = value if isinstance(value, (list, tuple)) else [value]
            taken |= {_identity(path): "an input" for path in paths if isinstance(path, Path)}
    for name, action in written.items():
        value = getattr(arguments, name)
        if value in (None, "-") or (os.path.exists(value) and not os.path.isfile(value)):
            continue  # a device, or a folder that is told when it is written to
        shown = action.option_strings[0] if action.option_strings else str(action.metavar)
        if _identity(value) in taken:
            raise InputError(
                f"Expected a file of its own for {shown}, got {value}, which is {taken[_identity(value)]} too.",
                "Choose another name.",
            )
        taken[_identity(value)] = f"the file for {shown}"


def _identity(path: str | Path) -> str:
    """The same text for the same file, however it is written."""
    return os.path.normcase(os.path.realpath(path))
