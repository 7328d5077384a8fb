"""``report``: results of one sample or of a study as one HTML page, with figures and tidy tables beside it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.files import atomic_output, require_folder_place, require_writable_folder
from MgImplantSegLib.base.option_kinds import ResultPath
from MgImplantSegLib.cli.batch_samples import samples_of
from MgImplantSegLib.cli.parser import option, output_path
from MgImplantSegLib.cli.report_page import page_of
from MgImplantSegLib.cli.result_paths import require_separate
from MgImplantSegLib.cli.staging import staged_files
from MgImplantSegLib.cli.tables import text_table
from MgImplantSegLib.cli.web_page import Links, Picture
from MgImplantSegLib.study.analysis import comparisons, correlations, summaries, time_text
from MgImplantSegLib.study.figures import study_drawings
from MgImplantSegLib.study.reading import BATCH, MEASURES, read_study
from MgImplantSegLib.study.samples import Study
from MgImplantSegLib.study.tables import study_tables, write_tables

NAME = "report"
HELP = "one HTML page about a sample or a study: groups, comparisons, figures, methods; tidy tables beside it"
DEFAULT_PAGE = ResultPath("report.html")
SVG = "image/svg+xml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The results, and where the page goes."""
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULTS",
        help="result folders of batch (or of one of its samples) or of demo, or JSON files of quantify",
    )
    option(
        parser, "--out", output_path, "FILE.html", "page to write; tables and figures go to FILE_files", DEFAULT_PAGE
    )
    option(parser, "--manifest", Path, "CSV", "take animals, groups and time points from this manifest instead")
    option(parser, "--title", str, "TEXT", "title of the page")


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Read, calculate, draw, write; the page appears last, when everything beside it is whole."""
    page, folder = arguments.out, files_folder(arguments.out)
    require_writable_folder(page.absolute().parent)
    require_folder_place(folder)
    require_separate(_inputs(arguments.results), [("--out", page)])
    study = read_study(arguments.results, _manifest(arguments.manifest))
    with staged_files(folder) as staging:
        text, names = write_report(study, staging, folder.name, events, arguments.title or "")
    with atomic_output(page) as temporary:
        temporary.write_text(text, "utf-8", "surrogateescape")
    files = [str(page), *(str(folder / name) for name in names)]
    return {"page": str(page), "files": files, **_facts(study)}


def write_report(
    study: Study, folder: Path, folder_name: str, events: Events, title: str = ""
) -> tuple[str, list[str]]:
    """Figures and tables into a folder, and the text of the page that links to them; names of the files."""
    with events.task("report", 3) as task:
        groups = summaries(study) if study.is_grouped else []
        compared = comparisons(study) if study.is_grouped else []
        related = correlations(study) if study.is_grouped else []
        task.advance()
        names = write_tables(study_tables(study, groups, compared, related), folder)
        figures = []
        for drawing in study_drawings(study):
            events.check_cancelled()
            names += drawing.write(folder)
            figures.append(Picture((folder / f"{drawing.stem}.svg").read_bytes(), SVG, drawing.caption))
        task.advance()
        page = page_of(study, groups, compared, related, figures, title, Links(folder_name, names))
    return page.html(), names


def report(result: dict[str, Any]) -> str:
    """Groups, and where the page is."""
    rows = [(row["group"], row["time"], str(row["animals"]), str(row["implants"])) for row in result["groups"]]
    table = text_table(("group", "time point", "animals", "implants"), rows)
    failed = result["without_results"]
    lost = f"\nWithout results: {', '.join(failed)}" if failed else ""
    return f"{table}{lost}\n\nPage: {result['page']}"


def files_folder(page: Path) -> Path:
    """Where the tables and figures of a page go: ``report_files`` for ``report.html``."""
    return page.with_name(f"{page.stem}_files")


def _manifest(path: Path | None) -> Mapping[str, Mapping[str, str]] | None:
    return None if path is None else {sample.name: sample.study for sample in samples_of(path)}


def _inputs(results: list[Path]) -> list[Path]:
    """The files that are read, which must not be replaced."""
    files = [path / name for path in results for name in (BATCH, MEASURES)]
    return [file for file in (*results, *files) if file.is_file()]


def _facts(study: Study) -> dict[str, Any]:
    rows = [
        {"group": group, "time": time_text(time_days), "animals": animals, "implants": implants}
        for group, time_days, animals, implants in study.counts()
    ]
    lost = [sample.name for sample in study.samples if sample not in study.done]
    return {"samples": len(study.samples), "groups": rows, "without_results": lost}
