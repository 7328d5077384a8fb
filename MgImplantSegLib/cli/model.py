"""``model``: show the card of a model file, export a training run, convert a model for OpenVINO."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.resources import bundled_models, find_model
from MgImplantSegLib.cli.parser import output_path
from MgImplantSegLib.cli.result_paths import COMMON_RESULTS, STANDARD_OUTPUT, require_separate

NAME = "model"
HELP = "show a model's card, list the bundled models, export a training run, convert for OpenVINO"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions ``info``, ``list``, ``export`` and ``convert``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = actions.add_parser("info", help="show the card of a model file", description="Show the card of a model.")
    info.add_argument(
        "file", nargs="?", metavar="FILE", help="model file or name of a bundled model (default: bundled)"
    )
    actions.add_parser("list", help="list the bundled models", description="List the bundled models.")
    about = "Write the best weights of a training run, finished or not, as a model file."
    export = actions.add_parser("export", help="write the best weights of a run as a model file", description=about)
    export.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    export.add_argument("file", type=output_path, metavar="FILE.mgmodel", help="model file to write")
    about = "Add the network for OpenVINO to a model file, checked against torch; needs torch and OpenVINO."
    convert = actions.add_parser("convert", help="add the network for OpenVINO to a model file", description=about)
    convert.add_argument("source", metavar="FILE", help="model file or name of a bundled model")
    convert.add_argument(
        "file", type=output_path, nargs="?", metavar="OUT.mgmodel", help="model file to write (default: FILE itself)"
    )


def run(arguments: argparse.Namespace, _events: Events) -> dict[str, Any]:
    """The card with the file's path, or the bundled models."""
    if arguments.action == "export":
        from MgImplantSegLib.training.loop.export import export_run

        export_run(arguments.run, arguments.file)
    if arguments.action == "convert":
        arguments.file = _converted(arguments)
    if arguments.action == "list":
        return {"models": {name: str(path) for name, path in bundled_models().items()}}
    from MgImplantSegLib.inference.openvino_entries import has_openvino
    from MgImplantSegLib.model.file import read_card

    path = find_model(arguments.file and str(arguments.file))
    size_mb = round(Path(path).stat().st_size / 1e6, 2)
    backends = ["torch", *(["openvino"] if has_openvino(path) else [])]
    return {"file": str(path), "size_mb": size_mb, "backends": backends, "card": read_card(path).to_dict()}


def _converted(arguments: argparse.Namespace) -> Path:
    """The model file with its network for OpenVINO; the source may be replaced by it, but by nothing else."""
    from MgImplantSegLib.inference.openvino_export import add_openvino

    source = find_model(arguments.source)
    further = [(f"--{name}", value) for name in COMMON_RESULTS if (value := getattr(arguments, name))]
    require_separate([source], [(shown, Path(value)) for shown, value in further if value != STANDARD_OUTPUT])
    return add_openvino(source, arguments.file)


def report(result: dict[str, Any]) -> str:
    """The card as indented lines, or one model a line."""
    if "models" in result:
        return "\n".join(f"{name}  {path}" for name, path in result["models"].items()) or "No models are bundled."
    head = f"{result['file']} ({result['size_mb']} MB, for {' and '.join(result['backends'])})"
    return "\n".join([head, *_lines(result["card"], 1)])


def _lines(data: Any, depth: int) -> Iterator[str]:
    """Nested data as lines ``key: value``, one level of indentation for each level of nesting."""
    indent = "  " * depth
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{key}:"
            yield from (f"{indent}  {', '.join(f'{name}={item}' for name, item in entry.items())}" for entry in value)
        else:
            yield f"{indent}{key}: {value}"
