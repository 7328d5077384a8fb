"""``segment``: a scan goes in, a segmentation comes out."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.expected_iou import KEY, ExpectedIoU, expected_of
from MgImplantSegLib.base.files import atomic_output, require_file_place, require_writable_folder
from MgImplantSegLib.base.option_kinds import File, OneOf, ResultFile
from MgImplantSegLib.base.options import add_options, option
from MgImplantSegLib.base.resources import find_model
from MgImplantSegLib.cli.elsewhere import add_environment_option, run_elsewhere
from MgImplantSegLib.cli.opening_options import add_opening_arguments, opening_options
from MgImplantSegLib.cli.result_paths import require_separate
from MgImplantSegLib.cli.segment_options import (
    add_segment_arguments,
    in_memory,
    open_scan,
    segment_options,
)
from MgImplantSegLib.cli.segment_tasks import (
    TaskOptions,
    add_hidden_arguments,
    do_all_parts,
    do_part,
    remove_parts,
    run_as_tasks,
)
from MgImplantSegLib.cli.tables import text_table, value_text
from MgImplantSegLib.inference.grids import GRIDS, INPUT, MODEL

if TYPE_CHECKING:
    from MgImplantSegLib.grids.volume import LabelMap, Volume
    from MgImplantSegLib.inference.options import SegmentOptions
    from MgImplantSegLib.inference.segmenter import SegmentationResult, SegmentationRun

NAME = "segment"
PART_OF_A_FILE_NAME = re.compile(r"[\w .+-]{1,100}")
HELP = "segment a scan into bone, degradation layer and residual material"


@dataclass(frozen=True)
class SegmentFiles:
    """The scan, the region, and what is written."""

    image: Path = option("scan: image file, or folder of slices (TIFF, BMP, PNG)", File("IMAGE"), is_positional=True)
    out: Path = option("segmentation to write, .seg.nrrd or label image", ResultFile("OUT"), is_positional=True)
    roi: Path | None = option(
        "Slicer markups ROI: segment inside it only; voxels outside stay unknown", File("R.mrk.json"), None
    )
    probabilities: Path | None = option(
        "write the class probabilities, one file per class: FILE_bone.nrrd, ...", ResultFile("FILE"), None
    )
    disagreement: Path | None = option(
        "write the fraction of planes that disagree, from 0 to 1", ResultFile("FILE"), None
    )
    grid: str = option("whose voxels the segmentation has", OneOf(GRIDS), INPUT)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The scan, the segmentation, what else is written, and how it is segmented."""
    add_options(parser, SegmentFiles)
    add_segment_arguments(parser)
    add_opening_arguments(parser)
    add_options(parser, TaskOptions)
    add_hidden_arguments(parser)
    add_environment_option(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Segment; all files appear together, each whole, or none."""
    if arguments.environment:
        if arguments.tasks:
            return run_as_tasks(add_arguments, arguments, events)
        return run_elsewhere(NAME, add_arguments, arguments, events)
    start = time.monotonic()
    _require_writable(arguments)
    options = segment_options(
        arguments,
        arguments.roi,
        grid=arguments.grid,
        want_probabilities=arguments.probabilities is not None,
        want_disagreement=arguments.disagreement is not None,
    )
    with open_scan(arguments.image, arguments, events) as scan, _grid_advised(arguments):
        if arguments.task is not None:
            return {"part": str(do_part(scan, options, arguments, events))}
        result = segment_scan(scan, options, arguments, events, lambda run: do_all_parts(run, arguments, events))
    events.check_cancelled()
    files = _write(result, arguments)
    remove_parts(arguments)
    return {
        "files": [str(path) for path in files],
        "classes": class_sizes(result.label_map),
        "expected_iou": result.provenance.get(KEY),
        "provenance": dict(result.provenance),
        "seconds": round(time.monotonic() - start, 1),
    }


def segment_scan(
    scan: Volume,
    options: SegmentOptions,
    arguments: argparse.Namespace,
    events: Events,
    parts: Callable[[SegmentationRun], Sequence[Path]] = lambda _run: (),
) -> SegmentationResult:
    """Segment a scan, from `parts` where there are any, and mark the openings that are looked for on its voxels.

    Raises InputError if openings are wanted that do not fit the scan's voxels, or a segmentation without these.
    """
    from MgImplantSegLib.cracks.openings import with_openings
    from MgImplantSegLib.inference.segmenter import SegmentationRun

    openings = opening_options(arguments)
    openings.width_mm(scan.geometry.spacing_zyx_mm)
    if openings.openings:
        if options.grid == MODEL:
            raise InputError(
                f"Expected a segmentation on the scan's voxels for openings, got the grid {MODEL}.",
                f"Choose the grid {INPUT} [[grid]], or leave the openings out [[openings]].",
            )
        scan = in_memory(scan, events)
    run = SegmentationRun(scan, options, events)
    result = run.result(parts(run))
    return replace(result, label_map=with_openings(scan, result.label_map, openings, events))


@contextmanager
def _grid_advised(arguments: argparse.Namespace) -> Iterator[None]:
    """Where memory does not suffice for labels on the scan's grid, say that there is another."""
    try:
        yield
    except ResourceError as error:
        if arguments.grid == MODEL or "memory" not in error.message:
            raise
        raise ResourceError(
            error.message, f"Write on the model's coarser grid [[grid]] for scans finer than it. {error.template}"
        ) from error


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
    """Size of each class, how good the model expects to be, and the files."""
    if "part" in result:
        return f"written: {result['part']}"
    expected = expected_of(result)
    rows = [
        (name, str(size["voxels"]), value_text(size["volume_mm3"]), *_expected_cell(expected, name))
        for name, size in result["classes"].items()
    ]
    columns = ("class", "voxels", "volume mm³") + (() if expected is None else ("expected IoU",))
    lines = [text_table(columns, rows)] + ([] if expected is None else [f"{expected.line()}."])
    return "\n".join([*lines, *(f"written: {path}" for path in result["files"]), f"in {result['seconds']:.0f} s"])


def _expected_cell(expected: ExpectedIoU | None, segment_id: str) -> tuple[str, ...]:
    """The cell of a class; bundled models name segments by their roles, others are left empty."""
    if expected is None:
        return ()
    return (expected.of_role[segment_id].text() if segment_id in expected.of_role else "",)


def class_sizes(label_map: LabelMap) -> dict[str, dict[str, float]]:
    """Voxels and volume in mm³ of each class, by segment ID, background apart."""
    counts = {label.segment_id: int((label_map.array == label.value).sum()) for label in label_map.scheme.segments}
    voxel_mm3 = label_map.geometry.voxel_volume_mm3
    return {name: {"voxels": count, "volume_mm3": count * voxel_mm3} for name, count in counts.items()}


def _require_writable(arguments: argparse.Namespace) -> None:
    """Every output has a suffix that can be written and a folder that takes it, before the long work begins."""
    from MgImplantSegLib.io.volumes import writable_format

    writable_format(arguments.out, labels=True)
    further = [path for path in (arguments.probabilities, arguments.disagreement) if path is not None]
    for path in further:
        writable_format(path)
    for path in (arguments.out, *further):
        require_writable_folder(path.absolute().parent)
    if arguments.probabilities is not None:
        _require_places_of_probabilities(arguments)


def _require_places_of_probabilities(arguments: argparse.Namespace) -> None:
    """The files for the classes are none of the other files; their names follow from the model's classes."""
    from MgImplantSegLib.io.companions import files_behind
    from MgImplantSegLib.model.file import read_card

    segment_ids = [label.segment_id for label in read_card(find_model(arguments.model)).label_scheme.labels]
    if strange := [name for name in segment_ids if not PART_OF_A_FILE_NAME.fullmatch(name)]:
        raise InputError(
            f"Expected a model whose classes can be parts of file names for --probabilities, got {strange[0]!r}.",
            "Omit --probabilities.",
        )
    others = [("OUT", arguments.out), ("--disagreement", arguments.disagreement)]
    others += [(f"--{name}", Path(value)) for name in ("json", "events") if (value := getattr(arguments, name, None))]
    files = [probability_path(arguments.probabilities, name) for name in segment_ids]
    results = [(shown, path) for shown, path in others if path is not None]
    require_separate(
        [*files_behind(arguments.image), *filter(None, [arguments.roi]), find_model(arguments.model)],
        [*results, *(("--probabilities", path) for path in files)],
    )
    for path in files:
        require_file_place(path)
