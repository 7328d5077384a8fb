"""Options of commands: a parser whose errors are one line, and types that say what they expect."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from MgImplantSegLib.base import choices
from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.option_kinds import Number, OneOf, ResultFile, ResultFolder, WholeNumber


class Parser(argparse.ArgumentParser):
    """Raises `InputError` for wrong use instead of printing the usage and leaving."""

    def __init__(self, **options) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        end = "" if message.endswith((".", "?")) else "."
        dash = "Write a value that begins with a dash as --option=value. " if "expected one argument" in message else ""
        raise InputError(message[:1].upper() + message[1:] + end, f"{dash}See {self.prog} --help.")

    def parse_all(self, arguments: list[str]) -> argparse.Namespace:
        """The options; an unknown one is an error that names the nearest that exists."""
        namespace, unknown = self.parse_known_args(arguments)
        if not unknown:
            return namespace
        known = set(re.findall(r"--[a-z0-9-]+", self.format_help()))
        raise InputError(
            f"Expected arguments of this command, got {unknown[0]}.{nearest(unknown[0].split('=')[0], known)}",
            f"See {self.prog} --help.",
        )


def flag_of(option: str) -> str:
    """Where a user of the command line sets an option, for the advice of an error."""
    return "--" + option.replace("_", "-")


def nearest(wrong: str, names: Iterable[str]) -> str:
    """`` Did you mean NAME?`` for the name that is nearest to the wrong one, or an empty text."""
    near = choices.nearest(wrong, names)
    return f" Did you mean {near}?" if near else ""


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """A type for options with a choice; its error names all choices and the nearest."""
    return OneOf(dict.fromkeys(str(name) for name in names)).parse


def option(
    parser: Any,
    name: str,
    kind: Callable[[str], object],
    metavar: str,
    help_text: str,
    default: object = None,
) -> None:
    """Add an option with one value; its help ends with the default where there is one."""
    shown = "" if default is None else " (default: %(default)s)"
    parser.add_argument(name, type=kind, metavar=metavar, help=help_text + shown, default=default)


def choice_option(
    parser: Any,
    name: str,
    names: Iterable[str],
    help_text: str,
    default: str | None = None,
) -> None:
    """Add an option whose value is one of the names of a registry."""
    names = [str(choice) for choice in names]
    option(parser, name, one_of(names), "|".join(names), help_text, default)


def whole_number(lowest: int) -> Callable[[str], int]:
    """A type for whole numbers from `lowest` on."""
    return WholeNumber(lowest).parse


def number(unit: str, *, zero: bool = False) -> Callable[[str], float]:
    """A type for finite numbers above zero, or from zero on, in a unit that its error names."""
    return Number(unit, zero=zero).parse


output_path = ResultFile("FILE").parse  # a type for files to write
folder_path = ResultFolder("DIR").parse  # a type for folders that results go into
