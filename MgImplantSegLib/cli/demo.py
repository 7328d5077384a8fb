"""``demo``: the main job once through, on a simulated explant with exact truth or on a scan of the user."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events, json_text
from MgImplantSegLib.base.files import output_folder, require_writable_folder
from MgImplantSegLib.base.option_kinds import ResultFolderPath
from MgImplantSegLib.cli.demo_case import (
    SEED_NEVER_TRAINED_ON,
    DemoCase,
    absent_classes,
    scan_case,
    simulated_case,
)
from MgImplantSegLib.cli.demo_report import facts, report_text, summary
from MgImplantSegLib.cli.parser import folder_path, option, whole_number
from MgImplantSegLib.cli.pictures import draw_pictures
from MgImplantSegLib.cli.report_page import page_of
from MgImplantSegLib.cli.result_paths import require_separate
from MgImplantSegLib.cli.segment_options import add_segment_arguments, read_scan, segment_options
from MgImplantSegLib.cli.staging import staged_files
from MgImplantSegLib.cli.web_page import Links
from MgImplantSegLib.study.reading import FACTS, read_study

NAME = "demo"
HELP = "simulate an explant (or take a scan), segment, measure, render, report"
IMAGE, SEGMENTATION = "image.nrrd", "segmentation.seg.nrrd"
DEFAULT_FOLDER = ResultFolderPath("mgimplantseg_demo")
BYTES_PER_VOXEL = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, which explant or scan, and the options of `segment`."""
    option(parser, "--out", folder_path, "DIR", "folder for the results", DEFAULT_FOLDER)
    option(parser, "--size", whole_number(48), "N", "voxels along each edge of the simulated explant", 160)
    option(
        parser,
        "--seed",
        whole_number(0),
        "S",
        "seed of the simulated explant; the model may have been trained on seeds below 100000",
        SEED_NEVER_TRAINED_ON,
    )
    option(parser, "--input", Path, "IMAGE", "scan to use instead of the simulated explant")
    add_segment_arguments(parser)


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Everything from the explant to the report; the folder gets all files at the end or none."""
    start = time.monotonic()
    options = segment_options(arguments)
    if arguments.input is not None:
        require_separate([arguments.input], [(f"DIR/{name}", arguments.out / name) for name in (IMAGE, SEGMENTATION)])
    with output_folder(arguments.out):
        case = _case(arguments, events)
        require_writable_folder(arguments.out, BYTES_PER_VOXEL * case.volume.array.size)
        with staged_files(arguments.out) as staging:
            result = _work(case, options, staging, events)
            result["files"] = {path.name: str(arguments.out / path.name) for path in sorted(staging.iterdir())}
            result["seconds"] = round(time.monotonic() - start, 1)
            (staging / "report.html").write_text(_page(staging), "utf-8")
            result["files"]["report.html"] = str(arguments.out / "report.html")
    return result


def report(result: dict[str, Any]) -> str:
    """A short table, what could not be measured and why, and where the files are."""
    return report_text(result)


def _case(arguments: argparse.Namespace, events: Events) -> DemoCase:
    if arguments.input is None:
        return simulated_case(arguments.size, arguments.seed, events)
    return scan_case(read_scan(arguments.input, arguments), arguments.input.name)


def _work(case: DemoCase, options: Any, folder: Path, events: Events) -> dict[str, Any]:
    from MgImplantSegLib.evaluation import evaluate
    from MgImplantSegLib.inference.segmenter import segment_volume
    from MgImplantSegLib.quantification import quantify

    segmentation = segment_volume(case.volume, options, events).label_map
    measures = quantify(segmentation, case.quantify_options(), events)
    evaluation = evaluate(segmentation, case.labels).to_dict() if case.labels is not None else None
    _write(case, segmentation, folder)
    measures.write_csv(folder / "measures.csv")
    measures.write_json(folder / "measures.json")
    pictures = draw_pictures(case.volume, segmentation, folder, events)
    result = summary(case, segmentation, measures.to_dict(), evaluation) | {
        "title": case.title,
        "absent": absent_classes(segmentation),
        "pictures": pictures,
    }
    (folder / FACTS).write_text(json_text(facts(case, result), indent=1) + "\n", "utf-8")
    return result


def _page(folder: Path) -> str:
    """The page of `report` for this one sample."""
    names = sorted(path.name for path in folder.iterdir())
    return page_of(read_study([folder]), [], [], [], [], files=Links(".", names)).html()


def _write(case: DemoCase, segmentation: Any, folder: Path) -> None:
    from MgImplantSegLib.grids.regions import write_roi_markups
    from MgImplantSegLib.io import write_label_map, write_volume

    write_volume(case.volume, folder / IMAGE)
    write_label_map(segmentation, folder / SEGMENTATION)
    for name, label_map in (("truth.seg.nrrd", case.labels), ("initial.seg.nrrd", case.initial)):
        if label_map is not None:
            write_label_map(label_map, folder / name)
    if case.rois:
        write_roi_markups(case.rois, folder / "roi.mrk.json")
