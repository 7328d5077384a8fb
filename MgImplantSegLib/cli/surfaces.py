"""``surfaces``: surfaces as files, for 3D views: of masks, or of an implant, coloured by contact or depth."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import output_folder
from MgImplantSegLib.cli.parser import choice_option, folder_path, number, option
from MgImplantSegLib.cli.result_paths import require_separate
from MgImplantSegLib.cli.segmentation_options import ROLES_HELP, add_reading_arguments, read_segmentation, roles

NAME = "surfaces"
HELP = "surfaces as .vtp files: of masks, or of an implant with bone contact or depth of degradation"
METHODS = {"flying-edges": "FLYING_EDGES", "surface-nets": "SURFACE_NETS"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The images, where the surfaces go, and how they are made."""
    parser.add_argument(
        "images", type=Path, nargs="+", metavar="IMAGE", help="masks (non-zero voxels are inside) or segmentations"
    )
    parser.add_argument(
        "--out", type=folder_path, required=True, metavar="DIR", help="output folder, one .vtp file per image"
    )
    choice_option(parser, "--kind", KINDS, "the surface of masks, or of the implant with a measure on it", "mask")
    choice_option(parser, "--method", METHODS, "method to extract the surface of a mask", "flying-edges")
    option(parser, "--smoothing", number("a fraction from 0 to 1", zero=True), "S", "smoothing of masks, 0 to 1", 0.5)
    option(
        parser,
        "--decimation",
        number("a fraction from 0 to 1", zero=True),
        "D",
        "fraction of triangles to remove, 0 ≤ D < 1",
        0.0,
    )
    add_reading_arguments(parser)
    option(parser, "--initial", Path, "FILE", "screw before implantation, for the depth")
    option(parser, "--initial-roles", roles, "V=ROLE,...", f"{ROLES_HELP}, in --initial")


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """File and number of triangles of each surface."""
    from MgImplantSegLib.scene.mask_surfaces import write_mesh

    files = [arguments.out / f"{image.name.split('.')[0]}.vtp" for image in arguments.images]
    require_separate(arguments.images, [(f"DIR/{path.name}", path) for path in files])
    found = []
    with output_folder(arguments.out), events.task("3D surfaces", len(arguments.images)) as task:
        for path, (_image, mesh) in zip(files, KINDS[arguments.kind](arguments), strict=True):
            found.append({"file": str(write_mesh(mesh, path)), "triangles": mesh.GetNumberOfPolys()})
            task.advance()
    return {"surfaces": found}


def report(result: dict[str, Any]) -> str:
    """One line a surface."""
    return "\n".join(f"{entry['file']}: {entry['triangles']} triangles" for entry in result["surfaces"])


def _masks(arguments: argparse.Namespace) -> Iterator[tuple[Path, Any]]:
    from MgImplantSegLib.io import read_volume
    from MgImplantSegLib.scene.closed_surfaces import SurfaceMethod, SurfaceSettings
    from MgImplantSegLib.scene.mask_surfaces import surface_of_mask

    method = SurfaceMethod[METHODS[arguments.method]]
    settings = SurfaceSettings(method, arguments.smoothing, arguments.decimation)
    for path in arguments.images:
        volume = read_volume(path, dataset=arguments.dataset, spacing_um=arguments.spacing_um)
        yield path, surface_of_mask(volume.array, volume.geometry, settings)


def _contact(arguments: argparse.Namespace) -> Iterator[tuple[Path, Any]]:
    from MgImplantSegLib.scene.implant_surfaces import contact_surface

    for path in arguments.images:
        yield path, contact_surface(read_segmentation(path, arguments))


def _depth(arguments: argparse.Namespace) -> Iterator[tuple[Path, Any]]:
    from MgImplantSegLib.scene.implant_surfaces import depth_surface

    if arguments.initial is None:
        raise InputError(
            "Expected the screw before implantation for the depth, got none.", "Specify it with --initial."
        )
    initial = read_segmentation(arguments.initial, arguments, arguments.initial_roles)
    for path in arguments.images:
        yield path, depth_surface(read_segmentation(path, arguments), initial)


KINDS: dict[str, Callable[[argparse.Namespace], Iterator[tuple[Path, Any]]]] = {
    "mask": _masks,
    "contact": _contact,
    "depth": _depth,
}
