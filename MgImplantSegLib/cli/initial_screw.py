"""The screw before implantation: read from a file or typed in, and placed on the explant."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.option_kinds import File, Number, Yes
from MgImplantSegLib.base.options import option
from MgImplantSegLib.cli.segmentation_options import ROLES, ROLES_HELP, has_no_voxel_size
from MgImplantSegLib.grids.labels import LabelScheme

if TYPE_CHECKING:
    from MgImplantSegLib.grids.volume import LabelMap
    from MgImplantSegLib.quantification import InitialScrew


@dataclass(frozen=True)
class InitialOptions:
    """What is known of the screw, and how it is placed on the explant."""

    initial: Path | None = option(
        "screw before implantation: segmentation, or mesh in mm (STL, PLY, OBJ, VTK, VTP)", File("FILE"), None
    )
    initial_roles: LabelScheme | None = option(f"{ROLES_HELP}, in --initial", ROLES, None)
    initial_volume_mm3: float | None = option(
        "volume of the screw before implantation in mm³", Number("mm³", metavar="V"), None
    )
    initial_area_mm2: float | None = option(
        "surface area of the screw before implantation in mm²", Number("mm²", metavar="A"), None
    )
    register: bool = option("first register --initial to the implant (rotation and translation)", Yes(), False)
    transform: Path | None = option(
        "transform from --initial to the explant: ITK transform, as written by register", File("FILE"), None
    )


def initial_screw(arguments: argparse.Namespace, explant: LabelMap, events: Events) -> InitialScrew | None:
    """The screw as the options give it, in the explant's space; None if nothing is known of it.

    Raises InputError if a file cannot be used, or options contradict each other.
    """
    from MgImplantSegLib.quantification import InitialScrew

    typed = (arguments.initial_volume_mm3, arguments.initial_area_mm2)
    if arguments.initial is None:
        if arguments.register or arguments.transform:
            raise InputError("Expected --initial for --register and --transform, got none.", "Give its file.")
        return None if typed == (None, None) else InitialScrew.from_values(*typed)
    if typed != (None, None):
        raise InputError(
            "Expected one description of the initial screw, got --initial and typed numbers.",
            "Omit --initial, or --initial-volume-mm3 and --initial-area-mm2.",
        )
    return _placed(read_initial_screw(arguments.initial, arguments.initial_roles), arguments, explant, events)


def _placed(screw: InitialScrew, arguments: argparse.Namespace, explant: LabelMap, events: Events) -> InitialScrew:
    if arguments.register and arguments.transform:
        raise InputError("Expected --register or --transform, got both.", "Omit one of them.")
    if arguments.transform:
        from MgImplantSegLib.quantification.screw.rigid_transform import read_rigid_transform

        return screw.moved(read_rigid_transform(arguments.transform))
    if arguments.register:
        from MgImplantSegLib.quantification.screw.registration import register_screw

        found = register_screw(screw, explant, events)
        if found.doubt:
            events.warning(found.doubt)
        return replace(screw.moved(found.matrix), remarks=tuple(filter(None, (*screw.remarks, found.doubt))))
    return screw


def read_initial_screw(path: Path, scheme: LabelScheme | None = None) -> InitialScrew:
    """The screw before implantation, of a mesh or a segmentation with its voxel size.

    Raises InputError if there is no screw in it, or its voxel size is unset.
    """
    from MgImplantSegLib.io import read_label_map
    from MgImplantSegLib.io.foreign_formats import how_to_convert
    from MgImplantSegLib.io.formats import known_suffixes
    from MgImplantSegLib.quantification import InitialScrew
    from MgImplantSegLib.quantification.surfaces.triangle_mesh import MESH_SUFFIXES

    if path.suffix.lower() in MESH_SUFFIXES:
        return InitialScrew.from_mesh(path)
    if not path.is_dir() and not path.name.lower().endswith(tuple(known_suffixes())):
        raise InputError(
            f"Expected the initial screw as a mesh ({' '.join(MESH_SUFFIXES)}) or a segmentation "
            f"({' '.join(known_suffixes())}), got {path}.",
            how_to_convert(path),
        )
    label_map = read_label_map(path, scheme, roles_option="initial_roles")
    if has_no_voxel_size(label_map.geometry):
        raise InputError(
            f"Expected an initial screw with its voxel size, got {path} with 1 mm or none.",
            "Save it with its voxel size, or give --initial-volume-mm3 and --initial-area-mm2.",
        )
    return InitialScrew.from_label_map(label_map)
