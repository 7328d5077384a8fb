"""``segment``: a scan goes in, a segmentation comes out."""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.cli.elsewhere import add_environment_option, run_elsewhere
from MgImplantSegLib.cli.parser import option, output_path
from MgImplantSegLib.cli.segment_options import add_segment_arguments, read_scan, segment_options
from MgImplantSegLib.cli.tables import text_table, value_text
from MgImplantSegLib.events import Events
from MgImplantSegLib.files import atomic_output, require_writable_folder

if TYPE_CHECKING:
    from MgImplantSegLib.inference.segmenter import SegmentationResult
    from MgImplantSegLib.volume import LabelMap

NAME = "segment"
HELP = "segment a scan into bone, degradation layer and residual material"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scan, the segmentation, what else is written, and how it is segmented."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="scan: image, or folder of slices (TIFF, BMP, PNG)")
    parser.add_argument("out", type=output_path, metavar="OUT", help="segmentation to write, .seg.nrrd or label image")
    option(parser, "--roi", Path, "R.mrk.json", "Slicer's markups ROI: segment inside it, unknown elsewhere")
    option(
        parser,
        "--probabilities",
        output_path,
        "FILE",
        "write the probabilities, a file for each class: FILE_bone.nrrd, ...",
    )
    option(parser, "--disagreement", output_path, "FILE", "write the part of the planes that disagree, 0 to 1")
    add_segment_arguments(parser)
    add_environment_option(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Segment; all files appear together, each whole, or none."""
    if arguments.environment:
        return run_elsewhere(NAME, add_arguments, arguments, events)
    from MgImplantSegLib.inference.segmenter import segment_volume

    start = time.monotonic()
    _require_writable(arguments)
    options = segment_options(
        arguments,
        arguments.roi,
        want_probabilities=arguments.probabilities is not None,
        want_disagreement=arguments.disagreement is not None,
    )
    result = segment_volume(read_scan(arguments.image, arguments), options, events)
    events.check_cancelled()
    return {
        "files": [str(path) for path in _write(result, arguments)],
        "classes": class_sizes(result.label_map),
        "provenance": dict(result.provenance),
        "seconds": round(time.monotonic() - start, 1),
    }


def _write(result: SegmentationResult, arguments: argparse.Namespace) -> list[Path]:
    from MgImplantSegLib.io import write_label_map, write_volume

    volumes = {} if result.disagreement is None else {arguments.disagreement: result.disagreement}
    for segment_id, probability in (result.probabilities or {}).items():
        volumes[probability_path(arguments.probabilities, segment_id)] = probability
    with ExitStack() as stack:
        write_label_map(result.label_map, stack.enter_context(atomic_output(arguments.out)))
        for path, volume in volumes.items():
            write_volume(volume, stack.enter_context(atomic_output(path)))
    return [arguments.out, *volumes]


def probability_path(path: Path, segment_id: str) -> Path:
    """The file for one class: ``p.nrrd`` becomes ``p_bone.nrrd``."""
    return path.with_name(f"{path.stem}_{segment_id}{path.suffix}")


def report(result: dict[str, Any]) -> str:
    """Size of each class, and the files."""
    rows = [(name, str(size["voxels"]), value_text(size["volume_mm3"])) for name, size in result["classes"].items()]
    table = text_table(("class", "voxels", "volume mm³"), rows)
    return "\n".join([table, *(f"written: {path}" for path in result["files"]), f"in {result['seconds']:.0f} s"])


def class_sizes(label_map: LabelMap) -> dict[str, dict[str, float]]:
    """Voxels and volume in mm³ of each class, by segment ID, background apart."""
    counts = {label.segment_id: int((label_map.array == label.value).sum()) for label in label_map.scheme.segments}
    voxel_mm3 = label_map.geometry.voxel_volume_mm3
    return {name: {"voxels": count, "volume_mm3": count * voxel_mm3} for name, count in counts.items()}


def _require_writable(arguments: argparse.Namespace) -> None:
    """Every output has a suffix that can be written and a folder that takes it, before the long work begins."""
    from MgImplantSegLib.io.volumes import writable_format

    if not arguments.out.name.lower().endswith(".seg.nrrd"):
        writable_format(arguments.out)
    further = [path for path in (arguments.probabilities, arguments.disagreement) if path is not None]
    for path in further:
        writable_format(path)
    for path in (arguments.out, *further):
        require_writable_folder(path.absolute().parent)
