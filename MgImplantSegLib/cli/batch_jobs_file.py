"""What a batch has submitted to clusters, kept in the folder of its results: ``batch-jobs.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import json_text
from MgImplantSegLib.base.files import atomic_output
from MgImplantSegLib.base.text_files import json_table

JOBS = "batch-jobs.json"


@dataclass(frozen=True)
class KnownArray:
    """An array of jobs.

    Parameters
    ----------
    name : str
        Of the array; its jobs are NAME-0, NAME-1 and so on.
    tasks : sequence of sequences of str
        The samples of each job.
    keys : mapping of str to str
        The key of each sample when it was submitted.
    """

    name: str
    environment: str
    tasks: Sequence[Sequence[str]]
    keys: Mapping[str, str]


def read_arrays(folder: Path) -> list[KnownArray]:
    """The arrays that were submitted from a folder; none if there is no file, or it is damaged."""
    entries = json_table(folder / JOBS).get("arrays")
    found = [_array(entry) for entry in entries] if isinstance(entries, list) else []
    return [array for array in found if array is not None]


def write_arrays(arrays: Sequence[KnownArray], folder: Path) -> None:
    """Replace the file as a whole."""
    with atomic_output(folder / JOBS) as temporary:
        temporary.write_text(json_text({"arrays": [vars(array) for array in arrays]}, indent=1) + "\n", "utf-8")


def _array(entry: Any) -> KnownArray | None:
    if not isinstance(entry, dict):
        return None
    tasks, keys = entry.get("tasks"), entry.get("keys")
    names = isinstance(entry.get("name"), str) and isinstance(entry.get("environment"), str)
    lists = isinstance(tasks, list) and all(isinstance(task, list) and all(map(_is_text, task)) for task in tasks)
    if not (names and lists and isinstance(keys, dict) and all(map(_is_text, keys.values()))):
        return None
    return KnownArray(entry["name"], entry["environment"], entry["tasks"], keys)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
