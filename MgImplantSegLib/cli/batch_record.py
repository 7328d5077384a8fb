"""The record that a batch leaves with each finished sample: what was done with which files, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import json_text
from MgImplantSegLib.base.text_files import json_table

RECORD = "sample.json"
KEYS_OF_MEASURES = ("symbol", "unit", "region", "value")


@dataclass(frozen=True)
class Record:
    """What is known of a finished sample.

    Parameters
    ----------
    key : str
        The work, see `MgImplantSegLib.cli.batch.work_key`.
    seconds : float
        How long it took.
    measures : list of dict
        The measures of the report as plain data.
    results : mapping of str to int, optional
        The sample's files and their sizes in bytes.
    warnings : list of str
        What was warned of while it was worked on.
    spacing_um : float, optional
        The voxel size that was given for the scan; None: as in its file.
    dataset : str, optional
        Where the scan is inside of its file; None: the one that fits.
    """

    key: str
    image: str
    seconds: float
    measures: list[dict[str, Any]]
    digests: Mapping[str, Any]
    results: Mapping[str, int] | None = None
    warnings: list[str] = field(default_factory=list)
    spacing_um: float | None = None
    dataset: str | None = None

    def write(self, folder: Path) -> None:
        """Write the record beside the sample's files."""
        results = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        (folder / RECORD).write_text(json_text({**vars(self), "results": results}, indent=1), "utf-8")

    def is_complete(self, folder: Path) -> bool:
        """Whether all files of the sample are there still, of the sizes that they had."""
        results = self.results or {}
        return len(results) > 0 and all(
            (folder / name).is_file() and (folder / name).stat().st_size == size for name, size in results.items()
        )


def read_record(folder: Path) -> Record | None:
    """The record in a sample's folder; None if there is none, or it is damaged or of another version."""
    try:
        record = Record(**json_table(folder / RECORD))
    except TypeError:
        return None
    return record if _fits(record) else None


def _fits(record: Record) -> bool:
    def is_measure(entry: Any) -> bool:
        numbers = (int, float, type(None))
        return isinstance(entry, dict) and set(KEYS_OF_MEASURES) <= set(entry) and isinstance(entry["value"], numbers)

    kinds = ((record.key, str), (record.seconds, (int, float)), (record.measures, list))
    tables = isinstance(record.digests, dict) and isinstance(record.results, dict)
    lines = isinstance(record.warnings, list) and all(isinstance(line, str) for line in record.warnings)
    number, place = record.spacing_um, record.dataset
    is_scan = (number is None or isinstance(number, (int, float))) and (place is None or isinstance(place, str))
    return (
        tables
        and is_scan
        and lines
        and all(isinstance(value, kind) for value, kind in kinds)
        and all(map(is_measure, record.measures))
    )
