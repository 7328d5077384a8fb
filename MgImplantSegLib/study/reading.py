"""Results read back: folders of a batch, folders of one sample, and files of measures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.text_files import json_table, read_json
from MgImplantSegLib.study.samples import DONE, Study, StudySample

BATCH, MEASURES, RECORD, FACTS = "batch.json", "measures.json", "sample.json", "demo.json"
KEYS = ("symbol", "name", "value", "unit", "region")
KEYS_OF_SERIES = ("symbol", "region", "x_name", "x_unit", "x_low", "x_high", "values", "unit")
UNREADABLE = "unreadable"
REMEDY = "Give the folder of a batch or of one sample, or the JSON file written by quantify."


def read_study(paths: Sequence[Path], studies: Mapping[str, Mapping[str, str]] | None = None) -> Study:
    """Everything in the results.

    Raises InputError if one is not a result, or `studies` names something that is not a sample.

    Parameters
    ----------
    paths : sequence of Path
        Folders of batches, folders of samples, files of measures.
    studies : mapping, optional
        Cells of a manifest by the name of the sample, in place of those that the results have.
    """
    samples: list[StudySample] = []
    commands: list[str] = []
    for path in paths:
        found, command = _read(path)
        samples += found
        commands += [command] if command else []
    if studies is not None:
        samples = _with_studies(samples, studies)
    return Study(tuple(_with_own_names(samples)), tuple(dict.fromkeys(commands)))


def read_sample(folder: Path, name: str = "") -> StudySample:
    """The sample whose files are in a folder. Raises InputError if its measures are missing or damaged."""
    return _sample_of_file(folder / MEASURES, name or folder.resolve().name)


def _read(path: Path) -> tuple[list[StudySample], str]:
    if (path / BATCH).is_file():
        return _read_batch(path)
    if (path / MEASURES).is_file():
        return [read_sample(path)], ""
    if path.is_file():
        return [_sample_of_file(path, path.stem)], ""
    what = "a folder without them" if path.is_dir() else "nothing there"
    raise InputError(f"Expected results ({BATCH} or {MEASURES}), got {path}, {what}.", REMEDY)


def _read_batch(folder: Path) -> tuple[list[StudySample], str]:
    data = _json(folder / BATCH)
    rows = data.get("samples") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows or not all(map(_is_row, rows)):
        raise _damaged(folder / BATCH)
    command = data.get("command")
    return [_sample_of_row(folder, row) for row in rows], command if isinstance(command, str) else ""


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("study", {}), dict):
        return False
    name = row.get("sample")
    return isinstance(name, str) and name not in ("", ".", "..") and not re.search(r"[/\\]", name)


def _sample_of_row(folder: Path, row: Mapping[str, Any]) -> StudySample:
    name, state = row["sample"], str(row.get("state"))
    warnings = row.get("warnings", [])
    known: dict[str, Any] = {
        "image": str(row.get("image", "")),
        "study": {str(key): str(value) for key, value in row.get("study", {}).items()},
        "warnings": tuple(map(str, warnings)) if isinstance(warnings, list) else (),
    }
    if state != DONE:
        return StudySample(name, folder=folder / name, state=state, problem=str(row.get("problem", "")), **known)
    try:
        return replace(read_sample(folder / name, name), **known)
    except InputError as error:
        return StudySample(name, folder=folder / name, state=UNREADABLE, problem=error.message, **known)


def _sample_of_file(path: Path, name: str) -> StudySample:
    data = _json(path)
    measures = data.get("measures") if isinstance(data, dict) else None
    if not isinstance(measures, list) or not all(map(_is_measure, measures)):
        raise _damaged(path)
    series = [entry for entry in data.get("series") or () if _is_series(entry)]
    inputs = data["inputs"] if isinstance(data.get("inputs"), dict) else {}
    beside = _beside(path.parent) if path.name == MEASURES else {"image": ""}
    return StudySample(name, folder=path.parent, measures=measures, series=series, inputs=inputs, **beside)


def _beside(folder: Path) -> dict[str, Any]:
    """What other files of a sample say: its image and warnings, and the facts that a demo has left."""
    record = json_table(folder / RECORD)
    warnings = record.get("warnings")
    return {
        "image": str(record.get("image", "")),
        "facts": json_table(folder / FACTS),
        "warnings": tuple(map(str, warnings)) if isinstance(warnings, list) else (),
    }


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _is_measure(entry: Any) -> bool:
    return isinstance(entry, dict) and set(KEYS) <= set(entry) and _is_number(entry["value"])


def _is_series(entry: Any) -> bool:
    if not isinstance(entry, dict) or not set(KEYS_OF_SERIES) <= set(entry):
        return False
    columns = [entry[key] for key in ("x_low", "x_high", "values")]
    is_table = all(isinstance(column, list) and all(map(_is_number, column)) for column in columns)
    return is_table and len({len(column) for column in columns}) == 1


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(f"Expected results in {path}, got something else or a damaged file.", REMEDY)


def _with_studies(samples: Iterable[StudySample], studies: Mapping[str, Mapping[str, str]]) -> list[StudySample]:
    samples = list(samples)
    unknown = [name for name in studies if name not in {sample.name for sample in samples}]
    if len(unknown) == len(studies):
        raise InputError(
            f"Expected a manifest of these samples, got one of {', '.join(unknown[:3])}.",
            "Give the manifest used for the batch.",
        )
    return [replace(sample, study=studies.get(sample.name, sample.study)) for sample in samples]


def _with_own_names(samples: Sequence[StudySample]) -> list[StudySample]:
    """Names that differ: those of several results get their folder's name in front, or a number behind."""
    counts = Counter(sample.name for sample in samples)
    seen: Counter[str] = Counter()
    named = []
    for sample in samples:
        name = sample.name
        if counts[name] > 1:
            name = f"{sample.folder.resolve().parent.name}/{name}"
        seen[name] += 1
        named.append(replace(sample, name=name if seen[name] == 1 else f"{name} ({seen[name]})"))
    return named
