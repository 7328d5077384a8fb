"""Options of commands that look for cracks and canals."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.options import add_options, record, values_of

if TYPE_CHECKING:
    from MgImplantSegLib.cracks.options import OpeningOptions


def opening_declarations() -> tuple[type, ...]:
    """The dataclass whose options say what is looked for, and how."""
    from MgImplantSegLib.cracks.options import OpeningOptions

    return (OpeningOptions,)


def add_opening_arguments(parser: argparse.ArgumentParser) -> None:
    """What is looked for, and how."""
    add_options(parser.add_argument_group("cracks and canals"), *opening_declarations())


def opening_options(arguments: argparse.Namespace) -> OpeningOptions:
    """The options as `with_openings` takes them."""
    from MgImplantSegLib.cracks.options import OpeningOptions

    return OpeningOptions(**{entry.name: value for entry, value in values_of(arguments, OpeningOptions)})


def record_of_openings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a result depends on; nothing where nothing is looked for."""
    return record(arguments, *opening_declarations()) if arguments.openings else {}
