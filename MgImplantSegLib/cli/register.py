"""``register``: the rotation and shift that put the screw before implantation onto the explant."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events, json_ready
from MgImplantSegLib.base.files import require_writable_folder
from MgImplantSegLib.cli.initial_screw import read_initial_screw
from MgImplantSegLib.cli.parser import option, output_path
from MgImplantSegLib.cli.segmentation_options import ROLES_HELP, add_reading_arguments, read_segmentation, roles
from MgImplantSegLib.cli.tables import value_text

NAME = "register"
HELP = "register the screw before implantation to the explant"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The explant, the screw, the transform, and images that refine it."""
    parser.add_argument("segmentation", type=Path, metavar="SEGMENTATION", help="the explant: .seg.nrrd or label image")
    parser.add_argument("initial", type=Path, metavar="INITIAL", help="the screw: segmentation, or mesh in mm")
    parser.add_argument(
        "out", type=output_path, metavar="OUT.tfm", help="ITK transform to write; Slicer reads it as well"
    )
    add_reading_arguments(parser)
    option(parser, "--initial-roles", roles, "V=ROLE,...", f"{ROLES_HELP}, in INITIAL")
    option(
        parser,
        "--image",
        Path,
        "SCAN",
        "scan of the explant, to refine the registration by grey values; with --initial-image",
    )
    option(parser, "--initial-image", Path, "SCAN", "scan of the screw before implantation")


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Register and write the transform; the result says how well both overlap."""
    from MgImplantSegLib.quantification.screw.registration import register_screw
    from MgImplantSegLib.quantification.screw.rigid_transform import write_rigid_transform

    require_writable_folder(arguments.out.absolute().parent)
    explant = read_segmentation(arguments.segmentation, arguments)
    screw = read_initial_screw(arguments.initial, arguments.initial_roles)
    found = register_screw(screw, explant, events, grey_values=_grey_values(arguments))
    if found.doubt:
        events.warning(found.doubt)
    write_rigid_transform(found.matrix, arguments.out)
    return {
        "file": str(arguments.out),
        "matrix_lps": json_ready(found.matrix),
        "dice": found.dice,
        "residual_inside_percent": found.residual_inside_percent,
        "method": found.method,
    }


def report(result: dict[str, Any]) -> str:
    """How well both overlap, and where the transform is."""
    inside = value_text(json_ready(result["residual_inside_percent"]))
    return (
        f"Dice of screw and implant {value_text(result['dice'])}; {inside} % of the residual material lies inside.\n"
        f"written: {result['file']} ({result['method']})"
    )


def _grey_values(arguments: argparse.Namespace):
    from MgImplantSegLib.io import read_volume

    paths = (arguments.initial_image, arguments.image)
    if paths == (None, None):
        return None
    if None in paths:
        raise InputError("Expected --image and --initial-image together, got one.", "Give both or neither.")
    return tuple(read_volume(path) for path in paths)
