"""``simulate``: explants with exact truth, one folder each."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from MgImplantSegLib.cli.parser import choices_text, number, one_of, whole_number
from MgImplantSegLib.events import Events, json_ready
from MgImplantSegLib.files import atomic_folder, output_errors, require_writable_folder

NAME = "simulate"
HELP = "make simulated explants with exact truth"
BYTES_PER_VOXEL = 6
IMAGE, LABELS, INITIAL, TRUTH = "image.nrrd", "labels.seg.nrrd", "initial.seg.nrrd", "truth.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Size, voxel size, seeds and kind of implant."""
    from MgImplantSegLib.simulation.settings import ImplantKind, SimulationSettings

    kinds = [kind.value for kind in ImplantKind]
    parser.add_argument("outdir", type=Path, metavar="OUTDIR", help="folder for the explants, one folder each")
    parser.add_argument("--size", type=whole_number(1), default=SimulationSettings.size, metavar="N",
                        help="voxels along each edge of the cube (default: %(default)s)")  # fmt: skip
    parser.add_argument("--spacing-um", type=number("µm"), default=SimulationSettings.spacing_um, metavar="X",
                        help="voxel size in µm (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="S",
                        help="seed of the first explant; the next ones count on (default: %(default)s)")  # fmt: skip
    parser.add_argument("--count", type=whole_number(1), default=1, metavar="N",
                        help="how many explants (default: %(default)s)")  # fmt: skip
    parser.add_argument("--kind", type=one_of(kinds), metavar=choices_text(kinds),
                        help="shape of the implant (default: the seed draws one)")  # fmt: skip


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Make the explants; each folder is complete or not there."""
    from MgImplantSegLib.simulation.settings import ImplantKind, SimulationSettings

    kind = ImplantKind(arguments.kind) if arguments.kind else None
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    settings = [SimulationSettings(arguments.size, arguments.spacing_um, seed, kind) for seed in seeds]
    with output_errors(arguments.outdir):
        arguments.outdir.mkdir(parents=True, exist_ok=True)
    require_writable_folder(arguments.outdir, BYTES_PER_VOXEL * arguments.size**3 * arguments.count)
    folders = []
    with events.task("explants", len(settings)) as task:
        for one in settings:
            folders.append(arguments.outdir / f"explant_{one.seed:06d}")
            _write_explant(one, folders[-1], events)
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
        description = {"size": settings.size, "spacing_um": settings.spacing_um, "seed": settings.seed,
                       **explant.description()}  # fmt: skip
        (temporary / TRUTH).write_text(
            json.dumps(json_ready(description), indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
