"""The file of pairs of a `teach` job: rewritten with the paths there, so that all scans are sent along."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from MgImplantSegLib.jobs.request import InputPath, InputText, JobRequest, Word

if TYPE_CHECKING:
    from MgImplantSegLib.training.teach.settings import Pair

COMMAND, OPTION = "teach", "--pairs"
NAME_THERE = "pairs.toml"


def with_scans_of_pairs(request: JobRequest) -> JobRequest:
    """The request with a file of pairs among its words replaced by one that names the scans where they will be.

    Raises InputError if the file of pairs cannot be used.
    """
    if request.words[:1] != (COMMAND,):
        return request
    return replace(request, words=tuple(_words(request.words)))


def _words(words: Sequence[Word]) -> Iterator[Word]:
    for before, word in zip(("", *words), words, strict=False):
        if isinstance(word, InputPath) and (word.before == f"{OPTION}=" or (before == OPTION and not word.before)):
            if word.before:
                yield OPTION
            yield _text(word.path)
        else:
            yield word


def _text(path: Path) -> InputText:
    from MgImplantSegLib.training.teach.settings import read_pairs

    pairs = read_pairs(path)
    return InputText(NAME_THERE, lambda path_there: pairs_text(pairs, path_there))


def pairs_text(pairs: Sequence[Pair], path_there: Callable[[Path], str]) -> str:
    """A file with the same pairs; `path_there` says where a file is there."""
    from MgImplantSegLib.base.settings import settings_to_dict
    from MgImplantSegLib.base.toml_writer import toml_text

    there = [
        replace(
            pair,
            image=Path(path_there(pair.image)),
            labels=Path(path_there(pair.labels)),
            roi=pair.roi and Path(path_there(pair.roi)),
        )
        for pair in pairs
    ]
    return toml_text({"pairs": [settings_to_dict(pair) for pair in there]})
