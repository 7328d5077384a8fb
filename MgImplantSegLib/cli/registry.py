"""The commands, in the order of the overview. A new command is a file in this folder and its name here."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.parser import nearest

COMMANDS = (
    "demo",
    "prepare",
    "segment",
    "cracks",
    "quantify",
    "evaluate",
    "compare",
    "summarise",
    "register",
    "upright",
    "surfaces",
    "batch",
    "report",
    "simulate",
    "teach",
    "suggest",
    "train",
    "crossvalidate",
    "scale",
    "jobs",
    "model",
    "doctor",
)
PROGRAM = "mgimplantseg"


@dataclass(frozen=True)
class Command:
    """One command: `run` does the work and returns its result, `report` turns the result into text for display."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Events], dict[str, Any] | None]
    report: Callable[[dict[str, Any]], str] | None


def command(name: str) -> Command:
    """The command of that name. Raises InputError if there is none, naming the nearest."""
    if name not in COMMANDS:
        raise InputError(
            f"Expected a command ({', '.join(COMMANDS)}), got {name!r}.{nearest(name, COMMANDS)}",
            f"See {PROGRAM} --help.",
        )
    module = importlib.import_module(f"MgImplantSegLib.cli.{name}")
    return Command(module.NAME, module.HELP, module.add_arguments, module.run, getattr(module, "report", None))


def overview() -> str:
    """The help of the whole command line."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{command(name).help}" for name in COMMANDS]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [options]",
            "",
            "Segmentation and quantification of biodegradable bone implants in micro-CT. For research use only.",
            "",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help shows the options with units and defaults; {PROGRAM} --version the version.",
            "Exit code: 0 done, 1 internal error, 2 wrong use or bad input, 130 cancelled.",
            "",
        ]
    )
