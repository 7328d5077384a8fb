"""``upright``: rotate an explant so that its screw axis is vertical."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.parser import folder_path
from MgImplantSegLib.cli.result_paths import require_separate
from MgImplantSegLib.cli.segmentation_options import add_reading_arguments, read_segmentation
from MgImplantSegLib.cli.staging import staged_files

NAME = "upright"
HELP = "rotate a segmentation, and images with it, so that the screw axis is vertical"
TRANSFORM, SEGMENTATION = "upright.tfm", "segmentation.seg.nrrd"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The segmentation, the folder for the results, and images that are turned with it."""
    parser.add_argument("segmentation", type=Path, metavar="SEGMENTATION", help=".seg.nrrd or a label image")
    parser.add_argument("outdir", type=folder_path, metavar="OUTDIR", help="folder for the rotated files")
    parser.add_argument("images", type=Path, nargs="*", metavar="IMAGE", help="scans to rotate in the same way")
    add_reading_arguments(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Turn all and write them together, with the transform that did it."""
    from MgImplantSegLib.io import read_volume, write_label_map, write_volume
    from MgImplantSegLib.quantification.screw.rigid_transform import write_rigid_transform
    from MgImplantSegLib.quantification.screw.upright import turned, upright_matrix

    names = [f"{path.name.split('.')[0]}.nrrd" for path in arguments.images]
    if len({*names, SEGMENTATION, TRANSFORM}) < len(names) + 2:
        raise InputError(f"Expected images with different names, got {', '.join(names)}.", "Rename one of them.")
    files = [arguments.outdir / name for name in (SEGMENTATION, *names, TRANSFORM)]
    require_separate([arguments.segmentation, *arguments.images], [(f"OUTDIR/{path.name}", path) for path in files])
    label_map = read_segmentation(arguments.segmentation, arguments)
    matrix = upright_matrix(label_map)
    with events.task("upright", 1 + len(names)) as task, staged_files(arguments.outdir) as folder:
        write_label_map(turned(label_map, matrix), folder / SEGMENTATION)
        task.advance()
        for path, name in zip(arguments.images, names, strict=True):
            write_volume(turned(read_volume(path, spacing_um=arguments.spacing_um), matrix), folder / name)
            task.advance()
        write_rigid_transform(matrix, folder / TRANSFORM)
    return {"matrix_lps": matrix.tolist(), "files": [str(path) for path in files]}


def report(result: dict[str, Any]) -> str:
    """Where the turned files are."""
    return "\n".join(f"written: {path}" for path in result["files"])
