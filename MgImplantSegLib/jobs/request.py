"""What a job shall do: words for the engine, among them files that go along."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from MgImplantSegLib.base.errors import InputError

SLUG = re.compile(r"[^A-Za-z0-9]+")
OWN_OPTIONS = ("--events",)
PARALLEL_COMMANDS = ("train",)


@dataclass(frozen=True)
class InputPath:
    """A word, or the end of one, that names a file or folder here; `before` is what stands before it (``--model=``)."""

    path: Path
    before: str = ""


@dataclass(frozen=True)
class InputText:
    """A word that names a small text file made for the job.

    Parameters
    ----------
    compose : callable
        Gives the text; gets a function that says where a file that is sent along is there.
    """

    name: str
    compose: Callable[[Callable[[Path], str]], str]


Word = str | InputPath | InputText


@dataclass(frozen=True)
class JobRequest:
    """One job.

    Parameters
    ----------
    words : tuple of str, InputPath or InputText
        The command for the engine, ``("segment", InputPath(scan), "out.seg.nrrd")``. Relative paths that are
        plain words are meant in the job's results.
    name : str
        For display; any characters.
    program : Path, optional
        A script of one's own that runs instead of the engine.
    is_parallel : bool
        Whether it runs in several processes where the environment has them.
    resume_words : tuple of str
        Added when the job continues from a checkpoint.
    checkpoint : str
        File or folder among the results that a checkpoint consists of.
    again : str
        Any text; a request with another one is not the same request.
    """

    words: tuple[Word, ...]
    name: str
    program: Path | None = None
    is_parallel: bool = False
    resume_words: tuple[str, ...] = ()
    checkpoint: str = ""
    again: str = ""

    def __post_init__(self) -> None:
        if not self.words and self.program is None:
            raise InputError("Expected a command for the job, got none.", "For example: train CONFIG.toml")
        for word in self.words:
            if isinstance(word, str) and "\0" in word:
                raise InputError(f"Expected words without zero bytes, got {word!r}.")

    @property
    def shown(self) -> str:
        """The command for display."""
        return " ".join(shown_word(word) for word in self.words)


def engine_request(words: Sequence[str], *, name: str = "", again: str = "") -> JobRequest:
    """The request of a command as it is typed: words that name existing files or folders go along.

    A word counts as a path if it contains a dot or a separator and exists; ``./NAME`` makes any name one. Raises
    InputError if an option belongs to the launcher itself.
    """
    for word in words:
        if word.split("=")[0] in OWN_OPTIONS:
            raise InputError(f"Expected a command without {word.split('=')[0]}, which the job sets itself.")
    command = words[0] if words else ""
    found = (command, *(_word(word) for word in words[1:])) if words else ()
    return JobRequest(found, name or default_name(words), is_parallel=command in PARALLEL_COMMANDS, again=again)


def default_name(words: Sequence[str]) -> str:
    """The command with the stem of the first file it names."""
    stems = [Path(word).name.split(".")[0] for word in words[1:] if not word.startswith("-") and "." in word]
    return "-".join([*words[:1], *stems[:1]])


def slug(name: str) -> str:
    """`name` as part of a folder's name: letters and digits of ASCII."""
    return SLUG.sub("-", name).strip("-")[:40].strip("-") or "job"


def shown_word(word: Word) -> str:
    """A word as people see it."""
    if isinstance(word, InputPath):
        return word.before + str(word.path)
    return word.name if isinstance(word, InputText) else word


def _word(word: str) -> Word:
    before, equals, value = word.partition("=")
    if equals and before.startswith("--") and is_path(value):
        return InputPath(Path(value), before + equals)
    return InputPath(Path(word)) if not word.startswith("-") and is_path(word) else word


def is_path(text: str) -> bool:
    """Whether a word names an existing file or folder; it must contain a dot or a separator."""
    try:
        return any(mark in text for mark in "./\\") and Path(text).exists()
    except (OSError, ValueError):
        return False
