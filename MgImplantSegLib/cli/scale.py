"""``scale``: models over depth, width and input size, and the paper's Figure 3."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events

NAME = "scale"
HELP = "train a grid of depths, widths and input sizes; mean IoU against FLOPs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``scale``."""
    parser.add_argument("config", metavar="CONFIG.toml", type=Path, help="as for train; [scaling] defines the grid")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--only", metavar="NAME", help="train only this model, such as d5-c64-i640, to run one job per model"
    )
    choice.add_argument("--list", action="store_true", help="list the names of the models in the grid and exit")


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Train what is missing; the result has all finished models."""
    from MgImplantSegLib.training.settings.configuration import TrainingConfig
    from MgImplantSegLib.training.studies.scaling import grid_configs, scale

    if arguments.list:
        return {"names": list(grid_configs(TrainingConfig.read(arguments.config)))}
    return scale(arguments.config, events, arguments.only)


def report(result: dict[str, Any]) -> str:
    """The models with their numbers, or their names, or where it was stopped."""
    if "names" in result:
        return "\n".join(result["names"])
    if "models" not in result:
        return f"Stopped in {result['stopped_in']}. Run the same command again to continue."
    lines = [
        f"{model['name']:<16}{model['parameters'] / 1e6:>10.2f} M parameters {model['flops'] / 1e9:>10.3g} GFLOPs"
        f"   mean IoU {model['mean_iou']:.4f}"
        for model in result["models"]
    ]
    missing = [f"Not trained yet: {', '.join(result['missing'])}"] if result["missing"] else []
    return "\n".join([*lines, *missing, f"Table and figure: {result['folder']}"])
