"""Results do not take the place of what they are made of, nor of each other."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from MgImplantSegLib.errors import InputError
from MgImplantSegLib.option_kinds import ResultPath

COMMON_RESULTS = ("json", "events")


def require_separate_files(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse results that would be written over an input, or over each other.

    Raises
    ------
    InputError
        If a path of a result is also that of an input or of another result.
    """
    written, taken = {}, {}
    for name, value in vars(arguments).items():
        if isinstance(value, ResultPath) or name in COMMON_RESULTS:
            written[name] = value
        else:
            paths = value if isinstance(value, (list, tuple)) else [value]
            taken |= {_identity(path): "an input" for path in paths if isinstance(path, Path)}
    for name, value in written.items():
        if value in (None, "-") or (os.path.exists(value) and not os.path.isfile(value)):
            continue  # a device, or a folder that is told when it is written to
        flag = "--" + name.replace("_", "-")
        shown = flag if flag in parser.format_help() else name.upper()
        if _identity(value) in taken:
            raise InputError(
                f"Expected a file of its own for {shown}, got {value}, which is {taken[_identity(value)]} too.",
                "Choose another name.",
            )
        taken[_identity(value)] = f"the file for {shown}"


def _identity(path: str | Path) -> str:
    """The same text for the same file, however it is written."""
    return os.path.normcase(os.path.realpath(path))
