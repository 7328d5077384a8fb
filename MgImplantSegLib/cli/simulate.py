"""``simulate``: explants with exact truth, one folder each."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events, json_ready
from MgImplantSegLib.base.files import atomic_folder, output_folder, require_writable_folder
from MgImplantSegLib.cli.parser import choice_option, folder_path, number, option, whole_number

NAME = "simulate"
HELP = "make simulated explants with exact truth"
BYTES_PER_VOXEL = 6
IMAGE, LABELS, INITIAL, TRUTH = "image.nrrd", "labels.seg.nrrd", "initial.seg.nrrd", "truth.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Size, voxel size, seeds and kind of implant."""
    from MgImplantSegLib.simulation.settings import ImplantKind, Look, SimulationSettings

    kinds = [kind.value for kind in ImplantKind]
    parser.add_argument("outdir", type=folder_path, metavar="OUTDIR", help="output folder, one subfolder per explant")
    option(parser, "--size", whole_number(1), "N", "voxels along each edge of the cube", SimulationSettings.size)
    option(parser, "--spacing-um", number("µm"), "X", "voxel size in µm", SimulationSettings.spacing_um)
    option(
        parser,
        "--seed",
        whole_number(0),
        "S",
        "seed of the first explant; each further explant uses the next number",
        0,
    )
    option(parser, "--count", whole_number(1), "N", "number of explants", 1)
    parser.add_argument(
        "--imaging-seed",
        type=whole_number(0),
        metavar="S",
        help="all explants look like the one with this seed: grey values, noise, artefacts of one alloy and scanner",
    )
    parser.add_argument(
        "--look",
        choices=[look.value for look in Look],
        default=Look.FAST.value,
        help="fast: drawn directly in image space; scanner: reconstructed from simulated projections, with rings, "
        "clipped exports and layers as grey as the metal, and with more kinds of implant and bone (default: fast)",
    )
    choice_option(parser, "--kind", kinds, "shape of the implant (default: chosen by the seed)")


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Make the explants; each folder is complete or not there."""
    from MgImplantSegLib.simulation.settings import ImplantKind, Look, SimulationSettings

    kind = ImplantKind(arguments.kind) if arguments.kind else None
    first = SimulationSettings(
        arguments.size,
        arguments.spacing_um,
        arguments.seed,
        kind,
        imaging_seed=arguments.imaging_seed,
        look=Look(arguments.look),
    )
    folders = []
    with output_folder(arguments.outdir), events.task("explants", arguments.count) as task:
        require_writable_folder(arguments.outdir, BYTES_PER_VOXEL * arguments.size**3 * arguments.count)
        for seed in range(arguments.seed, arguments.seed + arguments.count):
            folders.append(arguments.outdir / f"explant_{seed:06d}")
            _write_explant(replace(first, seed=seed), folders[-1], events)
            task.advance()
    return {"folders": [str(folder) for folder in folders], "files": [IMAGE, LABELS, INITIAL, TRUTH]}


def report(result: dict[str, Any]) -> str:
    """Where the explants are."""
    return "\n".join([*result["folders"], f"each with {', '.join(result['files'])}"])


def _write_explant(settings: Any, folder: Path, events: Events) -> None:
    from MgImplantSegLib.io import write_label_map, write_volume
    from MgImplantSegLib.simulation import simulate_explant

    with atomic_folder(folder) as temporary:
        explant = simulate_explant(settings, events)
        write_volume(explant.image, temporary / IMAGE)
        write_label_map(explant.labels, temporary / LABELS)
        write_label_map(explant.initial, temporary / INITIAL)
        description = {
            "size": settings.size,
            "spacing_um": settings.spacing_um,
            "seed": settings.seed,
            "imaging_seed": settings.imaging_seed,
            "look": settings.look.value,
            **explant.description(),
        }
        (temporary / TRUTH).write_text(
            json.dumps(json_ready(description), indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
