"""Options of commands that measure: the screw before implantation, the time, the regions, the methods."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from MgImplantSegLib.cli.parser import choice_option, nearest, number, option
from MgImplantSegLib.cli.segmentation_options import ROLES_HELP, has_no_voxel_size, roles
from MgImplantSegLib.errors import InputError

if TYPE_CHECKING:
    from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions
    from MgImplantSegLib.volume import Volume

ALL = "all"


def add_measure_arguments(parser: argparse.ArgumentParser, of_one_scan: bool = True) -> None:
    """All options of `quantify` that say what is measured and how, filled from the registries.

    Without `of_one_scan` those are left out that belong to a single scan: its disagreement.
    """
    from MgImplantSegLib.quantification import SURFACE_METHODS, QuantifyOptions
    from MgImplantSegLib.quantification.common_part import CommonLength
    from MgImplantSegLib.quantification.contact_methods import CONTACT_METHODS
    from MgImplantSegLib.quantification.degradation import RATE_FORMS
    from MgImplantSegLib.quantification.measures import DEFAULT_MEASURES, MEASURES

    default = QuantifyOptions
    known = parser.add_argument_group("what is known besides")
    option(
        known, "--initial", Path, "FILE", "screw before implantation: segmentation, or mesh in mm (STL, PLY, OBJ, VTK)"
    )
    option(known, "--initial-roles", roles, "V=ROLE,...", f"{ROLES_HELP}, in --initial")
    option(known, "--initial-volume-mm3", number("mm³"), "V", "volume of the screw before implantation in mm³")
    option(known, "--initial-area-mm2", number("mm²"), "A", "surface area of the screw before implantation in mm²")
    option(known, "--days", number("days", zero=True), "T", "days between implantation and explantation")
    known.add_argument("--roi", type=Path, nargs="+", action="extend", default=[], metavar="R.mrk.json",
                       help="Slicer's markups ROI: further regions for BV/TV and BIC")  # fmt: skip
    if of_one_scan:
        option(
            known, "--disagreement", Path, "FILE", "disagreement of the planes (of segment), for ranges beside values"
        )

    group = parser.add_argument_group("what is measured, and how")
    choices = {key: entry.help for key, entry in MEASURES.items()}
    option(group, "--measures", names_of(choices), "NAME,...|all",
           "of " + "; ".join(f"{key} ({text})" for key, text in choices.items())
           + f"; without it {', '.join(DEFAULT_MEASURES)}")  # fmt: skip
    option(group, "--distance-mm", number("mm"), "D", "thickness of the shell around the implant in mm",
           default.distance_mm)  # fmt: skip
    choice_option(group, "--surface", SURFACE_METHODS, "how surfaces are measured", default.surface)
    choice_option(group, "--rate-form", RATE_FORMS, "the area that DR divides by", default.rate_form)
    choice_option(group, "--contact", CONTACT_METHODS, "how contact is measured", default.contact)
    option(group, "--contact-distance-mm", number("mm", zero=True), "D", "for contact by distance: how far bone may be",
           default.contact_distance_mm)  # fmt: skip
    option(group, "--close-cracks-mm", number("mm", zero=True), "W", "close cracks up to this width in mm before BIC",
           default.close_cracks_mm)  # fmt: skip
    option(group, "--profile-step-mm", number("mm"), "D", "width of the shells of the profile in mm",
           default.profile_step_mm)  # fmt: skip
    option(group, "--slice-mm", number("mm"), "D", "width of the slices along the screw axis in mm", default.slice_mm)
    choice_option(group, "--common-length", [rule.value for rule in CommonLength],
                  "which length of the screw V_i, A_i and V_r are of", default.common_length)  # fmt: skip


def names_of(choices: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """A type for options with several names of a registry, separated by commas, or ``all``."""
    choices = list(choices)

    def parse(text: str) -> tuple[str, ...]:
        names = choices if text == ALL else [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in choices:
                hint = nearest(name, choices)
                raise argparse.ArgumentTypeError(f"expected names of {', '.join(choices)}, got {name!r}.{hint}")
        if not names:
            raise argparse.ArgumentTypeError(f"expected names of {', '.join(choices)}, got nothing")
        return tuple(names)

    return parse


def measure_options(arguments: argparse.Namespace) -> QuantifyOptions:
    """The options as `quantify` takes them; reads the initial screw, the regions and the disagreement.

    Raises
    ------
    InputError
        If a file cannot be used, or the initial screw is given twice.
    """
    from MgImplantSegLib.quantification import QuantifyOptions
    from MgImplantSegLib.regions import read_roi_markups

    return QuantifyOptions(
        initial=_initial_screw(arguments),
        time_days=arguments.days,
        distance_mm=arguments.distance_mm,
        rois=tuple(roi for path in arguments.roi for roi in read_roi_markups(path)),
        measures=arguments.measures,
        surface=arguments.surface,
        rate_form=arguments.rate_form,
        contact=arguments.contact,
        contact_distance_mm=arguments.contact_distance_mm,
        close_cracks_mm=arguments.close_cracks_mm,
        profile_step_mm=arguments.profile_step_mm,
        slice_mm=arguments.slice_mm,
        common_length=arguments.common_length,
        disagreement=_disagreement(getattr(arguments, "disagreement", None)),
    )


def _disagreement(path: Path | None) -> Volume | None:
    from MgImplantSegLib.io import read_volume

    return None if path is None else read_volume(path)


def _initial_screw(arguments: argparse.Namespace) -> InitialScrew | None:
    from MgImplantSegLib.quantification import InitialScrew

    typed = (arguments.initial_volume_mm3, arguments.initial_area_mm2)
    if arguments.initial is None:
        return None if typed == (None, None) else InitialScrew.from_values(*typed)
    if typed != (None, None):
        raise InputError(
            "Expected the initial screw once, got --initial and typed numbers.",
            "Leave out --initial, or --initial-volume-mm3 and --initial-area-mm2.",
        )
    return read_initial_screw(arguments.initial, arguments)


def read_initial_screw(path: Path, arguments: argparse.Namespace) -> InitialScrew:
    """The screw before implantation, of a mesh or a segmentation with its voxel size.

    Raises
    ------
    InputError
        If there is no screw in it, or its voxel size is unset.
    """
    from MgImplantSegLib.io import read_label_map
    from MgImplantSegLib.quantification import InitialScrew
    from MgImplantSegLib.quantification.triangle_mesh import MESH_SUFFIXES

    if path.suffix.lower() in MESH_SUFFIXES:
        return InitialScrew.from_mesh(path)
    label_map = read_label_map(path, arguments.initial_roles)
    if has_no_voxel_size(label_map.geometry):
        raise InputError(
            f"Expected an initial screw with its voxel size, got {path} with 1 mm or none.",
            "Save it with its voxel size, or type --initial-volume-mm3 and --initial-area-mm2.",
        )
    return InitialScrew.from_label_map(label_map)
