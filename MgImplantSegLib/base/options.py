"""An option is declared once: a field of a dataclass, made by `option`, with its help, its kind, and what it changes.

From these fields come the arguments of the command line, the words of a command, what is kept with a result, the key of
resumable work, and the check of the values. The kinds of values are in `option_kinds`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from MgImplantSegLib.base.option_kinds import Kind

KEY = "option"


@dataclass(frozen=True)
class Option:
    """The declaration of an option, apart from the name and the default of its field.

    Parameters
    ----------
    help : str
        One line, with the unit, without the default.
    kind : Kind
        How a value is read, written and checked.
    argument : str
        Name on the command line, with underscores; by default the field's.
    default_help : str
        What happens where the field's default is None.
    changes_result : bool
        Whether another value may give another result.
    is_positional, many : bool
        Whether the argument has no flag; whether it takes several values.
    """

    help: str
    kind: Kind
    argument: str = ""
    default_help: str = ""
    changes_result: bool = True
    is_positional: bool = False
    many: bool = False


@dataclass(frozen=True)
class Declared:
    """An option with the name and the default of its field; the default is None where the field has none."""

    name: str
    default: Any
    option: Option

    @property
    def argument(self) -> str:
        """The attribute of the command line's arguments."""
        return self.option.argument or self.name

    @property
    def flag(self) -> str:
        """``--name-of-it``; empty for a positional argument."""
        return "" if self.option.is_positional else "--" + self.argument.replace("_", "-")


def option(help_text: str, kind: Kind, default: Any = dataclasses.MISSING, **further: Any) -> Any:
    """A field of a dataclass that is an option; `further` are fields of `Option`."""
    return dataclasses.field(default=default, metadata={KEY: Option(help_text, kind, **further)})


def options_of(*declarations: type) -> Iterator[Declared]:
    """The options of dataclasses; other fields are ignored."""
    for declaration in declarations:
        for field in dataclasses.fields(declaration):
            if KEY in field.metadata:
                default = None if field.default is dataclasses.MISSING else field.default
                yield Declared(field.name, default, field.metadata[KEY])


def add_options(container: Any, *declarations: type, only: Iterable[str] = (), without: Iterable[str] = ()) -> None:
    """Add the options of dataclasses to a parser or group: all, only those named, or those that are not named."""
    only, without = set(only), set(without)
    for entry in options_of(*declarations):
        if entry.name not in without and (not only or entry.name in only):
            _add(container, entry)


def _add(container: Any, entry: Declared) -> None:
    said, kind = entry.option, entry.option.kind
    if entry.default is False:
        container.add_argument(entry.flag, action="store_true", help=said.help)
        return
    shown = said.default_help if entry.default in (None, ()) else kind.word(entry.default)
    text = "".join((said.help, f": {kind.help}" if kind.help else "", f" (default: {shown})" if shown else ""))
    given: dict[str, Any] = {"type": kind.parse, "metavar": kind.metavar, "help": text.replace("%", "%%")}
    if said.many:
        given |= {"nargs": "+", "action": "extend", "default": []}
    elif not said.is_positional:
        given |= {"default": entry.default}
    container.add_argument(entry.flag or entry.argument, **given)


def values_of(holder: Any, *declarations: type) -> Iterator[tuple[Declared, Any]]:
    """Options with their values in an options object or in arguments of the command line, as far as they are there."""
    for entry in options_of(*(declarations or (type(holder),))):
        name = entry.name if dataclasses.is_dataclass(holder) else entry.argument
        if hasattr(holder, name):
            yield entry, getattr(holder, name)


def words(holder: Any, *declarations: type) -> list[str]:
    """The words of the command line that say the same; None, False and no values need none."""
    positional, flagged = [], []
    for entry, value in values_of(holder, *declarations):
        for single in value if entry.option.many else (value,):
            if entry.option.is_positional:
                positional.append(entry.option.kind.word(single))
            elif single is not None and single is not False:
                flagged += [entry.flag] if single is True else [entry.flag, entry.option.kind.word(single)]
    return positional + flagged


def record(holder: Any, *declarations: type) -> dict[str, Any]:
    """What the result depends on, by the names of the fields: for provenance, and for keys of resumable work."""
    return {entry.name: value for entry, value in values_of(holder, *declarations) if entry.option.changes_result}


def require_valid(holder: Any) -> None:
    """Raise InputError, with the option's name, unless every value of an options object is valid; None is one."""
    for entry, value in values_of(holder):
        if value is None and entry.default is None:
            continue
        entry.option.kind.check(entry.name, value)
