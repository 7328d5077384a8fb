"""Choices by name: `Registry`, a table whose entries have a name and a definition, readable without heavy packages."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from MgImplantSegLib.base.errors import InputError


class Entry(Protocol):
    """What each entry of a registry has: a name for display, and a sentence that defines it."""

    @property
    def name(self) -> str:
        """A few words, as in a combo box."""

    @property
    def definition(self) -> str:
        """What it is or does, without a full stop."""


@dataclass(frozen=True)
class Choice:
    """An entry that is nothing but its key, a name and a definition."""

    name: str
    definition: str = ""


AnyEntry = TypeVar("AnyEntry", bound=Entry)


class Registry(dict[str, AnyEntry]):
    """Entries by key; `what` says what each is, with its article: ``a fusion rule``."""

    def __init__(self, what: str, entries: Mapping[str, AnyEntry]) -> None:
        super().__init__(entries)
        self.what = what

    def find(self, key: object) -> AnyEntry:
        """The entry with that key. Raises InputError if there is none, naming the nearest."""
        if isinstance(key, str) and key in self:
            return self[key]
        raise InputError(f"Expected {self.what} of {', '.join(self)}, got {key!r}.", did_you_mean(key, self))


def described(choices: Mapping[str, Any]) -> str:
    """All keys with their definitions, as far as they have one, for the help of an option."""
    texts = {key: getattr(entry, "definition", "") or getattr(entry, "name", "") for key, entry in choices.items()}
    return "; ".join(f"{key} ({text})" for key, text in texts.items()) if any(texts.values()) else ""


def find_object(reference: str) -> Any:
    """The object ``module:name``, whose module is imported now and not before."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def nearest(wrong: object, names: Iterable[str]) -> str:
    """The name nearest to the wrong one, or an empty text."""
    near = difflib.get_close_matches(str(wrong), [str(name) for name in names], n=1, cutoff=0.5)
    return near[0] if near else ""


def did_you_mean(wrong: object, names: Iterable[str]) -> str:
    """``Did you mean 'NAME'?`` for the name nearest to the wrong one, or an empty text."""
    near = nearest(wrong, names)
    return f"Did you mean {near!r}?" if near else ""
