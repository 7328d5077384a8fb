"""The samples of a batch: the images of a folder, or the rows of a manifest."""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from MgImplantSegLib.cli.parser import nearest, number
from MgImplantSegLib.errors import InputError, readable

MANIFEST_SUFFIXES = (".csv", ".tsv", ".txt")
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Sample:
    """One scan of a batch: its name in the results, its image, and options that hold for it alone."""

    name: str
    image: Path
    options: dict[str, Any] = field(default_factory=dict)

    def arguments(self, common: argparse.Namespace) -> argparse.Namespace:
        """The options of the command line with those of this sample in their place."""
        return argparse.Namespace(**{**vars(common), **self.options})


def samples_of(source: Path) -> list[Sample]:
    """The samples of a folder with images, or of a manifest.

    Raises
    ------
    InputError
        If there is none, or the manifest cannot be used.
    """
    samples = _samples_of_folder(source) if source.is_dir() else _samples_of_manifest(source)
    if not samples:
        raise InputError(f"Expected at least one image, got none in {source}.", "Check the folder or the manifest.")
    repeated = [name for name, count in Counter(sample.name.lower() for sample in samples).items() if count > 1]
    if repeated:
        raise InputError(
            f"Expected names that differ, got {', '.join(repeated)} more than once.",
            "Rename the files, or give a manifest with a column name.",
        )
    return samples


def _samples_of_folder(folder: Path) -> list[Sample]:
    """Every image file of the folder, and every folder in it that holds slices; links that lead nowhere are such too.

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
    rows = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    _require_columns(rows.fieldnames or [], path)
    return [_sample_of_row(row, f"{path}, line {rows.line_num}", path.parent) for row in rows if any(row.values())]


def _require_columns(names: Iterable[str], path: Path) -> None:
    known = _columns(path.parent)
    for name in names:
        if name not in known:
            raise InputError(
                f"Expected columns of {', '.join(known)}, got {name!r} in {path}.{nearest(name, known)}",
                "Rename the column or remove it.",
            )
    if "image" not in names:
        raise InputError(f"Expected a column image, got {', '.join(names) or 'none'} in {path}.", "Add it.")


def _sample_of_row(row: dict[str, str], where: str, folder: Path) -> Sample:
    from MgImplantSegLib.io import known_suffixes

    if None in row or None in row.values():
        raise InputError(f"Expected a cell for each column, got more or fewer in {where}.", "Check the separators.")
    columns, values = _columns(folder), {}
    for name, text in row.items():
        try:
            if text.strip():
                values[name] = columns[name](text.strip())
        except argparse.ArgumentTypeError as error:
            raise InputError(f"In {where}, column {name}: {error}.", "Correct the manifest.") from error
    if "image" not in values:
        raise InputError(f"Expected an image in {where}, got an empty cell.", "Give its path or remove the row.")
    image = values.pop("image")
    return Sample(values.pop("name", None) or _name_of(image, known_suffixes()), image, values)
