"""Options of commands that segment: the model, the planes, the device; and reading the scan."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from MgImplantSegLib.cli.parser import choice_option, number, option
from MgImplantSegLib.errors import InputError
from MgImplantSegLib.resources import DEFAULT_MODEL, find_model

if TYPE_CHECKING:
    from MgImplantSegLib.inference.segmenter import SegmentOptions
    from MgImplantSegLib.volume import Volume


def add_segment_arguments(parser: argparse.ArgumentParser) -> None:
    """All options of `segment` that say how, filled from the registries."""
    from MgImplantSegLib.inference.device import PRECISIONS
    from MgImplantSegLib.inference.fusion import FUSIONS
    from MgImplantSegLib.inference.postprocess import POSTPROCESSING
    from MgImplantSegLib.planes import PLANE_SETS

    group = parser.add_argument_group("segmentation")
    option(group, "--model", str, "M", f"model file, or name of a bundled model; without it {DEFAULT_MODEL}")
    choice_option(group, "--planes", PLANE_SETS, "slicing planes", "3")
    choice_option(group, "--fusion", FUSIONS, "how the planes are put together", "soft")
    option(group, "--device", str, "auto|cpu|cuda[:N]", "where the network runs", "auto")
    choice_option(group, "--precision", PRECISIONS, "numbers that the network computes with", "auto")
    choice_option(group, "--postprocessing", POSTPROCESSING, "what is tidied up; without it what the model's card says")
    option(group, "--memory-gb", number("GB"), "G", "memory to keep within in GB; without it what is free")
    option(group, "--spacing-um", number("µm"), "X", "voxel size of the scan in µm, in place of the file's")
    option(group, "--dataset", str, "PATH", "dataset inside an HDF5 file")


def segment_options(arguments: argparse.Namespace, roi: Path | None = None, **wanted: bool) -> SegmentOptions:
    """The options as `segment_volume` takes them; finds the model and reads the region.

    Parameters
    ----------
    roi : Path, optional
        Slicer's markups file with the one region that is segmented.
    wanted : bool
        ``want_probabilities`` and ``want_disagreement``.

    Raises
    ------
    InputError
        If the model or the region cannot be used.
    """
    from MgImplantSegLib.inference.segmenter import SegmentOptions
    from MgImplantSegLib.model_file import read_card

    model = find_model(arguments.model)
    read_card(model)
    return SegmentOptions(
        model=model,
        planes=arguments.planes,
        fusion=arguments.fusion,
        device=arguments.device,
        precision=arguments.precision,
        postprocessing=arguments.postprocessing,
        memory_gb=arguments.memory_gb,
        roi=_single_roi(roi) if roi else None,
        **wanted,
    )


def _single_roi(path: Path):
    from MgImplantSegLib.regions import read_roi_markups

    rois = read_roi_markups(path)
    if len(rois) != 1:
        raise InputError(f"Expected one ROI to segment in, got {len(rois)} in {path}.", "Save one ROI to a file alone.")
    return rois[0]


def read_scan(path: Path, arguments: argparse.Namespace) -> Volume:
    """The scan, with a voxel size that is known.

    Raises
    ------
    InputError
        If it is no volume, or its voxel size is unset and not given either.
    """
    from MgImplantSegLib.io import read_volume

    volume = read_volume(path, dataset=arguments.dataset, spacing_um=arguments.spacing_um)
    if not volume.spacing_is_known:
        raise InputError(
            f"Expected a scan with its voxel size, got {path} with 1 mm or none.",
            "Give the voxel size in µm with --spacing-um (1000 if it really is 1 mm).",
        )
    return volume
