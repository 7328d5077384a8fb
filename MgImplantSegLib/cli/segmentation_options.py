"""Options of commands that read segmentations, and reading them."""

from __future__ import annotations

import argparse
from pathlib import Path

from MgImplantSegLib.cli.parser import number, option
from MgImplantSegLib.errors import InputError
from MgImplantSegLib.labels import LabelScheme, parse_roles
from MgImplantSegLib.volume import Geometry, LabelMap

ROLES_HELP = "what the label values mean, for example 1=bone,2=degradation_layer,3=residual_material,255=ignore"


def roles(text: str) -> LabelScheme:
    """A type for options: the scheme of ``VALUE=ROLE,...``."""
    try:
        return parse_roles(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(f"{error.message[:1].lower()}{error.message[1:]}") from error


def roles_text(scheme: LabelScheme) -> str:
    """The text of which `roles` makes this scheme."""
    parts = [f"{label.value}={label.role.value}" for label in scheme.labels]
    return ",".join(parts if scheme.ignore_value is None else [*parts, f"{scheme.ignore_value}=ignore"])


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """``--roles``, ``--spacing-um`` and ``--dataset``."""
    option(parser, "--roles", roles, "V=ROLE,...", f"{ROLES_HELP}; without it what the file says, else as here")
    option(parser, "--spacing-um", number("µm"), "X", "voxel size in µm, in place of the file's")
    option(parser, "--dataset", str, "PATH", "dataset inside an HDF5 file")


def read_segmentation(path: str | Path, arguments: argparse.Namespace, scheme: LabelScheme | None = None) -> LabelMap:
    """The label map of a file, with a voxel size that is known.

    Raises
    ------
    InputError
        If the file is no segmentation, or its voxel size is unset and not given either.
    """
    from MgImplantSegLib.io import read_label_map

    label_map = read_label_map(
        path, scheme or arguments.roles, dataset=arguments.dataset, spacing_um=arguments.spacing_um
    )
    if arguments.spacing_um is None and has_no_voxel_size(label_map.geometry):
        raise InputError(
            f"Expected a segmentation with its voxel size, got {path} with 1 mm or none.",
            "Give the voxel size in µm with --spacing-um (1000 if it really is 1 mm).",
        )
    return label_map


def has_no_voxel_size(geometry: Geometry) -> bool:
    """Whether the voxel size is 1 mm along every axis, which programs write when they know none."""
    return all(abs(spacing - 1) < 1e-6 for spacing in geometry.spacing_zyx_mm)
