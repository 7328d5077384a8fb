"""Options of commands that segment, and reading the scan."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.option_kinds import Kind, Number
from MgImplantSegLib.base.options import add_options, option, values_of
from MgImplantSegLib.base.resources import find_model

MOST_BYTES_AT_ONCE = 1 << 28

if TYPE_CHECKING:
    from MgImplantSegLib.base.events import Events
    from MgImplantSegLib.grids.regions import OrientedBox
    from MgImplantSegLib.grids.volume import Volume
    from MgImplantSegLib.inference.options import SegmentOptions


@dataclass(frozen=True)
class ScanOptions:
    """How a scan is read."""

    spacing_um: float | None = option(
        "voxel size of the scan in µm", Number("µm"), None, default_help="as stored in the file"
    )
    dataset: str | None = option("dataset inside an HDF5 file", Kind("PATH"), None)


def segment_declarations() -> tuple[type, ...]:
    """The dataclasses whose options say how a scan is read and segmented."""
    from MgImplantSegLib.inference.options import SegmentOptions

    return SegmentOptions, ScanOptions


def add_segment_arguments(parser: argparse.ArgumentParser) -> None:
    """All options of `segment` that say how."""
    add_options(parser.add_argument_group("segmentation"), *segment_declarations())


def segment_options(arguments: argparse.Namespace, roi: Path | None = None, **further: Any) -> SegmentOptions:
    """The options as `segment_volume` takes them; finds the model and reads the region.

    Raises InputError if the model or the region cannot be used.

    Parameters
    ----------
    roi : Path, optional
        Slicer's markups file with the one region that is segmented.
    further : dict
        Fields that are not options of the command line: ``grid``, ``want_probabilities``, ``want_disagreement``.
    """
    from MgImplantSegLib.inference.options import SegmentOptions
    from MgImplantSegLib.model.file import read_card

    chosen = {entry.name: value for entry, value in values_of(arguments, SegmentOptions)}
    chosen |= {"model": find_model(arguments.model), "roi": single_roi(roi) if roi else None, **further}
    read_card(chosen["model"])
    return SegmentOptions(**chosen)


def single_roi(path: Path) -> OrientedBox:
    """The one region of a Slicer's markups file. Raises InputError if it cannot be read, or holds several."""
    from MgImplantSegLib.grids.regions import read_roi_markups

    rois = read_roi_markups(path)
    if len(rois) != 1:
        raise InputError(f"Expected one ROI to segment in, got {len(rois)} in {path}.", "Save a single ROI to a file.")
    return rois[0]


def read_scan(path: Path, arguments: argparse.Namespace) -> Volume:
    """The scan, with a voxel size that is known.

    Raises InputError if it is not a volume, or its voxel size is unset and not given either.
    """
    from MgImplantSegLib.io import read_volume

    volume = read_volume(path, dataset=arguments.dataset, spacing_um=arguments.spacing_um)
    require_voxel_size(volume, path)
    return volume


@contextmanager
def open_scan(path: Path, arguments: argparse.Namespace, events: Events) -> Iterator[Volume]:
    """As `read_scan`, within the block; a scan larger than `MOST_BYTES_AT_ONCE` is read slice by slice when used."""
    from MgImplantSegLib.io import open_volume

    with open_volume(path, dataset=arguments.dataset, spacing_um=arguments.spacing_um, events=events) as volume:
        require_voxel_size(volume, path)
        yield in_memory(volume, events) if volume.array.nbytes <= MOST_BYTES_AT_ONCE else volume


def in_memory(volume: Volume, events: Events) -> Volume:
    """The volume with all voxels as an array, where they were read slice by slice until now."""
    from MgImplantSegLib.io.slices_on_disk import SlicesOnDisk

    array: object = volume.array
    if not isinstance(array, SlicesOnDisk):
        return volume
    with events.task("reading slices", len(array)) as task:
        return replace(volume, array=array.whole(task.advance))


def require_voxel_size(volume: Volume, path: Path) -> None:
    """Raise InputError if the voxel size of a scan is unset."""
    if not volume.spacing_is_known:
        raise InputError(
            f"Expected a scan with its voxel size, got {path} with 1 mm or none.",
            "Set the voxel size in µm [[spacing_um]]; it is 1000 if the voxels really are 1 mm.",
        )
