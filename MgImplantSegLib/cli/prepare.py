"""``prepare``: a scan that is too large for Slicer becomes a volume of 16 bits that is not."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_output, require_writable_folder
from MgImplantSegLib.base.option_kinds import File, ResultFile, Yes
from MgImplantSegLib.base.options import add_options, option, values_of
from MgImplantSegLib.cli.console import duration_text
from MgImplantSegLib.cli.segment_options import ScanOptions, require_voxel_size, single_roi
from MgImplantSegLib.preprocessing.prepare_options import PrepareOptions

if TYPE_CHECKING:
    from MgImplantSegLib.grids.volume import Volume
    from MgImplantSegLib.preprocessing.prepare_plan import PreparePlan

NAME = "prepare"
HELP = "crop, resample and convert a scan that is too large for Slicer to a 16-bit volume"
SUFFIX, PICTURE_SUFFIX = ".nrrd", ".png"
PERCENTILES = "grey values at these percentiles become 0 and 65535 (default: values of 8 and 16 bits stay as they are, "


@dataclass(frozen=True)
class PrepareFiles:
    """The scan, the region, and what is written."""

    scan: Path = option(
        "folder of slices (TIFF, BMP, PNG), HDF5 file, or any image file that is read", File("SCAN"), is_positional=True
    )
    out: Path = option("prepared scan to write, .nrrd", ResultFile("OUT.nrrd"), is_positional=True)
    roi: Path | None = option("crop to the box around Slicer's markups ROI", File("R.mrk.json"), None)
    preview: Path | None = option(
        "write a picture of three slices with the box that is kept, .png", ResultFile("FILE.png"), None
    )
    estimate: bool = option("only say what it gives and takes; OUT is not written", Yes(), False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scan, the result, and how it is made."""
    from MgImplantSegLib.preprocessing.prepare_plan import DEFAULT_PERCENTILES

    low, high = DEFAULT_PERCENTILES
    add_options(parser, PrepareFiles, PrepareOptions, ScanOptions)
    parser.add_argument(
        "--percentiles",
        nargs=2,
        type=_percent,
        metavar=("LOW", "HIGH"),
        help=f"{PERCENTILES}others use {low:g} {high:g})".replace("%", "%%"),
    )


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Prepare the scan, or say what that takes; the result appears whole or not at all."""
    from MgImplantSegLib.io import open_volume
    from MgImplantSegLib.preprocessing.prepare import prepare, summary
    from MgImplantSegLib.preprocessing.prepare_plan import block_bytes, plan, without_look

    start, options = time.monotonic(), _options(arguments)
    _require_outputs(arguments)
    given = {"dataset": arguments.dataset, "spacing_um": arguments.spacing_um, "events": events}
    with ExitStack() as stack:
        out = None if arguments.estimate else stack.enter_context(atomic_output(arguments.out))
        scan = stack.enter_context(open_volume(arguments.scan, block_bytes=block_bytes(options.memory_gb), **given))
        require_voxel_size(scan, arguments.scan)
        wanted = arguments.estimate or arguments.preview is not None
        planned = plan(scan, options, events, with_look=wanted)
        require_writable_folder(arguments.out.absolute().parent, planned.output_bytes)
        numbers = planned.to_dict(scan)
        events.emit("estimate", text=f"{summary(scan, planned)}{_time_text(planned)}.", **numbers)
        files = _write_preview(planned, scan, arguments.preview)
        if out is None:
            return {"files": files, **numbers, "written": False}
        counts = prepare(scan, without_look(planned), out, events)
        events.check_cancelled()
    result = {"files": [str(arguments.out), *files], **numbers, **counts.to_dict(), "written": True}
    return {**result, "seconds": round(time.monotonic() - start, 1)}


def report(result: dict[str, Any]) -> str:
    """What was made of what."""
    low, high = _ends(result["window"])
    size = " × ".join(f"{edge:.4g}" for edge in result["voxel_um"])
    lines = [
        f"{_times(result['scan_voxels'])} voxels of {result['scan_type']} → {_times(result['voxels'])} of {size} µm",
        f"grey values {low:.6g} to {high:.6g} → 0 to 65535",
    ]
    if not result["written"]:
        lines.append(
            f"takes at most {result['memory_bytes'] / 1e9:.2f} GB of memory, {result['output_bytes'] / 1e9:.2f} GB on "
            f"the disk and about {duration_text(result['seconds'])}"
        )
        return "\n".join([*lines, *(f"written: {path}" for path in result["files"])])
    clipped = result["clipped_below"] + result["clipped_above"]
    lines.append(f"clipped voxels: {clipped}, outside the field of view: {result['voxels_outside']}")
    return "\n".join([*lines, *(f"written: {path}" for path in result["files"]), f"in {result['seconds']:.0f} s"])


def _options(arguments: argparse.Namespace) -> PrepareOptions:
    chosen = {entry.name: value for entry, value in values_of(arguments, PrepareOptions)}
    percentiles = None if arguments.percentiles is None else tuple(arguments.percentiles)
    return PrepareOptions(
        **chosen, roi=None if arguments.roi is None else single_roi(arguments.roi), percentiles=percentiles
    )


def _require_outputs(arguments: argparse.Namespace) -> None:
    name, preview = arguments.out.name.lower(), arguments.preview
    if not name.endswith(SUFFIX) or name.endswith(".seg" + SUFFIX):
        raise InputError(
            f"Expected an output with the suffix {SUFFIX}, got {arguments.out}.", "It is read from the disk bit by bit."
        )
    if preview is not None and preview.suffix.lower() != PICTURE_SUFFIX:
        raise InputError(f"Expected a picture with the suffix {PICTURE_SUFFIX}, got {preview}.")


def _write_preview(planned: PreparePlan, scan: Volume, path: Path | None) -> list[str]:
    from MgImplantSegLib.io.picture_file import write_picture
    from MgImplantSegLib.preprocessing.preview_picture import preview_picture

    if path is None or planned.look is None:
        return []
    write_picture(path, preview_picture(planned.look, planned.box, scan.geometry))
    return [str(path)]


def _time_text(planned: PreparePlan) -> str:
    return "" if planned.seconds is None else f" and about {duration_text(planned.seconds)}"


def _ends(window: dict[str, Any]) -> tuple[float, float]:
    from MgImplantSegLib.base.grey_window import GreyWindow

    return GreyWindow.from_dict(window).ends


def _times(numbers: list[int]) -> str:
    return " × ".join(map(str, numbers))


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"expected a percentile from 0 to 100, got {text!r}")
    return value
