"""``crossvalidate``: k folds by group, the test set apart, and the paper's Table 2."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.parser import whole_number

NAME = "crossvalidate"
HELP = "train and test one model for each fold; IoU by slicing planes and fusion"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``crossvalidate``."""
    parser.add_argument(
        "config", metavar="CONFIG.toml", type=Path, help="as for train; [crossvalidation] defines the folds"
    )
    parser.add_argument("--fold", metavar="N", type=whole_number(1), help="train this fold only, counted from 1")


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Train what is missing; the result is the table once all folds are finished."""
    from MgImplantSegLib.training.studies.crossvalidation import crossvalidate

    return crossvalidate(arguments.config, events, arguments.fold)


def report(result: dict[str, Any]) -> str:
    """The table, or what is missing for it."""
    if not result["finished"]:
        waiting = result.get("missing") or [result["stopped_in"]]
        return f"Not finished: {', '.join(waiting)}. Run the same command again to continue."
    lines = [
        f"{row:<26}" + "  ".join(f"{name} {value}" for name, value in cells.items())
        for row, cells in result["table"].items()
    ]
    return "\n".join([*lines, f"Tables and figure: {result['folder']}"])
