"""Options of commands that measure: the screw before implantation, the time, the regions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from MgImplantSegLib.cli.parser import choice_option, number, option
from MgImplantSegLib.errors import InputError
from MgImplantSegLib.events import Events
from MgImplantSegLib.labels import Role

if TYPE_CHECKING:
    from MgImplantSegLib.quantification import InitialScrew, QuantifyOptions
    from MgImplantSegLib.volume import LabelMap


def add_measure_arguments(parser: argparse.ArgumentParser) -> None:
    """All options of `quantify` that say how to measure."""
    from MgImplantSegLib.quantification import SURFACE_METHODS, QuantifyOptions

    group = parser.add_argument_group("measures")
    option(group, "--initial", Path, "FILE", "segmentation of the same part of the screw before implantation")
    option(group, "--initial-volume-mm3", number("mm³"), "V", "volume of the screw before implantation in mm³")
    option(group, "--initial-area-mm2", number("mm²"), "A", "surface area of the screw before implantation in mm²")
    option(group, "--days", number("days", zero=True), "T", "days between implantation and explantation")
    option(group, "--distance-mm", number("mm"), "D", "thickness of the shell around the implant for BV/TV in mm",
           QuantifyOptions.distance_mm)  # fmt: skip
    group.add_argument("--roi", type=Path, nargs="+", action="extend", default=[], metavar="R.mrk.json",
                       help="Slicer's markups ROI: further regions for BV/TV")  # fmt: skip
    choice_option(group, "--surface", SURFACE_METHODS, "how surfaces are measured", QuantifyOptions.surface)


def measure_options(arguments: argparse.Namespace, events: Events) -> QuantifyOptions:
    """The options as `quantify` takes them; reads the initial screw and the regions.

    Raises
    ------
    InputError
        If a file cannot be used, or the initial screw is given twice.
    """
    from MgImplantSegLib.quantification import QuantifyOptions
    from MgImplantSegLib.regions import read_roi_markups

    return QuantifyOptions(
        initial=_initial_screw(arguments, events),
        time_days=arguments.days,
        distance_mm=arguments.distance_mm,
        rois=tuple(roi for path in arguments.roi for roi in read_roi_markups(path)),
        surface=arguments.surface,
    )


def _initial_screw(arguments: argparse.Namespace, events: Events) -> InitialScrew | None:
    from MgImplantSegLib.quantification import InitialScrew

    typed = (arguments.initial_volume_mm3, arguments.initial_area_mm2)
    if arguments.initial is None:
        return None if typed == (None, None) else InitialScrew.from_values(*typed)
    if typed != (None, None):
        raise InputError(
            "Expected the initial screw once, got --initial and typed numbers.",
            "Leave out --initial, or --initial-volume-mm3 and --initial-area-mm2.",
        )
    return InitialScrew.from_label_map(read_initial_screw(arguments.initial, events))


def read_initial_screw(path: Path, events: Events) -> LabelMap:
    """The label map of a screw before implantation; a single value of any meaning is taken for the screw.

    Raises
    ------
    InputError
        If there is no screw in it, or its voxel size is unset.
    """
    from MgImplantSegLib.io import read_label_map

    label_map = read_label_map(path)
    if all(abs(spacing - 1) < 1e-6 for spacing in label_map.geometry.spacing_zyx_mm):
        raise InputError(
            f"Expected an initial screw with its voxel size, got {path} with 1 mm or none.",
            "Save it with its voxel size, or type --initial-volume-mm3 and --initial-area-mm2.",
        )
    if label_map.implant_mask().any():
        return label_map
    if not label_map.mask(Role.BONE).any():
        raise InputError(
            f"Expected a segmentation of the screw before implantation, got {path} without any.",
            "Check the file: all of its voxels are background.",
        )
    events.warning(f"{path} has no implant class: its only class is taken for the screw before implantation.")
    return _bone_as_implant(label_map)


def _bone_as_implant(label_map: LabelMap) -> LabelMap:
    from dataclasses import replace

    from MgImplantSegLib.labels import LabelScheme

    roles = {
        label.value: Role.RESIDUAL_MATERIAL if label.role is Role.BONE else label.role
        for label in label_map.scheme.labels
        if label.role in (Role.BACKGROUND, Role.BONE)
    }
    return replace(label_map, scheme=LabelScheme.from_roles(roles, label_map.scheme.ignore_value))
