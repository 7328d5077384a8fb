"""``train``: a network from a group's own scans and labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events

NAME = "train"
HELP = "train a network on labelled scans and export it as a model file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``train``."""
    parser.add_argument(
        "config", metavar="CONFIG.toml", type=Path, help="samples, network, augmentation and training loop"
    )
    parser.add_argument("--resume", metavar="DIR", type=Path, help="continue the interrupted run in this folder")


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Train; the result names the model file and the best validation."""
    from MgImplantSegLib.training.loop.run import train

    return train(arguments.config, events, arguments.resume).to_dict()


def report(result: dict[str, Any]) -> str:
    """What a person reads at the end."""
    scores = "\n".join(f"  {name:<24}{value:.4f}" for name, value in result["validation"].items())
    ended = f"Ended after {result['iterations']} iterations: {result['reason']}."
    if not result["finished"]:
        return f"{ended}\nContinue with: train CONFIG.toml --resume {result['run_folder']}"
    return f"{ended}\nBest validation:\n{scores}\nModel file: {result['model']}"
