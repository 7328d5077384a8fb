"""The samples of a batch: the images of a folder, or the rows of a manifest."""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError, readable
from MgImplantSegLib.cli.parser import number
from MgImplantSegLib.cli.study_columns import canonical_name, require_columns, study_cell, warn_of_spellings

MANIFEST_SUFFIXES = (".csv", ".tsv", ".txt")
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Sample:
    """One scan of a batch: its name in the results, its image, and options that hold for it alone.

    `study` has the cells of the manifest's other columns, by column: animal, group, time_point_days and so on.
    """

    name: str
    image: Path
    options: dict[str, Any] = field(default_factory=dict)
    study: dict[str, str] = field(default_factory=dict)

    def arguments(self, common: argparse.Namespace) -> argparse.Namespace:
        """The options of the command line with those of this sample in their place."""
        return argparse.Namespace(**{**vars(common), **self.options})


def samples_of(source: Path) -> list[Sample]:
    """The samples of a folder with images, or of a manifest.

    Raises InputError if there is none, or the manifest cannot be used.
    """
    samples = _samples_of_folder(source) if source.is_dir() else _samples_of_manifest(source)
    if not samples:
        raise InputError(f"Expected at least one image, got none in {source}.", "Check the folder or the manifest.")
    repeated = [name for name, count in Counter(sample.name.lower() for sample in samples).items() if count > 1]
    if repeated:
        raise InputError(
            f"Expected unique names, got {', '.join(repeated)} more than once.",
            "Rename the files, or give a manifest with a column name.",
        )
    return samples


def _samples_of_folder(folder: Path) -> list[Sample]:
    """Every image file of the folder, and every folder in it that holds slices; broken links are such too.

    They fail when they are read: a scan on a disk that is not mounted must not be left out without a word.
    """
    from MgImplantSegLib.io import known_suffixes

    suffixes = known_suffixes(labels=False)
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return [Sample(_name_of(path, suffixes), path) for path in paths if _is_sample(path, tuple(suffixes))]


def _is_sample(path: Path, suffixes: tuple[str, ...]) -> bool:
    from MgImplantSegLib.io import format_of, holds_slices

    if path.is_dir():
        return holds_slices(path)
    is_image = path.name.lower().endswith(suffixes) and not format_of(path).holds_segments
    is_lost = path.is_symlink() and not path.exists()
    return (is_image and (path.is_file() or is_lost)) or (is_lost and not path.suffix)


def _name_of(path: Path, suffixes: Iterable[str]) -> str:
    fitting = [suffix for suffix in suffixes if not path.is_dir() and path.name.lower().endswith(suffix)]
    return readable(path.name[: len(path.name) - max(map(len, fitting), default=0)])


def _existing(folder: Path) -> Callable[[str], Path]:
    def parse(text: str) -> Path:
        path = folder / text
        if not path.exists():
            raise argparse.ArgumentTypeError(f"expected a file that exists, got {path}")
        return path

    return parse


def _columns(folder: Path) -> dict[str, Callable[[str], Any]]:
    """The columns that a manifest may have, and how their cells are read; paths start from the manifest's folder."""
    path = _existing(folder)
    return {
        "image": path,
        "name": _plain_name,
        "spacing_um": number("µm"),
        "dataset": str,
        "days": number("days", zero=True),
        "initial": path,
        "initial_volume_mm3": number("mm³"),
        "initial_area_mm2": number("mm²"),
        "roi": lambda text: [path(part.strip()) for part in text.split("|") if part.strip()],
    }


def _plain_name(text: str) -> str:
    if not re.fullmatch(r"\w[\w .+-]*", text) or text.endswith((" ", ".")):
        raise argparse.ArgumentTypeError(f"expected a name of letters, digits, space, . + - _, got {text!r}")
    return text


def _samples_of_manifest(path: Path) -> list[Sample]:
    if path.suffix.lower() not in MANIFEST_SUFFIXES or not path.is_file():
        raise InputError(
            f"Expected a folder with images, or a manifest ({', '.join(MANIFEST_SUFFIXES)}), got {path}.",
            "Give a folder, or a CSV file with a column image.",
        )
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"Expected text in UTF-8, got {path} ({error.reason}).", "Save it as CSV UTF-8.") from error
    lines = text.splitlines()
    delimiter = max(DELIMITERS, key=(lines[0] if lines else "").count)
    table = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    names = [canonical_name(name) for name in next(table, [])]
    require_columns(names, _columns(path.parent), str(path))
    rows = [(row, f"{path}, line {table.line_num}") for row in table if any(cell.strip() for cell in row)]
    samples = [_sample_of_row(names, row, where, path.parent) for row, where in rows]
    warn_of_spellings(sample.study for sample in samples)
    return samples


def _sample_of_row(names: Sequence[str], row: Sequence[str], where: str, folder: Path) -> Sample:
    from MgImplantSegLib.io import known_suffixes

    cells = _cells(names, row, where)
    columns, values, study = _columns(folder), {}, {}
    for name, text in cells.items():
        try:
            if name not in columns:
                study[name] = study_cell(name, text)
            elif text:
                values[name] = columns[name](text)
        except argparse.ArgumentTypeError as error:
            raise InputError(f"In {where}, column {name}: {error}.", "Correct the manifest.") from error
    if "image" not in values:
        raise InputError(f"Expected an image in {where}, got an empty cell.", "Enter its path or remove the row.")
    image = values.pop("image")
    return Sample(values.pop("name", None) or _name_of(image, known_suffixes()), image, values, study)


def _cells(names: Sequence[str], row: Sequence[str], where: str) -> dict[str, str]:
    """The cells of a row by column; columns without a name may be there as long as they are empty."""
    nameless = [cell for name, cell in zip(names, row, strict=False) if not name and cell.strip()]
    if len(row) != len(names) or nameless:
        what = f"{nameless[0]!r} in a column without a name" if nameless else "more or fewer"
        raise InputError(f"Expected a cell for each column, got {what} in {where}.", "Check the separators.")
    return {name: cell.strip() for name, cell in zip(names, row, strict=True) if name}
