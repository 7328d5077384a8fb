"""Options of commands that measure: the screw before implantation, the time, the regions, the methods."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.option_kinds import File
from MgImplantSegLib.base.options import add_options, option, values_of
from MgImplantSegLib.base.remarks import remarks_of
from MgImplantSegLib.cli.initial_screw import InitialOptions, initial_screw, read_initial_screw

if TYPE_CHECKING:
    from MgImplantSegLib.grids.volume import LabelMap, Volume
    from MgImplantSegLib.quantification import QuantifyOptions

KNOWN = ("time_days",)


@dataclass(frozen=True)
class RegionOptions:
    """Where it is measured."""

    roi: tuple[Path, ...] = option(
        "Slicer markups ROI: further regions for BV/TV and BIC", File("R.mrk.json"), (), many=True
    )


@dataclass(frozen=True)
class OneScanOptions:
    """What belongs to a single scan."""

    image: Path | None = option("the scan; voxels outside its round field of view are ignored", File("SCAN"), None)
    disagreement: Path | None = option(
        "disagreement of the planes, as written by segment; adds a range to each value", File("FILE"), None
    )


def measure_declarations() -> tuple[type, ...]:
    """The dataclasses whose options say what is known of any explant, what is measured, and how."""
    from MgImplantSegLib.quantification import QuantifyOptions

    return InitialOptions, RegionOptions, QuantifyOptions


def add_measure_arguments(parser: argparse.ArgumentParser, of_one_scan: bool = True) -> None:
    """All options of `quantify` that say what is measured and how.

    Without `of_one_scan` those are left out that belong to a single scan: its image and disagreement.
    """
    from MgImplantSegLib.quantification import QuantifyOptions

    known = parser.add_argument_group("additional information")
    add_options(known, InitialOptions)
    add_options(known, QuantifyOptions, only=KNOWN)
    add_options(known, RegionOptions, *([OneScanOptions] if of_one_scan else []))
    add_options(parser.add_argument_group("measures and methods"), QuantifyOptions, without=KNOWN)


def measure_options(arguments: argparse.Namespace, explant: LabelMap, events: Events) -> QuantifyOptions:
    """The options as `quantify` takes them; reads the initial screw, the regions, the scan and the disagreement.

    Raises InputError if a file cannot be used, or options contradict each other.
    """
    from MgImplantSegLib.grids.regions import read_roi_markups
    from MgImplantSegLib.io import read_volume
    from MgImplantSegLib.quantification import QuantifyOptions

    chosen = {entry.name: value for entry, value in values_of(arguments, QuantifyOptions)}
    disagreement = getattr(arguments, "disagreement", None)
    return QuantifyOptions(
        initial=initial_screw(arguments, explant, events),
        rois=tuple(roi for path in arguments.roi for roi in read_roi_markups(path)),
        disagreement=None if disagreement is None else read_volume(disagreement),
        **chosen,
    )


def require_measure_files(arguments: argparse.Namespace) -> None:
    """Read what the options name once before long work begins: the regions and the initial screw.

    Raises InputError if a file cannot be used.
    """
    from MgImplantSegLib.grids.regions import read_roi_markups

    for path in arguments.roi:
        read_roi_markups(path)
    if arguments.initial is not None:
        read_initial_screw(arguments.initial, arguments.initial_roles)


def read_scan_of(label_map: LabelMap, arguments: argparse.Namespace) -> Volume | None:
    """The scan that ``--image`` names, which has to be on the grid of its segmentation; None without the option.

    Raises InputError if it is not a volume or on another grid.
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
            "Give the scan from which the segmentation was made.",
        )
    return scan


def with_field_of_view(options: QuantifyOptions, scan: Volume | None) -> QuantifyOptions:
    """The options with the scan's round field of view, and the warnings about it, if there is a scan."""
    from MgImplantSegLib.quantification.field_of_view import field_of_view_of

    if scan is None:
        return options
    return replace(options, field_of_view=field_of_view_of(scan), scan_remarks=remarks_of(scan.provenance))


def _dataset_of(arguments: argparse.Namespace) -> str | None:
    """``--dataset`` belongs to whichever of scan and segmentation is an HDF5 file."""
    from MgImplantSegLib.io import format_of

    return arguments.dataset if format_of(arguments.image).has_datasets else None
