"""Options of commands that measure: the screw before implantation, the time, the regions, the methods."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from MgImplantSegLib.cli.initial_screw import add_initial_screw_arguments, initial_screw, read_initial_screw
from MgImplantSegLib.cli.parser import choice_option, nearest, number, option
from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events

if TYPE_CHECKING:
    from MgImplantSegLib.quantification import QuantifyOptions
    from MgImplantSegLib.volume import LabelMap, Volume

ALL = "all"


def add_measure_arguments(parser: argparse.ArgumentParser, of_one_scan: bool = True) -> None:
    """All options of `quantify` that say what is measured and how, filled from the registries.

    Without `of_one_scan` those are left out that belong to a single scan: its image and disagreement.
    """
    from MgImplantSegLib.quantification import SURFACE_METHODS, QuantifyOptions
    from MgImplantSegLib.quantification.common_part import CommonLength
    from MgImplantSegLib.quantification.contact_methods import CONTACT_METHODS
    from MgImplantSegLib.quantification.degradation import RATE_FORMS
    from MgImplantSegLib.quantification.measures import DEFAULT_MEASURES, MEASURES

    default = QuantifyOptions
    known = parser.add_argument_group("what is known besides")
    add_initial_screw_arguments(known)
    option(known, "--days", number("days", zero=True), "T", "days between implantation and explantation")
    known.add_argument(
        "--roi",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="R.mrk.json",
        help="Slicer's markups ROI: further regions for BV/TV and BIC",
    )
    if of_one_scan:
        option(known, "--image", Path, "SCAN", "the scan: what lies outside its round field of view does not count")
        option(
            known, "--disagreement", Path, "FILE", "disagreement of the planes (of segment), for ranges beside values"
        )

    group = parser.add_argument_group("what is measured, and how")
    choices = {key: entry.help for key, entry in MEASURES.items()}
    option(
        group,
        "--measures",
        names_of(choices),
        "NAME,...|all",
        "of "
        + "; ".join(f"{key} ({text})" for key, text in choices.items())
        + f"; without it {', '.join(DEFAULT_MEASURES)}",
    )
    option(
        group,
        "--distance-mm",
        number("mm"),
        "D",
        "thickness of the shell around the implant in mm",
        default.distance_mm,
    )
    choice_option(group, "--surface", SURFACE_METHODS, "how surfaces are measured", default.surface)
    choice_option(group, "--rate-form", RATE_FORMS, "the area that DR divides by", default.rate_form)
    choice_option(group, "--contact", CONTACT_METHODS, "how contact is measured", default.contact)
    option(
        group,
        "--contact-distance-mm",
        number("mm", zero=True),
        "D",
        "for contact by distance: how far bone may be",
        default.contact_distance_mm,
    )
    option(
        group,
        "--close-cracks-mm",
        number("mm", zero=True),
        "W",
        "close cracks up to this width in mm before BIC",
        default.close_cracks_mm,
    )
    option(
        group,
        "--profile-step-mm",
        number("mm"),
        "D",
        "width of the shells of the profile in mm",
        default.profile_step_mm,
    )
    option(group, "--slice-mm", number("mm"), "D", "width of the slices along the screw axis in mm", default.slice_mm)
    choice_option(
        group,
        "--common-length",
        [rule.value for rule in CommonLength],
        "which length of the screw V_i, A_i and V_r are of",
        default.common_length,
    )


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


def measure_options(arguments: argparse.Namespace, explant: LabelMap, events: Events) -> QuantifyOptions:
    """The options as `quantify` takes them; reads the initial screw, the regions, the scan and the disagreement.

    Raises
    ------
    InputError
        If a file cannot be used, or options contradict each other.
    """
    from MgImplantSegLib.io import read_volume
    from MgImplantSegLib.quantification import QuantifyOptions
    from MgImplantSegLib.regions import read_roi_markups

    disagreement = getattr(arguments, "disagreement", None)
    return QuantifyOptions(
        initial=initial_screw(arguments, explant, events),
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
        disagreement=None if disagreement is None else read_volume(disagreement),
    )


def require_measure_files(arguments: argparse.Namespace) -> None:
    """Read what the options name once before long work begins: the regions and the initial screw.

    Raises
    ------
    InputError
        If a file cannot be used.
    """
    from MgImplantSegLib.regions import read_roi_markups

    for path in arguments.roi:
        read_roi_markups(path)
    if arguments.initial is not None:
        read_initial_screw(arguments.initial, arguments.initial_roles)


def read_scan_of(label_map: LabelMap, arguments: argparse.Namespace) -> Volume | None:
    """The scan that ``--image`` names, which has to be on the grid of its segmentation; None without the option.

    Raises
    ------
    InputError
        If it is no volume or on another grid.
    """
    from MgImplantSegLib.io import read_volume
    from MgImplantSegLib.io.grids import along_axes_of

    if arguments.image is None:
        return None
    scan = read_volume(arguments.image, dataset=_dataset_of(arguments), spacing_um=arguments.spacing_um)
    scan = along_axes_of(scan, label_map.geometry, "scan")
    if not scan.geometry.same_grid(label_map.geometry):
        shapes = " and ".join(
            "×".join(map(str, geometry.shape_zyx)) for geometry in (scan.geometry, label_map.geometry)
        )
        raise InputError(
            f"Expected scan and segmentation on one grid, got {shapes} voxels (z, y, x), or another place or "
            "voxel size.",
            "Give the scan that was segmented.",
        )
    return scan


def with_field_of_view(options: QuantifyOptions, scan: Volume | None) -> QuantifyOptions:
    """The options with the scan's round field of view, as far as a scan is known."""
    from MgImplantSegLib.quantification.field_of_view import field_of_view_of

    return options if scan is None else replace(options, field_of_view=field_of_view_of(scan))


def _dataset_of(arguments: argparse.Namespace) -> str | None:
    """``--dataset`` belongs to whichever of scan and segmentation is an HDF5 file."""
    from MgImplantSegLib.io import format_of

    return arguments.dataset if format_of(arguments.image).has_datasets else None
