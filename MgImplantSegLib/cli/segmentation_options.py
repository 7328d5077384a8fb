"""Options of commands that read segmentations, and reading them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.option_kinds import Kind, Number
from MgImplantSegLib.base.options import add_options, option
from MgImplantSegLib.grids.labels import LabelScheme, parse_roles
from MgImplantSegLib.grids.volume import Geometry, LabelMap

EXAMPLE = "1=bone,2=degradation_layer,3=residual_material,255=ignore"
ROLES_HELP = f"meaning of the label values, for example {EXAMPLE}"


class Roles(Kind):
    """What label values mean, as ``VALUE=ROLE,...``."""

    def parse(self, text: str) -> LabelScheme:
        """The scheme."""
        try:
            return parse_roles(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(f"{error.message[:1].lower()}{error.message[1:]}") from error

    def word(self, value: LabelScheme) -> str:
        """``VALUE=ROLE,...`` of a scheme."""
        ignored = [] if value.ignore_value is None else [f"{value.ignore_value}=ignore"]
        return ",".join([*(f"{label.value}={label.word}" for label in value.labels), *ignored])


ROLES = Roles("V=ROLE,...")
roles = ROLES.parse  # a type for options


@dataclass(frozen=True)
class ReadingOptions:
    """How a segmentation is read."""

    roles: LabelScheme | None = option(
        "meaning of the label values", ROLES, None, default_help=f"as stored in the file, or {EXAMPLE}"
    )
    spacing_um: float | None = option("voxel size in µm", Number("µm"), None, default_help="as stored in the file")
    dataset: str | None = option("dataset inside an HDF5 file", Kind("PATH"), None)


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """``--roles``, ``--spacing-um`` and ``--dataset``."""
    add_options(parser, ReadingOptions)


def read_segmentation(path: str | Path, arguments: argparse.Namespace, scheme: LabelScheme | None = None) -> LabelMap:
    """The label map of a file, with a voxel size that is known.

    Raises InputError if the file is not a segmentation, or its voxel size is unset and not given either.
    """
    from MgImplantSegLib.io import read_label_map

    label_map = read_label_map(
        path, scheme or arguments.roles, dataset=arguments.dataset, spacing_um=arguments.spacing_um
    )
    if arguments.spacing_um is None and has_no_voxel_size(label_map.geometry):
        raise InputError(
            f"Expected a segmentation with its voxel size, got {path} with 1 mm or none.",
            "Set the voxel size in µm [[spacing_um]]; it is 1000 if the voxels really are 1 mm.",
        )
    return label_map


def has_no_voxel_size(geometry: Geometry) -> bool:
    """Whether the voxel size is 1 mm along every axis, which programs write when they know none."""
    return all(abs(spacing - 1) < 1e-6 for spacing in geometry.spacing_zyx_mm)
