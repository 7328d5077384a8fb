"""The manifest of a batch that runs as a job: rewritten with the paths there, so that all its files are sent along."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from MgImplantSegLib.cli.batch_samples import MANIFEST_SUFFIXES, Sample, samples_of
from MgImplantSegLib.jobs.request import InputPath, InputText, JobRequest, Word

COMMAND = "batch"
NAME_THERE = "manifest.csv"


def with_files_of_manifest(request: JobRequest) -> JobRequest:
    """The request with a manifest among its words replaced by one that names the files where they will be.

    Raises InputError if the manifest cannot be used, or a file that it names is missing.
    """
    if request.words[:1] != (COMMAND,):
        return request
    return replace(request, words=tuple(map(_with_its_files, request.words)))


def _with_its_files(word: Word) -> Word:
    if not isinstance(word, InputPath) or word.before or word.path.suffix.lower() not in MANIFEST_SUFFIXES:
        return word
    if not word.path.is_file():
        return word
    samples = samples_of(word.path)
    return InputText(NAME_THERE, lambda path_there: manifest_text(samples, path_there))


def manifest_text(samples: Sequence[Sample], path_there: Callable[[Path], str]) -> str:
    """A manifest in CSV with the same samples; `path_there` says where a file is there."""
    rows = [dict(_cells(sample, path_there)) for sample in samples]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cells(sample: Sample, path_there: Callable[[Path], str]) -> Iterator[tuple[str, Any]]:
    yield "image", path_there(sample.image)
    yield "name", sample.name
    for name, value in sample.options.items():
        if isinstance(value, list):
            yield name, "|".join(map(path_there, value))
        else:
            yield name, path_there(value) if isinstance(value, Path) else value
    yield from sample.study.items()
